"""JSON values as text for people, in pieces, with what differs marked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from .text import clipped, harmless

__all__ = ["Marked", "Path", "brief", "render", "text_of", "where"]

Path = tuple[str | int, ...]
# Pieces of text, and whether each is what differs.
Marked = tuple[tuple[str, bool], ...]
# For a string that differs in a part: where that part begins and ends.
Span = tuple[int, int]

MOST_TEXT = 1_200  # characters of one string
MOST_ITEMS = 100  # items of one array or object
MOST = 20_000  # characters of one value
MOST_DEPTH = 40
AROUND = 200  # characters before and after a marked part


def where(path: Path) -> str:
    """A path in words: `ok.steps[3].data`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return harmless(text)


def brief(value: Any, most: int = 120) -> str:
    """A value on one line."""
    if isinstance(value, str):
        return clipped(harmless(value), most) or '""'
    return clipped(text_of(render(value, {}, indent=False)), most)


def text_of(marked: Marked) -> str:
    """The text without its marks."""
    return "".join(text for text, _ in marked)


def render(value: Any, marks: Mapping[Path, Span | None], *, indent: bool = True) -> Marked:
    """The value as JSON; `marks` says which parts of it differ, and where in a string."""
    pieces: list[tuple[str, bool]] = []
    left = MOST
    for text, marked in _pieces(value, (), marks, indent):
        if left <= 0:
            pieces.append((" … the rest is left out", False))
            break
        left -= len(text)
        before = pieces.pop()[0] if pieces and pieces[-1][1] == marked else ""
        pieces.append((before + text, marked))
    return tuple(pieces)


def _pieces(
    value: Any, path: Path, marks: Mapping[Path, Span | None], indent: bool
) -> Iterator[tuple[str, bool]]:
    marked = path in marks
    if isinstance(value, str):
        yield from _string(value, marked, marks.get(path))
    elif isinstance(value, dict | list) and value and not (marked and marks[path] is None):
        yield from _container(value, path, marks, indent)
    elif isinstance(value, dict | list) and value:
        for text, _ in _container(value, path, {}, indent):
            yield text, True
    else:
        yield clipped(_json(value), MOST_TEXT), marked


def _container(
    value: Any, path: Path, marks: Mapping[Path, Span | None], indent: bool
) -> Iterator[tuple[str, bool]]:
    named = isinstance(value, dict)
    if len(path) >= MOST_DEPTH:
        yield "… nested deeper …", False
        return
    flat = not indent or (not named and all(not isinstance(i, dict | list | str) for i in value))
    line = "\n" + "  " * (len(path) + 1)
    yield "{" if named else "[", False
    for count, (key, item) in enumerate(value.items() if named else enumerate(value)):
        if count:
            yield ", " if flat else ",", False
        if not flat:
            yield line, False
        if count >= MOST_ITEMS:
            yield f"… {len(value) - count} more …", False
            break
        here = (*path, key)
        if named:
            yield f"{clipped(_json(key), AROUND)}: ", here in marks and marks[here] is None
        yield from _pieces(item, here, marks, indent)
    if not flat:
        yield line[:-2], False
    yield "}" if named else "]", False


def _string(value: str, marked: bool, span: Span | None) -> Iterator[tuple[str, bool]]:
    if span is None:
        yield clipped(_json(value), MOST_TEXT), marked
        return
    start, end = span
    before, inner, after = value[:start], value[start:end], value[end:]
    if len(before) > 2 * AROUND:
        before = f"{before[:AROUND]} … {len(before) - 2 * AROUND} characters … {before[-AROUND:]}"
    if len(after) > 2 * AROUND:
        after = f"{after[:AROUND]} … {len(after) - AROUND} characters …"
    yield f'"{_json(before)[1:-1]}', False
    # Where nothing stands, as at the end of what was cut off, there is still something to see.
    yield clipped(_json(inner)[1:-1], MOST_TEXT) or "\N{DOTTED CIRCLE}", True
    yield f'{_json(after)[1:-1]}"', False


def _json(value: Any) -> str:
    """JSON text of a value without members, or of any value if it is shallow enough."""
    return harmless(json.dumps(value, ensure_ascii=False))
