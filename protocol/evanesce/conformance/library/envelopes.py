"""Operations of chapter 12: sizes, padding, mailboxes, envelopes, the relay's check."""

from __future__ import annotations

import hashlib

from ... import envelope
from ...mailbox import Mailbox, MailboxReader
from .registry import Json, operation
from .values import Tape, mailbox_json, mailbox_keys, mailbox_of, un

_SHOWN_WHOLE = 3_000  # bytes; of a longer envelope a case holds the hash


@operation("envelope size")
def _envelope_size(i: Json) -> Json:
    size = envelope.envelope_size(i["least"])
    return {"size": size, "capacity": envelope.room_for(size)}


@operation("pad")
def _pad(i: Json) -> Json:
    return {"padded": envelope.pad(un(i["data"]), i["size"]).hex()}


@operation("unpad")
def _unpad(i: Json) -> Json:
    return {"data": envelope.unpad(un(i["padded"])).hex()}


@operation("mailbox")
def _mailbox(i: Json) -> Json:
    return mailbox_json(mailbox_keys(i).mailbox)


@operation("seal envelope")
def _seal_envelope(i: Json) -> Json:
    payload = un(i["payload"]) * i["times"]
    data = envelope.seal_envelope(mailbox_of(i["mailbox"]), payload, Tape(un(i["ephemeral"])))
    whole = data.hex() if len(data) < _SHOWN_WHOLE else None
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "envelope": whole}


@operation("open envelope")
def _open_envelope(i: Json) -> Json:
    return {"payload": envelope.open_envelope(mailbox_keys(i["keys"]), un(i["envelope"])).hex()}


def _no_proof(_: bytes) -> bytes:
    raise ValueError("a relay proves nothing")


@operation("check mailbox proof")
def _check_mailbox_proof(i: Json) -> Json:
    """A relay knows the address; envelope key and capability have no part in the proof."""
    mailbox = Mailbox(un(i["address"]), bytes(32), bytes(16))
    reader = MailboxReader(mailbox, un(i["read_key"]), _no_proof)
    reader.check(un(i["challenge"]), un(i["proof"]))
    return {}
