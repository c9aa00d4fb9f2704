/** Runs all vectors in this process: `node check.js [file …]`, `--list` shows each failure. */

import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';

import { operations } from './operations/index.js';
import { Refusal } from './src/errors.js';

const folder = fileURLToPath(new URL('../../../vectors/v1/', import.meta.url));
const wanted = process.argv.slice(2);
const files = readdirSync(folder).filter((name) => name.endsWith('.json') && name !== 'manifest.json')
  .filter((name) => wanted.length === 0 || wanted.includes(name.replace('.json', '')));

/** What a session promises of its digests (20.6). */
function digestFault(steps) {
  let before;
  for (const [i, { digest, ...result }] of steps.entries()) {
    const still = result.outcome === 'rejected' || result.event === 'restarted';
    if (still && before !== undefined && digest !== before) return `step ${i}: the digest has changed`;
    const moves = result.outcome === 'delivered' || result.event === 'sent' || result.event === 'committed';
    if (moves && digest === before) return `step ${i}: the digest has not changed`;
    before = digest;
  }
  return null;
}

/** What is wrong with the answer to a case; null if nothing is. */
function fault({ op, in: input, out, reason }) {
  let result;
  try {
    result = operations[op](input);
  } catch (error) {
    if (error instanceof Refusal) {
      return error.reason === reason ? null : `refused with ${error.reason}, not ${reason ?? 'at all'}`;
    }
    return error.stack;
  }
  if (reason !== null) return `accepted, but should be ${reason}`;
  if (op === 'session') {
    const strange = digestFault(result);
    if (strange) return strange;
    result = result.map(({ digest, ...rest }) => rest);
    const at = result.findIndex((step, i) => !isDeepStrictEqual(step, out[i]));
    return at < 0 ? null : `step ${at}: ${JSON.stringify(result[at])}, not ${JSON.stringify(out[at])}`;
  }
  return isDeepStrictEqual(result, out) ? null : `${JSON.stringify(result)}, not ${JSON.stringify(out)}`;
}

let passed = 0;
let failed = 0;
for (const name of files) {
  const start = Date.now();
  const count = {};
  for (const test of JSON.parse(readFileSync(folder + name, 'utf8')).cases) {
    const wrong = operations[test.op] ? fault(test) : 'no such operation here';
    const row = count[test.op] ??= [0, 0];
    row[wrong ? 1 : 0] += 1;
    if (wrong) {
      failed += 1;
      console.log(`FAIL ${name} ${test.op} ${test.id}: ${wrong.slice(0, 600)}`);
    } else passed += 1;
  }
  const told = Object.entries(count).map(([op, [good, bad]]) => `${op} ${good}/${good + bad}`);
  console.log(`${name} (${Date.now() - start} ms): ${told.join(', ')}`);
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
