/** Making and applying commits in a group (10.6 to 10.10). */

import { equal, erase, hex } from './bytes.js';
import { checkParent, makeCommit, parseCommit, readCommit } from './commit.js';
import { Epoch } from './epoch.js';
import { failIf, hold, refuse } from './errors.js';
import { checkPolicy } from './evaporation.js';
import { checkOwnTime, inOrder } from './founding.js';
import { sealInvitation } from './invitation.js';
import { readKeyPackage } from './keypackage.js';
import { encodeRoster, find, makeOwnEntry, readCredential, replace } from './membership.js';
import { checkOperationForm, make, parse } from './objects.js';
import { ADD, RESYNC, SANCTION, SET_POLICY, SET_ROLE, applyOperations } from './operations.js';
import { dhPublic, sign, verify } from './primitives.js';
import { SANCTION as SANCTION_PROOF, authorityOf, chooseProofs } from './proofs.js';
import { readResyncRequest } from './resync.js';
import { duePlace, makeSanction } from './sanctions.js';
import {
  commitHash, epochSecret, keySchedule, openCommit, openSlot, prefixOf, sealCommit, sealSlot, stateHash, transcriptHash,
} from './schedule.js';
import { TRAIL, orderOf, trailOf } from './tree.js';
import { checkTime, makeWelcome } from './welcome.js';

const MAX_OPERATIONS = 1000;

/** What REQ-MEM-07 needs of the parent. */
function parentOf(room, epoch) {
  const { roster, policy, transcript, number } = epoch;
  return { roster, policy, suite: room.suite, room: room.id, transcript, number };
}

/** Whom the operations of a wish name (step 3 of REQ-EPOCH-14). */
function namedBy(operations, packages) {
  const named = new Set();
  operations.forEach((operation, place) => {
    if (isIntent(operation)) named.add(hex(operation.sanction.member));
    else if (operation[0] === SET_ROLE) named.add(hex(operation[1]));
    else if (operation[0] === RESYNC) named.add(hex(packages.get(place).member));
  });
  return named;
}

/** A removal or demotion that is to be made is no operation yet: `{ sanction: { member, role } }`. */
const isIntent = (operation) => !Array.isArray(operation);

/** Step 3 of REQ-EPOCH-14: the sanction for a removal or demotion. */
function signSanction({ owner, id, me, current }, { sanction: { member, role } }) {
  const target = find(current.roster, member) ?? refuse('unknown-member');
  const due = duePlace(current, find(current.roster, me), target, role);
  const signed = makeSanction(owner, { room: id, member, admission: target.admission, author: me, role, ...due });
  return [SANCTION, signed];
}

/** What REQ-EPOCH-28 notes of a commit. */
function statements(operations, proofs) {
  const sanctions = operations.filter(([kind]) => kind === SANCTION).map(([, signed]) => [SANCTION_PROOF, signed]);
  return [...sanctions, ...proofs];
}

/** What comes in with a wish (4.5), and steps 1 and 2 of REQ-EPOCH-14: its adds are at the end. */
function checkWish(room, { operations, guests, now }) {
  const plain = operations.map((operation) => (isIntent(operation) ? [] : operation));
  plain.forEach((operation) => operation.length > 0 && checkOperationForm(operation));
  const packages = new Map();
  plain.forEach(([kind, first], place) => {
    if (kind === SET_POLICY) checkPolicy(first);
    if (kind === RESYNC) packages.set(place, readResyncRequest(first));
  });
  const read = guests.map(({ signed }) => readKeyPackage(signed));
  failIf(room.removed, 'room-closed');
  failIf(room.direct, 'wrong-mode');
  room.checkHonest();
  checkOwnTime(now);
  failIf(plain.some(([kind]) => kind === ADD), 'bad-input');
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
  const { operations: wanted, packages } = checkWish(room, wish);
  const { guests, directory, now } = wish;
  const proofs = chooseProofs(room, namedBy(wanted, packages));
  const operations = wanted.map((each) => (isIntent(each) ? signSanction(room, each) : each));
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
  const transcript = transcriptHash(current.transcript, commit, confirmation);
  const order = orderOf(authorityOf(proofs, current.roster), current.time, now, before);
  const trail = [...(wish.trail ?? trailOf(room)).slice(-TRAIL), [prefixOf(transcript), order]];
  const invitations = inviteAll(invited, random, () => makeWelcome({
    commit, confirmation, signature, parentCredential: before.credential, roster: rosterBytes, policy, secret, trail,
  }, inOrder(directory, roster).filter(({ member }) => !anew.has(hex(member)))), owner);
  erase(ephemeral, r, secret);

  const opened = Epoch.open({
    suite, room: id, number: current.number + 1, transcript, time: now, parent: current.transcript, order, roster,
    policy, opener: me, turn: null, me, leaf, roomSeed, schedule,
  });
  const copies = slots.filter(([member]) => find(roster, member) !== undefined)
    .map(([member, slot]) => ({
      number: current.number, opens: transcript, time: now, member, copy: make('commit copy', sealed, slot),
    }));
  room.take(current, {
    committer: me, transcript, order, proofs: statements(operations, proofs),
    anew: applied.resynced.map(({ member }) => member),
  }, opened, now);
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

/** Steps 1 to 10 of REQ-EPOCH-15: whose commit it is, and on what. */
function openCopy(room, copy) {
  const [commitBytes, slot] = parse(copy, 'commit copy');
  const sealed = parse(commitBytes, 'sealed commit');
  const [id, prefix, committer] = sealed;
  failIf(!equal(id, room.id), 'unknown-room');
  failIf(room.direct, 'wrong-mode');
  failIf(equal(committer, room.me), 'own-message');
  const parent = room.named(prefix);
  if (parent === undefined) {
    failIf(room.closed, 'room-closed');
    hold('unknown-epoch');
  }
  failIf(parent.leaf === null, 'replay');
  const author = find(parent.roster, committer) ?? refuse('unknown-member');
  const handshake = parent.handshakes.get(hex(committer)) ?? refuse('replay');
  const [data, confirmation, signature] = parse(openCommit(handshake, sealed), 'signed commit');
  verify(author.keys.roomSignKey, signature, 'commit', data, confirmation);
  return { slot, sealed: commitBytes, parent, author, data, confirmation };
}

/** Steps 13 to 16: what a commit makes of roster and policy. */
function judge(room, { parent, author, data }) {
  const commit = readCommit(data);
  const { time, operations, proofs, packages, entry } = commit;
  const { policy, ...applied } = applyOperations(parentOf(room, parent), author.id, time, operations, proofs, packages);
  const keys = readCredential(entry, room.id, author.id, author.identity);
  failIf(keys.isPackage || keys.version !== author.keys.version + 1, 'bad-entry');
  const roster = replace(applied.roster, author.id, { credential: entry, keys });
  failIf(!equal(stateHash(encodeRoster(roster), policy), commit.state), 'bad-state-hash');
  return { commit, roster, policy, anew: applied.resynced.map(({ member }) => member) };
}

/** Steps 19 to 21: the epoch that a commit opens. */
function openEpoch(room, { slot, sealed, parent, author, data, confirmation }, { commit, roster, policy }, placed) {
  if (slot === null) hold('no-slot');
  const commitHashed = commitHash(data);
  const r = openSlot(slot, parent.leaf, commit.ephemeralKey, commitHashed, room.me);
  const secret = epochSecret(parent.inits.get(hex(author.id)), r, commitHashed);
  const schedule = keySchedule(secret, commitHashed, roster.members.map((member) => member.id));
  failIf(!equal(schedule.confirmation, confirmation), 'bad-confirmation');
  erase(r, secret);
  const { transcript, order } = placed;
  return Epoch.open({
    suite: room.suite, room: room.id, number: parent.number + 1, transcript, time: commit.time,
    parent: parent.transcript, order, sealed, roster, policy, opener: author.id, turn: null, me: room.me,
    leaf: parent.leaf, roomSeed: parent.roomSeed, schedule,
  });
}

/**
 * REQ-EPOCH-15.
 * @param {import('./room.js').Room} room
 * @param {Uint8Array} copy
 * @param {number} now
 * @returns {{ fate: 'leads' | 'removes' | 'loses' | 'convicts', committer: Uint8Array,
 *   epoch: import('./epoch.js').Epoch | null, number: number, transcript: Uint8Array }} fate, and what is opened
 */
export function applyCommit(room, copy, now) {
  const read = openCopy(room, copy);
  const { parent, author, data, confirmation } = read;
  const committer = author.id;
  checkParent(parseCommit(data), room.id, parent, committer);
  const transcript = transcriptHash(parent.transcript, data, confirmation);
  const number = parent.number + 1;
  const taken = parent.taken.get(hex(committer));
  if (taken !== undefined) {
    failIf(equal(taken, transcript), 'replay');
    if (!room.equivocators.some((id) => equal(id, committer))) room.equivocators.push(committer);
    return { fate: 'convicts', committer, epoch: null, number, transcript };
  }

  const judged = judge(room, read);
  const { commit, roster, anew } = judged;
  checkTime(commit.time, now);
  const order = orderOf(authorityOf(commit.proofs, parent.roster), parent.time, commit.time, author);
  failIf(!parent.inits.has(hex(committer)), 'replay');
  let opened = null;
  if (find(roster, room.me) !== undefined) {
    failIf(anew.some((id) => equal(id, room.me)), 'room-closed');
    opened = openEpoch(room, read, judged, { transcript, order });
  }
  failIf(opened !== null && room.named(prefixOf(transcript)) !== undefined, 'wrong-transcript');
  const proofs = statements(commit.operations, commit.proofs);
  const fate = room.take(parent, { committer, transcript, order, proofs, anew }, opened, now);
  room.arrived(committer, parent);
  return { fate, committer, epoch: opened?.epoch ?? null, number, transcript };
}
