"""Every test vector, run against the library by the adapters that are part of the package."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from evanesce.conformance.library import OPERATIONS
from evanesce.errors import EvanesceError

Json = dict[str, Any]


def vectors() -> Path:
    """The folder of the installed package, or that of the checkout."""
    installed = Path(str(files("evanesce") / "_vectors"))
    return installed if installed.is_dir() else Path(__file__).parents[2] / "vectors"


FOLDER = vectors() / "v1"
MANIFEST: Json = json.loads((FOLDER / "manifest.json").read_bytes())
FILES: dict[str, Json] = {
    path.name: json.loads(path.read_bytes())
    for path in sorted(FOLDER.glob("*.json"))
    if path.name != "manifest.json"
}
CASES: dict[str, Json] = {case["id"]: case for each in FILES.values() for case in each["cases"]}


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    case = CASES[name]
    try:
        out, reason = OPERATIONS[case["op"]](case["in"]), None
    except EvanesceError as error:
        out, reason = None, str(error.reason)
    if case["op"] == "session":
        out = [{k: v for k, v in each.items() if k != "digest"} for each in out or []]
    assert (out, reason) == (case["out"], case["reason"])
    assert case["result"] == ("valid" if reason is None else "invalid")


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
    assert {case["op"] for case in CASES.values()} <= OPERATIONS.keys()
