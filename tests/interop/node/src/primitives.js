/** The algorithms of suite 1 and what they refuse (chapter 3). */

import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { blake2b } from '@noble/hashes/blake2.js';
import { sha512 } from '@noble/hashes/sha2.js';

import { ZEROS, ascii, concat, equal, hex } from './bytes.js';
import { encode } from './encoding.js';
import { failIf, refuse } from './errors.js';

export const SUITE = 1;

const P = 2n ** 255n - 19n;
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const { Point } = ed25519;
const NONCE = new Uint8Array(12);

/** The canonical encodings of the X25519 points of small order (REQ-PRIM-04). */
const SMALL_ORDER = new Set([
  '00'.repeat(32),
  '01' + '00'.repeat(31),
  'ec' + 'ff'.repeat(30) + '7f',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
]);

const label = (text) => (typeof text === 'string' ? ascii(text) : text);

function littleEndian(bytes) {
  return BigInt('0x' + (hex(Uint8Array.from(bytes).reverse()) || '0'));
}

/** Encodings of labels without parts: a chain steps through the same one all the time. */
const encodings = new Map();

function alone(name) {
  if (typeof name !== 'string') return encode([name]);
  if (!encodings.has(name)) encodings.set(name, encode([ascii(name)]));
  return encodings.get(name);
}

/**
 * `KDF(key, label, *parts, size)` of 3.1.
 * @param {Uint8Array} key
 * @param {string | Uint8Array} name ASCII
 * @param {unknown[]} parts
 * @param {number} size
 */
export function kdf(key, name, parts = [], size = 32) {
  failIf(key.length !== 32, 'bad-input');
  failIf(!Number.isInteger(size) || size < 1 || size > 64, 'bad-input');
  return blake2b(parts.length === 0 ? alone(name) : encode([label(name), ...parts]), { key, dkLen: size });
}

/**
 * Several secrets in one (REQ-PRIM-18).
 * @param {string} name
 * @param {Uint8Array[]} secrets
 * @param {Uint8Array} transcript hash
 */
export function combine(name, secrets, transcript) {
  return kdf(ZEROS, name, [...secrets, transcript]);
}

/** `H(label, *parts)` of 3.2. */
export function hash(name, ...parts) {
  return blake2b(encode([label(name), ...parts]), { dkLen: 32 });
}

/** Unkeyed BLAKE2b-256 of bytes as they are; for tests and digests, not for the protocol. */
export function plainHash(bytes) {
  return blake2b(bytes, { dkLen: 32 });
}

/** A running unkeyed BLAKE2b-256. */
export function runningHash() {
  return blake2b.create({ dkLen: 32 });
}

/**
 * The X25519 public key of a private one.
 * @param {Uint8Array} secret
 */
export function dhPublic(secret) {
  failIf(secret.length !== 32, 'bad-input');
  return x25519.getPublicKey(secret);
}

/** REQ-PRIM-05: a `DH` with this key must not fail. */
export function checkDhKey(key) {
  failIf(key.length !== 32 || littleEndian(key) >= P || SMALL_ORDER.has(hex(key)), 'bad-key');
}

/** `DH(private, public)` of 3.3. */
export function dh(secret, key) {
  failIf(secret.length !== 32, 'bad-input');
  checkDhKey(key);
  const shared = x25519.getSharedSecret(secret, key);
  failIf(equal(shared, ZEROS), 'bad-key');
  return shared;
}

/** The Ed25519 public key of a seed. */
export function signPublic(seed) {
  failIf(seed.length !== 32, 'bad-input');
  return ed25519.getPublicKey(seed);
}

/** A point from its canonical encoding, or nothing. */
function decodePoint(bytes) {
  try {
    return Point.fromBytes(bytes, false);
  } catch {
    return null;
  }
}

/** Keys that have passed: a roster of hundreds is read again and again. Bounded; public keys only. */
const passed = new Set();

/** REQ-PRIM-06: a canonical point of the subgroup of order L, and not the neutral element. */
export function checkSignKey(key) {
  failIf(key.length !== 32, 'bad-key');
  const name = hex(key);
  if (passed.has(name)) return;
  const point = decodePoint(key);
  failIf(point === null || point.is0() || !point.isTorsionFree(), 'bad-key');
  if (passed.size >= 4096) passed.clear();
  passed.add(name);
}

/** What a signature is over (REQ-PRIM-07). */
function signedMessage(name, parts) {
  return encode([ascii('Evanesce 1'), label(name), ...parts]);
}

/** `sign(private, label, *parts)` of 3.4. */
export function sign(seed, name, ...parts) {
  failIf(seed.length !== 32, 'bad-input');
  return ed25519.sign(signedMessage(name, parts), seed);
}

/** `verify(public, signature, label, *parts)` of 3.4. */
export function verify(key, signature, name, ...parts) {
  verifyBytes(key, signature, signedMessage(name, parts));
}

/** The steps of `verify`, over a message as it stands: without the cofactor, comparing bytes. */
export function verifyBytes(key, signature, message) {
  failIf(key.length !== 32 || signature.length !== 64, 'bad-signature');
  const r = signature.slice(0, 32);
  const s = littleEndian(signature.slice(32));
  failIf(s >= L, 'bad-signature');
  const A = decodePoint(key);
  failIf(A === null || A.isSmallOrder(), 'bad-signature');
  const R = decodePoint(r);
  failIf(R === null || R.isSmallOrder(), 'bad-signature');
  const h = littleEndian(sha512(concat(r, key, message))) % L;
  const expected = Point.BASE.multiplyUnsafe(s).subtract(A.multiplyUnsafe(h));
  failIf(!equal(expected.toBytes(), r), 'bad-signature');
}

/** `encrypt(key, plaintext)` of 3.5. */
export function encrypt(key, plaintext) {
  failIf(key.length !== 32, 'bad-input');
  return chacha20poly1305(key, NONCE).encrypt(plaintext);
}

/** `decrypt(key, ciphertext)` of 3.5. */
export function decrypt(key, ciphertext) {
  failIf(key.length !== 32, 'bad-input');
  failIf(ciphertext.length < 16, 'bad-ciphertext');
  try {
    return chacha20poly1305(key, NONCE).decrypt(ciphertext);
  } catch {
    refuse('bad-ciphertext');
  }
}

/** REQ-PRIM-19. */
export function checkSuite(suite) {
  failIf(suite !== SUITE, 'unknown-suite');
}
