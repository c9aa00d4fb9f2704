"""What a device and a relay say to each other, as one table of forms (spec 22.2)."""

from __future__ import annotations

from typing import Final

from .formats import ID, MESSAGE_ID, PUBLIC_KEY, SALT, SIGNATURE
from .limits import (
    MAX_BATCH,
    MAX_BLOB,
    MAX_CREDIT,
    MAX_CREDIT_BYTES,
    MAX_ENVELOPE,
    MAX_PUBLISHED,
)
from .wire import Form, array, binary, maybe, record, text, uint

MEDIA_TYPE: Final = "application/vnd.evanesce"
SUBPROTOCOL: Final = "evanesce.relay.1"

_ENVELOPE: Final = binary(1, MAX_ENVELOPE)
_SIGNED: Final = binary(1, 1_024)
_REASON: Final = maybe(text(32))
_NUMBER: Final = uint(2**32 - 1)

PUT: Final = Form("put", 48, 4 * 1024 * 1024,
                  (array(record(ID, SALT, MESSAGE_ID, _ENVELOPE), MAX_BATCH, least=1),))  # fmt: skip
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
