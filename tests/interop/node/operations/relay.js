/** Operations of 20.5 on chapter 22. */

import { hex, unhex } from '../src/bytes.js';
import { Refusal } from '../src/errors.js';
import { Credit, Relay, blobHash, blobTokenHash, checkPublish, readFrame } from '../src/relay.js';
import { checkStatement } from '../src/statement.js';
import { tagged, unhexOrNull } from '../src/values.js';

/** The code of a refusal, or null. */
function reasonOf(act) {
  try {
    act();
    return null;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return error.reason;
  }
}

/** What each step does, and tells. */
const STEPS = {
  make: (relay, { address, capability_hash }) => relay.make(unhex(address), unhex(capability_hash)),
  remove: (relay, { address }) => relay.remove(unhex(address)),
  put: (relay, { items }) => ({ outcomes: items.map((item) => reasonOf(() => relay.put(...item.map(unhex)))) }),
  recall: (relay, { items }) => ({ outcomes: items.map((item) => reasonOf(() => relay.recall(...item.map(unhex)))) }),
  fill: (relay, { address, capability, count }) => {
    for (let n = 0; n < count; n++) {
      const id = unhex(n.toString(16).padStart(32, '0'));
      relay.put(unhex(address), unhex(capability), id, new Uint8Array(1));
    }
  },
  fetch: (relay, { address }) => (
    { waiting: relay.waiting(unhex(address)).map(({ id, envelope }) => [hex(id), hex(envelope)]) }),
  count: (relay, { address }) => ({ count: relay.waiting(unhex(address)).length }),
  ack: (relay, { address, ids }) => relay.ack(unhex(address), ids.map(unhex)),
  publish: (relay, { fingerprint, packages, last_resort }) => (
    relay.publish(unhex(fingerprint), packages.map(unhex), unhexOrNull(last_resort))),
  claim: (relay, { fingerprint, times }) => {
    const given = Array.from({ length: times }, () => relay.claim(unhex(fingerprint)));
    return { packages: given.map((signed) => (signed === null ? '' : hex(signed))).sort() };
  },
  'put blob': (relay, { content, token_hash }) => relay.putBlob(unhex(token_hash), unhex(content)),
  'fetch blob': (relay, { hash }) => ({ content: hex(relay.blob(unhex(hash))) }),
  'delete blob': (relay, { hash, token }) => relay.deleteBlob(unhex(hash), unhex(token)),
};

export const relays = {
  'read frame': ({ from, data }) => {
    const { form, fields } = readFrame(from, unhex(data));
    return { form, fields: fields.map(tagged) };
  },
  'name blob': ({ content, token }) => (
    { hash: hex(blobHash(unhex(content))), token_hash: hex(blobTokenHash(unhex(token))) }),
  'check publish': ({ fingerprint, packages, last_resort, now }) => {
    checkPublish(unhex(fingerprint), packages.map(unhex), unhexOrNull(last_resort), now);
    return {};
  },
  'check statement': ({ data, address }) => {
    const said = checkStatement(unhex(data), unhex(address));
    const told = ['key', 'request', 'jurisdiction', 'category', 'disclosed', 'told', 'gag_order', 'handed_over',
      'envelopes'].map((name) => [name, said[name]]);
    return { ...Object.fromEntries(told), ...said.ledger };
  },
  credit: ({ events }) => {
    const credit = new Credit();
    const waiting = [];
    let sent = 0;
    return {
      sent: events.map(([what, first, second]) => {
        if (what === 'credit') credit.give(first, second);
        else waiting.push(...Array(second).fill(first));
        while (waiting.length > 0 && credit.take(waiting[0])) {
          waiting.shift();
          sent += 1;
        }
        return sent;
      }),
    };
  },
  relay: ({ retention, steps }) => {
    const relay = new Relay(retention);
    return {
      results: steps.map((step) => {
        relay.at(step.now);
        let told;
        const reason = reasonOf(() => { told = STEPS[step.do](relay, step); });
        return reason === null ? told ?? {} : { reason };
      }),
    };
  },
};
