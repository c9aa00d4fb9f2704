/** What operations and proofs do, and who may (9.6 to 9.9). */

import { equal } from './bytes.js';
import { failIf } from './errors.js';
import { checkPolicy } from './evaporation.js';
import { sameIdentity } from './identity.js';
import {
  ADMIN, MEMBER, OWNER, admitted, append, checkLeaveRequest, find, memberId, outranks, rank, replace, without,
} from './membership.js';
import { checkResyncRequest, letInAnew, resyncedBy } from './resync.js';

export const ADD = 0;
export const REMOVE = 1;
export const SET_ROLE = 2;
export const SET_POLICY = 3;
export const RESYNC = 4;

const MAX_MEMBERS = 1000;

/** The right to set a role (REQ-MEM-05). */
function maySetRole(committer, target, role) {
  if (equal(target.id, committer.id)) return role < committer.role;
  if (committer.role === ADMIN) return target.role === MEMBER && role === MEMBER;
  return committer.role === OWNER && outranks(committer, target);
}

/**
 * REQ-MEM-05: roles, ranks and policy are those of the parent.
 * @param {object} [read] what a resync asks
 */
function checkRight(operation, committer, roster, policy, read) {
  const [kind] = operation;
  const { role } = committer;
  if (kind === ADD) {
    const allowed = operation[2] === MEMBER ? role !== MEMBER || policy[1] : role === OWNER;
    failIf(!allowed, 'not-entitled');
  } else if (kind === REMOVE) {
    failIf(role === MEMBER, 'not-entitled');
    const target = find(roster, operation[1]);
    failIf(target === undefined, 'unknown-member');
    failIf(!outranks(committer, target), 'not-entitled');
  } else if (kind === SET_ROLE) {
    const target = find(roster, operation[1]);
    failIf(target === undefined, 'unknown-member');
    failIf(!maySetRole(committer, target, operation[2]), 'not-entitled');
  } else if (kind === RESYNC) {
    failIf(find(roster, read.member) === undefined, 'unknown-member');
    failIf(equal(read.member, committer.id), 'not-entitled');
  } else {
    failIf(role !== OWNER, 'not-entitled');
  }
}

/**
 * Step 3.2 of REQ-MEM-07, used for a genesis as well.
 * @param {object} read key package
 */
export function addMember(roster, { suite, room, transcript, time }, read, role, index) {
  failIf(read.suite !== suite, 'unknown-suite');
  failIf(time > read.expiry, 'expired');
  const id = memberId(room, transcript, read.hash, index);
  const known = roster.members.some((member) => sameIdentity(member.identity, read.identity) || equal(member.id, id));
  failIf(known, 'already-member');
  failIf(roster.members.length >= MAX_MEMBERS, 'too-many-members');
  return append(roster, admitted(id, role, read));
}

/** REQ-MEM-08. */
function withOwner(roster) {
  if (roster.members.some(({ role }) => role === OWNER)) return roster;
  const [first] = [...roster.members].sort(rank);
  return replace(roster, first.id, { role: OWNER });
}

/**
 * REQ-MEM-07.
 * @param {{ roster: import('./membership.js').Roster, policy: Array, suite: number, room: Uint8Array,
 *   transcript: Uint8Array }} parent
 * @param {Uint8Array} committerId
 * @param {number} time
 * @param {Array[]} operations
 * @param {Uint8Array[]} proofs signed leave requests
 * @param {Map<number, object>} packages the key packages of the adds and the requests of the resyncs, read, by the
 *   place of the operation
 * @returns {{ roster: import('./membership.js').Roster, policy: Array,
 *   resynced: import('./resync.js').ResyncRequest[] }}
 */
export function applyOperations(parent, committerId, time, operations, proofs, packages) {
  const { roster, room, suite, transcript } = parent;
  const committer = find(roster, committerId);
  let result = roster;
  let policy = parent.policy;
  const requests = [];
  for (const proof of proofs) {
    const leaver = checkLeaveRequest(proof, room, roster);
    failIf(equal(leaver.id, committerId), 'bad-proof');
    failIf(find(result, leaver.id) === undefined, 'unknown-member');
    result = without(result, leaver.id);
  }
  operations.forEach((operation, index) => {
    const read = packages.get(index);
    checkRight(operation, committer, roster, parent.policy, read);
    const [kind, first, second] = operation;
    if (kind === ADD) {
      result = addMember(result, { suite, room, transcript, time }, read, second, index);
    } else if (kind === REMOVE) {
      const target = find(result, first);
      failIf(target === undefined || !equal(target.admission, second), 'unknown-member');
      result = without(result, first);
    } else if (kind === SET_ROLE) {
      failIf(find(result, first) === undefined, 'unknown-member');
      result = replace(result, first, { role: second });
    } else if (kind === RESYNC) {
      result = letInAnew(result, checkResyncRequest(read, { suite, room, time }, result));
      requests.push(read);
    } else {
      failIf(first[0] !== parent.policy[0], 'wrong-mode');
      checkPolicy(first);
      policy = first;
    }
  });
  failIf(find(result, committerId) === undefined, 'not-entitled');
  return { roster: withOwner(result), policy, resynced: resyncedBy(requests, result) };
}
