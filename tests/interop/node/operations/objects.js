/** Operations of 20.5 on chapters 6, 7, 8, 12 and 13. */

import { createHash } from 'node:crypto';

import { equal, hex, unhex } from '../src/bytes.js';
import { Chain, messageKeys, messageSalt, step } from '../src/chain.js';
import * as envelope from '../src/envelope.js';
import { Refusal } from '../src/errors.js';
import { checkPolicy, deadline, readContent, stricter } from '../src/evaporation.js';
import { checkIdentity, fingerprint, safetyNumber } from '../src/identity.js';
import { openInvitation, sealInvitation } from '../src/invitation.js';
import {
  choosePrekey, makeKeyPackage, openKeyPackage, packageHash, readCard, readKeyPackage,
} from '../src/keypackage.js';
import { OBJECTS } from '../src/objects.js';
import { runningHash } from '../src/primitives.js';
import { knownRandom } from '../src/random.js';
import {
  hexOrNull, identityFrom, identityTo, mailboxFrom, mailboxKeysFrom, mailboxTo, ownerFrom, packageKeysFrom, tagged,
} from '../src/values.js';

const identities = {
  identity: (input) => identityTo(ownerFrom(input).identity),
  fingerprint: (input) => ({ fingerprint: hex(fingerprint(identityFrom(input))) }),
  'safety number': ({ mine, theirs }) => ({ number: safetyNumber(identityFrom(mine), identityFrom(theirs)) }),
  'check identity': (input) => {
    checkIdentity(identityFrom(input));
    return {};
  },
};

const packages = {
  'make key package': (input) => {
    const keys = packageKeysFrom({ ...input, signed: '' });
    const { owner, contact, expiry, last_resort: lastResort } = input;
    const signed = makeKeyPackage(ownerFrom(owner), mailboxFrom(contact), expiry, lastResort, keys);
    return { signed: hex(signed), hash: hex(packageHash(signed)) };
  },
  'read key package': ({ signed }) => {
    const read = readKeyPackage(unhex(signed));
    return {
      suite: read.suite,
      identity: identityTo(read.identity),
      signed_prekey: hex(read.signedPrekey),
      prekeys: read.prekeys.map(hex),
      leaf_key: hex(read.leafKey),
      room_sign_key: hex(read.roomSignKey),
      contact: mailboxTo(read.contact),
      expiry: read.expiry,
      last_resort: read.lastResort,
      hash: hex(read.hash),
    };
  },
  'choose prekey': ({ signed, index }) => ({ prekey: hexOrNull(choosePrekey(readKeyPackage(unhex(signed)), index)) }),
  'read card': ({ card }) => {
    const { name, package: read } = readCard(unhex(card));
    return { name, hash: hex(read.hash) };
  },
  'seal invitation': ({ inviter, package: signed, index, welcome, ephemeral }) => ({
    invitation: hex(sealInvitation(ownerFrom(inviter), openKeyPackage(unhex(signed)), index, unhex(welcome),
      knownRandom(unhex(ephemeral)))),
  }),
  'open invitation': ({ owner, package: json, invitation }) => {
    const keys = packageKeysFrom(json);
    const find = (named) => (equal(named, packageHash(keys.signed)) ? keys : null);
    return { welcome: hex(openInvitation(ownerFrom(owner), find, unhex(invitation)).welcome) };
  },
};

/** The result of one event of a chain's history. */
function happened(chain, [what, n, now = 0]) {
  const copy = chain.copy();
  try {
    const result = what === 'at' ? copy.at(n, now) : copy.close(n, now);
    return [copy, what === 'at' ? hex(result.messageKey) : result.gap];
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return [chain, error.reason];
  }
}

const chains = {
  'chain step': ({ chain_key, index }) => {
    let key = unhex(chain_key);
    for (let i = 0; i < index; i++) key = step(key).next;
    const { next, messageKey } = step(key);
    return { message_key: hex(messageKey), next_chain_key: hex(next) };
  },
  'message salt': ({ message_key, fresh, padded }) => (
    { salt: hex(messageSalt(unhex(message_key), unhex(fresh), unhex(padded))) }),
  'message keys': ({ message_key, header_hash }) => {
    const { key, com } = messageKeys(unhex(message_key), unhex(header_hash));
    return { key: hex(key), com: hex(com) };
  },
  'chain accumulate': ({ chain_key, steps }) => {
    let key = unhex(chain_key);
    const all = runningHash();
    for (let i = 0; i < steps; i++) {
      const { next, messageKey } = step(key);
      all.update(messageKey);
      key = next;
    }
    return { chain_key: hex(key), message_keys: hex(all.digest()) };
  },
  'chain receive': ({ chain_key, history }) => {
    let chain = new Chain(unhex(chain_key));
    const outcomes = [];
    for (const event of history) {
      const [after, outcome] = happened(chain, event);
      chain = after;
      outcomes.push(outcome);
    }
    const indices = chain.skipped.map(({ index }) => index);
    return {
      outcomes, index: chain.index, closed: chain.closed, skipped: indices.length,
      lowest: indices.slice(0, 3), highest: indices.slice(-3),
    };
  },
};

/** Larger envelopes are told by size and hash alone. */
const TOLD = 2048;

const envelopes = {
  'envelope size': ({ least }) => {
    const size = envelope.envelopeSize(least);
    return { size, capacity: envelope.capacity(size) };
  },
  pad: ({ data, size }) => ({ padded: hex(envelope.pad(unhex(data), size)) }),
  unpad: ({ padded }) => ({ data: hex(envelope.unpad(unhex(padded))) }),
  mailbox: (input) => mailboxTo(envelope.mailboxOf(mailboxKeysFrom(input))),
  'seal envelope': ({ mailbox, payload, times, ephemeral }) => {
    const piece = unhex(payload);
    const whole = new Uint8Array(Buffer.alloc(piece.length * times, Buffer.from(piece)));
    const sealed = envelope.sealEnvelope(mailboxFrom(mailbox), whole, knownRandom(unhex(ephemeral)));
    const sha256 = createHash('sha256').update(sealed).digest('hex');
    return { size: sealed.length, sha256, envelope: sealed.length > TOLD ? null : hex(sealed) };
  },
  'open envelope': ({ keys, envelope: data }) => (
    { payload: hex(envelope.openEnvelope(mailboxKeysFrom(keys), unhex(data))) }),
  dispatch: ({ contact, payload }) => (
    { type: OBJECTS[envelope.dispatch(contact ? 'contact' : 'room', unhex(payload))].type }),
  'check mailbox proof': ({ address, read_key, challenge, proof }) => {
    envelope.checkMailboxProof(unhex(address), unhex(read_key), unhex(challenge), unhex(proof));
    return {};
  },
};

const contents = {
  stricter: ({ message, room }) => {
    const { afterView, lifetime } = stricter(message, room);
    return { after_view: afterView, lifetime };
  },
  deadline: ({ sent, received, after_view, lifetime, viewed }) => (
    { deadline: deadline(sent, received, after_view, lifetime, viewed) }),
  'check policy': ({ policy }) => {
    checkPolicy(policy);
    return {};
  },
  'read content': ({ content }) => {
    const { type, fields } = readContent(unhex(content));
    return { type, fields: fields.map(tagged) };
  },
};

export const objects = { ...identities, ...packages, ...chains, ...envelopes, ...contents };
