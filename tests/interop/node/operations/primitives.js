/** Operations of 20.5 on chapters 3 and 4. */

import { concat, hex, unhex } from '../src/bytes.js';
import { decode } from '../src/encoding.js';
import { parse } from '../src/objects.js';
import * as crypto from '../src/primitives.js';
import { tagged, untagged } from '../src/values.js';

/** A long input: pairs of bytes and how often they are repeated. */
function repeated(pairs) {
  const buffers = pairs.map(([bytes, times]) => {
    const piece = unhex(bytes);
    return new Uint8Array(Buffer.alloc(piece.length * times, Buffer.from(piece)));
  });
  return concat(...buffers);
}

/** Type and size of a value. */
function told(value) {
  if (typeof value === 'string') return { type: 'str', size: Buffer.byteLength(value) };
  return { type: Array.isArray(value) ? 'array' : 'bin', size: value.length };
}

/** A field: type and size only, where it has a size. */
function toldField(value) {
  return value !== null && typeof value === 'object' || typeof value === 'string' ? told(value) : tagged(value);
}

export const primitives = {
  kdf: ({ key, label, parts, size }) => ({
    output: hex(crypto.kdf(unhex(key), unhex(label), parts.map(untagged), size)),
  }),
  hash: ({ label, parts }) => ({ output: hex(crypto.hash(unhex(label), ...parts.map(untagged))) }),
  dh: (input) => ({ shared: hex(crypto.dh(unhex(input.private), unhex(input.public))) }),
  'dh public': (input) => ({ public: hex(crypto.dhPublic(unhex(input.private))) }),
  'check dh key': (input) => {
    crypto.checkDhKey(unhex(input.public));
    return {};
  },
  sign: ({ seed, label, parts }) => ({
    public: hex(crypto.signPublic(unhex(seed))),
    signature: hex(crypto.sign(unhex(seed), unhex(label), ...parts.map(untagged))),
  }),
  verify: ({ public: key, signature, label, parts }) => {
    crypto.verify(unhex(key), unhex(signature), unhex(label), ...parts.map(untagged));
    return {};
  },
  'verify bytes': ({ public: key, signature, message }) => {
    crypto.verifyBytes(unhex(key), unhex(signature), unhex(message));
    return {};
  },
  'check sign key': (input) => {
    crypto.checkSignKey(unhex(input.public));
    return {};
  },
  encrypt: ({ key, plaintext }) => ({ ciphertext: hex(crypto.encrypt(unhex(key), unhex(plaintext))) }),
  decrypt: ({ key, ciphertext }) => ({ plaintext: hex(crypto.decrypt(unhex(key), unhex(ciphertext))) }),
  decode: ({ data, limit }) => ({ value: tagged(decode(unhex(data), limit)) }),
  'decode long': ({ data, limit }) => told(decode(repeated(data), limit)),
  parse: ({ form, data }) => ({ fields: parse(unhex(data), form).map(tagged) }),
  'parse long': ({ form, data }) => ({ fields: parse(repeated(data), form).map(toldField) }),
};
