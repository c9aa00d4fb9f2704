/** Identities and safety numbers (6.1, 6.2). */

import { equal } from './bytes.js';
import { checkDhKey, checkSignKey, dhPublic, hash, kdf, signPublic } from './primitives.js';

/**
 * @typedef {{ signKey: Uint8Array, dhKey: Uint8Array }} Identity public keys
 * @typedef {{ seed: Uint8Array, dhPrivate: Uint8Array, identity: Identity }} Owner identity key pairs
 */

/**
 * The owner of two private keys.
 * @param {Uint8Array} seed of the identity signature key
 * @param {Uint8Array} dhPrivate
 * @returns {Owner}
 */
export function owner(seed, dhPrivate) {
  return { seed, dhPrivate, identity: { signKey: signPublic(seed), dhKey: dhPublic(dhPrivate) } };
}

/**
 * New identity keys.
 * @param {import('./random.js').Source} random
 */
export function makeOwner(random) {
  const seed = random(32);
  return owner(seed, random(32));
}

/** Whether two identities are the same: both keys are. */
export function sameIdentity(a, b) {
  return equal(a.signKey, b.signKey) && equal(a.dhKey, b.dhKey);
}

/** REQ-ID-02. */
export function checkIdentity(identity) {
  checkSignKey(identity.signKey);
  checkDhKey(identity.dhKey);
}

/** REQ-ID-01. */
export function fingerprint(identity) {
  return hash('fingerprint', identity.signKey, identity.dhKey);
}

/** Six groups of five digits. */
function digits(identity) {
  const wide = kdf(fingerprint(identity), 'safety number', [], 48);
  const view = new DataView(wide.buffer, wide.byteOffset, wide.byteLength);
  const groups = [];
  for (let n = 0; n < 6; n++) {
    groups.push(String(view.getBigUint64(8 * n) % 100000n).padStart(5, '0'));
  }
  return groups.join(' ');
}

/** REQ-ID-03: twelve groups, the same on both sides. */
export function safetyNumber(mine, theirs) {
  return [digits(mine), digits(theirs)].sort().join(' ');
}
