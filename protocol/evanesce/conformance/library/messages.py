"""Operations of chapter 11: sealing and opening messages, their ids and sizes."""

from __future__ import annotations

from typing import Any

from ... import message
from ...membership import Mode
from .registry import Json, operation
from .values import signing_keys, un, untagged


def header_of(value: list[Any]) -> message.Header:
    """A header from its fields."""
    room, prefix, sender, index, salt, last, flags, turn = value
    spoken = None if last is None else (last[0], last[1])
    fields = None if turn is None else message.TurnFields(*turn)
    return message.Header(room, prefix, sender, index, salt, spoken, flags, fields)


@operation("seal message")
def _seal_message(i: Json) -> Json:
    private = None if i["room_seed"] is None else signing_keys(i["room_seed"])[0]
    keys = un(i["context"]), un(i["message_key"]), un(i["content"]), un(i["fresh"])
    made = message.seal_message(header_of(untagged(i["header"])), *keys, private)
    return {"message": made.message.hex(), "id": made.id.hex(), "key": made.key.hex()}


@operation("open message")
def _open_message(i: Json) -> Json:
    parsed = message.ParsedMessage.parse(un(i["message"]))
    mode, key = Mode(i["mode"]), un(i["room_sign_key"])
    opened = message.open_message(parsed, un(i["context"]), un(i["message_key"]), mode, key)
    return {"content": opened.content.hex()}


@operation("message id")
def _message_id(i: Json) -> Json:
    return {"id": message.message_id(un(i["header"]), un(i["body"])).hex()}


def _header_of_size(size: int) -> message.Header:
    """A header of exactly `size` bytes. Its fields fit no form: only its length matters here."""
    for extra in (0, 1):  # where the room's own length field would jump over the size
        for length in range(size):
            made = message.Header(bytes(length), bytes(8 + extra), bytes(32), 0, bytes(16), None)
            if len(made.encode()) == size:
                return made
    raise ValueError(f"no header has {size} bytes")


@operation("ciphertext size")
def _ciphertext_size(i: Json) -> Json:
    """What sealing such a message makes; nothing of the library tells the size beforehand."""
    private = signing_keys(bytes(32).hex())[0] if i["authenticator"] == 64 else None
    made = message.seal_message(
        _header_of_size(i["header"]), bytes(32), bytes(32), bytes(i["content"]), bytes(16), private
    )
    return {"size": len(made.ciphertext)}
