/** Sending and receiving messages in a room (11.5 to 11.7). */

import { equal, hex } from './bytes.js';
import { LAST_INDEX, keepLimit, step } from './chain.js';
import { failIf, hold, refuse } from './errors.js';
import { readContent, stricter } from './evaporation.js';
import { awaitsRefresh, checkLeaveRequest, find } from './membership.js';
import { openMessage, parseMessage, sealMessage } from './message.js';
import { hasStrayed, leadingTo, leadsTo } from './tree.js';
import { acceptTurn, beginTurn } from './turns.js';

const MAX_UNANSWERED = 1000;
const STRAYED = 1;

/**
 * REQ-MSG-06.
 * @param {import('./room.js').Room} room
 * @param {Uint8Array} content
 * @param {number} now
 * @param {import('./random.js').Source} random
 */
export function sendMessage(room, content, now, random) {
  failIf(room.removed, 'room-closed');
  const turns = room.direct && !equal(room.current.opener, room.me);
  const opened = turns ? beginTurn(room, random) : null;
  const epoch = opened?.epoch ?? room.current;
  const sending = opened ? { key: opened.sending, index: 0 } : room.sending;
  if (!room.direct) {
    room.checkHonest();
    failIf(room.noted.blocking(room.id, epoch.roster, room.me), 'removal-pending');
    failIf(awaitsRefresh(epoch.roster), 'refresh-awaited');
  } else failIf(sending.index >= MAX_UNANSWERED, 'out-of-turn');
  failIf(sending.index > LAST_INDEX, 'chain-exhausted');
  const { index } = sending;
  const { next, messageKey } = step(sending.key);
  const flags = !room.direct && hasStrayed(room) ? 1 : 0;
  const fields = [room.id, epoch.prefix, room.me, index, null, room.lastSpoken, flags, epoch.turn];
  const { message, id, key } = sealMessage(fields, epoch.context, messageKey, content, random(16), epoch.roomSeed);

  if (opened) {
    room.enter(epoch, opened.sending, now);
    room.committed = now;
    room.sent = 0;
  }
  room.sending = { key: next, index: index + 1 };
  epoch.spoken = true;
  room.sent += 1;
  return { message, id, key, number: epoch.number, transcript: epoch.transcript, index };
}

/** Whether turn fields are exactly those that opened an epoch. */
function sameTurn(a, b) {
  if (a === null || b === null) return a === b;
  return a.every((field, i) => (field === null || b[i] === null ? field === b[i] : equal(field, b[i])));
}

/**
 * REQ-MSG-08: close the sender's chains that have ended, on copies.
 * @param {import('./room.js').Room} room
 * @param {{ sender: Uint8Array, prefix: Uint8Array, lastSpoken: [Uint8Array, number] | null, flags: number }} header
 * @param {import('./epoch.js').Epoch} epoch that of the message, which a turn may just be opening
 * @param {number} now
 */
function closeEnded({ epochs }, { sender, prefix, lastSpoken, flags }, epoch, now) {
  const name = hex(sender);
  const { resynced } = find(epoch.roster, sender);
  // Whoever has been let in anew does not know what it said before: that settles nothing, and is not settled.
  const stoodAs = ({ roster }) => find(roster, sender)?.resynced;
  const named = lastSpoken === null ? undefined : epochs.find((each) => equal(each.prefix, lastSpoken[0]));
  failIf(lastSpoken !== null && equal(lastSpoken[0], prefix), 'bad-count');
  if (named !== undefined) {
    failIf(leadsTo(epochs, epoch, named), 'bad-count');
    failIf(![undefined, resynced].includes(stoodAs(named)), 'bad-count');
  }
  const closed = [];
  const close = (ended, count) => {
    const chain = ended.chains.get(name);
    if (chain === undefined || chain.closed) return;
    const copy = chain.copy();
    const { skips, gap } = copy.close(count, now);
    closed.push({ epoch: ended, chain: copy, skips, gap });
  };
  for (const earlier of leadingTo(epochs, epoch)) {
    const chain = earlier.chains.get(name);
    if (chain === undefined || chain.closed || stoodAs(earlier) !== resynced) continue;
    if (named !== undefined && (named === earlier || leadsTo(epochs, earlier, named))) break;
    if (lastSpoken !== null && named === undefined) {
      if ((flags & STRAYED) !== 0) break;
      if (chain.index !== 0) continue;
    }
    close(earlier, 0);
  }
  if (named !== undefined) close(named, lastSpoken[1]);
  return closed;
}

/** 9.7: a valid leave request is kept until the leaver has gone; an invalid one is dropped. */
function keepLeaveRequest(room, signed) {
  let leaver;
  try {
    leaver = checkLeaveRequest(signed, room.id, room.current.roster);
  } catch {
    return;
  }
  // One for each member, the last that came; a map keeps the place of the first.
  room.leaveRequests.set(hex(leaver.id), signed);
}

/** All skipped keys of a room, for REQ-CHAIN-10. */
function allChains(room) {
  return room.epochs.flatMap(({ roster, chains }) => roster.members
    .filter(({ id }) => chains.has(hex(id)))
    .map(({ id }) => ({ member: id, chain: chains.get(hex(id)) })));
}

/**
 * REQ-MSG-07.
 * @param {import('./room.js').Room} room
 * @param {Uint8Array} data
 * @param {number} now
 */
export function receiveMessage(room, data, now) {
  const message = parseMessage(data);
  const { sender, prefix, index, turn } = message;
  const name = hex(sender);
  failIf(!equal(message.room, room.id), 'unknown-room');
  failIf(equal(sender, room.me), 'own-message');
  let epoch = room.named(prefix);
  let opened = null;
  if (epoch === undefined) {
    failIf(room.closed, 'room-closed');
    if (!room.direct || turn === null) hold('unknown-epoch');
    opened = acceptTurn(room, message);
    epoch = opened.epoch;
  } else {
    failIf(!sameTurn(turn, epoch.turn), 'fork');
  }
  const author = find(epoch.roster, sender) ?? refuse('unknown-member');
  failIf(room.direct && !equal(sender, epoch.opener), 'out-of-turn');
  const chain = (epoch.chains.get(name) ?? refuse('unknown-member')).copy();
  const { messageKey, skips, dropped } = chain.at(index, now);
  const { roomSignKey } = author.keys;
  const { content, id, key } = openMessage(message, epoch.context, messageKey, epoch.policy[0], roomSignKey);
  const { type, fields } = readContent(content);
  const closed = closeEnded(room, message, epoch, now);

  if (opened) {
    room.enter(epoch, opened.sending, now);
    room.committed = now;
    room.sent = 0;
  }
  room.arrived(sender, epoch);
  epoch.chains.set(name, chain);
  for (const older of closed) older.epoch.chains.set(name, older.chain);
  const evicted = keepLimit(allChains(room));
  if ((message.flags & STRAYED) === 0) room.waive(sender, epoch);
  if (type === 'leave') keepLeaveRequest(room, fields[0]);
  return {
    type, fields, content, id, key, sender, number: epoch.number, index,
    ...(type === 'text' || type === 'data' ? stricter([fields[1], fields[2]], epoch.policy.slice(2)) : {}),
    missing: closed.reduce((sum, older) => sum + older.skips, skips),
    lost: dropped || closed.some(({ gap }) => gap),
    evicted,
  };
}
