/** Policies, contents, and how long they live (chapter 13, REQ-MEM-12). */

import { failIf, refuse } from './errors.js';
import { OBJECTS, check, nameOf, open } from './objects.js';
import { checkDhKey } from './primitives.js';

const LONGEST = 259200;

export const DIRECT = 0;
export const SIGNED = 1;
const DENIABLE = 2;

/** REQ-EVAP-01. */
function checkEvaporation(afterView, lifetime) {
  failIf(lifetime < 1 || lifetime > LONGEST, 'bad-policy');
  failIf(afterView !== null && afterView > LONGEST, 'bad-policy');
}

/**
 * REQ-MEM-12.
 * @param {[number, boolean, number | null, number]} policy
 */
export function checkPolicy([mode, , afterView, lifetime]) {
  checkEvaporation(afterView, lifetime);
  failIf(![0, 1, 2].includes(mode), 'bad-policy');
  failIf(mode === DENIABLE, 'wrong-mode');
}

/**
 * REQ-EVAP-02: the stricter of two, each part for itself.
 * @param {[number | null, number]} own after_view and lifetime of the message
 * @param {[number | null, number]} room those of the room
 */
export function stricter([afterOwn, lifetimeOwn], [afterRoom, lifetimeRoom]) {
  const views = [afterOwn, afterRoom].filter((value) => value !== null);
  return {
    afterView: views.length > 0 ? Math.min(...views) : null,
    lifetime: Math.min(lifetimeOwn, lifetimeRoom),
  };
}

/** REQ-EVAP-03, 04: when a message evaporates. */
export function deadline(sent, received, afterView, lifetime, viewed) {
  const last = Math.min(sent, received) + lifetime;
  return viewed === null || afterView === null ? last : Math.min(last, viewed + afterView);
}

/**
 * REQ-EVAP-10.
 * @param {Uint8Array} data
 * @returns {{ type: string, fields: Array }}
 */
export function readContent(data) {
  const items = open(data, OBJECTS.text.limit);
  const type = items[1] >= 32 && items[1] <= 37 ? nameOf(items[1]) : refuse('wrong-type');
  const fields = check(items, type);
  if (type === 'text' || type === 'data') checkEvaporation(fields[1], fields[2]);
  if (type === 'announcement') checkDhKey(fields[1][1]);
  return { type, fields };
}
