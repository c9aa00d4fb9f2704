/** Where random bytes come from: the operating system, or a string that a test vector gives (1.4). */

import { randomBytes } from 'node:crypto';

/**
 * A source is a function that draws n bytes.
 * @typedef {(n: number) => Uint8Array} Source
 */

/** @type {Source} */
export const systemRandom = (n) => new Uint8Array(randomBytes(n));

/**
 * A source that hands out known bytes, and complains when there are too few.
 * @param {Uint8Array} bytes
 * @returns {Source & { left: () => number }}
 */
export function knownRandom(bytes) {
  let at = 0;
  const draw = (n) => {
    if (at + n > bytes.length) throw new Error('more random bytes drawn than there are');
    at += n;
    return bytes.slice(at - n, at);
  };
  draw.left = () => bytes.length - at;
  return draw;
}
