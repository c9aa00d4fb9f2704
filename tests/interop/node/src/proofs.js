/** Proofs: signed statements that hold by themselves (9.7), and those that a device has noted (10.9). */

import { equal, hex, unhex } from './bytes.js';
import { Refusal } from './errors.js';
import { checkLeaveRequest, find, replace, without } from './membership.js';
import { parse } from './objects.js';
import { checkSanction, readSanction, takenAlong } from './sanctions.js';

export const LEAVE = 0;
export const SANCTION = 1;

const MAX_PROOFS = 16;
const MAX_AGE = 2592000;
const MAX_NOTED = 1000;

/**
 * A proof as it stands in a commit.
 * @typedef {[number, Uint8Array]} Proof kind, signed
 * @typedef {{ member: Uint8Array, role: number | null, author: Uint8Array, epoch: number | null,
 *   spared: Uint8Array[] | null }} Verdict what a valid proof does: role null removes
 */

/**
 * REQ-MEM-06 or REQ-MEM-14, by the kind.
 * @param {Proof} proof
 * @param {Uint8Array} room
 * @param {import('./membership.js').Roster} roster
 * @returns {Verdict}
 */
export function checkProof([kind, signed], room, roster) {
  if (kind === SANCTION) return checkSanction(readSanction(signed), room, roster);
  const { id } = checkLeaveRequest(signed, room, roster);
  return { member: id, role: null, author: id, epoch: null, spared: null };
}

/** The verdict of a proof, or null if it is not valid at that roster. */
export function verdictAt(proof, room, roster) {
  try {
    return checkProof(proof, room, roster);
  } catch (error) {
    if (error instanceof Refusal) return null;
    throw error;
  }
}

/**
 * Step 2.3 of REQ-MEM-07.
 * @param {import('./membership.js').Roster} roster that the member is in
 * @param {Verdict} verdict
 * @param {{ roster: import('./membership.js').Roster, number: number }} parent
 */
export function carryOut(roster, { member: id, role, author, epoch, spared }, parent) {
  const member = find(roster, id);
  if (role !== null) {
    const ranked = Math.max(member.ranked, parent.number + 1, epoch + 2);
    return replace(roster, id, { role: Math.min(role, member.role), ranked });
  }
  const judge = find(parent.roster, author);
  const along = spared === null ? [] : takenAlong(roster, member, spared, judge, parent.roster);
  return [id, ...along].reduce(without, roster);
}

/**
 * REQ-EPOCH-20: who stands behind the lost removals that a commit brings back.
 * @returns {[number, number]}
 */
export function authorityOf(proofs, roster) {
  let first = [3, 0];
  for (const [kind, signed] of proofs) {
    if (kind !== SANCTION) continue;
    const { role, author } = readSanction(signed);
    if (role !== null) continue;
    const { role: rank, seniority } = find(roster, author);
    if (2 - rank < first[0] || (2 - rank === first[0] && seniority < first[1])) first = [2 - rank, seniority];
  }
  return first;
}

/** Who has signed a proof, or says so, in hex. */
function signerOf([kind, signed]) {
  if (kind === SANCTION) return hex(readSanction(signed).author);
  const [body] = parse(signed, 'signed object');
  return hex(parse(body, 'leave request')[1]);
}

/** The noted proofs of a room, and what they are about. */
export class Noted {
  /** @param {{ proof: Proof, time: number }[]} [entries] in the order in which they were first seen, and when */
  constructor(entries = []) {
    this.entries = entries;
  }

  get proofs() {
    return this.entries.map(({ proof }) => proof);
  }

  /** REQ-EPOCH-28; what is noted already keeps its place. */
  add(proofs, now) {
    for (const [kind, signed] of proofs) {
      const known = this.proofs.some((proof) => proof[0] === kind && equal(proof[1], signed));
      if (!known) this.entries.push({ proof: [kind, signed], time: now });
    }
  }

  /** @returns {{ proof: Proof, verdict: Verdict }[]} those that are valid at a roster */
  pending(room, roster) {
    return this.proofs.map((proof) => ({ proof, verdict: verdictAt(proof, room, roster) }))
      .filter(({ verdict }) => verdict !== null);
  }

  /** Whether one that is pending removes another member than this device. */
  blocking(room, roster, me) {
    return this.pending(room, roster).some(({ verdict: { role, member } }) => role === null && !equal(member, me));
  }

  /** Keep 1,000 at most: what is not pending goes first, then what is of those of whom most is noted. */
  keepFew(room, roster) {
    if (this.entries.length <= MAX_NOTED) return;
    const drop = (which) => {
      const place = this.entries.findIndex(which); // the oldest
      if (place >= 0) this.entries.splice(place, 1);
      return place >= 0;
    };
    const idle = new Set(this.entries.filter(({ proof }) => verdictAt(proof, room, roster) === null));
    while (this.entries.length > MAX_NOTED && drop((entry) => idle.has(entry)));
    while (this.entries.length > MAX_NOTED) {
      const counts = new Map();
      for (const { proof } of this.entries) counts.set(signerOf(proof), (counts.get(signerOf(proof)) ?? 0) + 1);
      const [author] = [...counts].reduce((most, each) => (
        each[1] > most[1] || (each[1] === most[1] && each[0] > most[0]) ? each : most));
      drop(({ proof }) => signerOf(proof) === author);
    }
  }

  /** Forget what was noted too long ago. */
  forget(now) {
    this.entries = this.entries.filter(({ time }) => now - time <= MAX_AGE);
  }

  toJSON() {
    return this.entries.map(({ proof: [kind, signed], time }) => [kind, hex(signed), time]);
  }

  static fromJSON(json) {
    return new Noted(json.map(([kind, signed, time]) => ({ proof: [kind, unhex(signed)], time })));
  }
}

/**
 * Step 3 of REQ-EPOCH-14: what a commit embeds.
 * @param {import('./room.js').Room} room
 * @param {Set<string>} named the members that its operations name
 * @returns {Proof[]}
 */
export function chooseProofs(room, named) {
  const { roster } = room.current;
  const known = [...room.noted.proofs, ...[...room.leaveRequests.values()].map((signed) => [LEAVE, signed])];
  const chosen = [];
  let left = roster;
  for (const proof of known) {
    if (chosen.length === MAX_PROOFS) break;
    const verdict = verdictAt(proof, room.id, roster);
    if (verdict === null || equal(verdict.member, room.me) || named.has(hex(verdict.member))) continue;
    if (find(left, verdict.member) === undefined) continue;
    const after = carryOut(left, verdict, room.current);
    if (find(after, room.me) === undefined) continue;
    left = after;
    chosen.push(proof);
  }
  return chosen;
}
