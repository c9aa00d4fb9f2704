"""What a device and a relay say to each other, as one table of forms (spec 22.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from .errors import Reason, RemoteError
from .formats import ID, MESSAGE_ID, PUBLIC_KEY, SALT, SIGNATURE
from .limits import (
    MAX_BATCH,
    MAX_BLOB,
    MAX_CREDIT,
    MAX_CREDIT_BYTES,
    MAX_ENVELOPE,
    MAX_PUBLISHED,
)
from .primitives import H
from .wire import Form, array, binary, decode, kind_of, maybe, record, text, uint

MEDIA_TYPE: Final = "application/vnd.evanesce"
SUBPROTOCOL: Final = "evanesce.relay.1"

_ENVELOPE: Final = binary(1, MAX_ENVELOPE)
_SIGNED: Final = binary(1, 1_024)
_REASON: Final = maybe(text(32))
_NUMBER: Final = uint(2**32 - 1)

_PUT_ITEM: Final = record(ID, SALT, MESSAGE_ID, _ENVELOPE)  # address, capability, id, envelope
PUT: Final = Form("put", 48, 4 * 1024 * 1024, (array(_PUT_ITEM, MAX_BATCH, least=1),))
OUTCOMES: Final = Form("outcomes", 49, 16_384, (array(_REASON, MAX_BATCH, least=1),))
RECALL: Final = Form("recall", 50, 32_768,
                     (array(record(ID, SALT, MESSAGE_ID), MAX_BATCH, least=1),))  # fmt: skip
PUBLISH: Final = Form("publish", 51, 131_072, (ID, array(_SIGNED, MAX_PUBLISHED), maybe(_SIGNED)))
CLAIM: Final = Form("claim", 52, 64, (ID,))
BLOB: Final = Form("blob", 53, MAX_BLOB + 256, (ID, binary(1, MAX_BLOB)))
BLOB_DELETION: Final = Form("blob deletion", 54, 96, (ID, SALT))

CHALLENGE: Final = Form("challenge", 56, 64, (ID,))
DELIVERY: Final = Form("delivery", 57, MAX_ENVELOPE + 128, (ID, MESSAGE_ID, _ENVELOPE))
NOTICE: Final = Form("notice", 58, 16_640, (ID, MESSAGE_ID, binary(1, 16_384)))
DONE: Final = Form("done", 59, 96, (_NUMBER, _REASON, _NUMBER))
PROVE: Final = Form("prove", 60, 160, (_NUMBER, PUBLIC_KEY, SIGNATURE))
MAKE_MAILBOX: Final = Form("make mailbox", 61, 128, (_NUMBER, ID, ID))
REMOVE_MAILBOX: Final = Form("remove mailbox", 62, 64, (_NUMBER, ID))
SUBSCRIBE: Final = Form("subscribe", 63, 64, (_NUMBER, ID))
UNSUBSCRIBE: Final = Form("unsubscribe", 64, 64, (_NUMBER, ID))
ACK: Final = Form("ack", 65, 8_192, (_NUMBER, ID, array(MESSAGE_ID, MAX_BATCH, least=1)))
CREDIT: Final = Form("credit", 66, 32, (uint(MAX_CREDIT), uint(MAX_CREDIT_BYTES)))

# What may come from the client, and from the relay, over the WebSocket of 22.4; and the limit of
# each of the two places, within which every type has its own.
CLIENT_FRAMES: Final = (PROVE, MAKE_MAILBOX, REMOVE_MAILBOX, SUBSCRIBE, UNSUBSCRIBE, ACK, CREDIT)
RELAY_FRAMES: Final = (CHALLENGE, DELIVERY, NOTICE, DONE)


def read_frame(data: bytes, taken: Sequence[Form]) -> tuple[Form, list[Any]]:
    """Which of these a frame is, and its fields (REQ-RELAY-15): at a relay `CLIENT_FRAMES`.

    Raise `RemoteError` with the reasons of `Form.parse`; wrong-type for what is none of these.
    """
    value = decode(data, limit=max(form.limit for form in taken))
    kind = kind_of(value)
    for form in taken:
        if form.type == kind:
            if len(data) > form.limit:
                raise RemoteError(Reason.TOO_LARGE, f"{len(data)} bytes, {form.limit} allowed")
            return form, form.read(value)
    raise RemoteError(Reason.WRONG_TYPE, "no frame that is taken here")


def capability_hash(capability: bytes) -> bytes:
    """What a relay keeps of a write capability (REQ-ENV-11)."""
    return H(b"capability", capability)


def blob_hash(content: bytes) -> bytes:
    """The name of a blob (REQ-RELAY-08)."""
    return H(b"blob", content)


def blob_token_hash(token: bytes) -> bytes:
    """What is given with a blob, of the token that deletes it (REQ-RELAY-08)."""
    return H(b"blob token", token)
