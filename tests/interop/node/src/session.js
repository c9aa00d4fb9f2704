/** What one device lives through in one room (20.6). */

import { createHash } from 'node:crypto';

import { equal, erase, hex, unhex } from './bytes.js';
import { applyCommit, makeOwnCommit } from './committing.js';
import { dispatch } from './envelope.js';
import { Refusal, failIf, hold } from './errors.js';
import { foundRoom, joinRoom } from './founding.js';
import { sameIdentity } from './identity.js';
import { packageHash } from './keypackage.js';
import { MEMBER } from './membership.js';
import { plainHash } from './primitives.js';
import { knownRandom } from './random.js';
import { Room } from './room.js';
import { receiveRequest } from './requests.js';
import { receiveMessage, sendMessage } from './talking.js';
import { wins } from './tree.js';
import { directoryFrom, guestFrom, hexOrNull, mailboxFrom, packageKeysFrom, unhexOrNull, wishFrom } from './values.js';

/** What is told of the epoch that is current. */
export function current(room) {
  const { number, transcript, context } = room.current;
  return { number, transcript: hex(transcript), context: hex(context) };
}

const evictedTo = (evicted) => evicted.map(([member, number]) => [hex(member), number]);

/** REQ-ENV-24: whether an invitation moves a device that is in the group already. */
function moves(room, entered, now) {
  if (room.direct || room.joined === null || now - room.since > MAX_SINCE) return false;
  const mayAdmit = ({ roster, policy }) => {
    const inviter = roster.members.find(({ identity }) => sameIdentity(identity, entered.inviter));
    return inviter !== undefined && (inviter.role !== MEMBER || policy[1]);
  };
  const { transcript } = entered.room.current;
  const known = room.epochs.some((epoch) => equal(epoch.transcript, transcript));
  return mayAdmit(room.current) && !known && wins(entered.room, room);
}

const MAX_SINCE = 259200;

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

  /** *receive invitation* of 12.5; without step 1, as 20.6 has it, unless something is `joined` with the result. */
  joinWith(findPackage, invitation, now, joined = null) {
    const name = hex(plainHash(invitation));
    let event = 'joined';
    if (joined === null || !this.accepted.includes(name)) {
      const entered = joinRoom(this.owner, findPackage, invitation, now);
      const { room } = entered;
      const again = this.room !== null && equal(this.room.id, room.id);
      const asked = this.asked !== null && equal(this.asked, entered.package.hash);
      const anew = asked && entered.resynced && again;
      failIf(asked && !anew, 'unknown-package');
      if (again && !this.room.removed && (!anew || wins(this.room, room))) {
        if (!moves(this.room, entered, now)) hold('already-member');
        room.moveFrom(this.room, now);
        event = 'moved';
      }
      if (again) room.remember(this.room);
      this.room = room;
      if (anew) this.asked = null;
      this.accepted.push(name);
      joined?.(entered);
    }
    const room = this.needRoom();
    return {
      outcome: 'event', event, out: { room: hex(room.id), me: hex(room.me), ...current(room) },
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
      operations: operations.map(wishFrom), guests: guests.map(guestFrom), directory: directory.map(directoryFrom), now,
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

/** What a commit comes to. */
function followed(room, { fate, committer, epoch, number, transcript }) {
  const author = { committer: hex(committer) };
  switch (fate) {
    case 'removes':
      return { outcome: 'event', event: 'removed', out: {} };
    case 'convicts':
      return { outcome: 'event', event: 'equivocated', out: author };
    case 'loses': {
      const out = { ...author, number, transcript: hex(transcript), context: hexOrNull(epoch && epoch.context) };
      return { outcome: 'event', event: 'lost', out };
    }
    default:
      return { outcome: 'event', event: 'committed', out: { ...author, ...current(room) } };
  }
}
