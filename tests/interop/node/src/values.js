/** Values of the protocol as JSON, and back (20.2). */

import { hex, isBytes, unhex } from './bytes.js';
import { owner } from './identity.js';

/** Any value of chapter 4 → JSON that tells bin and str apart. */
export function tagged(value) {
  if (isBytes(value)) return { bin: hex(value) };
  if (typeof value === 'string') return { str: value };
  if (typeof value === 'bigint') return { uint: value.toString() };
  if (Array.isArray(value)) return value.map(tagged);
  return value;
}

/** The reverse of `tagged`. */
export function untagged(json) {
  if (Array.isArray(json)) return json.map(untagged);
  if (json !== null && typeof json === 'object') {
    if ('bin' in json) return unhex(json.bin);
    if ('str' in json) return json.str;
    return BigInt(json.uint);
  }
  return json;
}

/** What a device is to do in a commit: an operation, or a removal or demotion that it is to sign (20.6). */
export function wishFrom(json) {
  if (Array.isArray(json)) return untagged(json);
  const { member, role } = json.sanction;
  return { sanction: { member: unhex(member), role } };
}

/** A row of a trail (7.5). */
export const trailFrom = ([prefix, order]) => [unhex(prefix), order];

/** Bytes or null, both ways. */
export const hexOrNull = (value) => (value === null ? null : hex(value));
export const unhexOrNull = (value) => (value === null || value === undefined ? null : unhex(value));

export const identityFrom = ({ sign_key, dh_key }) => ({ signKey: unhex(sign_key), dhKey: unhex(dh_key) });
export const identityTo = ({ signKey, dhKey }) => ({ sign_key: hex(signKey), dh_key: hex(dhKey) });

export const ownerFrom = ({ seed, dh_private }) => owner(unhex(seed), unhex(dh_private));

export const mailboxFrom = ({ address, envelope_key, capability }) => (
  { address: unhex(address), envelopeKey: unhex(envelope_key), capability: unhex(capability) });
export const mailboxTo = ({ address, envelopeKey, capability }) => (
  { address: hex(address), envelope_key: hex(envelopeKey), capability: hex(capability) });

export const mailboxKeysFrom = ({ read_seed, envelope_private, capability }) => (
  { readSeed: unhex(read_seed), envelopePrivate: unhex(envelope_private), capability: unhex(capability) });

export const packageKeysFrom = ({ signed, signed_prekey, prekeys, leaf, room_seed }) => ({
  signed: unhex(signed),
  signedPrekey: unhex(signed_prekey),
  prekeys: prekeys.map(unhexOrNull),
  leaf: unhex(leaf),
  roomSeed: unhex(room_seed),
});

export const guestFrom = ({ package: signed, prekey, role }) => ({ signed: unhex(signed), prekey, role });

export const directoryFrom = ({ member, name, mailbox }) => (
  { member: unhex(member), name, mailbox: mailbox && mailboxFrom(mailbox) });
