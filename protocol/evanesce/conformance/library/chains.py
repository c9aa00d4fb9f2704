"""Operations of chapter 8: one step, what comes of a message key, and what a receiver keeps."""

from __future__ import annotations

import hashlib
from typing import Any

from ... import chain
from ...errors import RemoteError
from ...secret import Secret
from .registry import Json, operation
from .values import un


@operation("chain step")
def _chain_step(i: Json) -> Json:
    sending = chain.SendingChain(Secret(un(i["chain_key"])))
    message_key = b""
    for _ in range(i["index"] + 1):
        message_key, sending = sending.next()
    return {"message_key": message_key.hex(), "next_chain_key": sending.key.reveal().hex()}


@operation("message salt")
def _message_salt(i: Json) -> Json:
    salt = chain.message_salt(un(i["message_key"]), un(i["fresh"]), un(i["padded"]))
    return {"salt": salt.hex()}


@operation("message keys")
def _message_keys(i: Json) -> Json:
    key, com = chain.message_keys(un(i["message_key"]), un(i["header_hash"]))
    return {"key": key.hex(), "com": com.hex()}


@operation("chain accumulate")
def _chain_accumulate(i: Json) -> Json:
    """Many steps, told by where they end and by one hash of all message keys."""
    key, hashed = un(i["chain_key"]), hashlib.blake2b(digest_size=32)
    for _ in range(i["steps"]):
        key, message_key = chain.step(key)
        hashed.update(message_key)
    return {"chain_key": key.hex(), "message_keys": hashed.hexdigest()}


@operation("chain receive")
def _chain_receive(i: Json) -> Json:
    """A refused message or close leaves the chain as it was, and the history goes on."""
    receiving, outcomes = chain.ReceivingChain(Secret(un(i["chain_key"]))), list[Any]()
    for place, (what, number, *times) in enumerate(i["history"]):
        now = times[0] if times else place
        try:
            if what == "at":
                message_key, receiving = receiving.at(number, now)
                outcomes.append(message_key.hex())
            else:
                receiving, gap = receiving.close(number, now)
                outcomes.append(gap)
        except RemoteError as error:
            outcomes.append(str(error.reason))
    skipped = sorted(receiving.skipped)
    return {
        "outcomes": outcomes,
        "index": receiving.index,
        "closed": receiving.key is None,
        "skipped": len(skipped),
        "lowest": skipped[:3],
        "highest": skipped[-3:],
    }
