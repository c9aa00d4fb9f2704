/** A room as one device keeps it, and the deletion schedule (11.6, chapter 14). */

import { createHash } from 'node:crypto';

import { equal, hex, unhex } from './bytes.js';
import { DIRECT } from './evaporation.js';
import { failIf } from './errors.js';
import { Epoch } from './epoch.js';
import { find } from './membership.js';
import { Noted } from './proofs.js';
import { exportSecret } from './schedule.js';
import { leadingTo, leads, leadsTo, pathOf } from './tree.js';

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
    /** @type {Epoch[]} in the order in which they came */ this.epochs = fields.epochs;
    /** Transcript of the current one. @type {Uint8Array} */
    this.currentName = fields.currentName ?? fields.epochs.at(-1).transcript;
    /** Order of the commit on the current epoch that has removed this device. @type {number[] | null} */
    this.removal = fields.removal ?? null;
    /** What commits have shown (REQ-EPOCH-28). */ this.noted = fields.noted ?? new Noted();
    /** Who has equivocated (REQ-EPOCH-29). @type {Uint8Array[]} */ this.equivocators = fields.equivocators ?? [];
    /** The epoch by which this device joined, and the trail there; null if it founded the room.
     *  @type {{ name: Uint8Array, trail: [Uint8Array, number[] | null][] } | null} */
    this.joined = fields.joined ?? null;
    /** The own chain in the current epoch. @type {{ key: Uint8Array, index: number } | null} */
    this.sending = fields.sending ?? null;
    /** @type {[Uint8Array, number] | null} */ this.lastSpoken = fields.lastSpoken ?? null;
    /** @type {Map<string, Uint8Array>} signed leave requests, by member */
    this.leaveRequests = fields.leaveRequests ?? new Map();
    /** @type {{ number: number, opens: Uint8Array, time: number, member: Uint8Array, copy: Uint8Array }[]} copies of
     *  own commits on an epoch of that number, and what they open, for repair (REQ-EPOCH-23) */
    this.copies = fields.copies ?? [];
    /** @type {Map<string, number[]>} when a member's repair requests were accepted */
    this.repairs = fields.repairs ?? new Map();
    /** @type {Map<string, number>} the time in the last of them */
    this.lastRepairs = fields.lastRepairs ?? new Map();
    /** @type {Map<string, number[]>} when a member's resync requests were accepted */
    this.resyncs = fields.resyncs ?? new Map();
    /** @type {Map<string, { signed: Uint8Array, time: number }>} the last of each member (REQ-EPOCH-26) */
    this.resyncRequests = fields.resyncRequests ?? new Map();
    /** Whether it was founded or joined through a last-resort package, and when (REQ-INV-10). */
    this.lastResort = fields.lastResort ?? false;
    this.since = fields.since ?? 0;
    /** Time of the last own commit or turn, and the own messages since (REQ-EPOCH-16). */
    this.committed = fields.committed ?? this.since;
    this.sent = fields.sent ?? 0;
  }

  /** @returns {Epoch} */
  get current() {
    return this.epochs.find(({ transcript }) => equal(transcript, this.currentName));
  }

  get removed() {
    return this.removal !== null;
  }

  /** Whether it has been removed for so long that no commit can bring it back. */
  get closed() {
    return this.removed && this.epochs.every(({ leaf }) => leaf === null);
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

  /** 11.6: what is remembered of the epoch that is left. */
  rememberSpoken() {
    if (this.sending !== null && this.sending.index > 0) this.lastSpoken = [this.current.prefix, this.sending.index];
  }

  /**
   * REQ-DEL-02: a new epoch becomes the current one.
   * @param {Epoch} epoch
   * @param {Uint8Array | null} sending the first key of the own chain in it
   * @param {number} now
   * @param {Epoch} [parent] of the new epoch
   */
  enter(epoch, sending, now, parent = this.current) {
    const left = this.current;
    this.rememberSpoken();
    left.superseded ??= now;
    left.exporter = null;
    left.inits.delete(hex(this.me));
    if (epoch.direct) {
      left.inits.clear();
      left.handshakes.clear();
      left.leaf = null;
    }
    this.eraseChains(parent.roster.members.map(({ id }) => id).filter((id) => find(epoch.roster, id) === undefined));
    this.epochs.push(epoch);
    this.currentName = epoch.transcript;
    this.removal = null;
    this.sending = sending === null ? null : { key: sending, index: 0 };
    this.keepFew();
  }

  /** Erase the chains of members in every epoch. */
  eraseChains(members) {
    for (const id of members) for (const { chains } of this.epochs) chains.delete(hex(id));
  }

  /** REQ-DEL-09, and what goes with the last epoch that holds a member (14.2). */
  keepFew() {
    while (this.epochs.length > MAX_EPOCHS) {
      const path = pathOf(this);
      const losing = this.epochs.findIndex((epoch) => !path.includes(epoch));
      this.epochs.splice(losing >= 0 ? losing : this.epochs.findIndex((epoch) => epoch !== this.current), 1);
    }
    const kept = new Set(this.epochs.flatMap(({ roster }) => roster.members.map(({ id }) => hex(id))));
    const isKept = (id) => kept.has(hex(id));
    for (const map of [this.leaveRequests, this.repairs, this.lastRepairs, this.resyncs]) {
      for (const name of [...map.keys()]) if (!kept.has(name)) map.delete(name);
    }
    this.copies = this.copies.filter(({ member }) => isKept(member));
    for (const name of [...this.resyncRequests.keys()]) {
      if (find(this.current.roster, unhex(name)) === undefined) this.resyncRequests.delete(name);
    }
  }

  /** Members that have been let in anew by the epoch that is now current: their requests are settled. */
  settle(anew) {
    for (const id of anew) this.resyncRequests.delete(hex(id));
    const { number } = this.current;
    this.copies = this.copies.filter((kept) => kept.number >= number || !anew.some((id) => equal(id, kept.member)));
  }

  /**
   * REQ-EPOCH-27: take a commit into the tree.
   * @param {Epoch} parent
   * @param {{ committer: Uint8Array, transcript: Uint8Array, order: number[], proofs: import('./proofs.js').Proof[],
   *   anew: Uint8Array[] }} commit
   * @param {{ epoch: Epoch, sending: Uint8Array } | null} opened null if this device is not in it
   * @param {number} now
   * @returns {'leads' | 'removes' | 'loses'}
   */
  take(parent, { committer, transcript, order, proofs, anew }, opened, now) {
    parent.taken.set(hex(committer), transcript);
    parent.inits.delete(hex(committer));
    this.noted.add(proofs, now);
    this.noted.keepFew(this.id, this.current.roster);
    return this.place(parent, committer, order, anew, opened, now);
  }

  /** Steps 3 to 7. */
  place(parent, committer, order, anew, opened, now) {
    if (leads(this, parent, order)) {
      const path = pathOf(this);
      const lost = path.slice(0, path.indexOf(parent)).some(({ opener }) => equal(opener, this.me));
      if (opened === null) this.removedBy(parent, order, now);
      else {
        this.enter(opened.epoch, opened.sending, now, parent);
        this.settle(anew);
      }
      if (lost) this.sent = REFRESH_COUNT;
      return opened === null ? 'removes' : 'leads';
    }
    if (opened !== null) {
      opened.epoch.lose(this.me, now, parent);
      this.epochs.push(opened.epoch);
    }
    this.keepFew();
    return 'loses';
  }

  /** What proves that a member is in an epoch: it has the copies that led there (12.6). */
  arrived(member, epoch) {
    const led = ({ opens }) => {
      const opened = this.epochs.find(({ transcript }) => equal(transcript, opens));
      return opened !== undefined && (opened === epoch || leadsTo(this.epochs, opened, epoch));
    };
    this.copies = this.copies.filter((kept) => !equal(kept.member, member) || !led(kept));
  }

  /** REQ-DEL-05, by a commit of that order on an epoch of the path. */
  removedBy(parent, order, now) {
    const left = this.current;
    this.rememberSpoken();
    this.sending = null;
    left.superseded ??= now;
    left.exporter = null;
    left.inits.delete(hex(this.me));
    this.currentName = parent.transcript;
    this.removal = order;
    this.keepFew();
  }

  /** REQ-EPOCH-30: what a message of *m* without the flag in an epoch waives. */
  waive(member, epoch) {
    if (epoch.direct) return;
    const { resynced } = find(epoch.roster, member);
    for (const { roster, inits } of leadingTo(this.epochs, epoch)) {
      if (find(roster, member)?.resynced === resynced) inits.delete(hex(member));
    }
  }

  /** What stays known of a room when this device comes into it again (REQ-EPOCH-28, 29). */
  remember(old) {
    this.noted = old.noted;
    this.equivocators = old.equivocators;
  }

  /** REQ-ENV-24: take the place of another state of the room. */
  moveFrom(old, now) {
    for (const epoch of old.epochs) epoch.leaveBehind(now);
    this.epochs.unshift(...old.epochs);
    this.leaveRequests = old.leaveRequests;
    this.keepFew();
  }

  /** REQ-MSG-06 and REQ-EPOCH-14: refuse to go on in a room with an equivocation. */
  checkHonest() {
    failIf(this.equivocators.some((id) => find(this.current.roster, id) !== undefined), 'equivocation');
  }

  /** REQ-DEL-06: erase what has had its time. */
  look(now) {
    const due = (epoch) => epoch.superseded !== null && now - epoch.superseded > MAX_AGE;
    const { current } = this;
    if (due(current)) {
      current.erase();
      current.chains.clear();
    }
    this.epochs = this.epochs.filter((epoch) => epoch === current || !due(epoch));
    this.keepFew();
    this.noted.forget(now);
    for (const { chains } of this.epochs) {
      for (const chain of chains.values()) chain.expire(now);
    }
    this.copies = this.copies.filter(({ time }) => now - time <= COPY_AGE);
    for (const [name, { time }] of this.resyncRequests) if (now - time > REQUEST_AGE) this.resyncRequests.delete(name);
    for (const counted of [this.repairs, this.resyncs]) {
      for (const [name, times] of counted) {
        const recent = times.filter((time) => now - time < REPAIR_WINDOW);
        if (recent.length === 0) counted.delete(name);
        else counted.set(name, recent);
      }
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
      copies: this.copies.map(({ number, opens, time, member, copy }) => (
        [number, hex(opens), time, hex(member), hex(copy)])),
      repairs: [...this.repairs],
      lastRepairs: [...this.lastRepairs],
      resyncs: [...this.resyncs],
      resyncRequests: [...this.resyncRequests].map(([name, { signed, time }]) => [name, hex(signed), time]),
      currentName: hex(this.currentName),
      removal: this.removal,
      noted: this.noted,
      equivocators: this.equivocators.map(hex),
      joined: this.joined && {
        name: hex(this.joined.name), trail: this.joined.trail.map(([prefix, order]) => [hex(prefix), order]),
      },
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
      copies: json.copies.map(([number, opens, time, member, copy]) => (
        { number, opens: unhex(opens), time, member: unhex(member), copy: unhex(copy) })),
      repairs: new Map(json.repairs),
      lastRepairs: new Map(json.lastRepairs),
      resyncs: new Map(json.resyncs),
      resyncRequests: new Map(json.resyncRequests.map(
        ([name, signed, time]) => [name, { signed: unhex(signed), time }])),
      currentName: unhex(json.currentName),
      removal: json.removal,
      noted: Noted.fromJSON(json.noted),
      equivocators: json.equivocators.map(unhex),
      joined: json.joined && {
        name: unhex(json.joined.name), trail: json.joined.trail.map(([prefix, order]) => [unhex(prefix), order]),
      },
      lastResort: json.lastResort,
      since: json.since,
      committed: json.committed,
      sent: json.sent,
    });
  }
}
