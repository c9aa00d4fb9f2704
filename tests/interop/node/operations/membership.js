/** Operations of 20.5 on chapter 9. */

import { createHash } from 'node:crypto';

import { hex, unhex } from '../src/bytes.js';
import { openKeyPackage } from '../src/keypackage.js';
import {
  checkLeaveRequest, creatorId, encodeRoster, find, knownRoster, makeLeaveRequest, makeMemberEntry, memberId,
  readCredential, readRoster,
} from '../src/membership.js';
import { ADD, RESYNC, applyOperations } from '../src/operations.js';
import { SUITE } from '../src/primitives.js';
import { checkSanction, makeSanction, readSanction } from '../src/sanctions.js';
import { orderOf, trailWins } from '../src/tree.js';
import { authorityOf } from '../src/proofs.js';
import { checkRepairRequest, makeRepairRequest, readRepairRequest } from '../src/repair.js';
import { checkResyncRequest, makeResyncRequest, readResyncRequest } from '../src/resync.js';
import { identityFrom, ownerFrom, trailFrom, untagged } from '../src/values.js';

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
  'make sanction': ({ owner, room, member, admission, author, role, epoch, spared }) => ({
    signed: hex(makeSanction(ownerFrom(owner), {
      room: unhex(room), member: unhex(member), admission: unhex(admission), author: unhex(author), role, epoch,
      spared: spared && spared.map(unhex),
    })),
  }),
  'check sanction': ({ signed, room, roster }) => {
    const sanction = readSanction(unhex(signed));
    const { member, author, role } = checkSanction(sanction, unhex(room), knownRoster(unhex(roster)));
    return { member: hex(member), author: hex(author), role };
  },
  'order of commit': ({ roster, parent_time, committer, time, proofs }) => {
    const known = knownRoster(unhex(roster));
    const authority = authorityOf(proofs.map(([kind, signed]) => [kind, unhex(signed)]), known);
    return { order: orderOf(authority, parent_time, time, find(known, unhex(committer))) };
  },
  'compare trails': ({ mine, mine_time, theirs, theirs_time }) => (
    { wins: trailWins(mine.map(trailFrom), mine_time, theirs.map(trailFrom), theirs_time) }),
  'make resync request': ({ owner, room, member, time, package: signed }) => (
    { signed: hex(makeResyncRequest(ownerFrom(owner), unhex(room), unhex(member), time, unhex(signed))) }),
  'check resync request': ({ signed, suite, room, roster, time }) => {
    const given = { suite, room: unhex(room), time };
    const request = checkResyncRequest(readResyncRequest(unhex(signed)), given, knownRoster(unhex(roster)));
    return { member: hex(request.member), package_hash: hex(request.package.hash) };
  },
  'make repair request': ({ owner, room, member, prefix, time }) => (
    { signed: hex(makeRepairRequest(ownerFrom(owner), unhex(room), unhex(member), unhex(prefix), time)) }),
  'check repair request': ({ signed, room, roster, now }) => {
    const request = readRepairRequest(unhex(signed));
    checkRepairRequest(request, unhex(room), knownRoster(unhex(roster)), now);
    return { member: hex(request.member), prefix: hex(request.prefix) };
  },
  'read credential': ({ signed, room, member, identity }) => (
    keysTo(readCredential(unhex(signed), unhex(room), unhex(member), identityFrom(identity)))),
  'read roster': ({ roster, room }) => {
    const { nextSeniority, members } = readRoster(unhex(roster), unhex(room));
    return {
      next_seniority: nextSeniority,
      members: members.map(({ id, role, seniority, sponsor, ranked, keys, resynced }) => ({
        member: hex(id), role, seniority, sponsor, ranked, version: keys.version, awaits_refresh: keys.awaitsRefresh,
        resynced,
      })),
    };
  },
  'apply operations': (input) => {
    const operations = input.operations.map(untagged);
    const packages = new Map();
    operations.forEach(([kind, signed], place) => {
      if (kind === ADD) packages.set(place, openKeyPackage(signed));
      if (kind === RESYNC) packages.set(place, readResyncRequest(signed));
    });
    const parent = {
      roster: knownRoster(unhex(input.roster)), policy: input.policy, suite: input.suite ?? SUITE,
      room: unhex(input.room), transcript: unhex(input.transcript), number: input.number,
    };
    const proofs = input.proofs.map(([kind, signed]) => [kind, unhex(signed)]);
    const applied = applyOperations(parent, unhex(input.committer), input.time, operations, proofs, packages);
    const roster = encodeRoster(applied.roster);
    const many = applied.roster.members.length > MANY_MEMBERS;
    const told = many ? { roster_sha256: sha256(roster) } : { roster: hex(roster) };
    return { ...told, policy: applied.policy };
  },
};
