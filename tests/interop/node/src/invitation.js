/** The handshake of an invitation (7.1 to 7.4). */

import { erase } from './bytes.js';
import { failIf } from './errors.js';
import { checkIdentity, sameIdentity } from './identity.js';
import { choosePrekey, openKeyPackage } from './keypackage.js';
import { make, parse } from './objects.js';
import { checkSuite, combine, decrypt, dh, dhPublic, encrypt, hash } from './primitives.js';

/** REQ-INV-03. */
function invitationKey(secrets, suite, inviter, read, index, prekey, ephemeralKey) {
  const invited = read.identity;
  const transcript = hash('invitation transcript', suite, inviter.signKey, inviter.dhKey,
    invited.signKey, invited.dhKey, read.hash, read.signedPrekey, index, prekey, ephemeralKey);
  return combine('invitation', secrets, transcript);
}

/**
 * REQ-INV-02. Draws: ephemeral key 32.
 * @param {import('./identity.js').Owner} inviter
 * @param {object} read the package of the invited, as `readKeyPackage` gives it
 * @param {number | null} index which one-time prekey
 * @param {Uint8Array} welcome
 * @param {import('./random.js').Source} random
 */
export function sealInvitation(inviter, read, index, welcome, random) {
  const prekey = choosePrekey(read, index);
  const ephemeral = random(32);
  const ephemeralKey = dhPublic(ephemeral);
  const secrets = [
    dh(inviter.dhPrivate, read.signedPrekey),
    dh(ephemeral, read.identity.dhKey),
    dh(ephemeral, read.signedPrekey),
  ];
  if (prekey !== null) secrets.push(dh(ephemeral, prekey));
  const key = invitationKey(secrets, read.suite, inviter.identity, read, index, prekey, ephemeralKey);
  const sealed = encrypt(key, welcome);
  erase(key, ephemeral, ...secrets);
  return make('invitation', read.suite, inviter.identity.signKey, inviter.identity.dhKey, read.hash, index,
    ephemeralKey, sealed);
}

/**
 * REQ-INV-04.
 * @param {import('./identity.js').Owner} owner
 * @param {(hash: Uint8Array) => (import('./keypackage.js').PackageKeys | null)} find own packages by hash
 * @param {Uint8Array} data
 */
export function openInvitation(owner, find, data) {
  const [suite, signKey, dhKey, named, index, ephemeralKey, sealed] = parse(data, 'invitation');
  checkSuite(suite);
  const keys = find(named);
  failIf(keys === null, 'unknown-package');
  const read = openKeyPackage(keys.signed);
  failIf(suite !== read.suite, 'unknown-suite');
  const prekey = choosePrekey(read, index);
  const prekeyPrivate = prekey === null ? null : keys.prekeys[index];
  failIf(prekey !== null && prekeyPrivate === null, 'used-package');
  const inviter = { signKey, dhKey };
  failIf(sameIdentity(inviter, owner.identity), 'wrong-identity');
  checkIdentity(inviter);
  const secrets = [
    dh(keys.signedPrekey, dhKey),
    dh(owner.dhPrivate, ephemeralKey),
    dh(keys.signedPrekey, ephemeralKey),
  ];
  if (prekey !== null) secrets.push(dh(prekeyPrivate, ephemeralKey));
  const key = invitationKey(secrets, suite, inviter, read, index, prekey, ephemeralKey);
  const welcome = decrypt(key, sealed);
  erase(key, ...secrets);
  return { welcome, inviter, package: read, keys, index };
}
