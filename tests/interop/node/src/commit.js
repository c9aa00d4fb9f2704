/** Genesis, commit and direct commit as objects: how they are read (10.2, 10.3, 10.11). */

import { ZEROS, equal } from './bytes.js';
import { failIf } from './errors.js';
import { DIRECT, checkPolicy } from './evaporation.js';
import { checkIdentity } from './identity.js';
import { readKeyPackage } from './keypackage.js';
import { OWNER, append, creatorAdmission, creatorId, readCredential } from './membership.js';
import { make, parse } from './objects.js';
import { ADD, RESYNC, SANCTION, SET_POLICY, addMember } from './operations.js';
import { checkDhKey, checkSuite } from './primitives.js';
import { readResyncRequest } from './resync.js';
import { readSanction } from './sanctions.js';

/** Steps 1 to 5 of REQ-EPOCH-12, from the encoded genesis. */
export function openGenesis(data) {
  const [suite, room, time, policy, signKey, dhKey, entry, members, state] = parse(data, 'genesis');
  const creator = { signKey, dhKey };
  checkIdentity(creator);
  const packages = members.map(([signed, role]) => ({ read: readKeyPackage(signed), role }));
  checkSuite(suite);
  checkPolicy(policy);
  return { suite, room, time, policy, creator, entry, packages, state };
}

/** Step 6: the creator's entry. */
export function readCreatorEntry({ room, creator, entry }) {
  const id = creatorId(room, creator);
  const keys = readCredential(entry, room, id, creator);
  failIf(keys.isPackage || keys.version !== 0, 'bad-entry');
  return { id, keys };
}

/** Steps 7 to 9: the roster of epoch 0. */
export function genesisRoster({ suite, room, time, policy, creator, entry, packages }, { id, keys }) {
  failIf(policy[0] === DIRECT && packages.length !== 1, 'wrong-mode');
  let roster = append({ nextSeniority: 0, members: [] },
    {
      id, role: OWNER, identity: creator, admission: creatorAdmission(entry), sponsor: 0, ranked: 0,
      credential: entry, keys,
    });
  const given = { suite, room, transcript: ZEROS, time, sponsor: 0, number: 0 };
  packages.forEach(({ read, role }, index) => {
    roster = addMember(roster, given, read, role, index);
  });
  return roster;
}

/** The fields of a genesis, by name → its encoding. */
export function makeGenesis({ suite, room, time, policy, creator, entry, packages, state }) {
  return make('genesis', suite, room, time, policy, creator.signKey, creator.dhKey, entry,
    packages.map(({ read, role }) => [read.signed, role]), state);
}

/** A commit in form: step 1 of REQ-EPOCH-11. */
export function parseCommit(data) {
  const [room, epoch, transcript, committer, time, operations, proofs, entry, ephemeralKey, state] =
    parse(data, 'commit');
  return { room, epoch, transcript, committer, time, operations, proofs, entry, ephemeralKey, state };
}

/** REQ-EPOCH-11. */
export function readCommit(data) {
  const commit = parseCommit(data);
  const { operations, ephemeralKey } = commit;
  checkDhKey(ephemeralKey);
  const packages = new Map();
  operations.forEach(([kind, first], index) => {
    if (kind === ADD) packages.set(index, readKeyPackage(first));
    if (kind === SET_POLICY) checkPolicy(first);
    if (kind === SANCTION) readSanction(first);
    if (kind === RESYNC) packages.set(index, readResyncRequest(first));
  });
  return { ...commit, packages };
}

/** The fields of a commit, by name → its encoding. */
export function makeCommit(commit) {
  const { room, epoch, transcript, committer, time, operations, proofs, entry, ephemeralKey, state } = commit;
  return make('commit', room, epoch, transcript, committer, time, operations, proofs, entry, ephemeralKey, state);
}

/** Step 11 of REQ-EPOCH-15: whether a commit builds on that parent. */
export function checkParent(commit, room, epoch, committer) {
  const right = equal(commit.room, room) && commit.epoch === epoch.number
    && equal(commit.transcript, epoch.transcript) && equal(commit.committer, committer);
  failIf(!right, 'wrong-transcript');
}

/** REQ-DIR-03: both sides build the same bytes. */
export function makeDirectCommit(room, epoch, committer, leafKey, ephemeralKey, entry) {
  return make('direct commit', room, epoch.number, epoch.transcript, committer, leafKey, ephemeralKey, entry);
}
