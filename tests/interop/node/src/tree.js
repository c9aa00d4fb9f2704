/** The tree of epochs (10.9): which one leads to which, and which sibling counts. */

import { equal } from './bytes.js';

const BUCKET = 3600;
/** How many epochs a trail has before the one that is opened. */
export const TRAIL = 255;

/**
 * REQ-EPOCH-20.
 * @param {[number, number]} authority
 * @param {number} parentTime that of what opened the parent
 * @param {number} time of the commit
 * @param {{ role: number, seniority: number }} committer at the parent
 * @returns {[number, number, number, number, number]}
 */
export function orderOf(authority, parentTime, time, { role, seniority }) {
  return [...authority, Math.floor(Math.max(0, time - parentTime) / BUCKET), 2 - role, seniority];
}

/** Whether an order comes first. */
export function isBefore(a, b) {
  const at = a.findIndex((item, i) => item !== b[i]);
  return at >= 0 && a[at] < b[at];
}

/** @returns {import('./epoch.js').Epoch | undefined} the kept parent */
function parentOf(epochs, { parent }) {
  return parent === null ? undefined : epochs.find(({ transcript }) => equal(transcript, parent));
}

/** @returns {import('./epoch.js').Epoch[]} the kept epochs that lead to one, the newest first */
export function leadingTo(epochs, epoch) {
  if (epoch.direct) return epochs.filter(({ number }) => number < epoch.number).reverse();
  const found = [];
  for (let at = parentOf(epochs, epoch); at !== undefined; at = parentOf(epochs, at)) found.push(at);
  return found;
}

/** Whether *a* leads to *b*. */
export function leadsTo(epochs, a, b) {
  return leadingTo(epochs, b).includes(a);
}

/** The path of a room: what leads to the current epoch, and that one, the newest first. */
export function pathOf({ epochs, current }) {
  return [current, ...leadingTo(epochs, current)];
}

/** Step 3 of REQ-EPOCH-27: whether a commit of that order on *parent* leads. */
export function leads(room, parent, order) {
  const path = pathOf(room);
  const place = path.indexOf(parent);
  if (place < 0) return false;
  const follows = place === 0 ? room.removal : path[place - 1].order;
  return follows === null || isBefore(order, follows);
}

/**
 * REQ-EPOCH-30: whether this device has opened or spoken in a kept epoch that is not on its path. Of a place that it
 * has been moved from nothing is kept but what opens messages (REQ-ENV-24), so what it did there is not counted.
 */
export function hasStrayed(room) {
  const path = pathOf(room);
  const own = (epoch) => epoch.leaf !== null && (epoch.spoken || equal(epoch.opener, room.me));
  return room.epochs.some((epoch) => own(epoch) && !path.includes(epoch));
}

/**
 * The trail of a welcome that this device makes, without the epoch that it opens (7.5).
 * @returns {[Uint8Array, number[] | null][]}
 */
export function trailOf(room) {
  return pathOf(room).reverse().map(({ prefix, order }) => [prefix, order]);
}

/** REQ-ENV-24: the trail by which this device has come, and gone on. */
function ownTrail(room) {
  if (room.joined === null) return trailOf(room);
  const since = pathOf(room).filter(({ transcript }) => !equal(transcript, room.joined.name)).reverse();
  return [...room.joined.trail, ...since.map(({ prefix, order }) => [prefix, order])];
}

/** Whether *theirs* wins against *mine*, if the last commits of these trails have those times. */
export function trailWins(mine, myTime, theirs, theirTime) {
  const shared = mine.map(([prefix]) => theirs.findLastIndex((each) => equal(each[0], prefix)));
  const last = shared.findLastIndex((place) => place >= 0);
  if (last < 0) return theirTime > myTime;
  const next = theirs[shared[last] + 1];
  const own = mine[last + 1];
  if (next === undefined || own === undefined) return false;
  if (next[1] === null || own[1] === null) return next[1] !== null;
  return isBefore(next[1], own[1]);
}

/** Whether an invitation, by which one has come to another place of the room, wins against this place. */
export function wins(place, room) {
  return trailWins(ownTrail(room), room.current.time, ownTrail(place), place.current.time);
}
