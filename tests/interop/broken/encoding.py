"""Mistakes in encoding and in reading objects (chapters 4 and 5)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgpack

from evanesce import formats, relay_formats, wire
from evanesce.errors import Reason, RemoteError
from evanesce.limits import MAX_DEPTH
from evanesce.wire import Form

from .flaw import Patch, flaw

_UINT_FORMS = (0xCC, 0xCD, 0xCE, 0xCF)
_LONG_FORMS = (0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD)


def _accept_longer(patch: Patch, firsts: tuple[int, ...]) -> None:
    forms = list(vars(wire)["_FORMS"])
    for first in firsts:
        width, _, kind = forms[first]
        forms[first] = (width, 0, kind)
    patch.here(wire, "_FORMS", forms)


@flaw(
    "any-integer-form",
    "decode-non-canonical-uint8-127",
    "decode-non-canonical-uint8-zero",
    "decode-non-canonical-uint16-128",
)
def _(patch: Patch) -> None:
    """Takes an integer in any form, as every MessagePack library does."""
    _accept_longer(patch, _UINT_FORMS)


@flaw("any-length-form", "decode-non-canonical-bin16-0", "decode-long-array32-65535")
def _(patch: Patch) -> None:
    """Looks at integers, but takes the length of a bin, str or array in any form."""
    _accept_longer(patch, _LONG_FORMS)


@flaw("text-not-utf-8", "decode-non-canonical-utf8-f5", "decode-non-canonical-utf8-lone-lead")
def _(patch: Patch) -> None:
    """Puts U+FFFD in the place of what is not UTF-8, as many a decoder does unless told not to."""

    def unpackb(data: bytes, **options: Any) -> Any:
        return msgpack.unpackb(data, **options, unicode_errors="replace")

    patch.here(wire, "msgpack", _reading_by(unpackb))


def _reading_by(unpackb: Any) -> Any:
    """The MessagePack module, reading in another way."""
    return SimpleNamespace(Packer=msgpack.Packer, unpackb=unpackb)


@flaw(
    "surrogates",
    "decode-non-canonical-utf8-surrogate-last",
    "decode-non-canonical-utf8-surrogate-pair",
    "decode-non-canonical-utf8-surrogate-first",
)
def _(patch: Patch) -> None:
    """Takes UTF-8 of lone surrogates, as languages with strings of 16 bits do."""

    def unpackb(data: bytes, **options: Any) -> Any:
        return msgpack.unpackb(data, **options, unicode_errors="surrogatepass")

    patch.here(wire, "msgpack", _reading_by(unpackb))


@flaw("trailing-bytes", "decode-trailing-bytes-nil-nil", "decode-trailing-bytes-after-array")
def _(patch: Patch) -> None:
    """Reads one object, and does not look whether anything follows."""
    whole = wire.decode

    def decode(data: bytes, *, limit: int) -> Any:
        try:
            return whole(data, limit=limit)
        except RemoteError as error:
            if error.reason is not Reason.TRAILING_BYTES:
                raise
        first = msgpack.Unpacker(raw=False, strict_map_key=False)
        first.feed(data)
        return first.unpack()

    patch.everywhere(wire.decode, decode)


@flaw("depth-5", "decode-too-deep-five", "decode-too-deep-array16", "decode-too-deep-example")
def _(patch: Patch) -> None:
    """Counts the arrays inside the outermost, and so allows one level too many."""
    patch.here(wire, "MAX_DEPTH", MAX_DEPTH + 1)


@flaw("depth-3", "decode-depth-four", "decode-depth-four-twice")
def _(patch: Patch) -> None:
    """Counts the values in the innermost array as a level, and so allows one too few."""
    patch.here(wire, "MAX_DEPTH", MAX_DEPTH - 1)


@flaw("no-size-limit", "parse-limit", "decode-limit-past", "parse-limit-first")
def _(patch: Patch) -> None:
    """Has no limit for the size of an object."""
    whole = wire.decode
    patch.everywhere(whole, lambda data, *, limit: whole(data, limit=max(limit, len(data))))


@flaw("limit-exclusive", "decode-limit-at", "limit-commit-bytes-at")
def _(patch: Patch) -> None:
    """Refuses an object that is exactly as large as its limit."""
    whole = wire.decode
    patch.everywhere(whole, lambda data, *, limit: whole(data, limit=limit - 1))


@flaw("more-fields", "parse-fields-many")
def _(patch: Patch) -> None:
    """Ignores fields after those it knows, to be ready for later versions."""
    strict = Form.read

    def read(form: Form, value: Any) -> list[Any]:
        return strict(form, value[: len(form.fields) + 2] if type(value) is list else value)

    patch.here(Form, "read", read)


@flaw("any-version", "parse-version-2", "parse-version-0", "parse-version-nil")
def _(patch: Patch) -> None:
    """Never looks at the version."""
    strict = wire.kind_of

    def kind_of(value: Any) -> int:
        return strict([1, *value[1:]] if type(value) is list and value else value)

    patch.everywhere(strict, kind_of)


@flaw("type-before-version", "parse-version-before-type")
def _(patch: Patch) -> None:
    """Looks at the type first: tells a later version's objects as of a wrong type."""
    strict = Form.read

    def read(form: Form, value: Any) -> list[Any]:
        kind = value[1] if type(value) is list and len(value) > 1 else None
        if type(kind) is int and kind != form.type:
            raise RemoteError(Reason.WRONG_TYPE, "another type")
        return strict(form, value)

    patch.here(Form, "read", read)


def _integer_checks(field: Any, seen: set[int]) -> list[Any]:
    """The checks of integers inside a field, which keeps others in its closure."""
    if id(field) in seen or not hasattr(field, "__closure__"):
        return []
    seen.add(id(field))
    found = [field] if field.__qualname__ == "uint.<locals>.check" else []
    for cell in field.__closure__ or ():
        inner = cell.cell_contents
        for each in inner if isinstance(inner, tuple) else (inner,):
            found += _integer_checks(each, seen)
    return found


@flaw("true-is-one", "parse-header-index-true", "parse-header-flags-false")
def _(patch: Patch) -> None:
    """Takes `true` for the integer 1, as Python's own comparison does."""
    checks: list[Any] = []
    for form in [*vars(formats).values(), *vars(relay_formats).values()]:
        if isinstance(form, Form):
            for field in form.fields:
                checks += _integer_checks(field, set())

    def uint(most: int) -> Any:
        def check(value: Any) -> Any:
            if not isinstance(value, int) or not 0 <= value <= most:
                raise RemoteError(Reason.BAD_FORM, "not an integer")
            return value

        return check

    for check in {id(c): c for c in checks}.values():
        patch.here(check, "__code__", uint(0).__code__)
