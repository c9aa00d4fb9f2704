/** Operations of 20.5 on chapter 9. */

import { createHash } from 'node:crypto';

import { hex, unhex } from '../src/bytes.js';
import { openKeyPackage } from '../src/keypackage.js';
import {
  checkLeaveRequest, creatorId, encodeRoster, knownRoster, makeLeaveRequest, makeMemberEntry, memberId, readCredential,
  readRoster,
} from '../src/membership.js';
import { ADD, applyOperations } from '../src/operations.js';
import { SUITE } from '../src/primitives.js';
import { identityFrom, ownerFrom, untagged } from '../src/values.js';

const MANY_MEMBERS = 256;

export const sha256 = (...pieces) => createHash('sha256').update(Buffer.concat(pieces)).digest('hex');

const keysTo = ({ leafKey, roomSignKey, version, awaitsRefresh }) => ({
  leaf_key: hex(leafKey), room_sign_key: hex(roomSignKey), version, awaits_refresh: awaitsRefresh,
});

export const membership = {
  'member id': ({ room, transcript, package_hash, index }) => (
    { id: hex(memberId(unhex(room), unhex(transcript), unhex(package_hash), index)) }),
  'creator id': ({ room, identity }) => ({ id: hex(creatorId(unhex(room), identityFrom(identity))) }),
  'make member entry': ({ owner, room, member, leaf_key, room_sign_key, version }) => ({
    signed: hex(makeMemberEntry(ownerFrom(owner), unhex(room), unhex(member), unhex(leaf_key), unhex(room_sign_key),
      version)),
  }),
  'make leave request': ({ owner, room, member, admission }) => (
    { signed: hex(makeLeaveRequest(ownerFrom(owner), unhex(room), unhex(member), unhex(admission))) }),
  'check leave request': ({ signed, room, roster }) => (
    { member: hex(checkLeaveRequest(unhex(signed), unhex(room), knownRoster(unhex(roster))).id) }),
  'read credential': ({ signed, room, member, identity }) => (
    keysTo(readCredential(unhex(signed), unhex(room), unhex(member), identityFrom(identity)))),
  'read roster': ({ roster, room }) => {
    const { nextSeniority, members } = readRoster(unhex(roster), unhex(room));
    return {
      next_seniority: nextSeniority,
      members: members.map(({ id, role, seniority, keys }) => (
        { member: hex(id), role, seniority, version: keys.version, awaits_refresh: keys.awaitsRefresh })),
    };
  },
  'apply operations': (input) => {
    const operations = input.operations.map(untagged);
    const packages = new Map();
    operations.forEach(([kind, signed], place) => {
      if (kind === ADD) packages.set(place, openKeyPackage(signed));
    });
    const parent = {
      roster: knownRoster(unhex(input.roster)), policy: input.policy, suite: input.suite ?? SUITE,
      room: unhex(input.room), transcript: unhex(input.transcript),
    };
    const proofs = input.proofs.map((proof) => unhex(proof));
    const applied = applyOperations(parent, unhex(input.committer), input.time, operations, proofs, packages);
    const roster = encodeRoster(applied.roster);
    const many = applied.roster.members.length > MANY_MEMBERS;
    const told = many ? { roster_sha256: sha256(roster) } : { roster: hex(roster) };
    return { ...told, policy: applied.policy };
  },
};
