/** What a relay says that it has disclosed of a mailbox (22.8). */

import { equal, isBytes, unhex } from './bytes.js';
import { failIf, refuse } from './errors.js';
import { hash, verify } from './primitives.js';

const MAX_BYTES = 16384;
const MAX_DEPTH = 16;
const MAX_NUMBER = 1e9;
const MAX_NAMES = 64;
const LABEL = 'disclosure statement';

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const utf8 = new TextEncoder();

/** The one text of a value (RFC 8785, with integers alone). */
function canonical(value, depth = 0) {
  if (typeof value === 'number') failIf(!Number.isSafeInteger(value), 'bad-form');
  if (typeof value === 'string') failIf(!value.isWellFormed(), 'bad-form');
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  failIf(depth >= MAX_DEPTH, 'bad-form');
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item, depth + 1)).join()}]`;
  failIf(Object.keys(value).some((name) => /[^\x00-\x7f]/.test(name)), 'bad-form');
  const member = (name) => `${JSON.stringify(name)}:${canonical(value[name], depth + 1)}`;
  return `{${Object.keys(value).sort().map(member).join()}}`;
}

/** Step 2: a value that is written in no other way. */
function read(data) {
  let text;
  let value;
  try {
    text = strict.decode(data);
    value = JSON.parse(text);
  } catch {
    refuse('bad-form');
  }
  failIf(canonical(value) !== text, 'non-canonical');
  return value;
}

const number = (least) => (value) => Number.isInteger(value) && value >= least && value <= MAX_NUMBER;
const text = (pattern) => (value) => typeof value === 'string' && pattern.test(value);
const bytes = (size) => text(new RegExp(`^[0-9a-f]{${2 * size}}$`));
const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);
const name = text(/^[a-z][a-z_.]{0,63}$/);

/** Whether a value has exactly these fields, and each is as it must be. */
const fields = (wanted) => (value) => isObject(value) && Object.keys(value).length === Object.keys(wanted).length
  && Object.entries(wanted).every(([key, check]) => Object.hasOwn(value, key) && check(value[key]));

const isStatement = fields({
  type: () => true,
  version: () => true,
  request: number(1),
  jurisdiction: text(/^[A-Z][A-Z0-9-]{1,15}$/),
  category: text(/^[a-z][a-z0-9_]{0,63}$/),
  disclosed: number(0),
  told: number(0),
  delayed_hours: number(0),
  gag_order: (value) => typeof value === 'boolean',
  handed_over: (value) => Array.isArray(value) && value.length <= MAX_NAMES && value.every(name),
  envelopes: number(0),
  salt: bytes(16),
  subject: bytes(32),
  ledger: fields({ entry: number(1), head: bytes(32) }),
  key: bytes(32),
  signature: bytes(64),
});

/**
 * REQ-RELAY-25.
 * @param {Uint8Array} data
 * @param {Uint8Array} address of the mailbox in which it was found
 * @returns {object} its fields
 */
export function checkStatement(data, address) {
  failIf(!isBytes(data) || data.length > MAX_BYTES, 'too-large');
  const said = read(data);
  failIf(!isObject(said) || said.type !== 'evanesce disclosure statement', 'bad-form');
  failIf(said.version !== 1, 'wrong-version');
  failIf(!isStatement(said) || said.delayed_hours !== said.told - said.disclosed, 'bad-form');
  const { signature, ...unsigned } = said;
  verify(unhex(said.key), unhex(signature), LABEL, utf8.encode(canonical(unsigned)));
  const subject = hash('ledger address', unhex(said.salt), address);
  failIf(!equal(subject, unhex(said.subject)), 'bad-form');
  return said;
}
