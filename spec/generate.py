"""Writes the test vectors from `reference.py`, and from nothing else.

    python spec/generate.py            writes vectors/v1: cases, schemas, manifest, SHA256SUMS
    python spec/generate.py --check    compares instead, and exits with 1 if a byte differs

`--vectors DIR` names another folder than `vectors/` beside `spec/`. All that a case has of
randomness comes from a SHAKE-256 stream over its id, so that no case changes another.
"""

import argparse
import hashlib
import itertools
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from spec.cases import (
    chain,
    committing,
    decode,
    envelope,
    epoch,
    evaporation,
    founding,
    identity,
    invitation,
    kdf,
    keypackage,
    keys,
    limits,
    membership,
    message,
    orders,
    parse_requests,
    refusing,
    relay,
    repair_requests,
    request_order,
    requests,
    resyncing,
    rights,
    room,
    sanctions,
    session,
    turns,
)
from spec.cases.common import MISTAKES, Json, parent_mistakes
from spec.cases.schema import file_schema, manifest_schema

SPEC_VERSION, VECTORS_VERSION = "1.0-draft.1", "1.0.0-draft.1"


def after(*parts: Callable[[], Iterator[Json]]) -> Callable[[], Iterator[Json]]:
    """The cases of one file that several modules make, one after another."""
    return lambda: itertools.chain.from_iterable(part() for part in parts)


FILES: dict[str, Callable[[], Iterator[Json]]] = {
    "kdf.json": kdf.kdf_cases,
    "hash.json": kdf.hash_cases,
    "aead.json": kdf.aead_cases,
    "decode.json": after(
        decode.decode_cases, limits.limit_cases, parse_requests.request_form_cases
    ),
    "dh.json": keys.dh_cases,
    "ed25519.json": keys.ed25519_cases,
    "identity.json": identity.identity_cases,
    "chain.json": chain.chain_cases,
    "membership.json": after(
        membership.membership_cases,
        rights.rights_cases,
        requests.request_cases,
        repair_requests.repair_request_cases,
        request_order.request_order_cases,
        sanctions.sanction_cases,
    ),
    "epoch.json": after(epoch.epoch_cases, orders.order_cases),
    "envelope.json": envelope.envelope_cases,
    "message.json": message.message_cases,
    "keypackage.json": keypackage.keypackage_cases,
    "invitation.json": invitation.invitation_cases,
    "evaporation.json": evaporation.evaporation_cases,
    "room.json": after(
        room.room_cases,
        founding.founding_cases,
        committing.committing_cases,
        refusing.refused_commits,
        refusing.insider_cases,
        turns.turn_cases,
        resyncing.resync_commit_cases,
    ),
    "session.json": session.session_cases,
    "relay.json": relay.relay_cases,
}


def to_bytes(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=True) + "\n").encode()


def schema_of(name: str) -> str:
    return f"schema/{name.removesuffix('.json')}.schema.json"


def generate() -> dict[str, bytes]:
    """Every file of v1 by its path, the sums last."""
    made: dict[str, bytes] = {}
    listed: dict[str, Json] = {}
    every: list[Json] = []
    MISTAKES.clear()
    for name, cases_of in FILES.items():
        cases = list(cases_of())
        every += cases
        made[name] = to_bytes({"suite": 1, "file": name, "cases": cases})
        made[schema_of(name)] = to_bytes(file_schema(name, {each["op"] for each in cases}))
        invalid = sum(each["result"] == "invalid" for each in cases)
        listed[name] = {
            "sha256": hashlib.sha256(made[name]).hexdigest(),
            "bytes": len(made[name]),
            "schema": schema_of(name),
            "cases": len(cases),
            "valid": len(cases) - invalid,
            "invalid": invalid,
        }
    ids = Counter(each["id"] for each in every)
    MISTAKES.extend(f"{name}: an id twice" for name, times in ids.items() if times > 1)
    MISTAKES.extend(parent_mistakes(every))
    if MISTAKES:
        raise SystemExit("\n".join(MISTAKES))
    made["manifest.json"] = to_bytes({
        "spec": SPEC_VERSION, "vectors": VECTORS_VERSION, "suite": 1, "license": "CC0-1.0",
        "files": listed})  # fmt: skip
    made[schema_of("manifest.json")] = to_bytes(manifest_schema())
    sums = (f"{hashlib.sha256(made[path]).hexdigest()}  {path}\n" for path in sorted(made))
    made["SHA256SUMS"] = "".join(sums).encode()
    return made


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Write or check the test vectors.")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--vectors", type=Path, help="the folder that holds v1/",
                        default=Path(__file__).resolve().parents[1] / "vectors")  # fmt: skip
    options = parser.parse_args(arguments)
    folder = options.vectors / "v1"
    made = generate()
    if options.check:
        found = (path for path in folder.rglob("*") if path.is_file())
        there = {path.relative_to(folder).as_posix() for path in found}
        faults = sorted(there ^ made.keys())
        faults += [n for n in made if n in there and (folder / n).read_bytes() != made[n]]
        for name in faults:
            print(f"differs: {name}")
        return 1 if faults else 0
    (folder / "schema").mkdir(parents=True, exist_ok=True)
    for name, data in made.items():
        (folder / name).write_bytes(data)
    for name, about in json.loads(made["manifest.json"])["files"].items():
        print(f"{name}: {about['cases']} cases, {about['bytes']} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
