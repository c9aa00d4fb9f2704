/** Operations of 20.5 that need the state of a room, and sessions. */

import { equal, hex, unhex } from '../src/bytes.js';
import { Chain } from '../src/chain.js';
import { applyCommit, makeOwnCommit } from '../src/committing.js';
import { Epoch } from '../src/epoch.js';
import { DIRECT } from '../src/evaporation.js';
import { foundRoom, joinRoom } from '../src/founding.js';
import { packageHash } from '../src/keypackage.js';
import { knownRoster } from '../src/membership.js';
import { SUITE } from '../src/primitives.js';
import { knownRandom } from '../src/random.js';
import { Room } from '../src/room.js';
import { contextOf } from '../src/schedule.js';
import { Session, current } from '../src/session.js';
import { acceptTurn, beginTurn } from '../src/turns.js';
import {
  directoryFrom, guestFrom, hexOrNull, mailboxFrom, ownerFrom, packageKeysFrom, tagged, trailFrom, unhexOrNull,
  untagged, wishFrom,
} from '../src/values.js';
import { sha256 } from './membership.js';

const MANY_GUESTS = 8;

/** The place of a device's own identity where an operation does not tell it. */
const NOBODY = { seed: '00'.repeat(32), dh_private: '00'.repeat(32) };

/** A room that has lived through one epoch only, from the members of an epoch in `in`. */
function roomFrom(input) {
  const { me, room, number, transcript, roster, policy, opener, handshakes, inits } = input;
  const rosterBytes = unhex(roster);
  const known = knownRoster(rosterBytes);
  const byMember = (values) => new Map(known.members
    .map(({ id }, i) => [hex(id), unhexOrNull(values?.[i])]).filter(([, value]) => value !== null));
  const own = unhex(me);
  const chains = known.members.filter(({ id }) => !equal(id, own))
    .map(({ id }) => [hex(id), new Chain(new Uint8Array(32))]);
  const epoch = new Epoch({
    number,
    transcript: unhex(transcript),
    roster: known,
    rosterBytes,
    policy,
    opener: unhex(opener),
    turn: number > 0 && input.peer_leaf_key ? [unhex(input.peer_leaf_key)] : null,
    context: contextOf(SUITE, unhex(room), policy, rosterBytes, unhex(transcript)),
    chains: new Map(policy[0] === DIRECT ? [] : chains),
    inits: byMember(inits),
    handshakes: byMember(handshakes),
    exporter: new Uint8Array(32),
    leaf: unhexOrNull(input.leaf),
    roomSeed: unhexOrNull(input.room_seed),
    time: input.parent_time ?? 0,
    parent: null,
    order: null,
    sealed: null,
    superseded: null,
    spoken: false,
    taken: new Map(),
  });
  return new Room(ownerFrom(input.owner ?? NOBODY), { id: unhex(room), suite: SUITE, me: own, epochs: [epoch] });
}

/** Run with known random bytes, all of which have to be drawn. */
function drawing(bytes, work) {
  const random = knownRandom(unhex(bytes));
  const result = work(random);
  if (random.left() > 0) throw new Error('fewer random bytes drawn than there are');
  return result;
}

const rooms = {
  'found room': ({ owner, policy, guests, name, mailbox, now, random }) => {
    const wish = { policy, guests: guests.map(guestFrom), name, mailbox: mailboxFrom(mailbox), now };
    const founded = drawing(random, (source) => foundRoom(ownerFrom(owner), wish, source));
    const { room, commit, confirmation, signature, secret, invitations } = founded;
    const { transcript, context } = current(room);
    const told = guests.length > MANY_GUESTS
      ? { genesis_sha256: sha256(commit), invitations_sha256: sha256(...invitations) }
      : { genesis: hex(commit), invitations: invitations.map(hex) };
    return {
      room: hex(room.id), me: hex(room.me), confirmation: hex(confirmation), signature: hexOrNull(signature),
      secret: hex(secret), transcript, context, ...told,
    };
  },
  'join room': ({ owner, package: json, invitation, now }) => {
    const keys = packageKeysFrom(json);
    const find = (named) => (equal(named, packageHash(keys.signed)) ? keys : null);
    const { room } = joinRoom(ownerFrom(owner), find, unhex(invitation), now);
    return { me: hex(room.me), ...current(room) };
  },
  'make commit': (input) => {
    const room = roomFrom(input);
    const { operations, guests, directory, proofs, noted, now, random } = input;
    room.noted.add(noted.map(([kind, signed]) => [kind, unhex(signed)]), now);
    for (const proof of proofs) room.leaveRequests.set(proof, unhex(proof));
    const wish = {
      operations: operations.map(wishFrom), guests: guests.map(guestFrom), directory: directory.map(directoryFrom), now,
      trail: input.trail.map(trailFrom),
    };
    const made = drawing(random, (source) => makeOwnCommit(room, wish, source));
    const { commit, confirmation, signature, sealed, slots, invitations } = made;
    return {
      commit: hex(commit), confirmation: hex(confirmation), signature: hex(signature), sealed_commit: hex(sealed),
      invitations: invitations.map(hex), slots: slots.map(([member, slot]) => [hex(member), hexOrNull(slot)]),
      ...current(room),
    };
  },
  'apply commit': (input) => {
    const room = roomFrom(input);
    const { fate } = applyCommit(room, unhex(input.copy), input.now);
    const removed = fate === 'removes';
    return removed ? { removed } : { removed, ...current(room) };
  },
  'begin turn': (input) => {
    const room = roomFrom(input);
    const { epoch, commit } = drawing(input.random, (source) => beginTurn(room, source));
    return { turn: tagged(epoch.turn), commit: hex(commit), leaf: hex(epoch.leaf), ...current({ current: epoch }) };
  },
  'accept turn': (input) => {
    const header = { sender: unhex(input.sender), prefix: unhex(input.prefix), turn: untagged(input.turn) };
    const { epoch } = acceptTurn(roomFrom(input), header);
    return { ...current({ current: epoch }), members: epoch.roster.members.map(({ id }) => hex(id)) };
  },
};

/** A whole session: one result for each step. */
function session({ owner, steps }) {
  const device = new Session(ownerFrom(owner));
  return steps.map((step) => device.step(step));
}

export const roomOperations = { ...rooms, session };
