/** Credentials, rosters and leave requests (9.1 to 9.3, 9.7). */

import { equal, hex } from './bytes.js';
import { failIf } from './errors.js';
import { checkIdentity, sameIdentity } from './identity.js';
import { openKeyPackage, readKeyPackage } from './keypackage.js';
import { OBJECTS, check, make, open, parse } from './objects.js';
import { checkDhKey, checkSignKey, dhPublic, hash, sign, signPublic, verify } from './primitives.js';

const CREDENTIAL_LIMIT = 896;

export const MEMBER = 0;
export const ADMIN = 1;
export const OWNER = 2;

/**
 * @typedef {{ leafKey: Uint8Array, roomSignKey: Uint8Array, version: number, awaitsRefresh: boolean }} Keys
 * @typedef {{ id: Uint8Array, role: number, seniority: number, identity: import('./identity.js').Identity,
 *   admission: Uint8Array, sponsor: number, ranked: number, credential: Uint8Array, resynced: number | null,
 *   keys: Keys }} Member
 * @typedef {{ nextSeniority: number, members: Member[] }} Roster never changed once it is made
 */

/** REQ-MEM-03. */
export function memberId(room, transcript, packageHashed, index) {
  return hash('member', room, transcript, packageHashed, index);
}

/** REQ-MEM-03, for a creator. */
export function creatorId(room, identity) {
  return hash('creator', room, identity.signKey, identity.dhKey);
}

/** The admission of a creator (9.1). */
export function creatorAdmission(entry) {
  return hash('creator admission', entry);
}

/** REQ-MEM-01, from public keys. */
export function makeMemberEntry(owner, room, member, leafKey, roomSignKey, version) {
  const body = make('member entry', room, member, owner.identity.dhKey, leafKey, roomSignKey, version);
  return make('signed object', body, sign(owner.seed, 'member entry', body));
}

/** REQ-MEM-01, from the fresh private keys. */
export function makeOwnEntry(owner, room, member, leaf, roomSeed, version) {
  return makeMemberEntry(owner, room, member, dhPublic(leaf), signPublic(roomSeed), version);
}

/** What a key package gives as a credential. */
export function packageKeys(read) {
  const { leafKey, roomSignKey, lastResort } = read;
  return { leafKey, roomSignKey, version: 0, awaitsRefresh: lastResort, isPackage: true };
}

function entryKeys([, , , leafKey, roomSignKey, version]) {
  return { leafKey, roomSignKey, version, awaitsRefresh: false, isPackage: false };
}

const isPackage = (items) => items[1] === OBJECTS['key package'].type;

/**
 * REQ-MEM-02.
 * @returns {Keys & { isPackage: boolean }}
 */
export function readCredential(signed, room, member, identity) {
  const [body, signature] = parse(signed, 'signed object');
  const items = open(body, CREDENTIAL_LIMIT);
  if (isPackage(items)) {
    const read = readKeyPackage(signed);
    failIf(!sameIdentity(read.identity, identity), 'bad-entry');
    return packageKeys(read);
  }
  const fields = check(items, 'member entry');
  const [entryRoom, entryMember, dhKey, leafKey, roomSignKey] = fields;
  failIf(!equal(entryRoom, room) || !equal(entryMember, member) || !equal(dhKey, identity.dhKey), 'bad-entry');
  verify(identity.signKey, signature, 'member entry', body);
  checkDhKey(leafKey);
  checkSignKey(roomSignKey);
  return entryKeys(fields);
}

/** The keys of a credential that has been read before: no check is repeated. */
function knownCredential(signed) {
  const [body] = parse(signed, 'signed object');
  const items = open(body, CREDENTIAL_LIMIT);
  return isPackage(items) ? packageKeys(openKeyPackage(signed)) : entryKeys(check(items, 'member entry'));
}

/** The rows of a roster object, without what its credentials say. */
function parseRoster(data) {
  const [nextSeniority, rows] = parse(data, 'roster');
  const members = rows.map((row) => {
    const [id, role, seniority, signKey, dhKey, admission, sponsor, ranked, credential, resynced] = row;
    return { id, role, seniority, identity: { signKey, dhKey }, admission, sponsor, ranked, credential, resynced };
  });
  return { nextSeniority, members };
}

/**
 * REQ-MEM-10: a roster that comes from outside.
 * @returns {Roster}
 */
export function readRoster(data, room) {
  const { nextSeniority, members } = parseRoster(data);
  const ids = new Set();
  const identities = new Set();
  let last = -1;
  for (const member of members) {
    const { id, seniority, identity } = member;
    const who = hex(identity.signKey) + hex(identity.dhKey);
    failIf(ids.has(hex(id)) || identities.has(who), 'bad-form');
    failIf(seniority <= last || seniority >= nextSeniority, 'bad-form');
    ids.add(hex(id));
    identities.add(who);
    last = seniority;
    checkIdentity(identity);
    member.keys = readCredential(member.credential, room, id, identity);
  }
  failIf(!members.some(({ role }) => role === OWNER), 'bad-form');
  return { nextSeniority, members };
}

/**
 * A roster of this device's own state.
 * @returns {Roster}
 */
export function knownRoster(data) {
  const { nextSeniority, members } = parseRoster(data);
  return { nextSeniority, members: members.map((member) => ({ ...member, keys: knownCredential(member.credential) })) };
}

/** REQ-MEM-04: the one encoding of a roster. */
export function encodeRoster({ nextSeniority, members }) {
  return make('roster', nextSeniority, members.map((member) => {
    const { id, role, seniority, identity, admission, sponsor, ranked, credential, resynced } = member;
    return [id, role, seniority, identity.signKey, identity.dhKey, admission, sponsor, ranked, credential, resynced];
  }));
}

/** @returns {Member | undefined} */
export function find(roster, id) {
  return roster.members.find((member) => equal(member.id, id));
}

/** The roster with other values in the place of some of a member's. */
export function replace(roster, id, changes) {
  const members = roster.members.map((member) => (equal(member.id, id) ? { ...member, ...changes } : member));
  return { ...roster, members };
}

/** The roster without a member. */
export function without(roster, id) {
  return { ...roster, members: roster.members.filter((member) => !equal(member.id, id)) };
}

/** The roster with another role of a member; `number` is that of the epoch that is opened (REQ-MEM-04). */
export function withRole(roster, id, role, number) {
  const before = find(roster, id);
  return before.role === role ? roster : replace(roster, id, { role, ranked: Math.max(before.ranked, number) });
}

/** The roster with one more member, who takes the next seniority. */
export function append(roster, { id, role, identity, admission, sponsor, ranked, credential, keys }) {
  const seniority = roster.nextSeniority;
  const member = { id, role, seniority, identity, admission, sponsor, ranked, credential, resynced: null, keys };
  return { nextSeniority: seniority + 1, members: [...roster.members, member] };
}

/** A member that a key package admits. */
export function admitted(id, role, read, { sponsor, ranked }) {
  const { identity, hash: admission, signed: credential } = read;
  return { id, role, identity, admission, sponsor, ranked, credential, keys: packageKeys(read) };
}

/** Whether a member awaits refresh (REQ-MEM-09). */
export function awaitsRefresh(roster) {
  return roster.members.some(({ keys }) => keys.awaitsRefresh);
}

/** 9.5: the order of rank; negative if a stands before b. */
export function rank(a, b) {
  return b.role - a.role || a.seniority - b.seniority;
}

/** 9.5. */
export function outranks(a, b) {
  return a.role > b.role || (a.role === OWNER && b.role === OWNER && a.seniority < b.seniority);
}

/** REQ-MEM-06, made by the leaver. */
export function makeLeaveRequest(owner, room, member, admission) {
  const body = make('leave request', room, member, admission);
  return make('signed object', body, sign(owner.seed, 'leave request', body));
}

/**
 * REQ-MEM-06.
 * @returns {Member} who leaves, as it stands in the roster
 */
export function checkLeaveRequest(signed, room, roster) {
  const [body, signature] = parse(signed, 'signed object');
  const [where, who, admission] = parse(body, 'leave request');
  failIf(!equal(where, room), 'bad-proof');
  const member = find(roster, who);
  failIf(member === undefined, 'unknown-member');
  failIf(!equal(admission, member.admission), 'bad-proof');
  verify(member.identity.signKey, signature, 'leave request', body);
  return member;
}
