/** How a device comes into a room: founding and joining (10.2, 7.6). */

import { ZEROS, equal, erase } from './bytes.js';
import { makeGenesis, genesisRoster, readCreatorEntry } from './commit.js';
import { utf8Length } from './encoding.js';
import { Epoch } from './epoch.js';
import { failIf } from './errors.js';
import { DIRECT, checkPolicy } from './evaporation.js';
import { sealInvitation } from './invitation.js';
import { readKeyPackage } from './keypackage.js';
import { encodeRoster, creatorId, makeOwnEntry } from './membership.js';
import { checkPolicyForm } from './objects.js';
import { SUITE, sign } from './primitives.js';
import { Room } from './room.js';
import { commitHash, epochSecret, keySchedule, stateHash, transcriptHash } from './schedule.js';
import { makeWelcome, readInvitation } from './welcome.js';

const LATEST = 2 ** 40 - 1;

/** The table of 4.5: times and names from the application. */
export function checkOwnTime(time) {
  failIf(!Number.isInteger(time) || time < 0 || time > LATEST, 'bad-input');
}

export function checkOwnText(text, limit) {
  failIf(typeof text !== 'string' || !text.isWellFormed(), 'bad-input');
  failIf(utf8Length(text) > limit, 'too-large');
}

/**
 * The rows of a welcome's directory, in the order of the roster (REQ-INV-05).
 * @param {{ member: Uint8Array, name: string, mailbox: object | null }[]} rows in any order
 */
export function inOrder(rows, roster) {
  return roster.members.flatMap(({ id }) => rows.filter(({ member }) => equal(member, id)).slice(0, 1));
}

/**
 * Found a room (10.2). Whoever calls erases the epoch secret that is returned.
 * @param {import('./identity.js').Owner} owner
 * @param {{ policy: Array, guests: { signed: Uint8Array, prekey: number | null, role: number }[], name: string,
 *   mailbox: object, now: number }} wish
 * @param {import('./random.js').Source} random
 */
export function foundRoom(owner, { policy, guests, name, mailbox, now }, random) {
  checkOwnTime(now);
  checkOwnText(name, 256);
  const packages = guests.map(({ signed, role }) => ({ read: readKeyPackage(signed), role }));
  checkPolicyForm(policy);
  checkPolicy(policy);
  failIf(policy[0] === DIRECT && packages.length !== 1, 'wrong-mode');
  const id = random(32);
  const leaf = random(32);
  const roomSeed = random(32);
  const r = random(32);

  const me = creatorId(id, owner.identity);
  const entry = makeOwnEntry(owner, id, me, leaf, roomSeed, 0);
  const genesis = { suite: SUITE, room: id, time: now, policy, creator: owner.identity, entry, packages };
  const roster = genesisRoster(genesis, readCreatorEntry(genesis));
  const rosterBytes = encodeRoster(roster);
  genesis.state = stateHash(rosterBytes, policy);
  const commit = makeGenesis(genesis);
  const commitHashed = commitHash(commit);
  const secret = epochSecret(ZEROS, r, commitHashed);
  const schedule = keySchedule(secret, commitHashed, roster.members.map((member) => member.id));
  const { confirmation } = schedule;
  const signature = policy[0] === DIRECT ? null : sign(roomSeed, 'commit', commit, confirmation);
  const transcript = transcriptHash(ZEROS, commit, confirmation);
  const { epoch, sending } = Epoch.open({
    suite: SUITE, room: id, number: 0, transcript, time: now, roster, policy, opener: me, turn: null, me, leaf,
    roomSeed, schedule,
  });

  const welcome = makeWelcome(
    {
      commit, confirmation, signature, parentCredential: null, roster: rosterBytes, policy, secret,
      trail: epoch.direct ? [] : [[epoch.prefix, null]],
    },
    inOrder([{ member: me, name, mailbox }], roster),
  );
  const invitations = guests.map(({ prekey }, i) => sealInvitation(owner, packages[i].read, prekey, welcome, random));
  erase(welcome, r);
  const room = new Room(owner, {
    id, suite: SUITE, me, epochs: [epoch], sending: { key: sending, index: 0 }, since: now,
    lastResort: packages.some(({ read }) => read.lastResort),
  });
  return { room, commit, confirmation, signature, secret, invitations };
}

/**
 * Join a room (REQ-INV-06, REQ-INV-09).
 * @param {import('./identity.js').Owner} owner
 * @param {(hash: Uint8Array) => (import('./keypackage.js').PackageKeys | null)} findPackage
 * @param {Uint8Array} invitation
 * @param {number} now
 */
export function joinRoom(owner, findPackage, invitation, now) {
  const read = readInvitation(owner, findPackage, invitation, now);
  const { suite, room: id, me, number, transcript, time, roster, policy, opener, schedule, keys } = read;
  const { epoch, sending } = Epoch.open({
    suite, room: id, number, transcript, time, roster, policy, opener, turn: null, me, leaf: keys.leaf,
    roomSeed: keys.roomSeed, schedule,
  });
  const room = new Room(owner, {
    id, suite, me, epochs: [epoch], sending: sending && { key: sending, index: 0 }, since: now,
    lastResort: read.package.lastResort, joined: { name: transcript, trail: read.trail },
  });
  const { directory, index, resynced, inviter } = read;
  return { room, directory, package: read.package, index, resynced, inviter };
}
