/** Key packages and cards (6.3, 6.4). */

import { failIf } from './errors.js';
import { checkIdentity } from './identity.js';
import { make, parse } from './objects.js';
import { SUITE, checkDhKey, checkSignKey, checkSuite, dhPublic, hash, sign, signPublic, verify } from './primitives.js';

/**
 * @typedef {{ address: Uint8Array, envelopeKey: Uint8Array, capability: Uint8Array }} Mailbox
 * @typedef {{ signed: Uint8Array, signedPrekey: Uint8Array, prekeys: (Uint8Array | null)[],
 *   leaf: Uint8Array, roomSeed: Uint8Array }} PackageKeys a package with its private keys
 */

/** A mailbox from its encoded form, and back. */
export const readMailbox = ([address, envelopeKey, capability]) => ({ address, envelopeKey, capability });
export const mailboxFields = ({ address, envelopeKey, capability }) => [address, envelopeKey, capability];

/** REQ-ID-06. */
export function packageHash(signed) {
  return hash('key package', signed);
}

/**
 * Draw the private keys of a package (REQ-ID-04).
 * @param {import('./random.js').Source} random
 * @param {boolean} lastResort
 */
export function drawPackageKeys(random, lastResort) {
  const signedPrekey = random(32);
  const prekeys = lastResort ? [] : [0, 1, 2, 3].map(() => random(32));
  const leaf = random(32);
  return { signedPrekey, prekeys, leaf, roomSeed: random(32) };
}

/**
 * A signed key package from its private keys.
 * @returns {Uint8Array}
 */
export function makeKeyPackage(owner, contact, expiry, lastResort, { signedPrekey, prekeys, leaf, roomSeed }) {
  const { signKey, dhKey } = owner.identity;
  const body = make('key package', SUITE, signKey, dhKey, dhPublic(signedPrekey), prekeys.map(dhPublic),
    dhPublic(leaf), signPublic(roomSeed), mailboxFields(contact), expiry, lastResort);
  return make('signed object', body, sign(owner.seed, 'key package', body));
}

/**
 * The fields of a signed key package, checked in nothing but form.
 * @param {Uint8Array} signed
 */
export function openKeyPackage(signed) {
  const [body, signature] = parse(signed, 'signed object');
  const [suite, signKey, dhKey, signedPrekey, prekeys, leafKey, roomSignKey, contact, expiry, lastResort] =
    parse(body, 'key package');
  return {
    signed, body, signature, suite, identity: { signKey, dhKey }, signedPrekey, prekeys, leafKey, roomSignKey,
    contact: readMailbox(contact), expiry, lastResort, hash: packageHash(signed),
  };
}

/**
 * REQ-ID-07: a key package that comes from outside.
 * @param {Uint8Array} signed
 */
export function readKeyPackage(signed) {
  const read = openKeyPackage(signed);
  checkSuite(read.suite);
  checkIdentity(read.identity);
  verify(read.identity.signKey, read.signature, 'key package', read.body);
  for (const key of [read.signedPrekey, ...read.prekeys, read.leafKey, read.contact.envelopeKey]) checkDhKey(key);
  checkSignKey(read.roomSignKey);
  failIf(read.prekeys.length !== (read.lastResort ? 0 : 4), 'bad-form');
  return read;
}

/**
 * REQ-ID-08.
 * @returns {Uint8Array | null}
 */
export function choosePrekey(read, index) {
  if (read.lastResort) {
    failIf(index !== null, 'used-package');
    return null;
  }
  failIf(index === null || index >= read.prekeys.length, 'used-package');
  return read.prekeys[index];
}

/** A card: a name, and a key package that has been read. */
export function readCard(data) {
  const [name, signed] = parse(data, 'card');
  return { name, package: readKeyPackage(signed) };
}
