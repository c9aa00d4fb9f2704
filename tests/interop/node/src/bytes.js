/** Byte strings: comparing, joining, hexadecimal. Bytes are Uint8Array throughout. */

/** 32 zero bytes: the key of combinations (REQ-PRIM-18), the transcript before a genesis. */
export const ZEROS = new Uint8Array(32);

/**
 * @param {Uint8Array} bytes
 * @returns {string} lowercase hexadecimal; also used as the key of maps
 */
export function hex(bytes) {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/**
 * @param {string} text lowercase hexadecimal
 * @returns {Uint8Array}
 */
export function unhex(text) {
  const good = typeof text === 'string' && text.length % 2 === 0 && !/[^0-9a-f]/.test(text);
  if (!good) throw new TypeError('not hexadecimal');
  return new Uint8Array(Buffer.from(text, 'hex'));
}

/**
 * @param {string} text ASCII
 * @returns {Uint8Array}
 */
export function ascii(text) {
  return new Uint8Array(Buffer.from(text, 'latin1'));
}

/**
 * @param {...Uint8Array} parts
 * @returns {Uint8Array}
 */
export function concat(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/**
 * Whether two byte strings are the same, in a time that does not depend on where they differ
 * (REQ-PRIM-15).
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 */
export function equal(a, b) {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i] ^ b[i];
  return difference === 0;
}

/**
 * The order of byte strings: negative, zero or positive.
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 */
export function compare(a, b) {
  return Buffer.compare(a, b);
}

/** @param {unknown} value */
export function isBytes(value) {
  return value instanceof Uint8Array;
}

/**
 * Overwrite a secret, as far as the platform lets us.
 * @param {...(Uint8Array | null | undefined)} secrets
 */
export function erase(...secrets) {
  for (const secret of secrets) secret?.fill(0);
}
