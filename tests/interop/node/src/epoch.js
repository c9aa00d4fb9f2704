/** What a device keeps of one epoch (10.5, 14.1, REQ-DEL-04). */

import { equal, hex, unhex } from './bytes.js';
import { Chain } from './chain.js';
import { DIRECT } from './evaporation.js';
import { encodeRoster, knownRoster } from './membership.js';
import { contextOf, prefixOf } from './schedule.js';

const hexOrNull = (value) => (value === null ? null : hex(value));
const bytesOrNull = (value) => (value === null ? null : unhex(value));
const hexMap = (map) => Object.fromEntries([...map].map(([name, value]) => [name, hex(value)]));
const bytesMap = (object) => new Map(Object.entries(object).map(([name, value]) => [name, unhex(value)]));

/** One epoch of a room. */
export class Epoch {
  /** @param {object} fields see the code of `open` */
  constructor(fields) {
    Object.assign(this, fields);
    this.prefix = prefixOf(this.transcript);
  }

  get direct() {
    return this.policy[0] === DIRECT;
  }

  /**
   * A new epoch with what may be kept of its key schedule.
   * @param {object} given suite, room, number, transcript, time (of what opened it), roster, policy, opener, turn (the
   *   turn fields that opened it, or null), me, leaf and roomSeed (own private keys), and the schedule; of a child of
   *   a kept epoch, the parent's transcript, the order of the commit and the sealed commit
   * @returns {{ epoch: Epoch, sending: Uint8Array | null }} the epoch, and the first key of the own chain
   */
  static open(given) {
    const { suite, room, number, transcript, roster, policy, opener, turn, me, leaf, roomSeed, schedule } = given;
    const { time = 0, parent = null, order = null, sealed = null } = given;
    const rosterBytes = encodeRoster(roster);
    const direct = policy[0] === DIRECT;
    const opened = equal(opener, me); // by this device
    const chains = new Map();
    const inits = new Map();
    for (const { id } of roster.members) {
      const name = hex(id);
      const speaks = !equal(id, me) && !(direct && opened);
      if (speaks) chains.set(name, new Chain(schedule.chains.get(name)));
      if (!direct || !equal(id, opener)) inits.set(name, schedule.inits.get(name));
    }
    const epoch = new Epoch({
      number, transcript, time, parent, order, sealed, roster, rosterBytes, policy, opener, turn,
      context: contextOf(suite, room, policy, rosterBytes, transcript),
      chains, inits,
      handshakes: direct ? new Map() : new Map(schedule.handshakes),
      exporter: schedule.exporter,
      leaf: direct && !opened ? null : leaf,
      roomSeed: direct ? null : roomSeed,
      superseded: null,
      spoken: false,
      taken: new Map(),
    });
    return { epoch, sending: direct && !opened ? null : schedule.chains.get(hex(me)) };
  }

  /** What is kept of an epoch that is not on the path when it comes (step 6 of REQ-EPOCH-27). */
  lose(me, now, parent) {
    this.exporter = null;
    this.inits.delete(hex(me));
    this.superseded = now;
    for (const { id } of parent.roster.members) if (!parent.chains.has(hex(id))) this.chains.delete(hex(id));
  }

  /** Keep what opens messages, and nothing that opens or makes commits (REQ-ENV-24). */
  leaveBehind(now) {
    this.erase();
    this.superseded ??= now;
  }

  /** Erase every key but those of the chains. */
  erase() {
    this.exporter = null;
    this.leaf = null;
    this.roomSeed = null;
    this.inits.clear();
    this.handshakes.clear();
  }

  toJSON() {
    const chains = [...this.chains].map(([name, { key, index, skipped }]) => [name, {
      key: hexOrNull(key),
      index,
      skipped: skipped.map((entry) => [entry.index, hex(entry.key), entry.time]),
    }]);
    return {
      number: this.number,
      transcript: hex(this.transcript),
      time: this.time,
      parent: hexOrNull(this.parent),
      order: this.order,
      sealed: hexOrNull(this.sealed),
      roster: hex(this.rosterBytes),
      policy: this.policy,
      opener: hex(this.opener),
      turn: this.turn && this.turn.map(hexOrNull),
      context: hex(this.context),
      chains: Object.fromEntries(chains),
      inits: hexMap(this.inits),
      handshakes: hexMap(this.handshakes),
      exporter: hexOrNull(this.exporter),
      leaf: hexOrNull(this.leaf),
      roomSeed: hexOrNull(this.roomSeed),
      superseded: this.superseded,
      spoken: this.spoken,
      taken: hexMap(this.taken),
    };
  }

  static fromJSON(json) {
    const chains = Object.entries(json.chains).map(([name, { key, index, skipped }]) => [name,
      new Chain(bytesOrNull(key), index, skipped.map(([i, k, time]) => ({ index: i, key: unhex(k), time })))]);
    const rosterBytes = unhex(json.roster);
    return new Epoch({
      number: json.number,
      transcript: unhex(json.transcript),
      time: json.time,
      parent: bytesOrNull(json.parent),
      order: json.order,
      sealed: bytesOrNull(json.sealed),
      roster: knownRoster(rosterBytes),
      rosterBytes,
      policy: json.policy,
      opener: unhex(json.opener),
      turn: json.turn && json.turn.map(bytesOrNull),
      context: unhex(json.context),
      chains: new Map(chains),
      inits: bytesMap(json.inits),
      handshakes: bytesMap(json.handshakes),
      exporter: bytesOrNull(json.exporter),
      leaf: bytesOrNull(json.leaf),
      roomSeed: bytesOrNull(json.roomSeed),
      superseded: json.superseded,
      spoken: json.spoken,
      taken: bytesMap(json.taken),
    });
  }
}
