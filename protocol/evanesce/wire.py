"""Canonical MessagePack, restricted (spec 04).

Allowed: arrays, unsigned integers, `bin` and `str` in their shortest form, nil, booleans; depth 4.
`decode` first walks the raw bytes without building anything, so that a huge length, a nesting bomb
or a non-minimal form is refused before memory is spent on it; only then does the MessagePack
library build the values. For accepted bytes, ``encode(decode(data)) == data`` always holds.

A `Form` describes one object of the protocol: its type number and its fields. All formats of the
protocol are tables of forms, and spec 04 lists the same tables.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Union

import msgpack

from .errors import LocalError, Reason, RemoteError
from .limits import MAX_DEPTH

VERSION: Final = 1

Value = Union[bytes, str, int, bool, None, Sequence["Value"]]


class _Packers(threading.local):
    """A packer for each thread: making one for each call costs more than packing does."""

    def __init__(self) -> None:
        self.packer: Any = msgpack.Packer(use_bin_type=True)


_packers = _Packers()


def encode(value: Value) -> bytes:
    """Return the canonical encoding of `value`. Raise `LocalError` (bad-form) if it has none.

    What the type `Value` rules out is not looked for here, in the path of every derivation: maps,
    floats, negative integers, more than `MAX_DEPTH` arrays.
    """
    try:
        data: bytes = _packers.packer.pack(value)
    except (ValueError, TypeError, OverflowError) as error:
        _packers.packer = msgpack.Packer(use_bin_type=True)  # the old one may hold half a value
        raise LocalError(Reason.BAD_FORM, "value has no canonical encoding") from error
    return data


def decode(data: bytes, *, limit: int) -> Any:
    """Return the value that `data` encodes.

    Raise `RemoteError`: too-large (over `limit` bytes), truncated, trailing-bytes, non-canonical,
    forbidden-type, too-deep (REQ-WIRE-01 to 10).
    """
    if len(data) > limit:
        raise RemoteError(Reason.TOO_LARGE, f"{len(data)} bytes, {limit} allowed")
    _scan(data)
    try:
        return msgpack.unpackb(data, raw=False, use_list=True, strict_map_key=False)
    except UnicodeDecodeError:  # whose attributes hold the input
        raise RemoteError(Reason.NON_CANONICAL, "str is not UTF-8") from None


def _scan(data: bytes) -> None:
    """Check the whole of `data` for canonical form, allocating nothing that grows with it."""
    size, at = len(data), 0
    left = 1  # items still to come in the innermost open array; outermost, one object
    outer: list[int] = []  # the same for the arrays around it
    while left or outer:
        if not left:
            left = outer.pop()
            continue
        left -= 1
        if at >= size:
            raise RemoteError(Reason.TRUNCATED, "input ends inside an object")
        first = data[at]
        at += 1
        if first < 0x80:  # small unsigned; this and bin 8 are most of what there is
            continue
        if first == 0xC4:
            if at >= size:
                raise RemoteError(Reason.TRUNCATED, "input ends inside a length or integer")
            at += 1 + data[at]
            if at > size:
                raise RemoteError(Reason.TRUNCATED, "announced length exceeds the input")
            continue
        width, least, kind = _FORMS[first]
        if kind == _SCALAR:  # nil, booleans
            continue
        if kind == _FORBIDDEN:
            raise RemoteError(Reason.FORBIDDEN_TYPE, f"type byte 0x{first:02x}")
        if width:
            if at + width > size:
                raise RemoteError(Reason.TRUNCATED, "input ends inside a length or integer")
            count = data[at] if width == 1 else int.from_bytes(data[at : at + width], "big")
            if count < least:
                raise RemoteError(Reason.NON_CANONICAL, "longer form than needed")
            at += width
            if kind == _UINT:  # its bytes are the value
                continue
        else:
            count = least  # for the shortest forms the table holds the length itself
        if count > size - at:  # every item of an array takes at least one byte
            raise RemoteError(Reason.TRUNCATED, "announced length exceeds the input")
        if kind == _BYTES:
            at += count
        elif len(outer) >= MAX_DEPTH:
            raise RemoteError(Reason.TOO_DEEP, f"more than {MAX_DEPTH} arrays deep")
        else:
            outer.append(left)
            left = count
    if at != size:
        raise RemoteError(Reason.TRAILING_BYTES, f"{size - at} bytes after the object")


# What each first byte means: how many bytes of length or value follow, the least number that this
# form is shortest for (without such bytes: the length), and the kind.
_SCALAR, _UINT, _BYTES, _ARRAY, _FORBIDDEN = range(5)
_FORMS: Final = [(0, 0, _FORBIDDEN)] * 256
_FORMS[0x00:0x80] = [(0, 0, _SCALAR)] * 128
_FORMS[0x90:0xA0] = [(0, count, _ARRAY) for count in range(16)]
_FORMS[0xA0:0xC0] = [(0, count, _BYTES) for count in range(32)]
for _first in (0xC0, 0xC2, 0xC3):
    _FORMS[_first] = (0, 0, _SCALAR)
for _first, _width, _least, _kind in (
    (0xC4, 1, 0, _BYTES), (0xC5, 2, 1 << 8, _BYTES), (0xC6, 4, 1 << 16, _BYTES),  # bin
    (0xCC, 1, 1 << 7, _UINT), (0xCD, 2, 1 << 8, _UINT),  # uint 8, 16
    (0xCE, 4, 1 << 16, _UINT), (0xCF, 8, 1 << 32, _UINT),  # uint 32, 64
    (0xD9, 1, 1 << 5, _BYTES), (0xDA, 2, 1 << 8, _BYTES), (0xDB, 4, 1 << 16, _BYTES),  # str
    (0xDC, 2, 1 << 4, _ARRAY), (0xDD, 4, 1 << 16, _ARRAY),
):  # fmt: skip
    _FORMS[_first] = (_width, _least, _kind)


# A field checks one decoded value and returns it, or raises `RemoteError` (bad-form, too-large).
Field = Callable[[Any], Any]


def _bad(what: str) -> RemoteError:
    return RemoteError(Reason.BAD_FORM, what)


def binary(least: int, most: int | None = None) -> Field:
    """`bin` of exactly `least` bytes, or of `least` to `most`."""
    highest = least if most is None else most

    def check(value: Any) -> Any:
        if type(value) is not bytes:
            raise _bad("expected bin")
        if not least <= len(value) <= highest:
            if most is not None and len(value) > most:
                raise RemoteError(Reason.TOO_LARGE, f"{len(value)} bytes, {most} allowed")
            raise _bad(f"bin of {len(value)} bytes")
        return value

    return check


def uint(most: int = 2**64 - 1) -> Field:
    """An unsigned integer of at most `most`."""

    def check(value: Any) -> Any:
        if type(value) is not int or not 0 <= value <= most:
            raise _bad(f"expected an unsigned integer of at most {most}")
        return value

    return check


def text(most: int) -> Field:
    """`str` of at most `most` bytes of UTF-8."""

    def check(value: Any) -> Any:
        if type(value) is not str:
            raise _bad("expected str")
        if 4 * len(value) > most and len(value.encode()) > most:
            raise RemoteError(Reason.TOO_LARGE, f"more than {most} bytes of text")
        return value

    return check


def boolean(value: Any) -> Any:
    """True or false."""
    if type(value) is not bool:
        raise _bad("expected a boolean")
    return value


def maybe(field: Field) -> Field:
    """`field`, or nil."""

    def check(value: Any) -> Any:
        return None if value is None else field(value)

    return check


def array(item: Field, most: int, least: int = 0) -> Field:
    """An array of `least` to `most` items, each of which is an `item`."""

    def check(value: Any) -> Any:
        if type(value) is not list:
            raise _bad("expected an array")
        if len(value) > most:
            raise RemoteError(Reason.TOO_LARGE, f"{len(value)} items, {most} allowed")
        if len(value) < least:
            raise _bad(f"{len(value)} items, {least} needed")
        return [item(entry) for entry in value]

    return check


def record(*fields: Field) -> Field:
    """An array with exactly these fields."""
    count = len(fields)

    def check(value: Any) -> Any:
        if type(value) is not list or len(value) != count:
            raise _bad(f"expected an array of {count}")
        return [field(entry) for field, entry in zip(fields, value, strict=True)]

    return check


@dataclass(frozen=True, slots=True)
class Form:
    """A top-level object: ``[version, type, *fields]``, at most `limit` bytes."""

    name: str
    type: int
    limit: int
    fields: tuple[Field, ...]

    def build(self, *values: Value) -> bytes:
        """Encode an object of this form; that each value fits its field is the caller's to know.

        Raise `LocalError`: bad-form (wrong field count, or no encoding), too-large.
        """
        if len(values) != len(self.fields):
            raise LocalError(Reason.BAD_FORM, f"{self.name} has {len(self.fields)} fields")
        data = encode([VERSION, self.type, *values])
        if len(data) > self.limit:
            raise LocalError(Reason.TOO_LARGE, f"{self.name}: {len(data)} of {self.limit} bytes")
        return data

    def parse(self, data: bytes) -> list[Any]:
        """Return the fields of an object of this form.

        Raise `RemoteError` with the reasons of `decode`, then (REQ-WIRE-14): bad-form if it is not
        an array of two or more, wrong-version, wrong-type, bad-form or too-large of a field.
        """
        return self.read(decode(data, limit=self.limit))

    def read(self, value: Any) -> list[Any]:
        """Return the fields of a decoded object. Raise `RemoteError` as `parse`."""
        if kind_of(value) != self.type:
            raise RemoteError(Reason.WRONG_TYPE, f"expected {self.name}")
        if len(value) != len(self.fields) + 2:
            raise _bad(f"{self.name} has {len(self.fields) + 2} items")
        return [field(item) for field, item in zip(self.fields, value[2:], strict=True)]


def kind_of(value: Any) -> int:
    """Return the type number of a decoded top-level object, after checking its version."""
    if type(value) is not list or len(value) < 2:
        raise _bad("not an object of this protocol")
    if type(value[0]) is not int or value[0] != VERSION:
        raise RemoteError(Reason.WRONG_VERSION, "not version 1")
    if type(value[1]) is not int:
        raise _bad("type is not a number")
    return int(value[1])


def utf8(value: str, most: int) -> bytes:
    """The bytes of a caller's text. Raise `LocalError`: bad-input (lone surrogates), too-large."""
    try:
        data = value.encode()
    except UnicodeEncodeError:  # whose attributes hold the text
        raise LocalError(Reason.BAD_INPUT, "text is not valid Unicode") from None
    if len(data) > most:
        raise LocalError(Reason.TOO_LARGE, f"{len(data)} bytes of text, {most} allowed")
    return data


def check_time(value: int) -> None:
    """Refuse a caller's clock that no wire form holds: `LocalError` (bad-input)."""
    if type(value) is not int or not 0 <= value < 1 << 40:
        raise LocalError(Reason.BAD_INPUT, "a time is a whole number of seconds since 1970")


def peek_type(data: bytes) -> int | None:
    """The type number that a canonical top-level object would have, read without decoding it."""
    if len(data) < 3 or not 0x92 <= data[0] <= 0x9F or data[1] != VERSION or data[2] > 0x7F:
        return None
    return data[2]
