/** History, key schedule, slots and sealed commits (10.1, 10.4, 10.5, 10.7). */

import { erase, hex } from './bytes.js';
import { failIf } from './errors.js';
import { make } from './objects.js';
import { checkDhKey, combine, decrypt, dh, dhPublic, encrypt, hash, kdf } from './primitives.js';
import { trace } from './trace.js';

/** REQ-EPOCH-01. */
export function commitHash(commit) {
  return trace('commit hash', hash('commit', commit));
}

/** REQ-EPOCH-08. */
export function transcriptHash(parent, commit, confirmation) {
  return hash('transcript', parent, commit, confirmation);
}

/** The first 8 bytes of a transcript hash. */
export function prefixOf(transcript) {
  return transcript.slice(0, 8);
}

/** REQ-EPOCH-06. */
export function stateHash(roster, policy) {
  return hash('state', roster, policy);
}

/** REQ-EPOCH-09. */
export function contextOf(suite, room, policy, roster, transcript) {
  return trace('context', hash('context', suite, room, policy, roster, transcript));
}

/** REQ-EPOCH-05. */
export function epochSecret(init, r, commitHashed) {
  return trace('epoch secret', kdf(init, 'epoch', [r, commitHashed]));
}

/**
 * REQ-EPOCH-07.
 * @param {Uint8Array} secret
 * @param {Uint8Array} commitHashed
 * @param {Uint8Array[]} members of the resulting roster, in its order
 * @returns {{ confirmation: Uint8Array, chains: Map<string, Uint8Array>, handshakes: Map<string, Uint8Array>,
 *   inits: Map<string, Uint8Array>, exporter: Uint8Array }}
 */
export function keySchedule(secret, commitHashed, members) {
  const each = (rootLabel, label) => {
    const root = kdf(secret, rootLabel);
    const keys = new Map(members.map((member) => [hex(member), kdf(root, label, [member])]));
    erase(root);
    return keys;
  };
  return {
    confirmation: kdf(kdf(secret, 'confirm'), 'confirmation', [commitHashed]),
    chains: each('chains', 'chain of'),
    handshakes: each('handshakes', 'handshake of'),
    inits: each('inits', 'init of'),
    exporter: kdf(secret, 'exporter'),
  };
}

/** REQ-EPOCH-17. */
export function exportSecret(exporter, label, size) {
  return kdf(exporter, 'export', [label], size);
}

function slotKey(shared, commitHashed, ephemeralKey, member, leafKey) {
  const transcript = hash('slot transcript', commitHashed, ephemeralKey, member, leafKey);
  return combine('slot', [shared], transcript);
}

/**
 * REQ-EPOCH-03.
 * @param {Uint8Array} r
 * @param {Uint8Array} ephemeral private key of the commit
 * @param {Uint8Array} ephemeralKey its public key
 * @param {Uint8Array} commitHashed
 * @param {Uint8Array} member
 * @param {Uint8Array} leafKey of the member at the parent
 */
export function sealSlot(r, ephemeral, ephemeralKey, commitHashed, member, leafKey) {
  const shared = dh(ephemeral, leafKey);
  const key = slotKey(shared, commitHashed, ephemeralKey, member, leafKey);
  const slot = encrypt(key, r);
  erase(shared, key);
  return slot;
}

/** REQ-EPOCH-04, with the own leaf private key. */
export function openSlot(slot, leaf, ephemeralKey, commitHashed, member) {
  checkDhKey(ephemeralKey);
  const shared = dh(leaf, ephemeralKey);
  const key = slotKey(shared, commitHashed, ephemeralKey, member, dhPublic(leaf));
  const r = decrypt(key, slot);
  erase(shared, key);
  failIf(r.length !== 32, 'bad-ciphertext');
  return r;
}

function sealedCommitKey(handshake, room, prefix, committer, salt) {
  return kdf(handshake, 'seal commit', [room, prefix, committer, salt]);
}

/** REQ-EPOCH-10; `fresh` is 16 random bytes. */
export function sealCommit(handshake, room, prefix, committer, signedCommit, fresh) {
  const salt = kdf(handshake, 'commit salt', [fresh, signedCommit], 16);
  const key = sealedCommitKey(handshake, room, prefix, committer, salt);
  const sealed = encrypt(key, signedCommit);
  erase(key);
  return make('sealed commit', room, prefix, committer, salt, sealed);
}

/** The fields of a sealed commit → the signed commit inside. */
export function openCommit(handshake, [room, prefix, committer, salt, sealed]) {
  return decrypt(sealedCommitKey(handshake, room, prefix, committer, salt), sealed);
}
