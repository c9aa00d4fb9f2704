/** Asking for commits that have not come (10.12). */

import { equal } from './bytes.js';
import { failIf, hold } from './errors.js';
import { find } from './membership.js';
import { make, parse } from './objects.js';
import { sign, verify } from './primitives.js';

const OLDEST = 259200;
const AHEAD = 300;

/** REQ-EPOCH-22, made by the member that asks. */
export function makeRepairRequest(owner, room, member, prefix, time) {
  const body = make('repair request', room, member, prefix, time);
  return make('signed object', body, sign(owner.seed, 'repair request', body));
}

/** Step 1 of REQ-EPOCH-22. */
export function readRepairRequest(signed) {
  const [body, signature] = parse(signed, 'signed object');
  const [room, member, prefix, time] = parse(body, 'repair request');
  return { body, signature, room, member, prefix, time };
}

/**
 * Steps 2 to 6.
 * @param {ReturnType<readRepairRequest>} request
 * @param {Uint8Array} room
 * @param {import('./membership.js').Roster} roster of the receiver's current epoch
 * @param {number} now
 */
export function checkRepairRequest({ body, signature, room: named, member: who, time }, room, roster, now) {
  failIf(!equal(named, room), 'unknown-room');
  const member = find(roster, who);
  failIf(member === undefined, 'unknown-member');
  verify(member.identity.signKey, signature, 'repair request', body);
  failIf(now > time + OLDEST, 'expired');
  if (time > now + AHEAD) hold('early-commit');
}
