/** Welcomes, and what a joiner checks (7.5, 7.6). */

import { ZEROS, equal } from './bytes.js';
import { commitHash, keySchedule, prefixOf, stateHash, transcriptHash } from './schedule.js';
import { failIf, hold } from './errors.js';
import { DIRECT, checkPolicy } from './evaporation.js';
import { sameIdentity } from './identity.js';
import { openInvitation } from './invitation.js';
import { mailboxFields } from './keypackage.js';
import { genesisRoster, openGenesis, readCommit, readCreatorEntry } from './commit.js';
import { encodeRoster, find, memberId, readCredential, readRoster } from './membership.js';
import { OBJECTS, make, open, parse } from './objects.js';
import { RESYNC } from './operations.js';
import { checkDhKey, verify } from './primitives.js';
import { verifyResyncRequest } from './resync.js';

const AHEAD = 300;

/**
 * REQ-INV-05.
 * @param {object} parts
 * @param {{ member: Uint8Array, name: string, mailbox: object | null }[]} directory in the order of the roster
 */
export function makeWelcome(parts, directory) {
  const { commit, confirmation, signature, parentCredential, roster, policy, secret, trail } = parts;
  const rows = directory.map(({ member, name, mailbox }) => [member, name, mailbox && mailboxFields(mailbox)]);
  return make('welcome', commit, confirmation, signature, parentCredential, roster, policy, secret, rows, trail);
}

/** REQ-LIMIT-13. */
export function checkTime(time, now) {
  if (time > now + AHEAD) hold('early-commit');
}

/** *check genesis* of REQ-INV-06. */
function checkGenesis(welcome, opened, owner) {
  const genesis = openGenesis(welcome.commit);
  failIf(!sameIdentity(genesis.creator, opened.inviter), 'wrong-identity');
  failIf(genesis.suite !== opened.package.suite, 'unknown-suite');
  const creator = readCreatorEntry(genesis);
  const roster = genesisRoster(genesis, creator);
  const samePolicy = genesis.policy.every((item, i) => item === welcome.policy[i]);
  failIf(!equal(encodeRoster(roster), welcome.roster) || !samePolicy, 'bad-state-hash');
  failIf(welcome.parentCredential !== null, 'bad-form');
  const own = roster.members.find(({ identity }) => sameIdentity(identity, owner.identity));
  return {
    room: genesis.room, number: 0, parent: ZEROS, committer: creator.id, time: genesis.time, state: genesis.state,
    roster, ownId: own?.id, signingKey: creator.keys.roomSignKey,
  };
}

/** *check commit* of REQ-INV-06. */
function checkCommit(welcome, opened, owner) {
  const commit = readCommit(welcome.commit);
  const { room, transcript, committer, entry, time } = commit;
  const roster = readRoster(welcome.roster, room);
  const member = find(roster, committer);
  failIf(member === undefined, 'unknown-member');
  failIf(!sameIdentity(member.identity, opened.inviter), 'wrong-identity');
  failIf(welcome.parentCredential === null || !equal(member.credential, entry), 'bad-entry');
  const parent = readCredential(welcome.parentCredential, room, committer, member.identity);
  failIf(member.keys.version !== parent.version + 1, 'bad-entry');
  let ownId;
  let resynced = false;
  commit.packages.forEach((read, place) => {
    const anew = commit.operations[place][0] === RESYNC;
    if (!equal((anew ? read.package : read).signed, opened.package.signed)) return;
    if (anew) {
      failIf(!equal(read.room, room), 'bad-proof');
      verifyResyncRequest(read, owner.identity);
    }
    failIf(time > opened.package.expiry, 'expired');
    ownId = anew ? read.member : memberId(room, transcript, opened.package.hash, place);
    resynced = anew;
  });
  return {
    room, number: commit.epoch + 1, parent: transcript, committer, time, state: commit.state, roster, ownId, resynced,
    signingKey: parent.roomSignKey,
  };
}

/**
 * REQ-INV-06: all that an invitation tells, once every check has passed.
 * @param {import('./identity.js').Owner} owner
 * @param {(hash: Uint8Array) => (import('./keypackage.js').PackageKeys | null)} findPackage
 * @param {Uint8Array} data invitation
 * @param {number} now
 */
export function readInvitation(owner, findPackage, data, now) {
  const opened = openInvitation(owner, findPackage, data);
  const [commit, confirmation, signature, parentCredential, rosterBytes, policy, secret, directory, trail] =
    parse(opened.welcome, 'welcome');
  const welcome = { commit, confirmation, signature, parentCredential, roster: rosterBytes, policy, secret, directory };
  checkPolicy(policy);
  const direct = policy[0] === DIRECT;
  const type = open(commit, OBJECTS.commit.limit)[1];
  let checked;
  if (type === OBJECTS.genesis.type) {
    checked = checkGenesis(welcome, opened, owner);
  } else {
    failIf(direct, 'wrong-mode');
    checked = checkCommit(welcome, opened, owner);
  }
  checkTime(checked.time, now);
  if (direct) failIf(signature !== null, 'bad-form');
  else {
    failIf(signature === null, 'bad-signature');
    verify(checked.signingKey, signature, 'commit', commit, confirmation);
  }
  failIf(!equal(stateHash(rosterBytes, policy), checked.state), 'bad-state-hash');
  const { roster, ownId } = checked;
  const own = ownId && find(roster, ownId);
  failIf(!own || !equal(own.credential, opened.package.signed), 'unknown-member');
  const schedule = keySchedule(secret, commitHash(commit), roster.members.map(({ id }) => id));
  failIf(!equal(schedule.confirmation, confirmation), 'bad-confirmation');
  for (const [member, , mailbox] of directory) {
    const other = mailbox !== null && !equal(member, ownId) && find(roster, member) !== undefined;
    if (other) checkDhKey(mailbox[1]);
  }
  const transcript = transcriptHash(checked.parent, commit, confirmation);
  return {
    suite: opened.package.suite, room: checked.room, me: ownId, number: checked.number, transcript,
    time: checked.time, inviter: opened.inviter, trail,
    prefix: prefixOf(transcript), roster, rosterBytes, policy, opener: checked.committer, schedule, directory,
    package: opened.package, keys: opened.keys, index: opened.index, resynced: checked.resynced ?? false,
  };
}
