/** Every object, field by field (chapter 5), and `parse` (4.6). */

import { isBytes } from './bytes.js';
import { decode, encode, utf8Length } from './encoding.js';
import { failIf, refuse } from './errors.js';

// A field is a function that checks a value and fails with the reason of the table of 4.6.

const bin = (n) => (value) => failIf(!isBytes(value) || value.length !== n, 'bad-form');

const bins = (least, most) => (value) => {
  failIf(!isBytes(value) || value.length < least, 'bad-form');
  failIf(value.length > most, 'too-large');
};

const uint = (most) => (value) => failIf(typeof value !== 'number' || value > most, 'bad-form');

const text = (most) => (value) => {
  failIf(typeof value !== 'string', 'bad-form');
  failIf(utf8Length(value) > most, 'too-large');
};

const boolean = (value) => failIf(typeof value !== 'boolean', 'bad-form');

const orNil = (field) => (value) => {
  if (value !== null) field(value);
};

const array = (least, most, field) => (value) => {
  failIf(!Array.isArray(value) || value.length < least, 'bad-form');
  failIf(value.length > most, 'too-large');
  value.forEach((item) => field(item));
};

const tuple = (...fields) => (value) => {
  failIf(!Array.isArray(value) || value.length !== fields.length, 'bad-form');
  fields.forEach((field, i) => field(value[i]));
};

// 5.1
const id = bin(32);
const key = bin(32);
const signature = bin(64);
const prefix = bin(8);
const salt = bin(16);
const slot = bin(48);
const time = uint(2 ** 40 - 1);
const count = uint(2 ** 32 - 1);
const seconds = uint(2 ** 32 - 1);
const suite = uint(255);
const role = uint(2);
const signed = bins(1, 1024);
const mailbox = tuple(id, key, bin(16));
const order = tuple(uint(3), count, time, uint(2), count);
const policy = tuple(uint(2), boolean, orNil(seconds), seconds);

const OPERATIONS = [
  tuple(uint(0), signed, role),
  tuple(uint(1), signed),
  tuple(uint(2), id, role),
  tuple(uint(3), policy),
  tuple(uint(4), signed),
];

/** REQ-FORM-05: the first item alone says which operation it is. */
function operation(value) {
  failIf(!Array.isArray(value) || value.length === 0, 'bad-form');
  const form = typeof value[0] === 'number' ? OPERATIONS[value[0]] : undefined;
  failIf(form === undefined, 'bad-form');
  form(value);
}

const object = (type, limit, ...fields) => ({ type, limit, fields });
const content = (type, ...fields) => object(type, 65792, ...fields);

// 22.2
const number = count;
const reason = orNil(text(32));
const envelope = bins(1, 2097152);

/** Name, type number, limit and fields of every object. */
export const OBJECTS = {
  'signed object': object(1, 1024, bins(1, 896), signature),
  'member entry': object(2, 896, id, id, key, key, key, count),
  'key package': object(3, 896, suite, key, key, key, array(0, 4, key), key, key, mailbox, time, boolean),
  'card': object(4, 2048, text(256), signed),
  'invitation': object(5, 1572864, suite, key, key, id, orNil(uint(3)), key, bins(16, 1572864)),
  'welcome': object(6, 1572864, bins(1, 786432), bin(32), orNil(signature), orNil(signed), bins(1, 1572864),
    policy, bin(32), array(0, 1000, tuple(id, text(256), orNil(mailbox))), array(0, 256, tuple(prefix, orNil(order)))),
  'roster': object(7, 1572864, count, array(1, 1000, tuple(id, role, count, key, key, id, count, count, signed,
    orNil(time)))),
  'genesis': object(8, 786432, suite, id, time, policy, key, key, signed, array(0, 999, tuple(signed, role)), id),
  'commit': object(9, 786432, id, count, id, id, time, array(0, 1000, operation),
    array(0, 16, tuple(uint(1), signed)), signed, key, id),
  'signed commit': object(10, 786560, bins(1, 786432), bin(32), signature),
  'sealed commit': object(11, 786688, id, prefix, id, salt, bins(16, 786576)),
  'commit copy': object(12, 786944, bins(1, 786688), orNil(slot)),
  'direct commit': object(13, 2048, id, count, id, id, key, key, orNil(signed)),
  'leave request': object(14, 256, id, id, id),
  'header': object(15, 2048, id, prefix, id, count, salt, orNil(tuple(prefix, count)), uint(1),
    orNil(tuple(key, key, slot, orNil(signed)))),
  'message': object(16, 86016, bins(1, 2048), bins(17, 81920), bins(32, 64)),
  'opening': object(17, 98304, bins(1, 8192), bins(1, 86016)),
  'envelope': object(18, 2097152, key, bins(17, 2097152)),
  'repair request': object(19, 256, id, id, prefix, time),
  'resync request': object(20, 896, id, id, time, signed),
  'sanction': object(21, 896, id, id, id, id, orNil(role), count, orNil(array(0, 64, prefix))),
  'text': content(32, time, orNil(seconds), seconds, orNil(bin(16)), text(65536)),
  'data': content(33, time, orNil(seconds), seconds, orNil(bin(16)), bins(0, 65536)),
  'announcement': content(34, text(256), mailbox),
  'leave': content(35, signed),
  'viewed': content(36, array(1, 256, bin(16))),
  'burn': content(37, array(1, 256, bin(16))),
  'put': object(48, 4194304, array(1, 256, tuple(id, bin(16), bin(16), envelope))),
  'outcomes': object(49, 16384, array(1, 256, reason)),
  'recall': object(50, 32768, array(1, 256, tuple(id, bin(16), bin(16)))),
  'publish': object(51, 131072, id, array(0, 100, signed), orNil(signed)),
  'claim': object(52, 64, id),
  'blob': object(53, 1048832, id, bins(1, 1048576)),
  'blob deletion': object(54, 96, id, bin(16)),
  'challenge': object(56, 64, bin(32)),
  'delivery': object(57, 2097280, id, bin(16), envelope),
  'notice': object(58, 16640, id, bin(16), bins(1, 16384)),
  'done': object(59, 96, number, reason, seconds),
  'prove': object(60, 160, number, key, signature),
  'make mailbox': object(61, 128, number, id, id),
  'remove mailbox': object(62, 64, number, id),
  'subscribe': object(63, 64, number, id),
  'unsubscribe': object(64, 64, number, id),
  'ack': object(65, 8192, number, id, array(1, 256, bin(16))),
  'credit': object(66, 32, uint(1000), uint(16777216)),
};

const NAMES = new Map(Object.entries(OBJECTS).map(([name, { type }]) => [type, name]));

/**
 * The name of the object with a type number, if there is one.
 * @param {number} type
 */
export function nameOf(type) {
  return NAMES.get(type);
}

/**
 * Steps 1 to 4 of `parse`: the items of any top-level object.
 * @param {Uint8Array} data
 * @param {number} limit that of the place
 */
export function open(data, limit) {
  const value = decode(data, limit);
  failIf(!Array.isArray(value) || value.length < 2, 'bad-form');
  failIf(value[0] !== 1, 'wrong-version');
  failIf(typeof value[1] !== 'number' && typeof value[1] !== 'bigint', 'bad-form');
  return value;
}

/**
 * Steps 5 to 7 of `parse`.
 * @param {Array} items what `open` returned
 * @param {string} name
 * @returns {Array} the fields
 */
export function check(items, name) {
  const { type, fields } = OBJECTS[name];
  failIf(items[1] !== type, 'wrong-type');
  failIf(items.length - 2 !== fields.length, 'bad-form');
  const values = items.slice(2);
  fields.forEach((field, i) => field(values[i]));
  return values;
}

/**
 * `parse(data, type)`.
 * @param {Uint8Array} data
 * @param {string} name name of the object in chapter 5, in lowercase
 * @returns {Array} the fields
 */
export function parse(data, name) {
  return check(open(data, OBJECTS[name].limit), name);
}

/**
 * The encoding of an object that this device makes (REQ-WIRE-11). What `parse` would refuse is a local
 * error.
 * @param {string} name
 * @param {...unknown} fields
 * @returns {Uint8Array}
 */
export function make(name, ...fields) {
  const { type, limit } = OBJECTS[name];
  const items = [1, type, ...fields];
  check(items, name);
  const data = encode(items);
  failIf(data.length > limit, 'too-large');
  return data;
}

/** Whether a policy from the application has the form of 5.1; refused as `bad-policy` otherwise. */
export function checkPolicyForm(value) {
  try {
    policy(value);
  } catch {
    refuse('bad-policy');
  }
}

/** Whether an operation from the application has its form. */
export function checkOperationForm(value) {
  operation(value);
}
