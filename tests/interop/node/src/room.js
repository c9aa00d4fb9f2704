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
   */
  enter(epoch, sending, now) {
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
    for (const { id } of left.roster.members) {
      if (find(epoch.roster, id) !== undefined) continue;
      for (const { chains } of this.epochs) chains.delete(hex(id));
      this.leaveRequests.delete(hex(id));
    }
    this.epochs.push(epoch);
    this.sending = sending === null ? null : { key: sending, index: 0 };
    if (this.epochs.length > MAX_EPOCHS) this.epochs.splice(0, this.epochs.length - MAX_EPOCHS);
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
    const own = find(this.current.roster, this.me);
    if (!this.direct && own.keys.awaitsRefresh) return true;
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
      removed: json.removed,
      lastResort: json.lastResort,
      since: json.since,
      committed: json.committed,
      sent: json.sent,
    });
  }
}
