/** What one device lives through in one room (20.6). */

import { createHash } from 'node:crypto';

import { equal, erase, hex, unhex } from './bytes.js';
import { applyCommit, makeOwnCommit } from './committing.js';
import { dispatch } from './envelope.js';
import { Refusal, failIf, hold } from './errors.js';
import { foundRoom, joinRoom } from './founding.js';
import { packageHash } from './keypackage.js';
import { plainHash } from './primitives.js';
import { knownRandom } from './random.js';
import { Room } from './room.js';
import { receiveRequest } from './requests.js';
import { receiveMessage, sendMessage } from './talking.js';
import { directoryFrom, guestFrom, hexOrNull, mailboxFrom, packageKeysFrom, unhexOrNull, untagged } from './values.js';

/** What is told of the epoch that is current. */
export function current(room) {
  const { number, transcript, context } = room.current;
  return { number, transcript: hex(transcript), context: hex(context) };
}

const evictedTo = (evicted) => evicted.map(([member, number]) => [hex(member), number]);

const STEPS = ['found', 'join', 'send', 'receive', 'commit', 'export', 'look', 'restart'];

/** A device with one room at most, driven by steps. */
export class Session {
  /** @param {import('./identity.js').Owner} owner */
  constructor(owner) {
    this.owner = owner;
    /** @type {Room | null} */ this.room = null;
    /** @type {Uint8Array | null} hash of the package by which it has asked to be let in anew (REQ-EPOCH-25) */
    this.asked = null;
    /** @type {string[]} hashes of the invitations that have been accepted (REQ-ID-15) */
    this.accepted = [];
  }

  digest() {
    return createHash('sha256').update(JSON.stringify(this)).digest('hex');
  }

  toJSON() {
    return { room: this.room, accepted: this.accepted, asked: hexOrNull(this.asked) };
  }

  /** The room, which most steps need. */
  needRoom() {
    failIf(this.room === null, 'unknown-room');
    return this.room;
  }

  /**
   * One step and what came of it.
   * @param {object} step
   * @param {import('./random.js').Source} [random] in the place of the step's own
   */
  step(step, random) {
    return this.attempt(() => this.run(step, random));
  }

  /** The result of some work on the state: what it returns, or the refusal that it fails with. */
  attempt(work) {
    let result;
    try {
      result = work();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      result = { outcome: error.held ? 'held' : 'rejected', reason: error.reason };
    }
    return { ...result, digest: this.digest() };
  }

  run(step, given) {
    if (!STEPS.includes(step.do)) throw new Error(`no such step: ${step.do}`);
    if (given || step.random === undefined) return this[step.do](step, given);
    const known = knownRandom(unhex(step.random));
    const result = this[step.do](step, known);
    if (known.left() > 0) throw new Error('fewer random bytes drawn than there are');
    return result;
  }

  found({ policy, guests, name, mailbox, now }, random) {
    failIf(this.room !== null && !this.room.removed, 'bad-input');
    const wish = { policy, guests: guests.map(guestFrom), name, mailbox: mailboxFrom(mailbox), now };
    const { room, secret, invitations } = foundRoom(this.owner, wish, random);
    erase(secret);
    this.room = room;
    return {
      outcome: 'event', event: 'founded',
      out: { room: hex(room.id), me: hex(room.me), ...current(room), invitations: invitations.map(hex) },
    };
  }

  join({ package: json, invitation, now }) {
    const keys = packageKeysFrom(json);
    return this.joinWith((named) => (equal(named, packageHash(keys.signed)) ? keys : null), unhex(invitation), now);
  }

  /** *receive invitation* of 12.5. */
  joinWith(findPackage, invitation, now, joined = () => {}) {
    const name = hex(plainHash(invitation));
    if (!this.accepted.includes(name)) {
      const entered = joinRoom(this.owner, findPackage, invitation, now);
      const { room } = entered;
      const anew = entered.resynced && this.asked !== null && equal(this.asked, entered.package.hash);
      if (this.room !== null && equal(this.room.id, room.id) && !this.room.removed && !anew) hold('already-member');
      this.room = room;
      if (anew) this.asked = null;
      this.accepted.push(name);
      joined(entered);
    }
    const room = this.needRoom();
    return {
      outcome: 'event', event: 'joined', out: { room: hex(room.id), me: hex(room.me), ...current(room) },
    };
  }

  send({ content, now }, random) {
    const sent = sendMessage(this.needRoom(), unhex(content), now, random);
    const { message, id, number, transcript, index } = sent;
    return {
      outcome: 'event', event: 'sent',
      out: { message: hex(message), id: hex(id), number, transcript: hex(transcript), index },
    };
  }

  receive({ data, now }) {
    const room = this.needRoom();
    const bytes = unhex(data);
    const type = dispatch('room', bytes);
    if (type === 'message') return heard(receiveMessage(room, bytes, now));
    if (type === 'commit copy') return followed(room, applyCommit(room, bytes, now));
    return requested(receiveRequest(room, bytes, now));
  }

  commit({ operations, guests, directory, now }, random) {
    const room = this.needRoom();
    const wish = {
      operations: operations.map(untagged), guests: guests.map(guestFrom), directory: directory.map(directoryFrom), now,
    };
    const { sealed, slots, invitations } = makeOwnCommit(room, wish, random);
    return {
      outcome: 'event', event: 'committed',
      out: {
        commit: hex(sealed),
        slots: slots.map(([member, slot]) => [hex(member), hexOrNull(slot)]),
        invitations: invitations.map(hex),
        ...current(room),
      },
    };
  }

  export({ label, size }) {
    return { outcome: 'event', event: 'exported', out: { secret: hex(this.needRoom().export(unhex(label), size)) } };
  }

  look({ now }) {
    this.needRoom().look(now);
    return { outcome: 'event', event: 'looked', out: {} };
  }

  /** Write the state, forget everything, and read it again. */
  restart() {
    const { room, accepted, asked } = JSON.parse(JSON.stringify(this));
    this.room = room && Room.fromJSON(this.owner, room);
    this.accepted = accepted;
    this.asked = unhexOrNull(asked);
    return { outcome: 'event', event: 'restarted', out: {} };
  }
}

/** What an accepted message comes to. */
function heard(message) {
  const { type, sender, number, index, id, content, afterView, lifetime, missing, lost, evicted } = message;
  const out = {
    sender: hex(sender), number, index, id: hex(id), content: hex(content), missing, lost,
    evicted: evictedTo(evicted),
  };
  if (type === 'announcement') return { outcome: 'event', event: 'announced', out };
  if (type === 'leave' || type === 'viewed' || type === 'burn') return { outcome: 'event', event: type, out };
  return { outcome: 'delivered', out: { ...out, after_view: afterView, lifetime } };
}

/** What an accepted request comes to. These events are no part of 20.6: requests do not occur in its sessions. */
function requested({ type, member, copies, signed }) {
  const out = { member: hex(member), ...(copies ? { copies: copies.map(hex) } : { signed: hex(signed) }) };
  return { outcome: 'event', event: type, out };
}

/** What an applied commit comes to. */
function followed(room, { removed, committer }) {
  if (removed) return { outcome: 'event', event: 'removed', out: {} };
  return { outcome: 'event', event: 'committed', out: { committer: hex(committer), ...current(room) } };
}
