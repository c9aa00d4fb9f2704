"""Mistakes with messages, envelopes and evaporation (chapters 11, 12 and 13)."""

from __future__ import annotations

from typing import Any

from evanesce import chain, content, envelope, message, primitives
from evanesce.content import Evaporation
from evanesce.errors import Reason, RemoteError
from evanesce.formats import ENVELOPE
from evanesce.mailbox import MailboxReader
from evanesce.membership import Mode

from .flaw import Patch, flaw


@flaw("salt-dropped", "chain-salt-example", "chain-salt-other-content")
def _(patch: Patch) -> None:
    """Sends the fresh bytes as the salt: a cloned device uses a key for two contents."""
    patch.everywhere(chain.message_salt, lambda message_key, fresh, padded: fresh)


@flaw("header-without-context", "message-open-direct", "message-seal-signed-first")
def _(patch: Patch) -> None:
    """Hashes the header alone: a message opens for who disagrees on roster, policy, history."""
    patch.here(message, "_header_hash", lambda header, context: primitives.H(b"header", header))


@flaw(
    "no-commitment",
    "message-open-direct-com-changed",
    "message-open-com-before-body",
    "message-open-direct-other-key",
)
def _(patch: Patch) -> None:
    """Leaves the commitment of a direct message unchecked: the tag of the AEAD will do."""
    patch.here(message, "equal", lambda a, b: True)


@flaw("decrypts-first", "message-open-com-before-body", "session-signed-insider-bob")
def _(patch: Patch) -> None:
    """Decrypts before it looks who has signed."""
    strict = message.open_message
    header_hash = vars(message)["_header_hash"]

    def open_message(
        parsed: Any, context: bytes, message_key: bytes, mode: Mode, key: bytes
    ) -> Any:
        aead_key, _ = chain.message_keys(message_key, header_hash(parsed.header_bytes, context))
        envelope.unpad(primitives.decrypt(aead_key, parsed.ciphertext))
        return strict(parsed, context, message_key, mode, key)

    patch.everywhere(strict, open_message)


@flaw(
    "signature-without-com",
    "message-open-flag",
    "message-open-signed",
    "message-open-signed-body-resigned",
)
def _(patch: Patch) -> None:
    """Signs header and body, and not the commitment: whoever can open it can sign it anew."""
    honest_sign, honest_verify = primitives.sign, primitives.verify

    def without(parts: tuple[Any, ...]) -> tuple[Any, ...]:
        return (parts[0], parts[2]) if len(parts) == 3 else parts

    def sign(private: bytes, label: bytes, *parts: Any) -> bytes:
        return honest_sign(private, label, *without(parts))

    def verify(public: bytes, signature: bytes, label: bytes, *parts: Any) -> None:
        honest_verify(public, signature, label, *without(parts))

    patch.here(message, "sign", sign)
    patch.here(message, "verify", verify)


@flaw(
    "message-signature-not-checked",
    "message-open-signed-s-changed",
    "message-open-signed-by-another",
    "message-open-signed-signature-changed",
)
def _(patch: Patch) -> None:
    """Does not verify messages: they decrypt, so a member has sent them."""
    patch.here(message, "verify", lambda *_: None)


@flaw("authenticator-of-any-mode", "message-open-direct-as-signed", "message-open-signed-as-direct")
def _(patch: Patch) -> None:
    """Tells by its length what an authenticator is: a signed room takes a commitment."""
    strict = message.open_message

    def open_message(
        parsed: Any, context: bytes, message_key: bytes, mode: Mode, key: bytes
    ) -> Any:
        its = Mode.SIGNED if len(parsed.authenticator) == 64 else Mode.DIRECT
        return strict(parsed, context, message_key, its, key)

    patch.everywhere(strict, open_message)


@flaw("id-without-body", "message-id-example")
def _(patch: Patch) -> None:
    """Names a message by its header alone: a quote does not fix what was said."""
    patch.here(message, "_id", lambda header, body: primitives.H(b"message id", header)[:16])


@flaw("step-by-512", "envelope-size-1025", "envelope-size-2049", "envelope-size-4097")
def _(patch: Patch) -> None:
    """Pads to the next multiple of 512 bytes."""
    patch.everywhere(envelope.envelope_size, lambda least: max(512, -(-least // 512) * 512))


@flaw(
    "padding-not-checked",
    "envelope-unpad-wrong-byte",
    "envelope-unpad-no-padding",
    "envelope-unpad-trailing-one",
)
def _(patch: Patch) -> None:
    """Cuts at the last 0x80, whatever comes after it."""

    def unpad(data: bytes) -> bytes:
        end = data.rfind(b"\x80")
        return data[:end] if end >= 0 else data

    patch.everywhere(envelope.unpad, unpad)


@flaw(
    "padding-of-zeros-accepted",
    "envelope-unpad-empty",
    "envelope-unpad-all-zeros",
    "envelope-open-all-zeros",
)
def _(patch: Patch) -> None:
    """Takes padding that is nothing but zeros for no padding."""
    strict = envelope.unpad
    patch.everywhere(strict, lambda data: strict(data) if data.strip(b"\0") else b"")


@flaw("envelope-size-not-checked", "envelope-open-size-513", "envelope-open-size-before-key")
def _(patch: Patch) -> None:
    """Opens an envelope of any size: the sender shows its length to the relay."""

    def open_envelope(keys: Any, data: bytes) -> bytes:
        ephemeral_key, sealed = ENVELOPE.parse(data)
        shared = primitives.dh(keys.envelope_private.reveal(), ephemeral_key)
        key = vars(envelope)["_key"](shared, keys.mailbox, ephemeral_key)
        return envelope.unpad(primitives.decrypt(key, sealed))

    patch.everywhere(envelope.open_envelope, open_envelope)


@flaw("envelope-without-address", "envelope-seal-455", "envelope-seal-456", "envelope-seal-967")
def _(patch: Patch) -> None:
    """Binds an envelope to the keys, and not to the address."""

    def key(shared: bytes, mailbox: Any, ephemeral_key: bytes) -> bytes:
        transcript = primitives.H(b"envelope transcript", mailbox.envelope_key, ephemeral_key)
        return primitives.KDF(bytes(32), b"envelope", shared, transcript)

    patch.here(envelope, "_key", key)


@flaw("address-not-bound", "envelope-proof-other-key", "envelope-proof-key-before-check")
def _(patch: Patch) -> None:
    """A relay that checks the proof, but not that the key is the one of the address."""

    def check(reader: MailboxReader, challenge: bytes, proof: bytes) -> None:
        primitives.check_sign_key(reader.read_key)
        address = reader.mailbox.address
        primitives.verify(reader.read_key, proof, b"read mailbox", address, challenge)

    patch.here(MailboxReader, "check", check)


@flaw(
    "after-view-of-zero",
    "evaporation-stricter-1-0",
    "evaporation-stricter-1-1",
    "evaporation-stricter-0-1",
)
def _(patch: Patch) -> None:
    """Takes a timer of 0 seconds for none, as a language does in which 0 is false."""

    def strictest(mine: Evaporation, other: Evaporation) -> Evaporation:
        timers = [t for t in (mine.after_view, other.after_view) if t]
        return Evaporation(min(timers, default=None), min(mine.lifetime, other.lifetime))

    patch.here(Evaporation, "strictest", strictest)


@flaw(
    "room-policy-ignored",
    "evaporation-stricter-0-2",
    "evaporation-stricter-0-3",
    "evaporation-stricter-0-4",
)
def _(patch: Patch) -> None:
    """Lets a message evaporate by its own rules alone."""
    patch.here(Evaporation, "strictest", lambda mine, other: mine)


@flaw(
    "lifetime-from-receipt",
    "evaporation-deadline-behind",
    "evaporation-deadline-unviewed",
    "evaporation-deadline-sent-at-0",
)
def _(patch: Patch) -> None:
    """Counts the lifetime from when a message came: who is away long can read it long."""
    patch.here(Evaporation, "deadline", lambda rules, sent, received: received + rules.lifetime)


@flaw("lifetime-from-sending", "evaporation-deadline-ahead")
def _(patch: Patch) -> None:
    """Counts the lifetime from what the sender's clock says, even if that is ahead."""
    patch.here(Evaporation, "deadline", lambda rules, sent, received: sent + rules.lifetime)


@flaw("viewing-extends", "evaporation-deadline-longest", "evaporation-deadline-viewed-late")
def _(patch: Patch) -> None:
    """Starts the timer on viewing and forgets the lifetime."""

    def deadline_viewed(rules: Evaporation, sent: int, received: int, viewed: int) -> int:
        if rules.after_view is None:
            return rules.deadline(sent, received)
        return viewed + rules.after_view

    patch.here(Evaporation, "deadline_viewed", deadline_viewed)


@flaw("lifetime-not-limited", "evaporation-policy-lifetime-past", "room-found-lifetime-past")
def _(patch: Patch) -> None:
    """Takes any lifetime that the form allows."""

    def check(rules: Evaporation) -> None:
        if rules.lifetime == 0:
            raise RemoteError(Reason.BAD_POLICY, "no lifetime")

    patch.here(Evaporation, "check", check)


@flaw("announced-key-not-checked", "evaporation-content-announcement-small-key")
def _(patch: Patch) -> None:
    """Takes any envelope key that a member announces."""
    patch.here(content, "check_dh_key", lambda _: None)
