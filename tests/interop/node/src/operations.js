/** What operations and proofs do, and who may (9.6 to 9.9). */

import { equal } from './bytes.js';
import { failIf } from './errors.js';
import { checkPolicy } from './evaporation.js';
import { sameIdentity } from './identity.js';
import {
  ADMIN, MEMBER, OWNER, admitted, append, find, memberId, outranks, rank, withRole,
} from './membership.js';
import { carryOut, checkProof } from './proofs.js';
import { checkResyncRequest, letInAnew, resyncedBy } from './resync.js';
import { checkSanction, duePlace, readSanction } from './sanctions.js';

export const ADD = 0;
export const SANCTION = 1;
export const SET_ROLE = 2;
export const SET_POLICY = 3;
export const RESYNC = 4;

const MAX_MEMBERS = 1000;
const LAST_SENIORITY = 2 ** 32 - 1;

/** The right to set a role (REQ-MEM-05). */
function maySetRole(committer, target, role) {
  if (equal(target.id, committer.id)) return role < committer.role;
  if (committer.role === ADMIN) return target.role === MEMBER && role === MEMBER;
  return committer.role === OWNER && outranks(committer, target) && role >= target.role;
}

/**
 * REQ-MEM-05: roles, ranks and policy are those of the parent. A sanction is checked by itself.
 * @param {object} [read] what a resync asks
 */
function checkRight(operation, committer, roster, policy, read) {
  const [kind] = operation;
  const { role } = committer;
  if (kind === ADD) {
    const allowed = operation[2] === MEMBER ? role !== MEMBER || policy[1] : role === OWNER;
    failIf(!allowed, 'not-entitled');
  } else if (kind === SET_ROLE) {
    const target = find(roster, operation[1]);
    failIf(target === undefined, 'unknown-member');
    failIf(!maySetRole(committer, target, operation[2]), 'not-entitled');
  } else if (kind === RESYNC) {
    failIf(find(roster, read.member) === undefined, 'unknown-member');
    failIf(equal(read.member, committer.id), 'not-entitled');
  } else if (kind === SET_POLICY) {
    failIf(role !== OWNER, 'not-entitled');
  }
}

/**
 * Step 3.2 of REQ-MEM-07, used for a genesis as well.
 * @param {object} read key package
 */
export function addMember(roster, { suite, room, transcript, time, sponsor, number }, read, role, index) {
  failIf(read.suite !== suite, 'unknown-suite');
  failIf(time > read.expiry, 'expired');
  const id = memberId(room, transcript, read.hash, index);
  const known = roster.members.some((member) => sameIdentity(member.identity, read.identity) || equal(member.id, id));
  failIf(known, 'already-member');
  failIf(roster.members.length >= MAX_MEMBERS, 'too-many-members');
  failIf(roster.nextSeniority >= LAST_SENIORITY, 'bad-form');
  return append(roster, admitted(id, role, read, { sponsor, ranked: number }));
}

/** REQ-MEM-08. */
function withOwner(roster, number) {
  if (roster.members.some(({ role }) => role === OWNER)) return roster;
  const [first] = [...roster.members].sort(rank);
  return withRole(roster, first.id, OWNER, number);
}

function sameList(a, b) {
  if (a === null || b === null) return a === b;
  return a.length === b.length && a.every((item, i) => equal(item, b[i]));
}

/** Step 3.3: a sanction that its author commits itself. */
function checkOwnSanction(signed, { room, roster, number }, committer) {
  const sanction = checkSanction(readSanction(signed), room, roster);
  failIf(!equal(sanction.author, committer.id), 'bad-proof');
  const due = duePlace({ roster, number }, committer, find(roster, sanction.member), sanction.role);
  failIf(sanction.epoch !== due.epoch || !sameList(sanction.spared, due.spared), 'bad-proof');
  return sanction;
}

/**
 * REQ-MEM-07.
 * @param {{ roster: import('./membership.js').Roster, policy: Array, suite: number, room: Uint8Array,
 *   transcript: Uint8Array, number: number }} parent
 * @param {Uint8Array} committerId
 * @param {number} time
 * @param {Array[]} operations
 * @param {import('./proofs.js').Proof[]} proofs
 * @param {Map<number, object>} packages the key packages of the adds and the requests of the resyncs, read, by the
 *   place of the operation
 * @returns {{ roster: import('./membership.js').Roster, policy: Array,
 *   resynced: import('./resync.js').ResyncRequest[] }}
 */
export function applyOperations(parent, committerId, time, operations, proofs, packages) {
  const { roster, room, suite, transcript } = parent;
  const committer = find(roster, committerId);
  const number = parent.number + 1;
  let result = roster;
  let policy = parent.policy;
  const requests = [];
  const punish = (verdict) => {
    failIf(find(result, verdict.member) === undefined, 'unknown-member');
    result = carryOut(result, verdict, parent);
  };
  for (const proof of proofs) {
    const verdict = checkProof(proof, room, roster);
    failIf(equal(verdict.member, committerId), 'bad-proof');
    punish(verdict);
  }
  operations.forEach((operation, index) => {
    const read = packages.get(index);
    checkRight(operation, committer, roster, parent.policy, read);
    const [kind, first, second] = operation;
    if (kind === ADD) {
      const given = { suite, room, transcript, time, sponsor: committer.seniority, number };
      result = addMember(result, given, read, second, index);
    } else if (kind === SANCTION) {
      punish(checkOwnSanction(first, parent, committer));
    } else if (kind === SET_ROLE) {
      failIf(find(result, first) === undefined, 'unknown-member');
      result = withRole(result, first, second, number);
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
  return { roster: withOwner(result, number), policy, resynced: resyncedBy(requests, result) };
}
