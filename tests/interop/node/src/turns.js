/** Turns of a direct room (10.11). */

import { equal, erase, hex } from './bytes.js';
import { makeDirectCommit } from './commit.js';
import { Epoch } from './epoch.js';
import { failIf } from './errors.js';
import { find, makeOwnEntry, readCredential, replace } from './membership.js';
import { checkDhKey, dhPublic } from './primitives.js';
import { commitHash, epochSecret, keySchedule, openSlot, prefixOf, sealSlot, transcriptHash } from './schedule.js';

/** The epoch that a direct commit opens. */
function openTurn(room, { committer, commit, commitHashed, r, init, roster, turn, leaf }) {
  const { current } = room;
  const secret = epochSecret(init, r, commitHashed);
  const schedule = keySchedule(secret, commitHashed, roster.members.map(({ id }) => id));
  erase(secret);
  return Epoch.open({
    suite: room.suite, room: room.id, number: current.number + 1,
    transcript: transcriptHash(current.transcript, commit, schedule.confirmation), parent: current.transcript,
    roster, policy: current.policy, opener: committer, turn, me: room.me, leaf, roomSeed: null, schedule,
  });
}

/**
 * REQ-DIR-02, up to the message. Draws: leaf key 32; in the first answer, room signature key 32; ephemeral
 * key 32; r 32.
 * @param {import('./room.js').Room} room
 * @param {import('./random.js').Source} random
 * @returns {{ epoch: Epoch, sending: Uint8Array, commit: Uint8Array }} not entered yet
 */
export function beginTurn(room, random) {
  const { current, me, peer } = room;
  const init = current.inits.get(hex(me));
  failIf(init === undefined || equal(current.opener, me), 'out-of-turn');
  const peerLeaf = current.number === 0 ? peer.keys.leafKey : current.turn[0];

  const leaf = random(32);
  const leafKey = dhPublic(leaf);
  let { roster } = current;
  let entry = null;
  if (current.number === 0) {
    entry = makeOwnEntry(room.owner, room.id, me, leaf, random(32), 1);
    roster = replace(roster, me, { credential: entry, keys: readCredential(entry, room.id, me, room.owner.identity) });
  }
  const ephemeral = random(32);
  const ephemeralKey = dhPublic(ephemeral);
  const commit = makeDirectCommit(room.id, current, me, leafKey, ephemeralKey, entry);
  const commitHashed = commitHash(commit);
  const r = random(32);
  const slot = sealSlot(r, ephemeral, ephemeralKey, commitHashed, peer.id, peerLeaf);
  const turn = [leafKey, ephemeralKey, slot, entry];
  const opened = openTurn(room, { committer: me, commit, commitHashed, r, init, roster, turn, leaf });
  erase(ephemeral, r);
  return { ...opened, commit };
}

/**
 * REQ-DIR-04.
 * @param {import('./room.js').Room} room
 * @param {object} header of the message that carries the turn fields
 * @returns {{ epoch: Epoch }} not entered yet
 */
export function acceptTurn(room, { sender, prefix, turn }) {
  const { current, me, peer } = room;
  const init = current.inits.get(hex(sender));
  const expected = equal(current.opener, me) && equal(sender, peer.id) && current.leaf !== null && init !== undefined;
  failIf(!expected, 'out-of-turn');
  const [leafKey, ephemeralKey, slot, entry] = turn;
  checkDhKey(leafKey);
  failIf((current.number === 0) !== (entry !== null), 'bad-entry');
  let { roster } = current;
  if (entry !== null) {
    const before = find(roster, sender);
    const keys = readCredential(entry, room.id, sender, before.identity);
    const due = !keys.isPackage && keys.version === before.keys.version + 1 && equal(keys.leafKey, leafKey);
    failIf(!due, 'bad-entry');
    roster = replace(roster, sender, { credential: entry, keys });
  }
  const commit = makeDirectCommit(room.id, current, sender, leafKey, ephemeralKey, entry);
  const commitHashed = commitHash(commit);
  const r = openSlot(slot, current.leaf, ephemeralKey, commitHashed, me);
  const opened = openTurn(room, { committer: sender, commit, commitHashed, r, init, roster, turn, leaf: null });
  erase(r);
  failIf(!equal(prefixOf(opened.epoch.transcript), prefix), 'wrong-transcript');
  return opened;
}
