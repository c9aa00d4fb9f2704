"""A small set of vectors, and harnesses that do what a test needs of them."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from evanesce.conformance.runner import Outcome, Run, Settings, run_harness
from evanesce.conformance.vectors import Vectors

Json = dict[str, Any]
SCRIPTED = Path(__file__).parent / "harnesses" / "scripted.py"
SECOND = "c0ffee"
# Ids for made-up cases. They stand here so that no test seems to test these requirements.
CITED = "REQ-WIRE-02"
UNKNOWN = "-".join(["REQ", "NEW", "01"])


def case(case_id: str, **other: Any) -> Json:
    """A valid case of the operation hash, but for what is said otherwise."""
    return {
        "id": case_id, "spec": ["REQ-PRIM-01", CITED], "features": [],
        "comment": f"the case {case_id}", "op": "hash", "parent": None, "mutation": None,
        "in": {"label": "61", "parts": []}, "out": {"output": "00ff" * 8},
        "trace": [["first", "aa"], ["second", SECOND]], "result": "valid", "reason": None, **other,
    }  # fmt: skip


def invalid(case_id: str, **other: Any) -> Json:
    """An invalid case, made from the case `good`."""
    return case(
        case_id, parent="good", mutation="a bit is flipped", out=None, result="invalid",
        reason="bad-signature", trace=[], **other,
    )  # fmt: skip


def session(case_id: str) -> Json:
    """A session with one of each rule about digests."""
    out = [
        {"outcome": "event", "event": "joined", "out": {}},
        {"outcome": "rejected", "reason": "replay"},
        {"outcome": "event", "event": "restarted", "out": {}},
        {"outcome": "delivered", "out": {"content": "00"}},
        {"outcome": "event", "event": "sent", "out": {}},
    ]
    return case(case_id, op="session", out=out, trace=[], **{"in": {"owner": {}, "steps": []}})


def write_vectors(folder: Path, files: dict[str, list[Json]]) -> Vectors:
    """A folder of vectors with a manifest and sums, as spec 20.1 has them."""
    v1 = folder / "v1"
    (v1 / "schema").mkdir(parents=True, exist_ok=True)
    (v1 / "schema" / "any.schema.json").write_text("{}")
    listed: Json = {}
    for name, cases in files.items():
        data = json.dumps({"suite": 1, "file": name, "cases": cases}, indent=2).encode()
        (v1 / name).write_bytes(data)
        valid = sum(each["result"] == "valid" for each in cases)
        listed[name] = {
            "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data),
            "schema": "schema/any.schema.json",
            "cases": len(cases), "valid": valid, "invalid": len(cases) - valid,
        }  # fmt: skip
    manifest = {"spec": "1.0-draft.1", "vectors": "9.9", "suite": 1, "files": listed}
    (v1 / "manifest.json").write_text(json.dumps(manifest))
    write_sums(v1)
    return Vectors(folder)


def write_sums(v1: Path) -> None:
    """SHA256SUMS over what lies there now."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(v1)}\n"
        for path in sorted(v1.rglob("*.json"))
    ]
    (v1 / "SHA256SUMS").write_text("".join(lines))


def right_answer(members: Json) -> Json:
    """What a harness that is right says to a case, and with digests if it is a session."""
    if members["result"] == "invalid":
        return {"reject": members["reason"]}
    if members["op"] != "session":
        return {"ok": members["out"]}
    digests = ["a", "a", "a", "b", "c"]
    results = zip(members["out"], digests, strict=True)
    return {"ok": [{**result, "digest": digest} for result, digest in results]}


def scripted(vectors: Vectors, behaviour: str, *more: str) -> list[str]:
    """The command of a harness with that behaviour."""
    answers = {}
    for name in vectors.names:
        for members in json.loads((vectors.v1 / name).read_bytes())["cases"]:
            answers[members["id"]] = right_answer(members)
    path = vectors.folder / "answers.json"
    path.write_text(json.dumps(answers))
    return [sys.executable, "-S", str(SCRIPTED), str(path), behaviour, *more]


def run(vectors: Vectors, behaviour: str, *more: str, **settings: Any) -> Run:
    """One run of such a harness."""
    command = scripted(vectors, behaviour, *more)
    return run_harness(vectors, command, Settings(**settings), lambda _: None)


def outcome(made: Run, case_id: str) -> Outcome:
    """What came of that case."""
    (found,) = (each for each in made.outcomes if each.case.id == case_id)
    return found


def statuses(made: Run) -> dict[str, str]:
    """The status of each case."""
    return {each.case.id: each.status for each in made.outcomes}
