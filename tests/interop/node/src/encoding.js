/**
 * Restricted MessagePack (chapter 4). Values are: number or bigint (unsigned integer), Uint8Array (bin),
 * string (str), null (nil), boolean, and arrays of these.
 */

import { isBytes } from './bytes.js';
import { refuse } from './errors.js';

const MAX_DEPTH = 4;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const toUtf8 = new TextEncoder();

/** What a type byte says: its kind, how many bytes of integer or length follow, and the least value. */
function form(type) {
  if (type <= 0x7f) return { kind: 'uint', value: type };
  if (type >= 0x90 && type <= 0x9f) return { kind: 'array', value: type - 0x90 };
  if (type >= 0xa0 && type <= 0xbf) return { kind: 'str', value: type - 0xa0 };
  switch (type) {
    case 0xcc: return { kind: 'uint', width: 1, least: 128 };
    case 0xcd: return { kind: 'uint', width: 2, least: 256 };
    case 0xce: return { kind: 'uint', width: 4, least: 65536 };
    case 0xcf: return { kind: 'uint', width: 8, least: 4294967296 };
    case 0xc4: return { kind: 'bin', width: 1, least: 0 };
    case 0xc5: return { kind: 'bin', width: 2, least: 256 };
    case 0xc6: return { kind: 'bin', width: 4, least: 65536 };
    case 0xd9: return { kind: 'str', width: 1, least: 32 };
    case 0xda: return { kind: 'str', width: 2, least: 256 };
    case 0xdb: return { kind: 'str', width: 4, least: 65536 };
    case 0xdc: return { kind: 'array', width: 2, least: 16 };
    case 0xdd: return { kind: 'array', width: 4, least: 65536 };
    case 0xc0: return { kind: 'nil', value: null };
    case 0xc2: return { kind: 'boolean', value: false };
    case 0xc3: return { kind: 'boolean', value: true };
    default: return null;
  }
}

const FORMS = Array.from({ length: 256 }, (_, type) => form(type));

/** A big-endian integer of 1, 2, 4 or 8 bytes; a bigint only where a number would not be exact. */
function readInteger(data, at, width) {
  if (width < 8) {
    let value = 0;
    for (let i = 0; i < width; i++) value = value * 256 + data[at + i];
    return value;
  }
  const value = new DataView(data.buffer, data.byteOffset).getBigUint64(at);
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}

/** Step 2 and 3 of `decode`: the structure, without building anything. */
function scan(data) {
  const left = []; // for each array that is open: how many of its values are still to come
  let at = 0;
  do {
    if (left.length > 0) left[left.length - 1] -= 1;
    if (at >= data.length) refuse('truncated');
    const { kind, width, least, value } = FORMS[data[at++]] ?? refuse('forbidden-type');
    let n = value;
    if (width !== undefined) {
      if (data.length - at < width) refuse('truncated');
      n = readInteger(data, at, width);
      if (n < least) refuse('non-canonical');
      at += width;
    }
    if (kind === 'bin' || kind === 'str' || kind === 'array') {
      if (data.length - at < n) refuse('truncated');
      if (kind === 'array') {
        if (left.length + 1 > MAX_DEPTH) refuse('too-deep');
        left.push(n);
      } else {
        at += n;
      }
    }
    while (left.length > 0 && left[left.length - 1] === 0) left.pop();
  } while (left.length > 0);
  if (at < data.length) refuse('trailing-bytes');
}

/** Step 4 and 5 of `decode`: the value, from bytes that `scan` has passed. */
function build(data, cursor) {
  const { kind, width, value } = FORMS[data[cursor.at++]];
  let n = value;
  if (width !== undefined) {
    n = readInteger(data, cursor.at, width);
    cursor.at += width;
  }
  if (kind === 'array') {
    const items = new Array(n);
    for (let i = 0; i < n; i++) items[i] = build(data, cursor);
    return items;
  }
  if (kind === 'bin' || kind === 'str') {
    const bytes = data.slice(cursor.at, cursor.at + n);
    cursor.at += n;
    if (kind === 'bin') return bytes;
    try {
      return utf8.decode(bytes);
    } catch {
      refuse('non-canonical');
    }
  }
  return n;
}

/**
 * `decode(data, limit)` of 4.4.
 * @param {Uint8Array} data
 * @param {number} limit
 */
export function decode(data, limit) {
  if (data.length > limit) refuse('too-large');
  scan(data);
  return build(data, { at: 0 });
}

/** Bytes that grow. */
class Writer {
  constructor() {
    this.bytes = new Uint8Array(256);
    this.length = 0;
  }

  room(n) {
    if (this.length + n > this.bytes.length) {
      const larger = new Uint8Array(Math.max(this.bytes.length * 2, this.length + n));
      larger.set(this.bytes.subarray(0, this.length));
      this.bytes = larger;
    }
  }

  byte(value) {
    this.room(1);
    this.bytes[this.length++] = value;
  }

  integer(value, width) {
    this.room(width);
    let rest = BigInt(value);
    for (let i = width - 1; i >= 0; i--) {
      this.bytes[this.length + i] = Number(rest & 255n);
      rest >>= 8n;
    }
    this.length += width;
  }

  raw(bytes) {
    this.room(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }
}

/** The shortest head for a length: [width, type byte] pairs, smallest first. */
function head(writer, n, forms) {
  for (const [width, type] of forms) {
    if (n < 2 ** (8 * width)) {
      writer.byte(type);
      writer.integer(n, width);
      return;
    }
  }
  refuse('bad-form');
}

function write(writer, value) {
  if (value === null) writer.byte(0xc0);
  else if (value === false) writer.byte(0xc2);
  else if (value === true) writer.byte(0xc3);
  else if (typeof value === 'number' || typeof value === 'bigint') {
    if (value < 0 || (typeof value === 'number' && !Number.isSafeInteger(value))) refuse('bad-form');
    if (value < 128) writer.byte(Number(value));
    else head(writer, value, [[1, 0xcc], [2, 0xcd], [4, 0xce], [8, 0xcf]]);
  } else if (isBytes(value)) {
    head(writer, value.length, [[1, 0xc4], [2, 0xc5], [4, 0xc6]]);
    writer.raw(value);
  } else if (typeof value === 'string') {
    if (!value.isWellFormed()) refuse('bad-form');
    const bytes = toUtf8.encode(value);
    if (bytes.length < 32) writer.byte(0xa0 + bytes.length);
    else head(writer, bytes.length, [[1, 0xd9], [2, 0xda], [4, 0xdb]]);
    writer.raw(bytes);
  } else if (Array.isArray(value)) {
    if (value.length < 16) writer.byte(0x90 + value.length);
    else head(writer, value.length, [[2, 0xdc], [4, 0xdd]]);
    for (const item of value) write(writer, item);
  } else refuse('bad-form');
}

/**
 * The one encoding of a value (4.5). What has no encoding is a local error.
 * @returns {Uint8Array}
 */
export function encode(value) {
  const writer = new Writer();
  write(writer, value);
  return writer.bytes.slice(0, writer.length);
}

/** How many bytes stand before a bin of n bytes. */
export function binHead(n) {
  return n < 256 ? 2 : n < 65536 ? 3 : 5;
}

/**
 * The length of a text in bytes of UTF-8.
 * @param {string} text
 */
export function utf8Length(text) {
  return Buffer.byteLength(text, 'utf8');
}
