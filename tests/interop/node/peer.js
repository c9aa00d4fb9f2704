/**
 * A live participant for tests between implementations: one JSON command a line on standard input, one JSON
 * answer a line on standard output. README.md lists the commands. One room; randomness of the system.
 */

import { equal, hex, unhex } from './src/bytes.js';
import { Refusal, failIf } from './src/errors.js';
import { makeOwner } from './src/identity.js';
import { drawPackageKeys, makeKeyPackage, packageHash } from './src/keypackage.js';
import { lines } from './src/lines.js';
import { systemRandom } from './src/random.js';
import { makeRepairRequest } from './src/repair.js';
import { makeResyncRequest } from './src/resync.js';
import { Session } from './src/session.js';
import { identityTo, mailboxFrom } from './src/values.js';

/** @type {Session | null} */
let session = null;
/** The key packages of this device, with their private keys. */
let packages = [];

/** A new key package, whose private keys are kept. */
function makePackage({ contact, expiry, last_resort: lastResort }) {
  const keys = drawPackageKeys(systemRandom, lastResort);
  const signed = makeKeyPackage(session.owner, mailboxFrom(contact), expiry, lastResort, keys);
  packages.push({ ...keys, signed });
  return signed;
}

/** Forget a package that was made to be let in anew: it is used for nothing else. */
function forget(hash) {
  packages = packages.filter(({ signed }) => !equal(packageHash(signed), hash));
}

/** Erase a one-time prekey once its invitation has been accepted (REQ-ID-14). */
function spend({ package: { hash }, index, resynced }) {
  if (resynced) forget(hash);
  if (resynced || index === null) return;
  const kept = packages.find(({ signed }) => equal(packageHash(signed), hash));
  kept.prekeys = kept.prekeys.map((prekey, i) => (i === index ? null : prekey));
}

const commands = {
  identity() {
    session = new Session(makeOwner(systemRandom));
    packages = [];
    return identityTo(session.owner.identity);
  },

  package(wish) {
    return { signed: hex(makePackage(wish)) };
  },

  'ask for resync': ({ contact, expiry, now }) => {
    const { owner, asked } = session;
    const room = session.needRoom();
    failIf(room.direct, 'wrong-mode');
    if (asked !== null) forget(asked);
    const signed = makePackage({ contact, expiry, last_resort: false });
    session.asked = packageHash(signed);
    return { signed: hex(makeResyncRequest(owner, room.id, room.me, now, signed)) };
  },

  'ask for repair': ({ now }) => {
    const { owner } = session;
    const room = session.needRoom();
    failIf(room.direct, 'wrong-mode');
    return { signed: hex(makeRepairRequest(owner, room.id, room.me, room.current.prefix, now)) };
  },

  join({ invitation, now }) {
    const find = (named) => packages.find(({ signed }) => equal(packageHash(signed), named)) ?? null;
    return session.attempt(() => session.joinWith(find, unhex(invitation), now, spend));
  },
};

/** The answer to a command. */
function answer(command) {
  if (command.do !== 'identity' && session === null) return { error: 'no identity yet' };
  const own = commands[command.do];
  return own ? own(command) : session.step(command, systemRandom);
}

for await (const line of lines(process.stdin)) {
  let reply;
  try {
    reply = answer(JSON.parse(line));
  } catch (error) {
    reply = error instanceof Refusal ? { outcome: 'rejected', reason: error.reason } : { error: error.message };
  }
  process.stdout.write(JSON.stringify(reply) + '\n');
}
