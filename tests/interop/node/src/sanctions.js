/** Sanctions (9.7): signed removals and demotions, which hold beside the commit that they were made for. */

import { equal } from './bytes.js';
import { failIf } from './errors.js';
import { ADMIN, OWNER, find, outranks } from './membership.js';
import { make, parse } from './objects.js';
import { sign, verify } from './primitives.js';

const MAX_SPARED = 64;
/** What a demotion makes of *ranked* has to have a form. */
const LATEST = 2 ** 32 - 3;

/**
 * @typedef {{ body: Uint8Array, signature: Uint8Array, room: Uint8Array, member: Uint8Array, admission: Uint8Array,
 *   author: Uint8Array, role: number | null, epoch: number, spared: Uint8Array[] | null }} Sanction parsed
 */

/** REQ-MEM-14, made by the author. */
export function makeSanction(owner, { room, member, admission, author, role, epoch, spared }) {
  const body = make('sanction', room, member, admission, author, role, epoch, spared);
  return make('signed object', body, sign(owner.seed, 'sanction', body));
}

/**
 * Step 1.
 * @param {Uint8Array} signed
 * @returns {Sanction}
 */
export function readSanction(signed) {
  const [body, signature] = parse(signed, 'signed object');
  const [room, member, admission, author, role, epoch, spared] = parse(body, 'sanction');
  return { body, signature, room, member, admission, author, role, epoch, spared };
}

/**
 * Steps 2 to 8.
 * @param {Sanction} sanction
 * @param {Uint8Array} room
 * @param {import('./membership.js').Roster} roster
 * @returns {Sanction}
 */
export function checkSanction(sanction, room, roster) {
  const { body, signature, role, epoch } = sanction;
  failIf(!equal(sanction.room, room), 'bad-proof');
  const member = find(roster, sanction.member);
  failIf(member === undefined, 'unknown-member');
  failIf(!equal(sanction.admission, member.admission), 'bad-proof');
  const author = find(roster, sanction.author);
  failIf(author === undefined, 'not-entitled');
  verify(author.identity.signKey, signature, 'sanction', body);
  const demotes = role !== null;
  const entitled = author.role >= (demotes ? OWNER : ADMIN) && outranks(author, member);
  failIf(!entitled, 'not-entitled');
  if (demotes) {
    failIf(role >= member.role || epoch > LATEST, 'bad-proof');
    failIf(member.ranked > epoch + 1, 'replay');
  }
  return sanction;
}

/** What a list of those who are spared has of an id. */
const short = (id) => id.slice(0, 8);

/**
 * Whom a removal takes along: those that the removed member has admitted beside it.
 * @param {import('./membership.js').Roster} roster that the member is still in
 * @param {import('./membership.js').Member} member
 * @param {Uint8Array[]} spared
 * @param {import('./membership.js').Member} author at the parent
 * @param {import('./membership.js').Roster} parent whose ranks count
 * @returns {Uint8Array[]} their ids, by seniority
 */
export function takenAlong(roster, member, spared, author, parent) {
  const gone = new Set([member.seniority]);
  const isBelow = (id) => {
    const before = find(parent, id);
    return before !== undefined && outranks(author, before);
  };
  const along = roster.members.filter(({ id, seniority, sponsor }) => {
    const taken = !equal(id, member.id) && gone.has(sponsor) && isBelow(id)
      && !spared.some((each) => equal(each, short(id)));
    if (taken) gone.add(seniority);
    return taken;
  });
  return along.map(({ id }) => id);
}

/**
 * What a sanction says of the parent that it is made for.
 * @param {{ roster: import('./membership.js').Roster, number: number }} parent
 * @param {import('./membership.js').Member} author
 * @param {import('./membership.js').Member} member
 * @param {number | null} role
 */
export function duePlace({ roster, number }, author, member, role) {
  const epoch = Math.max(number, member.ranked - 1);
  if (role !== null) return { epoch, spared: null };
  const along = takenAlong(roster, member, [], author, roster);
  return { epoch, spared: along.length > MAX_SPARED ? null : along.map(short) };
}
