/** Requests of other members to a room (10.12, 10.13, step 5 of `dispatch` in 12.4). */

import { equal, hex } from './bytes.js';
import { failIf, refuse } from './errors.js';
import { OBJECTS, make, open, parse } from './objects.js';
import { checkRepairRequest, readRepairRequest } from './repair.js';
import { checkResyncRequest, readResyncRequest } from './resync.js';
import { leadingTo, pathOf } from './tree.js';

const BODY_LIMIT = 896;
const MAX_REPAIRS = 10;
const REPAIR_WINDOW = 10800;
const PATH_LENGTH = 16;

/** Step 1 of REQ-EPOCH-23, once the request has been parsed; a request comes to the mailbox of its room. */
function checkPlace(room, request) {
  failIf(!equal(request.room, room.id), 'unknown-room');
  failIf(room.direct, 'wrong-mode');
  failIf(equal(request.member, room.me), 'own-message');
  failIf(room.removed, 'room-closed');
}

/** Count an accepted request of a member, of one kind: at most 10 in 3 h. */
function countRequest(counted, member, now) {
  const name = hex(member);
  const recent = (counted.get(name) ?? []).filter((time) => now - time < REPAIR_WINDOW);
  failIf(recent.length >= MAX_REPAIRS, 'too-many-requests');
  counted.set(name, [...recent, now]);
}

/** Step 5 of REQ-EPOCH-23: what others have committed, without slots, oldest first. */
function copiesOfOthers(room, known) {
  const path = pathOf(room);
  const since = path.findIndex((epoch) => known.includes(epoch));
  return path.slice(0, Math.min(PATH_LENGTH, since < 0 ? PATH_LENGTH : since)).filter(({ sealed }) => sealed !== null)
    .reverse().map(({ sealed }) => make('commit copy', sealed, null));
}

/** REQ-EPOCH-23: which copies to send again, oldest first. */
function answerRepair(room, data, now) {
  const request = readRepairRequest(data);
  checkPlace(room, request);
  const { member, prefix, time } = request;
  checkRepairRequest(request, room.id, room.current.roster, now);
  const name = hex(member);
  failIf(time <= (room.lastRepairs.get(name) ?? -1), 'replay');
  countRequest(room.repairs, member, now);
  room.lastRepairs.set(name, time);
  const named = room.named(prefix);
  const known = named === undefined ? [] : [named, ...leadingTo(room.epochs, named)];
  const led = ({ opens }) => known.some(({ transcript }) => equal(transcript, opens));
  const own = room.copies.filter((kept) => equal(kept.member, member) && !led(kept)).map(({ copy }) => copy);
  return { type: 'repair request', member, copies: [...own, ...copiesOfOthers(room, known)] };
}

/** REQ-EPOCH-26: what is kept is for the application to grant. */
function keepResync(room, data, now) {
  const request = readResyncRequest(data);
  checkPlace(room, request);
  checkResyncRequest(request, { suite: room.suite, room: room.id, time: now }, room.current.roster);
  const { signed, member, time } = request;
  const kept = room.resyncRequests.get(hex(member));
  if (kept === undefined || !equal(kept.signed, signed)) {
    failIf(kept !== undefined && kept.time >= time, 'replay');
    countRequest(room.resyncs, member, now);
    room.resyncRequests.set(hex(member), { signed, time });
  }
  return { type: 'resync request', member, signed };
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
