/** Operations of 20.5 on the formulas of chapters 10 and 11. */

import { hex, unhex } from '../src/bytes.js';
import { ciphertextSize, messageId, openMessage, parseMessage, sealMessage } from '../src/message.js';
import { parse } from '../src/objects.js';
import { dhPublic } from '../src/primitives.js';
import * as schedule from '../src/schedule.js';
import { unhexOrNull, untagged } from '../src/values.js';

export const epochs = {
  'epoch secret': ({ init, r, commit }) => {
    const commitHashed = schedule.commitHash(unhex(commit));
    return { commit_hash: hex(commitHashed), secret: hex(schedule.epochSecret(unhex(init), unhex(r), commitHashed)) };
  },
  'key schedule': ({ secret, commit, members }) => {
    const keys = schedule.keySchedule(unhex(secret), schedule.commitHash(unhex(commit)), members.map(unhex));
    const each = (map) => members.map((member) => hex(map.get(member)));
    return {
      confirmation: hex(keys.confirmation), chains: each(keys.chains), handshakes: each(keys.handshakes),
      inits: each(keys.inits), exporter: hex(keys.exporter),
    };
  },
  'transcript hash': ({ parent, commit, confirmation }) => {
    const transcript = schedule.transcriptHash(unhex(parent), unhex(commit), unhex(confirmation));
    return { transcript: hex(transcript), prefix: hex(schedule.prefixOf(transcript)) };
  },
  'state hash': ({ roster, policy }) => ({ state: hex(schedule.stateHash(unhex(roster), policy)) }),
  context: ({ suite, room, policy, roster, transcript }) => (
    { context: hex(schedule.contextOf(suite, unhex(room), policy, unhex(roster), unhex(transcript))) }),
  export: ({ exporter, label, size }) => ({ secret: hex(schedule.exportSecret(unhex(exporter), unhex(label), size)) }),
  'seal slot': ({ r, ephemeral, commit, member, leaf_key }) => {
    const secret = unhex(ephemeral);
    const ephemeralKey = dhPublic(secret);
    const slot = schedule.sealSlot(unhex(r), secret, ephemeralKey, schedule.commitHash(unhex(commit)), unhex(member),
      unhex(leaf_key));
    return { ephemeral_key: hex(ephemeralKey), slot: hex(slot) };
  },
  'open slot': ({ slot, leaf, commit, ephemeral_key, member }) => ({
    r: hex(schedule.openSlot(unhex(slot), unhex(leaf), unhex(ephemeral_key), schedule.commitHash(unhex(commit)),
      unhex(member))),
  }),
  'seal commit': ({ handshake, room, prefix, committer, signed_commit, fresh }) => ({
    sealed_commit: hex(schedule.sealCommit(unhex(handshake), unhex(room), unhex(prefix), unhex(committer),
      unhex(signed_commit), unhex(fresh))),
  }),
  'open commit': ({ sealed_commit, handshake }) => (
    { signed_commit: hex(schedule.openCommit(unhex(handshake), parse(unhex(sealed_commit), 'sealed commit'))) }),
};

export const messages = {
  'seal message': ({ header, context, message_key, content, fresh, room_seed }) => {
    const sealed = sealMessage(header.map(untagged), unhex(context), unhex(message_key), unhex(content), unhex(fresh),
      unhexOrNull(room_seed));
    return { message: hex(sealed.message), id: hex(sealed.id), key: hex(sealed.key) };
  },
  'open message': ({ message, context, message_key, mode, room_sign_key }) => ({
    content: hex(openMessage(parseMessage(unhex(message)), unhex(context), unhex(message_key), mode,
      unhexOrNull(room_sign_key)).content),
  }),
  'message id': ({ header, body }) => ({ id: hex(messageId(unhex(header), unhex(body))) }),
  'ciphertext size': ({ header, authenticator, content }) => ({ size: ciphertextSize(header, authenticator, content) }),
};
