/** The ratchet that moves with each message (chapter 8). */

import { compare, hex } from './bytes.js';
import { failIf } from './errors.js';
import { hash, kdf } from './primitives.js';
import { trace } from './trace.js';

const MAX_SKIP = 1000;
const MAX_SKIPPED = 1000;
const MAX_SKIPPED_ROOM = 4000;
const MAX_AGE = 259200;
export const LAST_INDEX = 2 ** 32 - 1;

/** REQ-CHAIN-01. */
export function step(chainKey) {
  const both = kdf(chainKey, 'chain', [], 64);
  return { next: both.slice(0, 32), messageKey: both.slice(32) };
}

/** REQ-CHAIN-02. */
export function messageSalt(messageKey, fresh, padded) {
  return kdf(messageKey, 'salt', [fresh, padded], 16);
}

/** What a message's keys are bound to: its header and the context of its epoch. */
export function headerHash(header, context) {
  return trace('header hash', hash('header', header, context));
}

/** REQ-CHAIN-03. */
export function messageKeys(messageKey, headerHashed) {
  const both = kdf(messageKey, 'message', [headerHashed], 64);
  return { key: both.slice(0, 32), com: both.slice(32) };
}

/** What a receiver keeps of another member's chain (8.3). Change a copy, and keep the copy. */
export class Chain {
  /** @param {Uint8Array | null} key none once the chain is closed */
  constructor(key, index = 0, skipped = []) {
    this.key = key;
    this.index = index;
    /** @type {{ index: number, key: Uint8Array, time: number }[]} lowest index first */
    this.skipped = skipped;
  }

  copy() {
    return new Chain(this.key, this.index, this.skipped.slice());
  }

  get closed() {
    return this.key === null;
  }

  /**
   * REQ-CHAIN-05: the message key of index n.
   * @returns {{ messageKey: Uint8Array, skips: number, dropped: boolean }} how many indices it skips,
   *   and whether the limit of the chain has cost a key
   */
  at(n, now) {
    if (n < this.index) {
      const place = this.skipped.findIndex((entry) => entry.index === n);
      failIf(place < 0, 'replay');
      const [{ key }] = this.skipped.splice(place, 1);
      return { messageKey: key, skips: 0, dropped: false };
    }
    failIf(this.closed, 'beyond-count');
    const skips = n - this.index;
    failIf(skips > MAX_SKIP, 'jump-too-far');
    const dropped = this.advance(n, now);
    const { next, messageKey } = step(this.key);
    this.key = next;
    this.index = n + 1;
    return { messageKey, skips, dropped };
  }

  /** Put the message keys below n aside. Returns whether the limit of the chain has cost a key. */
  advance(n, now) {
    for (let i = this.index; i < n; i++) {
      const { next, messageKey } = step(this.key);
      this.key = next;
      this.skipped.push({ index: i, key: messageKey, time: now });
    }
    const excess = this.skipped.length - MAX_SKIPPED;
    if (excess <= 0) return false;
    this.skipped.splice(0, excess);
    return true;
  }

  /**
   * REQ-CHAIN-09.
   * @returns {{ skips: number, gap: boolean }} how many indices it puts aside, and whether messages are lost
   */
  close(count, now) {
    if (this.closed) return { skips: 0, gap: false };
    failIf(count < this.index, 'bad-count');
    const skips = count - this.index;
    if (skips > MAX_SKIP) {
      this.key = null;
      return { skips: 0, gap: true };
    }
    const gap = this.advance(count, now);
    this.key = null;
    this.index = count;
    return { skips, gap };
  }

  /** REQ-CHAIN-12. */
  expire(now) {
    this.skipped = this.skipped.filter((entry) => now - entry.time <= MAX_AGE);
  }
}

/**
 * REQ-CHAIN-10, on copies of the chains.
 * @param {{ member: Uint8Array, chain: Chain }[]} chains of the room, oldest epoch first
 * @returns {[Uint8Array, number][]} who has been evicted of how many
 */
export function keepLimit(chains) {
  let excess = chains.reduce((sum, { chain }) => sum + chain.skipped.length, 0) - MAX_SKIPPED_ROOM;
  const evicted = [];
  if (excess <= 0) return evicted;
  const members = new Map();
  for (const { member, chain } of chains) {
    const name = hex(member);
    if (!members.has(name)) members.set(name, { member, count: 0, chains: [] });
    const entry = members.get(name);
    entry.count += chain.skipped.length;
    entry.chains.push(chain);
  }
  const order = [...members.values()].sort((a, b) => b.count - a.count || compare(b.member, a.member));
  for (const { member, count, chains: own } of order) {
    if (excess <= 0) break;
    let drop = Math.min(excess, count);
    evicted.push([member, drop]);
    excess -= drop;
    for (const chain of own) drop -= chain.skipped.splice(0, drop).length;
  }
  return evicted;
}
