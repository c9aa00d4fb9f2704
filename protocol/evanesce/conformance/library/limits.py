"""Objects at the edge of what they may be (chapter 15): parsing what is too long to show."""

from __future__ import annotations

from typing import Any

from ... import formats, relay_formats, wire
from .registry import Json, operation
from .values import un

_FORMS = {
    form.name: form
    for table in (formats, relay_formats)
    for form in vars(table).values()
    if isinstance(form, wire.Form)
}


def _told(value: Any) -> Any:
    """Of a long kind its type and size, of others the value."""
    if isinstance(value, bytes):
        return {"type": "bin", "size": len(value)}
    if isinstance(value, str):
        return {"type": "str", "size": len(value.encode())}
    return {"type": "array", "size": len(value)} if isinstance(value, list) else value


@operation("parse long")
def _parse_long(i: Json) -> Json:
    data = b"".join(un(part) * times for part, times in i["data"])
    return {"fields": [_told(value) for value in _FORMS[i["form"]].parse(data)]}
