"""Seeds: valid and invalid inputs out of the test vectors, by what they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from evanesce import formats
from evanesce.errors import EvanesceError
from evanesce.transport import armor
from evanesce.wire import decode, peek_type
from tests.fuzz.decoders import FORMS

VECTORS: Final = Path(__file__).parents[2] / "vectors" / "v1"
_LARGEST: Final = 16_384  # bytes of a seed: more only makes the fuzzer slow
_MOST: Final = 300  # seeds of a target
_HEX: Final = frozenset("0123456789abcdef")


@cache
def _cases() -> list[dict[str, Any]]:
    """All cases of all files."""
    return [
        case for path in sorted(VECTORS.glob("*.json")) if path.stem != "manifest"
        for case in json.loads(path.read_text())["cases"]
    ]  # fmt: skip


def _inputs(operation: str, *names: str) -> list[bytes]:
    """These members of the inputs of an operation."""
    found = []
    for case in _cases():
        if case["op"] == operation:
            for name in names:
                text = case["in"].get(name)
                if isinstance(text, str) and set(text) <= _HEX and len(text) <= 2 * _LARGEST:
                    found.append(bytes.fromhex(text))
    return found


def _bytes_in(value: Any) -> Iterator[bytes]:
    """All bytes in a case, wherever they stand."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _bytes_in(item)
    elif isinstance(value, str) and len(value) > 4 and len(value) % 2 == 0 and (
        set(value) <= _HEX and len(value) <= 2 * _LARGEST
    ):
        yield bytes.fromhex(value)


def _embedded(data: bytes, into: dict[int, set[bytes]]) -> None:
    """Note an object and those embedded in it, by their types."""
    kind = peek_type(data)
    if kind is None:
        return
    try:
        value = decode(data, limit=_LARGEST)
    except EvanesceError:
        return
    if data in into.setdefault(kind, set()):
        return
    into[kind].add(data)
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack += item
        elif isinstance(item, bytes):
            _embedded(item, into)


@cache
def _objects() -> dict[int, list[bytes]]:
    """Every canonical object in the vectors by its type, the short ones first."""
    found: dict[int, set[bytes]] = {}
    for case in _cases():
        for data in _bytes_in([case["in"], case["out"]]):
            _embedded(data, found)
    return {kind: sorted(made, key=lambda d: (len(d), d)) for kind, made in found.items()}


def objects(*kinds: int, most: int = _MOST) -> list[bytes]:
    """Objects of these types, evenly taken from all lengths."""
    found = [data for kind in kinds for data in _evenly(_objects().get(kind, []), most)]
    return _evenly(sorted(set(found), key=lambda d: (len(d), d)), most)


def _evenly(items: list[bytes], most: int) -> list[bytes]:
    if len(items) <= most:
        return items
    return [items[n * len(items) // most] for n in range(most)]


def _forms() -> list[bytes]:
    """Objects of every form, and refused ones with the form they were meant for."""
    seeds = []
    for number, form in enumerate(FORMS):
        seeds += [bytes([number]) + data for data in objects(form.type, most=12)]
    names = {form.name: number for number, form in enumerate(FORMS)}
    for case in _cases():
        if case["op"] == "parse" and len(case["in"]["data"]) <= 4_096:
            number = names.get(case["in"]["form"], 255)
            seeds.append(bytes([number]) + bytes.fromhex(case["in"]["data"]))
    return seeds


def _commits() -> list[bytes]:
    kinds = (formats.COMMIT, formats.GENESIS, formats.SIGNED_COMMIT, formats.SEALED_COMMIT,
             formats.INVITATION)  # fmt: skip
    return [
        bytes([number]) + data
        for number, form in enumerate(kinds) for data in objects(form.type, most=60)
    ]  # fmt: skip


def _texts() -> list[bytes]:
    address, key = bytes(range(32)), bytes(range(16))
    seeds = []
    for data in (b"", b"x", bytes(100), *_inputs("open envelope", "envelope")[:3]):
        for limit in (None, 200, 500):
            seeds.append("\n\n".join(armor.blocks(address, key, data, limit)).encode())
    return [*seeds, b"> " + seeds[3].replace(b"\n", b"\n> "), seeds[0].lower(), b"[EVANESCE 2 TO"]


def _statements() -> list[bytes]:
    made = []
    for data in _inputs("check statement", "data"):
        made += [b"\0" + data, b"\1" + data]
    body = (b'{"body":{"request":1},"hour":1,"kind":"gag_lifted","previous":"' + b"0" * 64
            + b'","sequence":1,"signature":"' + b"0" * 128 + b'"}')  # fmt: skip
    return [*made, b"\2" + body, b"\3" + body]


_CHOSEN: Final = [bytes([n, a, b, c]) for n in range(8) for a in (0, 1) for b in (0, 1, 3)
                  for c in (0, 1)]  # fmt: skip
_LONGER: Final = [bytes([n, *[k] * 60]) for n in range(7) for k in (1, 2, 5, 7, 31, 63)]


def seeds(target: str) -> list[bytes]:
    """Where the fuzzing of a target starts. Those of choices are short: 0 is the valid thing."""
    raw: dict[str, Callable[[], list[bytes]]] = {
        "wire": lambda: _inputs("decode", "data"),
        "forms": _forms,
        "frames": lambda: [side + data for side in (b"\0", b"\1")
                           for data in _inputs("read frame", "data")],
        "content": lambda: [*_inputs("read content", "content"), *objects(*range(32, 38))],
        "message": lambda: [*_inputs("open message", "message"),
                            *objects(formats.HEADER.type, formats.MESSAGE.type)],
        "commits": _commits,
        "text": _texts,
        "statements": _statements,
        "envelopes": lambda: [b"\3" + data for data in _inputs("open envelope", "envelope")],
        "device": lambda: [bytes([n, 0, 6]) + data for n in (0, 1)
                           for data in _inputs("dispatch", "payload")],
    }  # fmt: skip
    made = raw[target]() if target in raw else []
    chosen = [*_CHOSEN, *_LONGER] if target not in raw or target == "device" else []
    return sorted({data for data in (*_evenly(made, 2 * _MOST), *chosen) if len(data) < _LARGEST})
