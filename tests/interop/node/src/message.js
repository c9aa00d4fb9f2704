/** Header, sealing and opening of a message (11.1 to 11.4). */

import { equal, erase } from './bytes.js';
import { headerHash, messageKeys, messageSalt } from './chain.js';
import { binHead } from './encoding.js';
import { capacity, envelopeSize, pad, unpad } from './envelope.js';
import { failIf } from './errors.js';
import { DIRECT } from './evaporation.js';
import { make, parse } from './objects.js';
import { decrypt, encrypt, hash, sign, verify } from './primitives.js';

const FIELDS = ['room', 'prefix', 'sender', 'index', 'salt', 'lastSpoken', 'flags', 'turn'];
const SALT = FIELDS.indexOf('salt');

/** The fields of a header, by name. */
function named(fields) {
  return Object.fromEntries(FIELDS.map((name, i) => [name, fields[i]]));
}

/** REQ-MSG-02. */
export function messageId(header, body) {
  return hash('message id', header, hash('ciphertext', body)).slice(0, 16);
}

/** REQ-MSG-04: how long the ciphertext of a content is. */
export function ciphertextSize(headerLength, authenticatorLength, contentLength) {
  const fixed = 3 + binHead(headerLength) + headerLength + binHead(authenticatorLength) + authenticatorLength;
  const least = contentLength + 17;
  const needed = fixed + binHead(least) + least;
  // The smallest size with enough capacity: at most two steps from what the head without capacity asks.
  let size = envelopeSize(needed + 57);
  if (capacity(size) < needed) size = envelopeSize(size + 1);
  const space = capacity(size) - fixed;
  const n = [2, 3, 5].map((head) => space - head).find((length) => binHead(length) + length <= space);
  return Math.max(n, least);
}

/**
 * REQ-MSG-03.
 * @param {Array} fields of the header, with any salt
 * @param {Uint8Array} context
 * @param {Uint8Array} messageKey
 * @param {Uint8Array} content
 * @param {Uint8Array} fresh 16 random bytes
 * @param {Uint8Array | null} roomSeed of the sender's room signature key; null in direct mode
 */
export function sealMessage(fields, context, messageKey, content, fresh, roomSeed) {
  const draft = fields.slice();
  draft[SALT] = new Uint8Array(16);
  const length = make('header', ...draft).length;
  const size = ciphertextSize(length, roomSeed === null ? 32 : 64, content.length);
  const padded = pad(content, size - 16);
  draft[SALT] = messageSalt(messageKey, fresh, padded);
  const header = make('header', ...draft);
  const { key, com } = messageKeys(messageKey, headerHash(header, context));
  const body = encrypt(key, padded);
  const authenticator = roomSeed === null ? com
    : sign(roomSeed, 'message', header, com, hash('ciphertext', body));
  erase(padded);
  return { message: make('message', header, body, authenticator), id: messageId(header, body), key };
}

/** Step 1 of REQ-MSG-07: a message and its header, in form. */
export function parseMessage(data) {
  const [header, body, authenticator] = parse(data, 'message');
  return { header, body, authenticator, ...named(parse(header, 'header')) };
}

/**
 * REQ-MSG-05.
 * @param {object} message as `parseMessage` gives it
 * @param {Uint8Array} context
 * @param {Uint8Array} messageKey
 * @param {number} mode
 * @param {Uint8Array} roomSignKey of the sender
 */
export function openMessage({ header, body, authenticator }, context, messageKey, mode, roomSignKey) {
  const { key, com } = messageKeys(messageKey, headerHash(header, context));
  failIf(authenticator.length !== (mode === DIRECT ? 32 : 64), 'bad-form');
  if (mode === DIRECT) failIf(!equal(com, authenticator), 'bad-commitment');
  else verify(roomSignKey, authenticator, 'message', header, com, hash('ciphertext', body));
  return { content: unpad(decrypt(key, body)), id: messageId(header, body), key };
}
