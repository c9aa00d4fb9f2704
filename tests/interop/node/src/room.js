/** A room as one device keeps it, and the deletion schedule (11.6, chapter 14). */

import { createHash } from 'node:crypto';

import { equal, hex, unhex } from './bytes.js';
import { DIRECT } from './evaporation.js';
import { failIf } from './errors.js';
import { Epoch } from './epoch.js';
import { find } from './membership.js';
import { exportSecret } from './schedule.js';

const MAX_EPOCHS = 256;
const MAX_AGE = 259200;
const WEAK = 864000;
const REFRESH_AGE = 604800;
const REFRESH_COUNT = 256;
const COPY_AGE = 2592000;
const REQUEST_AGE = 259200;
const REPAIR_WINDOW = 10800;

/** The state of one room. What changes it works on copies until nothing can fail any more. */
export class Room {
  /**
   * @param {import('./identity.js').Owner} owner
   * @param {object} fields
   */
  constructor(owner, fields) {
    this.owner = owner;
    /** @type {Uint8Array} */ this.id = fields.id;
    /** @type {number} */ this.suite = fields.suite;
    /** @type {Uint8Array} */ this.me = fields.me;
    /** @type {Epoch[]} oldest first */ this.epochs = fields.epochs;
    /** The own chain in the current epoch. @type {{ key: Uint8Array, index: number } | null} */
    this.sending = fields.sending ?? null;
    /** @type {[Uint8Array, number] | null} */ this.lastSpoken = fields.lastSpoken ?? null;
    /** @type {Map<string, Uint8Array>} signed leave requests, by member */
    this.leaveRequests = fields.leaveRequests ?? new Map();
    /** @type {{ number: number, time: number, member: Uint8Array, copy: Uint8Array }[]} copies of own commits on the
     *  epoch of that number, for repair (REQ-EPOCH-23) */
    this.copies = fields.copies ?? [];
    /** @type {Map<string, number[]>} when a member's repair requests were accepted */
    this.repairs = fields.repairs ?? new Map();
    /** @type {Map<string, { signed: Uint8Array, time: number }>} the last of each member (REQ-EPOCH-26) */
    this.resyncRequests = fields.resyncRequests ?? new Map();
    this.removed = fields.removed ?? false;
    /** Whether it was founded or joined through a last-resort package, and when (REQ-INV-10). */
    this.lastResort = fields.lastResort ?? false;
    this.since = fields.since ?? 0;
    /** Time of the last own commit or turn, and the own messages since (REQ-EPOCH-16). */
    this.committed = fields.committed ?? this.since;
    this.sent = fields.sent ?? 0;
  }

  /** @returns {Epoch} */
  get current() {
    return this.epochs[this.epochs.length - 1];
  }

  get direct() {
    return this.current.policy[0] === DIRECT;
  }

  /** @returns {Epoch | undefined} the kept epoch with that prefix */
  named(prefix) {
    return this.epochs.find((epoch) => equal(epoch.prefix, prefix));
  }

  /** The other member of a direct room. */
  get peer() {
    return this.current.roster.members.find(({ id }) => !equal(id, this.me));
  }

  /**
   * REQ-DEL-02.
   * @param {Epoch} epoch
   * @param {Uint8Array | null} sending the first key of the own chain in it
   * @param {number} now
   * @param {Uint8Array[]} [anew] members that the commit resyncs: their requests are settled
   */
  enter(epoch, sending, now, anew = []) {
    const left = this.current;
    if (this.sending !== null && this.sending.index > 0) this.lastSpoken = [left.prefix, this.sending.index];
    left.superseded = now;
    left.exporter = null;
    left.inits.delete(hex(epoch.opener));
    if (epoch.direct) {
      left.inits.clear();
      left.handshakes.clear();
      left.leaf = null;
    }
    const gone = left.roster.members.map(({ id }) => id).filter((id) => find(epoch.roster, id) === undefined);
    for (const id of gone) {
      for (const { chains } of this.epochs) chains.delete(hex(id));
      this.leaveRequests.delete(hex(id));
      this.repairs.delete(hex(id));
    }
    for (const id of [...gone, ...anew]) this.resyncRequests.delete(hex(id));
    this.copies = this.copies.filter(({ member }) => ![...gone, ...anew].some((id) => equal(id, member)));
    this.epochs.push(epoch);
    this.sending = sending === null ? null : { key: sending, index: 0 };
    if (this.epochs.length > MAX_EPOCHS) this.epochs.splice(0, this.epochs.length - MAX_EPOCHS);
  }

  /** What proves that a member is in the epoch of that number: it has the copies that led there (12.6). */
  arrived(member, number) {
    this.copies = this.copies.filter((kept) => kept.number >= number || !equal(kept.member, member));
  }

  /** REQ-DEL-05. */
  close(now) {
    for (const epoch of this.epochs) {
      epoch.leaf = null;
      epoch.roomSeed = null;
      epoch.exporter = null;
      epoch.handshakes.clear();
      epoch.inits.clear();
    }
    this.sending = null;
    this.copies = [];
    this.repairs.clear();
    this.resyncRequests.clear();
    this.current.superseded = now;
    this.removed = true;
  }

  /** REQ-DEL-06: erase what has had its time. */
  look(now) {
    const due = (epoch) => epoch.superseded !== null && now - epoch.superseded > MAX_AGE;
    const { current } = this;
    if (due(current)) current.chains.clear();
    this.epochs = this.epochs.filter((epoch) => epoch === current || !due(epoch));
    for (const { chains } of this.epochs) {
      for (const chain of chains.values()) chain.expire(now);
    }
    this.copies = this.copies.filter(({ time }) => now - time <= COPY_AGE);
    for (const [name, { time }] of this.resyncRequests) if (now - time > REQUEST_AGE) this.resyncRequests.delete(name);
    for (const [name, times] of this.repairs) {
      const recent = times.filter((time) => now - time <= REPAIR_WINDOW);
      if (recent.length === 0) this.repairs.delete(name);
      else this.repairs.set(name, recent);
    }
  }

  /**
   * REQ-EPOCH-17.
   * @param {Uint8Array} label
   * @param {number} size
   */
  export(label, size) {
    failIf(!Number.isInteger(size) || size < 1 || size > 64, 'bad-input');
    failIf(this.removed, 'room-closed');
    return exportSecret(this.current.exporter, label, size);
  }

  /** REQ-INV-10. */
  weak(now) {
    return this.direct && this.lastResort && now - this.since <= WEAK;
  }

  /** REQ-EPOCH-16: whether a refresh, or in a direct room an answer, is due. */
  refreshDue(now) {
    const { keys, resynced } = find(this.current.roster, this.me);
    if (!this.direct && (keys.awaitsRefresh || (keys.isPackage && resynced !== null))) return true;
    return now - this.committed >= REFRESH_AGE || this.sent >= REFRESH_COUNT;
  }

  /** A string that is different for different states. */
  digest() {
    return createHash('sha256').update(JSON.stringify(this)).digest('hex');
  }

  toJSON() {
    return {
      room: hex(this.id),
      suite: this.suite,
      me: hex(this.me),
      epochs: this.epochs.map((epoch) => epoch.toJSON()),
      sending: this.sending && { key: hex(this.sending.key), index: this.sending.index },
      lastSpoken: this.lastSpoken && [hex(this.lastSpoken[0]), this.lastSpoken[1]],
      leaveRequests: [...this.leaveRequests].map(([name, signed]) => [name, hex(signed)]),
      copies: this.copies.map(({ number, time, member, copy }) => [number, time, hex(member), hex(copy)]),
      repairs: [...this.repairs],
      resyncRequests: [...this.resyncRequests].map(([name, { signed, time }]) => [name, hex(signed), time]),
      removed: this.removed,
      lastResort: this.lastResort,
      since: this.since,
      committed: this.committed,
      sent: this.sent,
    };
  }

  /**
   * @param {import('./identity.js').Owner} owner
   * @param {object} json what `toJSON` gave
   */
  static fromJSON(owner, json) {
    return new Room(owner, {
      id: unhex(json.room),
      suite: json.suite,
      me: unhex(json.me),
      epochs: json.epochs.map((epoch) => Epoch.fromJSON(epoch)),
      sending: json.sending && { key: unhex(json.sending.key), index: json.sending.index },
      lastSpoken: json.lastSpoken && [unhex(json.lastSpoken[0]), json.lastSpoken[1]],
      leaveRequests: new Map(json.leaveRequests.map(([name, signed]) => [name, unhex(signed)])),
      copies: json.copies.map(([number, time, member, copy]) => (
        { number, time, member: unhex(member), copy: unhex(copy) })),
      repairs: new Map(json.repairs),
      resyncRequests: new Map(json.resyncRequests.map(
        ([name, signed, time]) => [name, { signed: unhex(signed), time }])),
      removed: json.removed,
      lastResort: json.lastResort,
      since: json.since,
      committed: json.committed,
      sent: json.sent,
    });
  }
}
