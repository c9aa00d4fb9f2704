"""Operations of chapters 4 and 5: decoding, and the forms of objects."""

from __future__ import annotations

from typing import Any

from ... import formats, relay_formats, wire
from .registry import Json, operation
from .values import tagged, un

_FORMS = {
    form.name: form
    for table in (formats, relay_formats)
    for form in vars(table).values()
    if isinstance(form, wire.Form)
}


def _decoded(data: bytes, limit: int) -> Any:
    """Decode, and see that encoding gives the same bytes again: there is one encoding (4.1)."""
    value = wire.decode(data, limit=limit)
    if wire.encode(value) != data:
        raise ValueError("an accepted encoding is not the canonical one")
    return value


@operation("decode")
def _decode(i: Json) -> Json:
    return {"value": tagged(_decoded(un(i["data"]), i["limit"]))}


@operation("decode long")
def _decode_long(i: Json) -> Json:
    value = _decoded(b"".join(un(part) * times for part, times in i["data"]), i["limit"])
    kind = "bin" if isinstance(value, bytes) else "str" if isinstance(value, str) else "array"
    return {"type": kind, "size": len(value.encode() if isinstance(value, str) else value)}


@operation("parse")
def _parse(i: Json) -> Json:
    return {"fields": tagged(_FORMS[i["form"]].parse(un(i["data"])))}
