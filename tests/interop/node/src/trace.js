/** Values on the way, for a harness that shows where an answer went wrong (21.3). Off unless asked for. */

import { hex } from './bytes.js';

const MOST = 200;

/** @type {[string, string][] | null} */
let values = null;

/**
 * Note a value under its name in the formulas.
 * @template T
 * @param {string} name
 * @param {T & Uint8Array} bytes
 * @returns {T}
 */
export function trace(name, bytes) {
  if (values !== null && values.length < MOST) values.push([name, hex(bytes)]);
  return bytes;
}

/** Run something, and return its result or error beside what was noted. */
export function traced(work) {
  values = [];
  try {
    return { result: work(), trace: values };
  } catch (error) {
    return { error, trace: values };
  } finally {
    values = null;
  }
}
