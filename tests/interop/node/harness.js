/** The harness of chapter 21: one JSON request a line on standard input, one answer a line on standard output. */

import { readFileSync } from 'node:fs';

import { operations } from './operations/index.js';
import { Refusal } from './src/errors.js';
import { lines } from './src/lines.js';
import { traced } from './src/trace.js';

const { name, version } = JSON.parse(readFileSync(new URL('./package.json', import.meta.url), 'utf8'));

const HELLO = {
  protocol: 1,
  name,
  version,
  spec: '1.0-draft.1',
  operations: Object.keys(operations),
  features: ['signed', 'direct', 'client', 'relay', 'large'],
};

/** The answer to a case. */
function answer({ id, op, in: input }) {
  const operation = operations[op];
  if (operation === undefined) return { id, skip: `no operation ${op}` };
  const { result, error, trace } = traced(() => operation(input));
  if (error === undefined) return { id, ok: result, trace };
  if (error instanceof Refusal) return { id, reject: error.reason, trace };
  return { id, error: error.stack };
}

for await (const line of lines(process.stdin)) {
  const request = JSON.parse(line);
  const reply = request.hello ? { hello: HELLO } : answer(request);
  process.stdout.write(JSON.stringify(reply) + '\n');
}
