/** Refusals and their reason codes (2.6). */

/** The closed set of codes that this implementation can report. */
export const CODES = new Set(`
  truncated trailing-bytes non-canonical forbidden-type too-deep too-large bad-form wrong-version wrong-type
  unknown-suite bad-key bad-signature bad-ciphertext bad-commitment bad-padding bad-confirmation
  expired unknown-package used-package wrong-identity
  unknown-room unknown-epoch unknown-member already-member not-entitled too-many-members bad-entry bad-proof
  bad-state-hash wrong-transcript wrong-mode out-of-turn own-message early-commit fork no-slot removal-pending
  equivocation room-closed refresh-awaited
  replay jump-too-far beyond-count chain-exhausted bad-count bad-policy
  unknown-message evaporated unknown-mailbox not-permitted mailbox-full relay-full relay-busy unknown-blob queue-full
  too-many-requests no-package
  identity-changed bad-input closed bad-store wrong-key store-busy rolled-back
`.trim().split(/\s+/));

/** Input, or a wish of the own application, was refused. Carries the code and nothing else. */
export class Refusal extends Error {
  /**
   * @param {string} reason a code of 2.6
   * @param {boolean} held whether the input cannot be judged yet (1.5)
   */
  constructor(reason, held = false) {
    super(reason);
    if (!CODES.has(reason)) throw new Error(`no such reason code: ${reason}`);
    this.name = 'Refusal';
    this.reason = reason;
    this.held = held;
  }
}

/**
 * Fail with a code.
 * @param {string} reason
 * @returns {never}
 */
export function refuse(reason) {
  throw new Refusal(reason);
}

/**
 * Fail with a code marked (held).
 * @param {string} reason
 * @returns {never}
 */
export function hold(reason) {
  throw new Refusal(reason, true);
}

/**
 * Fail with a code if a condition holds.
 * @param {boolean} condition
 * @param {string} reason
 */
export function failIf(condition, reason) {
  if (condition) refuse(reason);
}
