/** Requests of other members to a room (10.12, 10.13, step 5 of `dispatch` in 12.4). */

import { equal, hex } from './bytes.js';
import { failIf, refuse } from './errors.js';
import { OBJECTS, open, parse } from './objects.js';
import { checkRepairRequest, readRepairRequest } from './repair.js';
import { checkResyncRequest, readResyncRequest } from './resync.js';

const BODY_LIMIT = 896;
const MAX_REPAIRS = 10;
const REPAIR_WINDOW = 10800;

/** Step 1 of REQ-EPOCH-23, once the request has been parsed; a request comes to the mailbox of its room. */
function checkPlace(room, request) {
  failIf(!equal(request.room, room.id), 'unknown-room');
  failIf(room.direct, 'wrong-mode');
  failIf(equal(request.member, room.me), 'own-message');
  failIf(room.removed, 'room-closed');
}

/** REQ-EPOCH-23: which copies to send again, oldest first. */
function answerRepair(room, data, now) {
  const request = readRepairRequest(data);
  checkPlace(room, request);
  checkRepairRequest(request, room.id, room.current.roster, now);
  const name = hex(request.member);
  const recent = (room.repairs.get(name) ?? []).filter((time) => now - time <= REPAIR_WINDOW);
  failIf(recent.length >= MAX_REPAIRS, 'too-many-requests');
  room.repairs.set(name, [...recent, now]);
  const from = room.named(request.prefix)?.number ?? 0;
  const copies = room.copies.filter(({ member, number }) => equal(member, request.member) && number >= from);
  return { type: 'repair request', member: request.member, copies: copies.map(({ copy }) => copy) };
}

/** REQ-EPOCH-26: what is kept is for the application to grant. */
function keepResync(room, data, now) {
  const request = readResyncRequest(data);
  checkPlace(room, request);
  checkResyncRequest(request, { suite: room.suite, room: room.id, time: now }, room.current.roster);
  room.resyncRequests.set(hex(request.member), { signed: request.signed, time: request.time });
  return { type: 'resync request', member: request.member, signed: request.signed };
}

/**
 * A signed object in the mailbox of a room.
 * @param {import('./room.js').Room} room
 * @param {Uint8Array} data
 * @param {number} now
 */
export function receiveRequest(room, data, now) {
  const [body] = parse(data, 'signed object');
  const [, type] = open(body, BODY_LIMIT);
  if (type === OBJECTS['repair request'].type) return answerRepair(room, data, now);
  if (type === OBJECTS['resync request'].type) return keepResync(room, data, now);
  refuse('wrong-type');
}
