"""The operation `dispatch` (12.4): a payload comes to a device; does its mailbox take it?"""

from __future__ import annotations

import hashlib
from typing import NoReturn

from ...arrivals import arrive
from ...engine import Engine
from ...envelope import seal_envelope
from ...errors import Reason, RemoteError
from ...events import Rejected
from ...formats import COMMIT_COPY, INVITATION, MESSAGE, OPENING, SIGNED
from ...holdings import OwnMailbox
from ...mailbox import MailboxKeys
from ...ports import Delivery
from ...primitives import Random
from ...store.memory import MemoryStore
from ...wire import VERSION, encode, peek_type
from .registry import Json, operation
from .values import un

_NOW = 1_700_000_000
# What some mailbox takes: of other types a device looks no further than step 2.
_TAKEN = {form.type for form in (COMMIT_COPY, INVITATION, MESSAGE, OPENING, SIGNED)}


def _random() -> Random:
    """The same bytes for every case: none of them is in the result."""
    hashed, at = hashlib.shake_256(b"dispatch"), 0

    def draw(size: int) -> bytes:
        nonlocal at
        at += size
        return hashed.digest(at)[at - size :]

    return draw


class _NoFaces:
    """A device that shows nothing to anybody: no payload of a case gets so far."""

    def conversation(self, room: bytes) -> NoReturn:
        raise ValueError("a payload was more than dispatched")

    def opened(self, message: bytes) -> NoReturn:
        raise ValueError("a payload was more than dispatched")

    def message(self, message: bytes) -> NoReturn:
        raise ValueError("a payload was more than dispatched")


def _arrived(payload: bytes, contact: bool) -> RemoteError | None:
    """Send a payload to a new device's mailbox; return why it was refused, if it was."""
    random = _random()
    with MemoryStore().transaction() as tx:
        engine = Engine.load(tx, "device", _NOW, random)
        own = engine.contact
        if not contact:
            own = OwnMailbox(MailboxKeys.generate(random), bytes(32))
            engine.put_mailbox(tx, own)
        mailbox = own.keys.mailbox
        delivery = Delivery(b"", mailbox.address, seal_envelope(mailbox, payload, random))
        events = arrive(engine, tx, _NoFaces(), delivery, _NOW)
    refused = (RemoteError(e.reason, e.detail) for e in events if isinstance(e, Rejected))
    return next(refused, None)


@operation("dispatch")
def _dispatch(i: Json) -> Json:
    """Steps 1 and 2 alone: what a later step refuses has been dispatched to its type.

    Whether a mailbox takes a type is told by an object without fields: it is of the wrong type,
    or fails as an object of its own type does.
    """
    payload, contact = un(i["payload"]), i["contact"]
    kind, refused = peek_type(payload), _arrived(payload, contact)
    if refused is not None:
        bare = None if kind is None else _arrived(encode([VERSION, kind]), contact)
        if bare is None or bare.reason is Reason.WRONG_TYPE:
            raise refused
    return {"type": kind}
