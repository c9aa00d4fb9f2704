"""Writes the test vectors from `reference.py`, and from nothing else.

    python spec/generate.py            writes vectors/v1/*.json
    python spec/generate.py --check    compares instead, and exits with 1 if a byte differs

`--vectors DIR` names another folder than `vectors/` beside `spec/`. All that a case has of
randomness comes from a SHAKE-256 stream over its id, so that no case changes another.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from spec.cases import (
    chain,
    decode,
    envelope,
    epoch,
    evaporation,
    identity,
    invitation,
    kdf,
    keypackage,
    keys,
    message,
    room,
)
from spec.cases.common import MISTAKES, Json

SPEC_VERSION = "1.0-draft.1"

FILES: dict[str, Callable[[], Iterator[Json]]] = {
    "kdf.json": kdf.kdf_cases,
    "hash.json": kdf.hash_cases,
    "aead.json": kdf.aead_cases,
    "decode.json": decode.decode_cases,
    "dh.json": keys.dh_cases,
    "ed25519.json": keys.ed25519_cases,
    "identity.json": identity.identity_cases,
    "chain.json": chain.chain_cases,
    "epoch.json": epoch.epoch_cases,
    "envelope.json": envelope.envelope_cases,
    "message.json": message.message_cases,
    "keypackage.json": keypackage.keypackage_cases,
    "invitation.json": invitation.invitation_cases,
    "evaporation.json": evaporation.evaporation_cases,
    "room.json": room.room_cases,
}


def to_bytes(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=True) + "\n").encode()


def generate() -> dict[str, bytes]:
    """Every file by its name, the manifest last."""
    made: dict[str, bytes] = {}
    listed: dict[str, Json] = {}
    MISTAKES.clear()
    for name, cases_of in FILES.items():
        cases = list(cases_of())
        ids = [each["id"] for each in cases]
        if len(set(ids)) != len(ids):
            raise SystemExit(f"{name}: an id twice: {next(i for i in ids if ids.count(i) > 1)}")
        made[name] = to_bytes({"suite": 1, "file": name, "cases": cases})
        listed[name] = {
            "sha256": hashlib.sha256(made[name]).hexdigest(),
            "bytes": len(made[name]),
            "cases": len(cases),
        }
    if MISTAKES:
        raise SystemExit("\n".join(MISTAKES))
    made["manifest.json"] = to_bytes({"spec": SPEC_VERSION, "files": listed})
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
        there = {path.name for path in folder.glob("*.json")}
        faults = sorted(there ^ made.keys())
        faults += [n for n in made if n in there and (folder / n).read_bytes() != made[n]]
        for name in faults:
            print(f"differs: {name}")
        return 1 if faults else 0
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in made.items():
        (folder / name).write_bytes(data)
    for name, about in json.loads(made["manifest.json"])["files"].items():
        print(f"{name}: {about['cases']} cases, {about['bytes']} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
