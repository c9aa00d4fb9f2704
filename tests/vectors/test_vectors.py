"""Every test vector, run against the library by the adapters that are part of the package."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from evanesce.conformance.answers import Answer
from evanesce.conformance.compare import compare
from evanesce.conformance.library import OPERATIONS
from evanesce.conformance.vectors import Case, default_folder
from evanesce.errors import EvanesceError

Json = dict[str, Any]

FOLDER = default_folder() / "v1"
MANIFEST: Json = json.loads((FOLDER / "manifest.json").read_bytes())
FILES: dict[str, Json] = {
    path.name: json.loads(path.read_bytes())
    for path in sorted(FOLDER.glob("*.json"))
    if path.name != "manifest.json"
}
CASES: dict[str, Case] = {
    case["id"]: Case.of(name, case) for name, each in FILES.items() for case in each["cases"]
}


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    case = CASES[name]
    try:
        out = OPERATIONS[case.op](case.input)
        answer = Answer("ok", json.loads(json.dumps(out)))
    except EvanesceError as error:
        answer = Answer("reject", str(error.reason))
    assert compare(case, answer).message == ""
    assert case.result == {"ok": "valid", "reject": "invalid"}[answer.kind]


@pytest.mark.parametrize("name", MANIFEST["files"])
def test_a_file_is_what_the_manifest_says(name: str) -> None:
    data, listed = (FOLDER / name).read_bytes(), MANIFEST["files"][name]
    assert listed["sha256"] == hashlib.sha256(data).hexdigest()
    assert listed["bytes"] == len(data)
    assert listed["cases"] == len(FILES[name]["cases"])
    assert FILES[name]["file"] == name
    assert FILES[name]["suite"] == 1


def test_every_case_of_every_file_is_run_once() -> None:
    assert MANIFEST["files"].keys() == FILES.keys()
    assert len(CASES) == sum(listed["cases"] for listed in MANIFEST["files"].values())


def test_every_operation_of_the_vectors_is_registered() -> None:
    assert {case.op for case in CASES.values()} <= OPERATIONS.keys()
