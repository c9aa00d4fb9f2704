/** What a client and a relay say to each other, and what a relay remembers (chapter 22). */

import { compare, equal, hex } from './bytes.js';
import { failIf, refuse } from './errors.js';
import { fingerprint } from './identity.js';
import { readKeyPackage } from './keypackage.js';
import { OBJECTS, check, nameOf, open } from './objects.js';
import { hash } from './primitives.js';

const HOUR = 3600;
const MAX_WAITING = 1000;
const MAX_STOCK = 100;
const QUARTER = 91 * 86400;
const MAX_CREDIT = { envelopes: 1000, bytes: 16777216 };

const TAKEN = {
  client: {
    limit: 8192,
    names: ['prove', 'make mailbox', 'remove mailbox', 'subscribe', 'unsubscribe', 'ack', 'credit'],
  },
  relay: { limit: 2097280, names: ['challenge', 'delivery', 'notice', 'done'] },
};

/**
 * REQ-RELAY-15.
 * @param {'client' | 'relay'} from who sent it
 * @param {Uint8Array} data
 * @returns {{ form: string, fields: Array }}
 */
export function readFrame(from, data) {
  const { limit, names } = TAKEN[from];
  const items = open(data, limit);
  const form = nameOf(items[1]);
  failIf(!names.includes(form), 'wrong-type');
  failIf(data.length > OBJECTS[form].limit, 'too-large');
  return { form, fields: check(items, form) };
}

/** REQ-RELAY-08. */
export const blobHash = (content) => hash('blob', content);
export const blobTokenHash = (token) => hash('blob token', token);

/**
 * REQ-RELAY-06.
 * @param {Uint8Array} given fingerprint
 * @param {Uint8Array[]} packages signed
 * @param {Uint8Array | null} lastResort signed
 * @param {number} now
 * @returns {object[]} the packages, read, the last resort at the end
 */
export function checkPublish(given, packages, lastResort, now) {
  const one = (signed, asLastResort) => {
    const read = readKeyPackage(signed);
    failIf(!equal(fingerprint(read.identity), given), 'wrong-identity');
    failIf(now > read.expiry, 'expired');
    failIf(read.lastResort !== asLastResort, 'bad-form');
    return { ...read, signed };
  };
  const read = packages.map((signed) => one(signed, false));
  return lastResort === null ? read : [...read, one(lastResort, true)];
}

/** How much a reader may still be sent (22.4). */
export class Credit {
  envelopes = 0;

  bytes = 0;

  /** More of both, up to the most that there may be. */
  give(envelopes, bytes) {
    this.envelopes = Math.min(this.envelopes + envelopes, MAX_CREDIT.envelopes);
    this.bytes = Math.min(this.bytes + bytes, MAX_CREDIT.bytes);
  }

  /** Whether an envelope may be sent now; it takes its part. */
  take(size) {
    if (this.envelopes < 1 || this.bytes < 1) return false;
    this.envelopes -= 1;
    this.bytes -= size;
    return true;
  }
}

/** A relay: what it has been told, and not forgotten. Mailboxes, packages and blobs by hex. */
export class Relay {
  #mailboxes = new Map();

  #stocks = new Map();

  #blobs = new Map();

  /** @param {number} retention hours (REQ-RELAY-11) */
  constructor(retention) {
    this.retention = retention;
    this.now = 0;
  }

  /** Time has passed: what belongs to hours that have begun is erased. */
  at(now) {
    this.now = now;
    const hour = Math.floor(now / HOUR);
    for (const [name, { made }] of this.#mailboxes) {
      if (made <= now - 2 * QUARTER) this.#mailboxes.delete(name);
    }
    for (const { ids } of this.#mailboxes.values()) {
      for (const [id, { until }] of ids) if (until <= hour) ids.delete(id);
    }
    for (const [name, { until }] of this.#blobs) if (until <= hour) this.#blobs.delete(name);
  }

  get #until() {
    return Math.floor(this.now / HOUR) + this.retention;
  }

  make(address, capabilityHash) {
    const name = hex(address);
    if (!this.#mailboxes.has(name)) this.#mailboxes.set(name, { capabilityHash, ids: new Map() });
    this.#mailboxes.get(name).made = this.now;
  }

  remove(address) {
    this.#mailboxes.delete(hex(address));
  }

  #mailbox(address) {
    return this.#mailboxes.get(hex(address)) ?? refuse('unknown-mailbox');
  }

  #writable(address, capability) {
    const mailbox = this.#mailbox(address);
    failIf(!equal(hash('capability', capability), mailbox.capabilityHash), 'not-permitted');
    return mailbox;
  }

  /** REQ-ENV-11. */
  put(address, capability, id, envelope) {
    const { ids } = this.#writable(address, capability);
    if (ids.has(hex(id))) return;
    failIf(this.#waiting(ids).length >= MAX_WAITING, 'mailbox-full');
    ids.set(hex(id), { id, envelope, until: this.#until });
  }

  /** REQ-ENV-23. */
  recall(address, capability, id) {
    const { ids } = this.#writable(address, capability);
    const { until } = ids.get(hex(id)) ?? { until: this.#until };
    ids.set(hex(id), { id, envelope: null, until });
  }

  #waiting(ids) {
    return [...ids.values()].filter(({ envelope }) => envelope !== null);
  }

  /** What waits, by id. */
  waiting(address) {
    return this.#waiting(this.#mailbox(address).ids).sort((a, b) => compare(a.id, b.id));
  }

  /** REQ-ENV-21: erased, and known for as long as before. */
  ack(address, acked) {
    const mailbox = this.#mailboxes.get(hex(address));
    for (const id of acked) {
      const known = mailbox?.ids.get(hex(id));
      if (known !== undefined) known.envelope = null;
    }
  }

  #stock(given) {
    const name = hex(given);
    if (!this.#stocks.has(name)) this.#stocks.set(name, { had: new Set(), waiting: [], last: null });
    return this.#stocks.get(name);
  }

  /** REQ-RELAY-07. */
  publish(given, packages, lastResort) {
    const read = checkPublish(given, packages, lastResort, this.now);
    const stock = this.#stock(given);
    const fresh = new Map();
    for (const each of read) {
      const name = hex(each.hash);
      if (!each.lastResort && !stock.had.has(name)) fresh.set(name, each);
    }
    stock.waiting = stock.waiting.filter(({ expiry }) => this.now <= expiry);
    failIf(stock.waiting.length + fresh.size > MAX_STOCK, 'too-many-requests');
    for (const [name, each] of fresh) {
      stock.had.add(name);
      stock.waiting.push(each);
    }
    const last = read.at(-1);
    if (last?.lastResort && (stock.last === null || last.expiry > stock.last.expiry)) stock.last = last;
  }

  /** A package, or null. */
  claim(given) {
    const stock = this.#stock(given);
    stock.waiting = stock.waiting.filter(({ expiry }) => this.now <= expiry);
    if (stock.waiting.length > 0) return stock.waiting.shift().signed;
    return stock.last !== null && this.now <= stock.last.expiry ? stock.last.signed : null;
  }

  /** REQ-RELAY-08. */
  putBlob(tokenHash, content) {
    const name = hex(blobHash(content));
    const first = this.#blobs.get(name)?.tokenHash ?? tokenHash;
    this.#blobs.set(name, { tokenHash: first, content, until: this.#until });
  }

  blob(name) {
    return (this.#blobs.get(hex(name)) ?? refuse('unknown-blob')).content;
  }

  deleteBlob(name, token) {
    const { tokenHash } = this.#blobs.get(hex(name)) ?? refuse('unknown-blob');
    failIf(!equal(blobTokenHash(token), tokenHash), 'not-permitted');
    this.#blobs.delete(hex(name));
  }
}
