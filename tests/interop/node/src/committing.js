/** Making and applying commits in a group (10.6 to 10.10). */

import { equal, erase, hex } from './bytes.js';
import { checkParent, makeCommit, readCommit } from './commit.js';
import { Epoch } from './epoch.js';
import { failIf, hold, refuse } from './errors.js';
import { checkPolicy } from './evaporation.js';
import { checkOwnTime, inOrder } from './founding.js';
import { sealInvitation } from './invitation.js';
import { readKeyPackage } from './keypackage.js';
import { checkLeaveRequest, encodeRoster, find, makeOwnEntry, readCredential, replace } from './membership.js';
import { checkOperationForm, make, parse } from './objects.js';
import { ADD, REMOVE, RESYNC, SET_POLICY, SET_ROLE, applyOperations } from './operations.js';
import { dhPublic, sign, verify } from './primitives.js';
import { readResyncRequest } from './resync.js';
import {
  commitHash, epochSecret, keySchedule, openCommit, openSlot, sealCommit, sealSlot, stateHash, transcriptHash,
} from './schedule.js';
import { checkTime, makeWelcome } from './welcome.js';

const MAX_OPERATIONS = 1000;
const MAX_PROOFS = 16;

/** What REQ-MEM-07 needs of the parent. */
function parentOf(room, epoch) {
  return { roster: epoch.roster, policy: epoch.policy, suite: room.suite, room: room.id, transcript: epoch.transcript };
}

/** Step 3 of REQ-EPOCH-14: the leave requests to embed. */
function chooseProofs(room, operations, packages) {
  const { roster } = room.current;
  const named = new Set();
  operations.forEach(([kind, first], place) => {
    if (kind === REMOVE || kind === SET_ROLE) named.add(hex(first));
    if (kind === RESYNC) named.add(hex(packages.get(place).member));
  });
  const proofs = [];
  for (const signed of room.leaveRequests.values()) {
    let leaver;
    try {
      leaver = checkLeaveRequest(signed, room.id, roster);
    } catch {
      continue;
    }
    if (!equal(leaver.id, room.me) && !named.has(hex(leaver.id))) proofs.push(signed);
  }
  return proofs.slice(0, MAX_PROOFS);
}

/** What comes in with a wish (4.5), and steps 1 and 2 of REQ-EPOCH-14: its adds are at the end. */
function checkWish(room, { operations, guests, now }) {
  operations.forEach(checkOperationForm);
  const packages = new Map();
  operations.forEach(([kind, first], place) => {
    if (kind === SET_POLICY) checkPolicy(first);
    if (kind === RESYNC) packages.set(place, readResyncRequest(first));
  });
  const read = guests.map(({ signed }) => readKeyPackage(signed));
  failIf(room.removed, 'room-closed');
  failIf(room.direct, 'wrong-mode');
  checkOwnTime(now);
  failIf(operations.some(([kind]) => kind === ADD), 'bad-input');
  failIf(operations.length + guests.length > MAX_OPERATIONS, 'too-large');
  const adds = guests.map(({ signed, role }, i) => {
    packages.set(operations.length + i, read[i]);
    return [ADD, signed, role];
  });
  return { operations: [...operations, ...adds], packages };
}

/**
 * REQ-EPOCH-14.
 * @param {import('./room.js').Room} room
 * @param {{ operations: Array[], guests: { signed: Uint8Array, prekey: number | null, role: number }[],
 *   directory: object[], now: number }} wish
 * @param {import('./random.js').Source} random
 */
export function makeOwnCommit(room, wish, random) {
  const { owner, id, me, suite, current } = room;
  const { operations, packages } = checkWish(room, wish);
  const { guests, directory, now } = wish;
  const proofs = chooseProofs(room, operations, packages);
  const applied = applyOperations(parentOf(room, current), me, now, operations, proofs, packages);
  const before = find(current.roster, me);

  const leaf = random(32);
  const roomSeed = random(32);
  const entry = makeOwnEntry(owner, id, me, leaf, roomSeed, before.keys.version + 1);
  const keys = readCredential(entry, id, me, owner.identity);
  const roster = replace(applied.roster, me, { credential: entry, keys });
  const rosterBytes = encodeRoster(roster);
  const { policy } = applied;

  const ephemeral = random(32);
  const ephemeralKey = dhPublic(ephemeral);
  const commit = makeCommit({
    room: id, epoch: current.number, transcript: current.transcript, committer: me, time: now, operations, proofs,
    entry, ephemeralKey, state: stateHash(rosterBytes, policy),
  });
  const commitHashed = commitHash(commit);
  const r = random(32);
  const secret = epochSecret(current.inits.get(hex(me)), r, commitHashed);
  const schedule = keySchedule(secret, commitHashed, roster.members.map((member) => member.id));
  const { confirmation } = schedule;
  const signature = sign(current.roomSeed, 'commit', commit, confirmation);
  const signedCommit = make('signed commit', commit, confirmation, signature);
  const sealed = sealCommit(current.handshakes.get(hex(me)), id, current.prefix, me, signedCommit, random(16));

  const anew = new Set(applied.resynced.map(({ member }) => hex(member)));
  const others = current.roster.members.filter((member) => !equal(member.id, me));
  const slots = others.map((member) => {
    const stays = find(roster, member.id) !== undefined && !anew.has(hex(member.id));
    const { leafKey } = member.keys;
    return [member.id, stays ? sealSlot(r, ephemeral, ephemeralKey, commitHashed, member.id, leafKey) : null];
  });
  const invited = [
    ...applied.resynced.map((request) => ({ prekey: 0, read: request.package })),
    ...guests.map(({ prekey }, i) => ({ prekey, read: packages.get(wish.operations.length + i) })),
  ];
  const invitations = inviteAll(invited, random, () => makeWelcome({
    commit, confirmation, signature, parentCredential: before.credential, roster: rosterBytes, policy, secret,
  }, inOrder(directory, roster).filter(({ member }) => !anew.has(hex(member)))), owner);
  erase(ephemeral, r, secret);

  const transcript = transcriptHash(current.transcript, commit, confirmation);
  const { epoch, sending } = Epoch.open({
    suite, room: id, number: current.number + 1, transcript, roster, policy, opener: me, turn: null, me, leaf,
    roomSeed, schedule,
  });
  const copies = slots.filter(([member]) => find(roster, member) !== undefined)
    .map(([member, slot]) => ({ number: current.number, time: now, member, copy: make('commit copy', sealed, slot) }));
  current.applied = commitHashed;
  room.enter(epoch, sending, now, applied.resynced.map(({ member }) => member));
  room.copies.push(...copies);
  room.committed = now;
  room.sent = 0;
  return { commit, confirmation, signature, sealed, slots, invitations };
}

/** All who are invited by one commit get the same welcome; where nobody is, there is none. */
function inviteAll(invited, random, welcomeOf, owner) {
  if (invited.length === 0) return [];
  const welcome = welcomeOf();
  const invitations = invited.map(({ prekey, read }) => sealInvitation(owner, read, prekey, welcome, random));
  erase(welcome);
  return invitations;
}

/**
 * REQ-EPOCH-15.
 * @param {import('./room.js').Room} room
 * @param {Uint8Array} copy
 * @param {number} now
 * @returns {{ removed: boolean, committer: Uint8Array }}
 */
export function applyCommit(room, copy, now) {
  const [commitBytes, slot] = parse(copy, 'commit copy');
  const sealed = parse(commitBytes, 'sealed commit');
  const [id, prefix, committer] = sealed;
  failIf(!equal(id, room.id), 'unknown-room');
  failIf(room.direct, 'wrong-mode');
  failIf(equal(committer, room.me), 'own-message');
  failIf(room.removed, 'room-closed');
  const parent = room.named(prefix) ?? hold('unknown-epoch');
  const author = find(parent.roster, committer) ?? refuse('unknown-member');
  const handshake = parent.handshakes.get(hex(committer)) ?? refuse('replay');
  const [data, confirmation, signature] = parse(openCommit(handshake, sealed), 'signed commit');
  verify(author.keys.roomSignKey, signature, 'commit', data, confirmation);
  const commitHashed = commitHash(data);
  if (parent !== room.current) refuse(equal(parent.applied, commitHashed) ? 'replay' : 'fork');

  const commit = readCommit(data);
  checkParent(commit, room.id, parent, committer);
  const { time, operations, proofs, packages, entry } = commit;
  const applied = applyOperations(parentOf(room, parent), committer, time, operations, proofs, packages);
  const keys = readCredential(entry, room.id, committer, author.identity);
  failIf(keys.isPackage || keys.version !== author.keys.version + 1, 'bad-entry');
  const roster = replace(applied.roster, committer, { credential: entry, keys });
  const { policy } = applied;
  failIf(!equal(stateHash(encodeRoster(roster), policy), commit.state), 'bad-state-hash');
  checkTime(time, now);
  if (find(roster, room.me) === undefined) {
    room.close(now);
    return { removed: true, committer };
  }
  failIf(applied.resynced.some(({ member }) => equal(member, room.me)), 'room-closed');
  failIf(slot === null, 'bad-form');
  const r = openSlot(slot, parent.leaf, commit.ephemeralKey, commitHashed, room.me);
  const secret = epochSecret(parent.inits.get(hex(committer)), r, commitHashed);
  const schedule = keySchedule(secret, commitHashed, roster.members.map((member) => member.id));
  failIf(!equal(schedule.confirmation, confirmation), 'bad-confirmation');
  erase(r, secret);
  const transcript = transcriptHash(parent.transcript, data, confirmation);
  const { epoch, sending } = Epoch.open({
    suite: room.suite, room: room.id, number: parent.number + 1, transcript, roster, policy, opener: committer,
    turn: null, me: room.me, leaf: parent.leaf, roomSeed: parent.roomSeed, schedule,
  });
  parent.applied = commitHashed;
  room.arrived(committer, parent.number);
  room.enter(epoch, sending, now, applied.resynced.map(({ member }) => member));
  return { removed: false, committer };
}
