/** All operations of 20.5, by name. Each takes `in` and returns `out`, or throws a Refusal. */

import { epochs, messages } from './epochs.js';
import { membership } from './membership.js';
import { objects } from './objects.js';
import { primitives } from './primitives.js';
import { relays } from './relay.js';
import { roomOperations } from './rooms.js';

export const operations = {
  ...primitives, ...objects, ...membership, ...epochs, ...messages, ...roomOperations, ...relays,
};
