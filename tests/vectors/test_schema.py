"""Each file of vectors against its JSON Schema, and the schemas against files that are wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

Json = dict[str, Any]
INSTALLED = Path(str(files("evanesce") / "_vectors"))
FOLDER = (INSTALLED if INSTALLED.is_dir() else Path(__file__).parents[2] / "vectors") / "v1"
MANIFEST: Json = json.loads((FOLDER / "manifest.json").read_bytes())
FILES: dict[str, Json] = {
    name: json.loads((FOLDER / name).read_bytes()) for name in MANIFEST["files"]
}
SCHEMAS = {name: json.loads((FOLDER / about["schema"]).read_bytes())
           for name, about in MANIFEST["files"].items()}  # fmt: skip
CASES: dict[str, tuple[str, Json]] = {
    case["id"]: (name, case) for name, file in FILES.items() for case in file["cases"]
}


def faults(name: str, file: Json) -> list[str]:
    """What the schema of a file says against it: where, and why."""
    found = Draft202012Validator(SCHEMAS[name]).iter_errors(file)
    return [f"{list(each.absolute_path)}: {each.message[:200]}" for each in found]


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_file_is_as_its_schema_says(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert faults(name, FILES[name]) == []


def test_the_manifest_is_as_its_schema_says() -> None:
    schema = json.loads((FOLDER / "schema" / "manifest.schema.json").read_bytes())
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(MANIFEST)
    with pytest.raises(ValidationError):
        Draft202012Validator(schema).validate({**MANIFEST, "more": 1})


def objects(schema: Any, where: str = "") -> list[str]:
    """Where a schema describes an object without closing it."""
    found = []
    if isinstance(schema, dict):
        if "properties" in schema and schema.get("type") == "object":
            found = [where] if schema.get("additionalProperties") is not False else []
        for key, value in schema.items():
            found += objects(value, f"{where}/{key}")
    elif isinstance(schema, list):
        for place, value in enumerate(schema):
            found += objects(value, f"{where}/{place}")
    return found


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_object_of_a_schema_is_closed(name: str) -> None:
    assert objects(SCHEMAS[name]) == []


def changed(name: str, change: Callable[[Json], None]) -> Json:
    """The file of a case with this case alone, and that changed."""
    file, case = CASES[name]
    case = copy.deepcopy(case)
    change(case)
    return {**FILES[file], "cases": [case]}


def put(*path: str, value: Any) -> Callable[[Json], None]:
    def change(case: Json) -> None:
        inner: Any = case
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value

    return change


DIGEST = "ab" * 32
WRONG: list[tuple[str, str, Callable[[Json], None]]] = [
    ("more in a case", "hash-none", put("more", value=1)),
    ("more in in", "hash-none", put("in", "more", value=1)),
    ("more in out", "hash-none", put("out", "more", value=1)),
    ("more in an inner object", "safety-number-0-1", put("in", "mine", "more", value="")),
    ("too long", "hash-none", put("out", "output", value=DIGEST + "ab")),
    ("too short", "hash-none", put("out", "output", value=DIGEST[2:])),
    ("half a byte", "hash-none", put("out", "output", value=DIGEST[1:])),
    ("uppercase", "hash-none", put("out", "output", value=DIGEST.upper())),
    ("uppercase of any length", "aead-encrypt-block", put("in", "plaintext", value="AB")),
    ("a valid case with a short key", "dh-key-nine", put("in", "public", value=DIGEST[2:])),
    ("uppercase where any length may be", "dh-key-31-bytes", put("in", "public", value="AB")),
    ("a number for true", "evaporation-policy-nil", put("in", "policy", value=[0, 0, None, 1])),
    ("a policy of five", "evaporation-policy-nil",
     put("in", "policy", value=[0, False, None, 1, 1])),
    ("an untagged bin", "hash-bin", put("in", "parts", value=["0102"])),
    ("a tag of two", "hash-bin", put("in", "parts", value=[{"bin": "00", "str": ""}])),
    ("an unknown reason", "dh-key-zero", put("reason", value="bad-luck")),
    ("no reason", "dh-key-zero", put("reason", value=None)),
    ("no parent", "dh-key-zero", put("parent", value=None)),
    ("no mutation", "dh-key-zero", put("mutation", value=None)),
    ("an out where there is none", "dh-key-zero", put("out", value={"shared": DIGEST})),
    ("a parent of a valid case", "dh-key-nine", put("parent", value="dh-key-two")),
    ("a reason of a valid case", "dh-key-nine", put("reason", value="bad-key")),
    ("no out of a valid case", "dh-key-nine", put("out", value=None)),
    ("another operation's in", "dh-key-nine", put("op", value="check dh key")),
    ("an unknown operation", "dh-key-nine", put("op", value="dh2")),
    ("no requirement", "dh-key-nine", put("spec", value=[])),
    ("a requirement twice", "dh-key-nine", put("spec", value=["REQ-PRIM-03"] * 2)),
    ("an unknown feature", "dh-key-nine", put("features", value=["fast"])),
    ("no comment", "dh-key-nine", put("comment", value="")),
    ("a trace of one", "kdf-none-32", put("trace", value=[["message"]])),
    ("a trace in uppercase", "kdf-none-32", put("trace", value=[["message", "AB"]])),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change"), [each[1:] for each in WRONG],
                         ids=[each[0] for each in WRONG])  # fmt: skip
def test_a_case_that_is_wrong_is_refused(name: str, change: Callable[[Json], None]) -> None:
    file = CASES[name][0]
    assert faults(file, changed(name, lambda _: None)) == []
    assert faults(file, changed(name, change)) != []


@pytest.mark.parametrize("member", [
    "id", "spec", "features", "comment", "op", "parent", "mutation", "in", "out", "trace",
    "result", "reason",
])  # fmt: skip
def test_a_case_without_one_of_its_members_is_refused(member: str) -> None:
    assert faults("dh.json", changed("dh-key-nine", lambda case: case.pop(member))) != []
