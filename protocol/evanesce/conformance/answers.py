"""What a harness may say (spec 21.2, 21.3), read strictly: JSON without any leniency."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from .process import Fault
from .text import RunError, plain

__all__ = ["PROTOCOL", "Answer", "Hello", "hello_request", "read_answer", "read_hello", "request"]

PROTOCOL = 1
Kind = Literal["ok", "reject", "skip", "error"]
KINDS: tuple[Kind, ...] = ("ok", "reject", "skip", "error")


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a case: which of the four it is, what it holds, and the trace beside it."""

    kind: Kind
    value: Any
    trace: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Hello:
    """What a harness says about itself. Texts of it are fit to be shown."""

    protocol: int
    name: str
    version: str
    spec: str
    operations: frozenset[str]
    features: frozenset[str]


def request(case_id: str, op: str, given: Any) -> bytes:
    """The line that asks for a case. What is expected is not in it."""
    return _line({"id": case_id, "op": op, "in": given})


def hello_request(spec: str, vectors: str) -> bytes:
    """The first line to a harness."""
    return _line({"hello": {"protocol": PROTOCOL, "spec": spec, "vectors": vectors}})


def read_hello(line: bytes) -> Hello:
    """Read the answer to the first line; raise `RunError` if this harness cannot be run."""
    try:
        members = _object(line).get("hello")
    except Fault as fault:
        raise RunError(f"its hello is not an answer: {fault}") from fault
    if not isinstance(members, dict):
        raise RunError("its first answer is no hello")
    protocol = members.get("protocol")
    if type(protocol) is not int or protocol != PROTOCOL:
        raise RunError(f"it speaks protocol {plain(protocol)}, not {PROTOCOL}")
    texts = [members.get(member) for member in ("name", "version", "spec")]
    lists = [members.get(member) for member in ("operations", "features")]
    if not all(isinstance(text, str) for text in texts) or not all(map(_is_texts, lists)):
        raise RunError("its hello lacks name, version, spec, operations or features")
    name, version, spec = (plain(text) for text in texts)
    return Hello(protocol, name, version, spec, *(frozenset(each or ()) for each in lists))


def read_answer(line: bytes, case_id: str) -> Answer:
    """Read the answer to a case; raise `Fault` for what is none."""
    members = _object(line)
    if members.get("id") != case_id:
        _not("its id is not that of the case")
    kinds = [kind for kind in KINDS if kind in members]
    if len(kinds) != 1:
        _not("it must have one of ok, reject, skip and error")
    (kind,) = kinds
    if kind != "ok" and not isinstance(members[kind], str):
        _not(f"its {kind} is not a string")
    if others := members.keys() - {"id", "trace", *KINDS}:
        _not(f"it has a member {plain(min(others), 60)}")
    return Answer(kind, members[kind], _trace(members.get("trace", [])))


def _trace(pairs: Any) -> tuple[tuple[str, Any], ...]:
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs
    ):
        _not("its trace is not a list of pairs of a name and a value")
    return tuple((name, value) for name, value in pairs)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _line(members: Mapping[str, Any]) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode() + b"\n"


def _object(line: bytes) -> dict[str, Any]:
    """The JSON object on a line, or a `Fault` that says why it is none."""
    try:
        value = json.loads(
            line.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except UnicodeDecodeError:
        _not("it is not UTF-8")
    except RecursionError:
        _not("it is nested too deeply")
    except json.JSONDecodeError as error:
        _not(f"it is not JSON: {error.msg} at character {error.pos}")
    except ValueError as error:
        _not(f"it is not JSON: {plain(error)}")
    if not isinstance(value, dict):
        _not("it is not a JSON object")
    return value


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member comes twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _not(why: str) -> NoReturn:
    raise Fault("not-an-answer", why)
