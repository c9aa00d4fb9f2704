"""The JSON Schemas of the vector files, built from the short descriptions of `schema_forms`.

A description is

- a number *n*: *n* bytes in hexadecimal; a string: one of `NAMED`;
- a dict: an object of exactly these members; a list of one: an array of it;
- a tuple: an array of exactly these; `Maybe`: or null; `Either`: one of these;
- `Loose`: bytes whose length is right in a valid case, and may be wrong in an invalid one.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

from spec.cases.common import MISTAKES, Json

HEX = "^([0-9a-f]{2})*$"
SPEC = Path(__file__).resolve().parents[1]


class Maybe(NamedTuple):
    """What it describes, or null."""

    of: Any


class Either(NamedTuple):
    """One of several."""

    of: tuple[Any, ...]


class Loose(NamedTuple):
    """So many bytes; in an invalid case any number."""

    size: int


class Word(NamedTuple):
    """One of these strings."""

    words: tuple[str, ...]


def reasons() -> list[str]:
    """The codes of the table in 2.6."""
    table = (SPEC / "02-constants.md").read_text("utf-8").split("\n## 2.6", 1)[1]
    return re.findall(r"^\| `([a-z-]+)` \|", table.split("\n## ", 1)[0], re.MULTILINE)


def feature_names() -> list[str]:
    """The words of the table in 20.4."""
    table = (SPEC / "20-vectors.md").read_text("utf-8").split("\n## 20.4", 1)[1]
    return re.findall(r"^\| `([a-z]+)` \|", table.split("\n## ", 1)[0], re.MULTILINE)


ANY_VALUE = {"$ref": "#/$defs/value"}
NAMED: dict[str, Json] = {
    "hex": {"type": "string", "pattern": HEX},
    "text": {"type": "string"},
    "bool": {"type": "boolean"},
    "int": {"type": "integer", "minimum": 0, "maximum": 2**53 - 1},
    "value": {
        "description": "a value of chapter 4",
        "anyOf": [
            {"type": ["null", "boolean"]},
            {"$ref": "#/$defs/int"},
            {"type": "array", "items": ANY_VALUE},
            *({"type": "object", "required": [kind], "additionalProperties": False,
               "properties": {kind: its}} for kind, its in (
                   ("bin", {"type": "string", "pattern": HEX}), ("str", {"type": "string"}),
                   ("uint", {"type": "string", "pattern": "^[1-9][0-9]{15,19}$"}))),
        ],
    },
    "time": {"type": "integer", "description": "also one that is refused: negative, or too large"},
    "values": {"type": "array", "items": ANY_VALUE},
    "reason": {"enum": reasons()},
    "digits": {"type": "string", "pattern": "^[0-9]{5}( [0-9]{5}){11}$"},
    "traced": {
        "description": "a name of the formulas, and the value: bytes or an integer",
        "type": "array", "minItems": 2, "maxItems": 2, "items": False,
        "prefixItems": [{"type": "string", "minLength": 1},
                        {"anyOf": [{"type": "string", "pattern": HEX}, {"type": "integer"}]}],
    },
}  # fmt: skip


def has_loose(form: Any) -> bool:
    if isinstance(form, Loose):
        return True
    if isinstance(form, Maybe):
        return has_loose(form.of)
    if isinstance(form, Either):
        form = form.of
    inner = form.values() if isinstance(form, dict) else form
    return not isinstance(inner, int | str) and any(has_loose(each) for each in inner)


def described(form: Any, used: set[str], *, strict: bool = True) -> Json:
    """The schema of a description; the definitions that it refers to go into `used`."""

    def of(inner: Any) -> Json:
        return described(inner, used, strict=strict)

    if isinstance(form, Loose) and not strict:
        used.add("hex")
        return {"$ref": "#/$defs/hex",
                "description": f"{form.size} bytes; in an invalid case it may have another length"}
    if isinstance(form, int | str | Loose):
        size = form.size if isinstance(form, Loose) else form
        name = size if isinstance(size, str) else f"bytes {size}"
        used.add(name)
        return {"$ref": f"#/$defs/{name}".replace(" ", "%20")}
    if isinstance(form, Word):
        return {"enum": list(form.words)}
    if isinstance(form, Maybe):
        return {"anyOf": [of(form.of), {"type": "null"}]}
    if isinstance(form, Either):
        return {"anyOf": [of(each) for each in form.of]}
    if isinstance(form, list):
        return {"type": "array", "items": of(form[0])}
    if isinstance(form, dict):
        return {"type": "object", "required": list(form), "additionalProperties": False,
                "properties": {name: of(each) for name, each in form.items()}}
    return {"type": "array", "minItems": len(form), "maxItems": len(form), "items": False,
            "prefixItems": [of(each) for each in form]}


def definitions(used: set[str]) -> Json:
    """What was referred to, and what that refers to."""
    if "value" in used or "values" in used:
        used |= {"value", "int"}
    return {
        name: NAMED[name] if name in NAMED else
        {"type": "string", "pattern": f"^([0-9a-f]{{2}}){{{name.removeprefix('bytes ')}}}$"}
        for name in sorted(used)
    }  # fmt: skip


def chosen(op: str, given: Any, result: Any, used: set[str]) -> list[Json]:
    """What `in` and `out` are in a case of an operation."""
    is_op = {"op": {"const": op}}
    rules = [{"if": {"properties": is_op}, "then": {"properties": {
        "in": described(given, used, strict=False),
        "out": {"anyOf": [described(result, used), {"type": "null"}]}}}}]  # fmt: skip
    if has_loose(given):
        valid = {**is_op, "result": {"const": "valid"}}
        rules.append({"if": {"properties": valid},
                      "then": {"properties": {"in": described(given, used)}}})  # fmt: skip
    return rules


def case_schema(operations: set[str], used: set[str]) -> Json:
    from spec.cases.schema_forms import FORMS  # noqa: PLC0415  that module is written in these words

    rules: list[Json] = []
    for op in sorted(operations):
        if op in FORMS:
            rules += chosen(op, *FORMS[op], used)
        else:
            MISTAKES.append(f"{op}: an operation that spec/cases/schema_forms.py does not describe")
    used |= {"traced", "reason"}
    sentence = {"type": "string", "minLength": 1}
    members: Json = {
        "id": {"type": "string", "pattern": "^[a-z][A-Za-z0-9^-]*$"},
        "spec": {"type": "array", "minItems": 1, "uniqueItems": True,
                 "items": {"type": "string", "pattern": "^REQ-[A-Z]+-[0-9]{2}$"}},
        "features": {"type": "array", "uniqueItems": True, "items": {"enum": feature_names()}},
        "comment": sentence, "op": {"enum": sorted(operations)},
        "parent": {"type": ["string", "null"]}, "mutation": {"type": ["string", "null"]},
        "in": {"type": "object"}, "out": {"type": ["object", "array", "null"]},
        "trace": {"type": "array", "items": {"$ref": "#/$defs/traced"}},
        "result": {"enum": ["valid", "invalid"]}, "reason": {"type": ["string", "null"]},
    }  # fmt: skip
    null: Json = {"type": "null"}
    outcome = {
        "if": {"properties": {"result": {"const": "valid"}}},
        "then": {"properties": {"parent": null, "mutation": null, "reason": null,
                                "out": {"type": ["object", "array"]}}},
        "else": {"properties": {"parent": sentence, "mutation": sentence, "out": null,
                                "reason": {"$ref": "#/$defs/reason"}}},
    }  # fmt: skip
    return {"type": "object", "required": list(members), "additionalProperties": False,
            "properties": members, "allOf": [outcome, *rules]}


def whole(name: str, title: str, members: Json, used: set[str], **more: Any) -> Json:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:evanesce:vectors:v1:{name}", "title": title, "type": "object",
        "required": list(members), "additionalProperties": False, "properties": members,
        **more,
    }  # fmt: skip
    return {**schema, "$defs": definitions(used)} if used else schema


def file_schema(name: str, operations: set[str]) -> Json:
    """The schema of a file of cases with these operations."""
    used: set[str] = set()
    case = case_schema(operations, used)
    members = {"suite": {"const": 1}, "file": {"const": name},
               "cases": {"type": "array", "minItems": 1, "items": case}}  # fmt: skip
    return whole(name.removesuffix(".json"), f"Evanesce test vectors: {name}", members, used)


def manifest_schema() -> Json:
    count = {"type": "integer", "minimum": 0}
    about: Json = {
        "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"}, "bytes": count,
        "schema": {"type": "string", "pattern": "^schema/[a-z0-9]+[.]schema[.]json$"},
        "cases": count, "valid": count, "invalid": count,
    }  # fmt: skip
    entry = {"type": "object", "required": list(about), "additionalProperties": False,
             "properties": about}  # fmt: skip
    version = {"type": "string", "pattern": "^[0-9]+[.][0-9]+([.][0-9]+)?(-[a-z0-9.]+)?$"}
    members = {"spec": version, "vectors": version, "suite": {"const": 1},
               "license": {"const": "CC0-1.0"},
               "files": {"type": "object", "minProperties": 1, "additionalProperties": False,
                         "patternProperties": {"^[a-z0-9]+[.]json$": entry}}}  # fmt: skip
    return whole("manifest", "Evanesce test vectors: the manifest", members, set())
