/** Letting a member in anew: requests (9.8), and whom a commit resyncs (9.9, 10.6). */

import { equal, hex } from './bytes.js';
import { failIf } from './errors.js';
import { sameIdentity } from './identity.js';
import { readKeyPackage } from './keypackage.js';
import { find, packageKeys, replace } from './membership.js';
import { make, parse } from './objects.js';
import { sign, verify } from './primitives.js';

const OLDEST = 259200;
const AHEAD = 300;

/**
 * @typedef {{ signed: Uint8Array, body: Uint8Array, signature: Uint8Array, room: Uint8Array, member: Uint8Array,
 *   time: number, package: object }} ResyncRequest one that has been read, with its key package
 */

/** REQ-MEM-13, made by the member. */
export function makeResyncRequest(owner, room, member, time, signedPackage) {
  const body = make('resync request', room, member, time, signedPackage);
  return make('signed object', body, sign(owner.seed, 'resync request', body));
}

/**
 * Steps 1 and 2 of REQ-MEM-13.
 * @param {Uint8Array} signed
 * @returns {ResyncRequest}
 */
export function readResyncRequest(signed) {
  const [body, signature] = parse(signed, 'signed object');
  const [room, member, time, signedPackage] = parse(body, 'resync request');
  return { signed, body, signature, room, member, time, package: readKeyPackage(signedPackage) };
}

/** Step 6, which a joiner does by itself. */
export function verifyResyncRequest({ body, signature }, identity) {
  verify(identity.signKey, signature, 'resync request', body);
}

/**
 * Steps 3 to 11.
 * @param {ResyncRequest} request
 * @param {{ suite: number, room: Uint8Array, time: number }} given what is known of the room, and the commit's time
 * @param {import('./membership.js').Roster} roster
 * @returns {ResyncRequest}
 */
export function checkResyncRequest(request, { suite, room, time }, roster) {
  const { package: read } = request;
  failIf(!equal(request.room, room), 'bad-proof');
  const member = find(roster, request.member);
  failIf(member === undefined, 'unknown-member');
  failIf(!sameIdentity(read.identity, member.identity), 'wrong-identity');
  verifyResyncRequest(request, member.identity);
  failIf(read.suite !== suite, 'unknown-suite');
  failIf(read.lastResort, 'bad-proof');
  failIf(equal(read.hash, member.admission) || equal(read.signed, member.credential), 'used-package');
  failIf(time > read.expiry || time > request.time + OLDEST, 'expired');
  failIf(request.time > time + AHEAD, 'bad-proof');
  failIf(member.resynced !== null && request.time <= member.resynced, 'replay');
  return request;
}

/** Step 3.6 of REQ-MEM-07. */
export function letInAnew(roster, { member, time, package: read }) {
  return replace(roster, member, { credential: read.signed, keys: packageKeys(read), resynced: time });
}

/**
 * Whom a commit resyncs: those that it leaves in the room.
 * @param {ResyncRequest[]} requests in the order of the operations
 * @param {import('./membership.js').Roster} roster the resulting one
 * @returns {ResyncRequest[]} one for each member, the last, in the same order
 */
export function resyncedBy(requests, roster) {
  const last = new Map();
  for (const request of requests) {
    const name = hex(request.member);
    last.delete(name);
    if (find(roster, request.member) !== undefined) last.set(name, request);
  }
  return [...last.values()];
}
