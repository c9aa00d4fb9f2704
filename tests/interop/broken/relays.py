"""Mistakes of relays, and of clients in what they say to one (chapter 22)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from evanesce.errors import Reason, RemoteError
from evanesce.limits import HOUR
from evanesce.primitives import H
from evanesce.relay.clock import ManualRelayClock
from evanesce.relay.credit import Credit
from evanesce.relay.disclosure import statement
from evanesce.relay.disclosure.statement import Statement
from evanesce.relay.relay import Posted, Relay
from evanesce.relay_formats import (
    CLIENT_FRAMES,
    RELAY_FRAMES,
    blob_hash,
    blob_token_hash,
    read_frame,
)
from evanesce.wire import Form, decode, kind_of

from .flaw import Patch, flaw


@flaw(
    "frames-of-either-side",
    "relay-frame-client-delivery-one",
    "relay-frame-client-done-nil",
    "relay-frame-relay-prove-good",
)
def _(patch: Patch) -> None:
    """Reads any frame there is, whoever sent it."""
    patch.everywhere(read_frame, lambda data, _: read_frame(data, (*CLIENT_FRAMES, *RELAY_FRAMES)))


@flaw("frame-limit-of-the-place", "relay-frame-client-subscribe-65")
def _(patch: Patch) -> None:
    """Bounds all frames of a side alike, and forgets the limit that each type has."""

    def read(data: bytes, taken: Sequence[Form]) -> tuple[Form, list[Any]]:
        value = decode(data, limit=max(form.limit for form in taken))
        for form in taken:
            if form.type == kind_of(value):
                return form, form.read(value)
        raise RemoteError(Reason.WRONG_TYPE, "no frame that is taken here")

    patch.everywhere(read_frame, read)


@flaw("blob-token-as-blob", "relay-blob-one", "relay-blob-token")
def _(patch: Patch) -> None:
    """Hashes the token of a blob under the label of blobs."""
    patch.everywhere(blob_token_hash, lambda token: H(b"blob", token))


@flaw("statement-of-another", "relay-statement-other-address", "relay-statement-other-salt")
def _(patch: Patch) -> None:
    """Believes any statement that is signed, whichever mailbox it is about."""
    patch.here(Statement, "concerns", lambda *_: True)


@flaw(
    "statement-not-verified",
    "relay-statement-other-words",
    "relay-statement-other-label",
    "relay-statement-small-key",
)
def _(patch: Patch) -> None:
    """Reads a statement, and does not check who signed it."""
    patch.here(statement, "verify", lambda *_: None)


@flaw("credit-without-bound", "relay-credit-most-envelopes", "relay-credit-most-bytes")
def _(patch: Patch) -> None:
    """Adds up credit without end."""

    def give(credit: Credit, envelopes: int, octets: int) -> None:
        credit.envelopes += envelopes
        credit.octets += octets

    patch.here(Credit, "give", give)


@flaw("credit-replaced", "relay-credit-first", "relay-credit-no-bytes", "relay-credit-overdrawn")
def _(patch: Patch) -> None:
    """Takes a credit for how much there is, not for how much more."""

    def give(credit: Credit, envelopes: int, octets: int) -> None:
        credit.envelopes, credit.octets = envelopes, octets

    patch.here(Credit, "give", give)


@flaw("credit-overdraft-forgiven", "relay-credit-overdrawn", "relay-credit-overdrawn-most")
def _(patch: Patch) -> None:
    """Forgets by how much an envelope has overdrawn the bytes."""

    def take(credit: Credit, size: int) -> None:
        credit.envelopes -= 1
        credit.octets = max(credit.octets - size, 0)

    patch.here(Credit, "take", take)


@flaw("hours-at-half-past", "relay-play-hour-48", "relay-play-hour-72", "relay-play-ids")
def _(patch: Patch) -> None:
    """Counts hours from another moment than 1970."""
    patch.here(ManualRelayClock, "hour", lambda clock: (clock.now() + HOUR // 2) // HOUR)


def _unknown_after(patch: Patch, method: str) -> None:
    """What was acked or recalled is taken again: here, under another id."""
    strict, before = vars(Relay)["put"], vars(Relay)[method]
    gone: set[bytes] = set()

    async def noted(relay: Relay, *given: Any) -> Any:
        names = given[1] if method == "ack" else [item.id for item in given[0]]
        gone.update(names)
        return await before(relay, *given)

    async def put(relay: Relay, items: Sequence[Posted]) -> Any:
        fresh = [replace(i, id=i.id[::-1]) if i.id in gone else i for i in items]
        return await strict(relay, fresh)

    patch.here(Relay, method, noted)
    patch.here(Relay, "put", put)


@flaw("acked-is-unknown", "relay-play-ack", "relay-play-ids")
def _(patch: Patch) -> None:
    """Forgets the id with the envelope: what is put again after an ack comes again."""
    _unknown_after(patch, "ack")


@flaw("recall-not-remembered", "relay-play-recall", "relay-play-ids")
def _(patch: Patch) -> None:
    """Recalls what waits, and takes what comes later all the same."""
    _unknown_after(patch, "recall")


def _passing_over(patch: Patch, reason: Reason) -> None:
    """What is published is taken, though one check fails."""
    strict = Relay.publish

    async def publish(relay: Relay, *given: Any) -> None:
        try:
            await strict(relay, *given)
        except RemoteError as error:
            if error.reason is not reason:
                raise

    patch.here(Relay, "publish", publish)


@flaw(
    "packages-of-anybody",
    "relay-publish-other-identity",
    "relay-publish-other-last",
    "relay-publish-other-fingerprint",
)
def _(patch: Patch) -> None:
    """Takes packages of one identity under the fingerprint of another."""
    _passing_over(patch, Reason.WRONG_IDENTITY)


@flaw("expired-packages", "relay-publish-expired", "relay-publish-last-expired",
      "relay-publish-past")  # fmt: skip
def _(patch: Patch) -> None:
    """Takes packages that nobody can use any more."""
    _passing_over(patch, Reason.EXPIRED)


@flaw("packages-of-any-kind", "relay-publish-last-in-array", "relay-publish-one-time-as-last")
def _(patch: Patch) -> None:
    """Takes a last-resort package as one to be given out once, and the other way round."""
    _passing_over(patch, Reason.BAD_FORM)


@flaw("expired-packages-given", "relay-play-expired-packages")
def _(patch: Patch) -> None:
    """Gives out what has expired, since it is still there."""
    strict, publish = Relay.claim, Relay.publish
    last: list[bytes] = []

    async def noted(
        relay: Relay, fingerprint: bytes, packages: Sequence[bytes], last_resort: bytes | None
    ) -> None:
        await publish(relay, fingerprint, packages, last_resort)
        last[:] = [] if last_resort is None else [last_resort]

    async def claim(relay: Relay, fingerprint: bytes) -> bytes | None:
        return await strict(relay, fingerprint) or next(iter(last), None)

    patch.here(Relay, "publish", noted)
    patch.here(Relay, "claim", claim)


@flaw("blob-of-the-last", "relay-play-blobs", "relay-play-blob-hour-48")
def _(patch: Patch) -> None:
    """Keeps a blob under the token that came last: whoever has it can take it from its owner."""
    strict_put, strict_delete = Relay.put_blob, Relay.delete_blob
    token, hashes = bytes(16), dict[bytes, bytes]()

    async def put_blob(relay: Relay, token_hash: bytes, content: bytes) -> None:
        await strict_put(relay, blob_token_hash(token), content)
        hashes[blob_hash(content)] = token_hash

    async def delete_blob(relay: Relay, content_hash: bytes, its_token: bytes) -> None:
        await relay.blob(content_hash)
        if hashes[content_hash] != blob_token_hash(its_token):
            raise RemoteError(Reason.NOT_PERMITTED, "not the token of this blob")
        await strict_delete(relay, content_hash, token)

    patch.here(Relay, "put_blob", put_blob)
    patch.here(Relay, "delete_blob", delete_blob)


@flaw("capability-of-the-last", "relay-play-make-again")
def _(patch: Patch) -> None:
    """Lets who makes a mailbox again change its capability: a repeat may lock out all others."""
    strict = Relay.make_mailbox

    async def make_mailbox(relay: Relay, address: bytes, capability_hash: bytes) -> None:
        await relay.remove_mailbox(address)
        await strict(relay, address, capability_hash)

    patch.here(Relay, "make_mailbox", make_mailbox)
