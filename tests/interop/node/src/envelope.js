/** Mailboxes and envelopes (chapter 12). */

import { concat, equal, erase } from './bytes.js';
import { failIf, refuse } from './errors.js';
import { OBJECTS, make, nameOf, open, parse } from './objects.js';
import { checkSignKey, combine, decrypt, dh, dhPublic, encrypt, hash, signPublic, verify } from './primitives.js';

const LARGEST = 2097152;
const SMALL = [512, 1024, 2048, 4096, 8192, 16384];

/** REQ-ENV-05: the smallest length of an envelope that is not less than `least`. */
export function envelopeSize(least) {
  if (least <= 16384) return SMALL.find((size) => size >= least);
  const e = least.toString(2).length - 1;
  const s = e.toString(2).length;
  const unit = 2 ** (e - s);
  return Math.ceil(least / unit) * unit;
}

/** The largest payload of an envelope of that size. */
export function capacity(size) {
  return size - (size - 40 < 65536 ? 40 : 42) - 17;
}

/** REQ-ENV-06. */
export function pad(data, size) {
  failIf(size <= data.length, 'bad-input');
  return concat(data, Uint8Array.of(0x80), new Uint8Array(size - data.length - 1));
}

/** REQ-ENV-06. */
export function unpad(padded) {
  let end = padded.length;
  while (end > 0 && padded[end - 1] === 0) end -= 1;
  failIf(end === 0 || padded[end - 1] !== 0x80, 'bad-padding');
  return padded.slice(0, end - 1);
}

/** REQ-ENV-01: the address that a read key has. */
export function mailboxAddress(readKey) {
  return hash('mailbox', readKey);
}

/** What senders know of a mailbox, from its keys. */
export function mailboxOf({ readSeed, envelopePrivate, capability }) {
  return {
    address: mailboxAddress(signPublic(readSeed)),
    envelopeKey: dhPublic(envelopePrivate),
    capability,
  };
}

function envelopeKey(shared, mailbox, ephemeralKey) {
  const transcript = hash('envelope transcript', mailbox.address, mailbox.envelopeKey, ephemeralKey);
  return combine('envelope', [shared], transcript);
}

/**
 * REQ-ENV-03. Draws: ephemeral key 32.
 * @param {import('./keypackage.js').Mailbox} mailbox
 * @param {Uint8Array} payload
 * @param {import('./random.js').Source} random
 */
export function sealEnvelope(mailbox, payload, random) {
  const n = payload.length;
  let size = envelopeSize(n + 57);
  if (capacity(size) < n) size = envelopeSize(n + 59);
  failIf(size > LARGEST, 'too-large');
  const ephemeral = random(32);
  const ephemeralKey = dhPublic(ephemeral);
  const shared = dh(ephemeral, mailbox.envelopeKey);
  const key = envelopeKey(shared, mailbox, ephemeralKey);
  const sealed = encrypt(key, pad(payload, capacity(size) + 1));
  erase(shared, key, ephemeral);
  return make('envelope', ephemeralKey, sealed);
}

/** REQ-ENV-04. */
export function openEnvelope(keys, data) {
  const [ephemeralKey, sealed] = parse(data, 'envelope');
  failIf(envelopeSize(data.length) !== data.length, 'bad-form');
  const shared = dh(keys.envelopePrivate, ephemeralKey);
  return unpad(decrypt(envelopeKey(shared, mailboxOf(keys), ephemeralKey), sealed));
}

const TAKEN = {
  contact: ['invitation', 'opening', 'message', 'commit copy', 'signed object'],
  room: ['message', 'commit copy', 'signed object'],
};

/**
 * Steps 1 and 2 of `dispatch` (REQ-ENV-07).
 * @param {'contact' | 'room'} kind which mailbox it is
 * @param {Uint8Array} payload
 * @returns {string} the name of the type
 */
export function dispatch(kind, payload) {
  const [first, second, third] = payload;
  const told = payload.length >= 3 && first >= 0x92 && first <= 0x9f && second === 1 && third <= 0x7f;
  const type = told ? nameOf(third) : undefined;
  if (type !== undefined && TAKEN[kind].includes(type)) return type;
  open(payload, OBJECTS.envelope.limit);
  refuse('wrong-type');
}

/** REQ-ENV-10, the relay's side. */
export function checkMailboxProof(address, readKey, challenge, proof) {
  failIf(!equal(mailboxAddress(readKey), address), 'not-permitted');
  checkSignKey(readKey);
  verify(readKey, proof, 'read mailbox', address, challenge);
}
