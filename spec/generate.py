"""Writes the test vectors from `reference.py`, and from nothing else.

    python spec/generate.py            writes vectors/v1/*.json
    python spec/generate.py --check    compares instead, and exits with 1 if a byte differs

`--vectors DIR` names another folder than `vectors/` beside `spec/`. All that a case has of
randomness comes from a SHAKE-256 stream over its id, so that no case changes another.
"""

import argparse
import functools
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from spec import reference as ref

SPEC_VERSION = "1.0-draft.1"
Json = dict[str, Any]
Operation = Callable[[Json], Json]
OPERATIONS: dict[str, Operation] = {}
MISTAKES: list[str] = []  # cases that came out otherwise than they were meant


# The same keys and signatures come in many cases, and checking them is what takes the time.
ref.check_sign_key = functools.cache(ref.check_sign_key)
ref.verify_bytes = functools.cache(ref.verify_bytes)


class Stream:
    """Random bytes of a case: SHAKE-256 over its id, read on and on."""

    def __init__(self, name: str) -> None:
        self.hash = hashlib.shake_256(name.encode())
        self.at = 0

    def __call__(self, size: int) -> bytes:
        self.at += size
        return self.hash.digest(self.at)[-size:] if size else b""


def operation(name: str) -> Callable[[Operation], Operation]:
    """Register what computes a case's `out` from its `in`."""

    def register(function: Operation) -> Operation:
        OPERATIONS[name] = function
        return function

    return register


def un(text: str) -> bytes:
    return bytes.fromhex(text)


def un_maybe(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def tagged(value: Any) -> Any:
    """A value of chapter 4 as JSON: bin and str tagged, integers past 2^53 − 1 as decimal."""
    if isinstance(value, bytes):
        return {"bin": value.hex()}
    if isinstance(value, str):
        return {"str": value}
    if isinstance(value, list | tuple):
        return [tagged(item) for item in value]
    if type(value) is int and value >= 1 << 53:
        return {"uint": str(value)}
    return value


def untagged(value: Any) -> Any:
    if isinstance(value, dict):
        ((kind, text),) = value.items()
        return un(text) if kind == "bin" else int(text) if kind == "uint" else text
    return [untagged(item) for item in value] if isinstance(value, list) else value


def case(  # a case is computed from its inputs, and must come out as it was meant
    name: str, spec: str, comment: str, op: str, inputs: Json, reason: str | None = None
) -> Json:
    out, got = None, None
    try:
        out = OPERATIONS[op](inputs)
    except ref.Refused as refused:
        got = refused.reason
    if got != reason:
        MISTAKES.append(f"{name}: meant {reason}, got {got}")
    return {
        "id": name,
        "spec": [f"REQ-{part}" for part in spec.split()],
        "comment": comment,
        "op": op,
        "in": inputs,
        "out": out,
        "result": "valid" if got is None else "invalid",
        "reason": got,
    }


# --- kdf.json, hash.json, aead.json --------------------------------------------------------------


@operation("kdf")
def _kdf(i: Json) -> Json:
    output = ref.KDF(un(i["key"]), un(i["label"]), *untagged(i["parts"]), size=i["size"])
    return {"output": output.hex()}


@operation("hash")
def _hash(i: Json) -> Json:
    return {"output": ref.H(un(i["label"]), *untagged(i["parts"])).hex()}


@operation("encrypt")
def _encrypt(i: Json) -> Json:
    return {"ciphertext": ref.encrypt(un(i["key"]), un(i["plaintext"])).hex()}


@operation("decrypt")
def _decrypt(i: Json) -> Json:
    return {"plaintext": ref.decrypt(un(i["key"]), un(i["ciphertext"])).hex()}


COUNTING = bytes(range(32))
PART_LISTS: list[tuple[str, str, list[Any]]] = [
    ("none", "no parts", []),
    ("small", "the integer 7: the example of 3.2", [7]),
    ("bin", "one bin", [b"\x01\x02"]),
    ("empty-bin", "the empty bin is not nil", [b""]),
    ("nil", "nil is not the empty bin", [None]),
    ("split-a", "two bins are not their concatenation", [b"ab", b"c"]),
    ("split-b", "the same bytes, split elsewhere", [b"a", b"bc"]),
    ("split-c", "the same bytes in one part", [b"abc"]),
    ("text", "text is not bin", ["abc"]),
    ("nested", "an array as a part is not its items", [[b"ab", b"c"]]),
    ("policy", "a policy as an array", [[1, True, None, 259_200]]),
    ("true", "true is not 1", [True]),
    ("one", "1 is not true", [1]),
    ("wide", "integers at the borders of their forms",
     [127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**64 - 1]),
    ("long-bin", "a bin with two bytes of length", [bytes(256)]),
    ("sixteen", "more parts than fit the short form of an array", [bytes([n]) for n in range(16)]),
]  # fmt: skip


def kdf_cases() -> Iterator[Json]:
    for name, comment, parts in PART_LISTS:
        for size in (16, 32, 48, 64) if name == "small" else (32,):
            yield case(f"kdf-{name}-{size}", "PRIM-01 WIRE-11", comment, "kdf", {
                "key": COUNTING.hex(), "label": b"chain".hex(), "parts": tagged(parts),
                "size": size})  # fmt: skip
    for size in (1, 31, 33, 63):
        yield case(f"kdf-size-{size}", "PRIM-01", "the size is a parameter, not a truncation",
                   "kdf", {"key": COUNTING.hex(), "label": b"chain".hex(), "parts": [7],
                           "size": size})  # fmt: skip
    for label in ("chain", "salt", "message", "invitation", "slot", "envelope", "epoch", "confirm",
                  "confirmation", "chains", "chain of", "handshakes", "handshake of", "inits",
                  "init of", "exporter", "export", "commit salt", "seal commit",
                  "safety number"):  # fmt: skip
        name = f"kdf-label-{label.replace(' ', '-')}"
        yield case(name, "PRIM-01 PRIM-13", "one label of chapter 2, with a random key", "kdf", {
            "key": Stream(name)(32).hex(), "label": label.encode().hex(),
            "parts": tagged([Stream(name + "/part")(32)]), "size": 32})  # fmt: skip
    for size in (0, 31, 33):
        yield case(f"kdf-key-{size}", "PRIM-16", "a key of a wrong length is a local error",
                   "kdf", {
            "key": bytes(size).hex(), "label": b"chain".hex(), "parts": [], "size": 32},
            "bad-input")  # fmt: skip


def hash_cases() -> Iterator[Json]:
    for name, comment, parts in PART_LISTS:
        yield case(f"hash-{name}", "PRIM-02 WIRE-11", comment, "hash",
                   {"label": b"chain".hex(), "parts": tagged(parts)})  # fmt: skip
    for label in ("fingerprint", "key package", "invitation transcript", "mailbox", "capability",
                  "envelope transcript", "slot transcript", "commit", "transcript", "state",
                  "context", "member", "creator", "creator admission", "header", "ciphertext",
                  "message id"):  # fmt: skip
        name = f"hash-label-{label.replace(' ', '-')}"
        yield case(name, "PRIM-02", "one label of chapter 2, with a random part", "hash",
                   {"label": label.encode().hex(),
                   "parts": tagged([Stream(name)(32)])})  # fmt: skip


def aead_cases() -> Iterator[Json]:
    example = b"Evanesce: one key, one message."
    for name, text in (("example", example), ("empty", b""), ("block", bytes(64)),
                       ("long", bytes(1_000))):  # fmt: skip
        key = COUNTING if name == "example" else Stream(f"aead-{name}")(32)
        yield case(f"aead-encrypt-{name}", "PRIM-11", "zero nonce, no associated data", "encrypt",
                   {"key": key.hex(), "plaintext": text.hex()})  # fmt: skip
        yield case(f"aead-decrypt-{name}", "PRIM-11", "the same, decrypted", "decrypt",
                   {"key": key.hex(), "ciphertext": ref.encrypt(key, text).hex()})  # fmt: skip
    sealed = ref.encrypt(COUNTING, example)
    changed = {
        "first-byte": bytes([sealed[0] ^ 1]) + sealed[1:],
        "last-byte": sealed[:-1] + bytes([sealed[-1] ^ 0x80]),
        "shortened": sealed[:-1],
        "tag-only": sealed[-16:],
        "fifteen-bytes": sealed[:15],
        "nothing": b"",
    }
    for name, data in changed.items():
        yield case(f"aead-{name}", "PRIM-11", "does not authenticate", "decrypt",
                   {"key": COUNTING.hex(), "ciphertext": data.hex()}, "bad-ciphertext")  # fmt: skip


# --- decode.json ---------------------------------------------------------------------------------


@operation("decode")
def _decode(i: Json) -> Json:
    value = ref.decode(un(i["data"]), i["limit"])
    assert ref.encode(value) == un(i["data"])
    return {"value": tagged(value)}


@operation("decode long")
def _decode_long(i: Json) -> Json:
    data = b"".join(un(part) * times for part, times in i["data"])
    value = ref.decode(data, i["limit"])
    assert ref.encode(value) == data
    size = len(value.encode()) if isinstance(value, str) else len(value)
    kind = "bin" if isinstance(value, bytes) else "str" if isinstance(value, str) else "array"
    return {"type": kind, "size": size}


@operation("parse")
def _parse(i: Json) -> Json:
    return {"fields": tagged(ref.parse(un(i["data"]), i["form"]))}


DECODED = {
    "zero": "00", "fixint-last": "7f", "uint8-first": "cc80", "uint8-last": "ccff",
    "uint16-first": "cd0100", "uint16-last": "cdffff", "uint32-first": "ce00010000",
    "uint32-last": "ceffffffff", "uint64-first": "cf0000000100000000",
    "uint64-last": "cfffffffffffffffff", "nil": "c0", "false": "c2", "true": "c3",
    "bin-empty": "c400", "bin-one": "c40100", "bin8-last": "c4ff" + "ab" * 255,
    "bin16-first": "c50100" + "ab" * 256, "str-empty": "a0", "fixstr-last": "bf" + "61" * 31,
    "str8-first": "d920" + "61" * 32, "str8-last": "d9ff" + "61" * 255,
    "str16-first": "da0100" + "61" * 256, "str-two-bytes": "a2c3a9", "str-nul": "a100",
    "str-bom": "a3efbbbf", "str-noncharacter": "a3efbfbf", "str-highest": "a4f48fbfbf",
    "str-decomposed": "a365cc81", "array-empty": "90", "fixarray-last": "9f" + "00" * 15,
    "array16-first": "dc0010" + "00" * 16, "depth-four": "91919190",
    "depth-four-twice": "9291919091919100", "bin-holds-arrays": "c4059191919190",
    "example": "970103c4020102a368c3a9c0c394007fcc80ce00010000",
}  # fmt: skip
REFUSED = [
    ("truncated", "WIRE-02", [
        ("empty", ""), ("uint8", "cc"), ("uint16", "cd01"), ("uint32", "ce000100"),
        ("uint64", "cf00000001000000"), ("bin-length", "c4"), ("bin16-length", "c501"),
        ("bin32-length", "c6000100"), ("bin", "c40100"[:4]), ("bin-half", "c4020a"),
        ("str", "a161"[:2]), ("str8-length", "d9"), ("str8", "d92061"), ("array", "91"),
        ("array-item", "920000"[:4]), ("array16-length", "dc00"), ("array32-length", "dd000100"),
        ("huge-bin", "c6ffffffff"), ("huge-str", "dbffffffff"), ("huge-array", "ddffffffff"),
        ("array-in-array", "929000"[:4]), ("before-too-deep", "9191919191"),
        ("example", "970103c4020102a368c3a9c0c394007fcc80ce000100"),
    ]),
    ("trailing-bytes", "WIRE-06", [
        ("nil-nil", "c0c0"), ("after-array", "9000"), ("after-bin", "c4010000"),
        ("forbidden-after", "00c1"), ("before-bad-utf8", "a1ff00"),
        ("example", "970103c4020102a368c3a9c0c394007fcc80ce00010000c0"),
    ]),
    ("non-canonical", "WIRE-04", [
        ("uint8-zero", "cc00"), ("uint8-127", "cc7f"), ("uint16-128", "cd0080"),
        ("uint16-255", "cd00ff"), ("uint32-65535", "ce0000ffff"),
        ("uint64-2^32-1", "cf00000000ffffffff"), ("bin16-0", "c50000"), ("bin16-255", "c500ff"),
        ("bin32-0", "c600000000"), ("bin32-65535", "c60000ffff"), ("str8-0", "d900"),
        ("str8-31", "d91f" + "61" * 31), ("str16-255", "da00ff"), ("str32-65535", "db0000ffff"),
        ("array16-0", "dc0000"), ("array16-15", "dc000f" + "00" * 15),
        ("array32-65535", "dd0000ffff"), ("before-truncated", "c500ff00"),
        ("before-too-deep", "91919191dc0000"), ("inside-array", "92cc0100"),
    ]),
    ("non-canonical", "WIRE-07", [
        ("utf8-lone-continuation", "a180"), ("utf8-lone-lead", "a1c3"),
        ("utf8-overlong-nul", "a2c080"), ("utf8-overlong-slash", "a3e080af"),
        ("utf8-overlong-four", "a4f0808080"), ("utf8-surrogate-first", "a3eda080"),
        ("utf8-surrogate-last", "a3edbfbf"), ("utf8-surrogate-pair", "a6eda0bdedb880"),
        ("utf8-above-10ffff", "a4f4908080"), ("utf8-f5", "a4f5808080"), ("utf8-ff", "a1ff"),
        ("utf8-inside-array", "9191a1ff"),
        ("utf8-example", "970103c4020102a368c328c0c394007fcc80ce00010000"),
    ]),
    ("forbidden-type", "WIRE-03", [
        ("fixmap", "80"), ("fixmap-last", "8f"), ("map16", "de0000"), ("map32", "df00000000"),
        ("never-used", "c1"), ("ext8", "c70000"), ("ext16", "c8000000"), ("ext32", "c90000000000"),
        ("float32", "ca00000000"), ("float64", "cb0000000000000000"), ("int8", "d001"),
        ("int16", "d10001"), ("int32", "d200000001"), ("int64", "d30000000000000001"),
        ("fixext1", "d40000"), ("fixext2", "d5000000"), ("fixext4", "d60000000000"),
        ("fixext8", "d7" + "00" * 9), ("fixext16", "d8" + "00" * 17), ("negative-32", "e0"),
        ("negative-1", "ff"), ("before-truncated", "92c1cc"), ("inside-array", "9291c100"),
        ("example", "9701d003c4020102a368c3a9c0c394007fcc80ce00010000"),
    ]),
    ("too-deep", "WIRE-05", [
        ("five", "9191919190"), ("six", "919191919190"), ("five-second", "929091919190"),
        ("before-forbidden", "919191919100c1"[:12] + "c1"),
        ("array16", "91919191dc0010" + "00" * 16),
        ("example",
         "970103c4020102a368c3a9c0c3949400919190cc80ce00010000"[:38] + "919190cc80ce00010000"),
    ]),
]  # fmt: skip


def decode_cases() -> Iterator[Json]:
    for name, data in DECODED.items():
        yield case(f"decode-{name}", "WIRE-08", "accepted, and encodes to the same bytes", "decode",
                   {"data": data, "limit": 4_096})  # fmt: skip
    for code, spec, cases in REFUSED:
        for name, data in cases:
            yield case(f"decode-{code}-{name}", f"{spec} WIRE-09", f"{code}: {name}", "decode",
                       {"data": data, "limit": 4_096}, code)  # fmt: skip
    example = DECODED["example"]
    yield case("decode-limit-at", "WIRE-01", "exactly as long as the limit", "decode",
               {"data": example, "limit": 23})  # fmt: skip
    yield case("decode-limit-past", "WIRE-01", "one byte longer than the limit", "decode",
               {"data": example, "limit": 22}, "too-large")  # fmt: skip
    yield case("decode-limit-first", "WIRE-01 WIRE-09", "too large, whatever the bytes are",
               "decode", {"data": "c1c1c1", "limit": 2}, "too-large")  # fmt: skip
    long: list[tuple[str, list[tuple[str, int]], str | None]] = [
        ("bin16-last", [("c5ffff", 1), ("00", 65_535)], None),
        ("bin32-first", [("c600010000", 1), ("00", 65_536)], None),
        ("str16-last", [("daffff", 1), ("61", 65_535)], None),
        ("str32-first", [("db00010000", 1), ("61", 65_536)], None),
        ("array16-last", [("dcffff", 1), ("00", 65_535)], None),
        ("array32-first", [("dd00010000", 1), ("00", 65_536)], None),
        ("array32-65535", [("dd0000ffff", 1), ("00", 65_535)], "non-canonical"),
        ("bin32-65535", [("c60000ffff", 1), ("00", 65_535)], "non-canonical"),
        ("str32-65535", [("db0000ffff", 1), ("61", 65_535)], "non-canonical"),
        ("bin16-short", [("c5ffff", 1), ("00", 65_534)], "truncated"),
        ("nesting-bomb", [("91", 100_000)], "too-deep"),
    ]
    for name, parts, reason in long:
        yield case(f"decode-long-{name}",
                   "WIRE-08 WIRE-10" if reason is None else "WIRE-09 WIRE-10",
                   "data: each hex string, so many times, one after another", "decode long",
                   {"data": [list(part) for part in parts], "limit": 200_000}, reason)  # fmt: skip
    one = b"\x01" * 32
    leave = [one, one, one]
    header = [one, one[:8], one, 7, one[:16], None, 0, None]
    row = [one, 0, 0, one, one, one, b"x"]

    def parse_case(
        name: str, form: str, value: Any, reason: str | None = None, spec: str = "WIRE-14"
    ) -> Json:
        data = value if isinstance(value, bytes) else ref.encode(value)
        return case(f"parse-{name}", spec, f"parse as {form}", "parse",
                    {"form": form, "data": data.hex()}, reason)  # fmt: skip

    yield parse_case("leave-request", "leave request", [1, 14, *leave])
    yield parse_case("nil", "leave request", None, "bad-form")
    yield parse_case("bin", "leave request", ref.encode(one), "bad-form")
    yield parse_case("one-item", "leave request", [1], "bad-form")
    yield parse_case("version-2", "leave request", [2, 14, *leave], "wrong-version", "WIRE-12")
    yield parse_case("version-true", "leave request", [True, 14, *leave], "wrong-version",
                     "WIRE-12")
    yield parse_case("version-first", "leave request", [2, None], "wrong-version")
    yield parse_case("type-nil", "leave request", [1, None, *leave], "bad-form", "WIRE-13")
    yield parse_case("type-true", "leave request", [1, True, *leave], "bad-form", "WIRE-15")
    yield parse_case("type-other", "leave request", [1, 13, *leave], "wrong-type", "WIRE-13")
    yield parse_case("type-before-count", "leave request", [1, 13], "wrong-type")
    yield parse_case("fields-few", "leave request", [1, 14, one, one], "bad-form")
    yield parse_case("fields-many", "leave request", [1, 14, *leave, one], "bad-form")
    yield parse_case("id-31", "leave request", [1, 14, one, one[1:], one], "bad-form", "WIRE-16")
    yield parse_case("id-33", "leave request", [1, 14, one, one + one[:1], one], "bad-form",
                     "WIRE-16")
    yield parse_case("id-str", "leave request", [1, 14, one, "a" * 32, one], "bad-form", "WIRE-15")
    yield parse_case("limit", "leave request", bytes(257), "too-large", "WIRE-01")
    yield parse_case("header", "header", [1, 15, *header])
    places: list[tuple[str, int, Any, str | None]] = [
        ("index-last", 3, 2**32 - 1, None), ("index-past", 3, 2**32, "bad-form"),
        ("index-true", 3, True, "bad-form"), ("salt-empty", 4, b"", "bad-form"),
        ("last-spoken", 5, [one[:8], 300], None), ("last-spoken-one", 5, [one[:8]], "bad-form"),
        ("last-spoken-bin", 5, one[:8], "bad-form"), ("flags-1", 6, 1, None),
        ("flags-2", 6, 2, "bad-form"), ("flags-false", 6, False, "bad-form"),
        ("turn", 7, [one, one, one + one[:16], None], None),
        ("turn-entry", 7, [one, one, one + one[:16], b"x"], None),
        ("turn-entry-empty", 7, [one, one, one + one[:16], b""], "bad-form"),
        ("turn-entry-long", 7, [one, one, one + one[:16], bytes(1_025)], "too-large"),
        ("turn-slot", 7, [one, one, one, None], "bad-form"),
        ("turn-empty-bin", 7, b"", "bad-form"),
    ]  # fmt: skip
    for name, place, value, reason in places:
        changed = [*header[:place], value, *header[place + 1 :]]
        yield parse_case(f"header-{name}", "header", [1, 15, *changed], reason, "FORM-01 WIRE-16")
    yield parse_case("roster-one", "roster", [1, 7, 1, [row]], None, "FORM-01")
    yield parse_case("roster-none", "roster", [1, 7, 1, []], "bad-form", "FORM-01")
    yield parse_case("roster-role-3", "roster", [1, 7, 1, [[one, 3, *row[2:]]]], "bad-form",
                     "FORM-01")
    commit = [one, 0, one, one, 0, [], [], b"x", one, one]
    operations: list[tuple[str, Any, str | None]] = [
        ("add", [0, b"x", 2], None), ("remove", [1, one, one], None),
        ("set-role", [2, one, 0], None),
        ("set-policy", [3, [1, True, None, 1]], None), ("none", [], "bad-form"),
        ("bin", b"", "bad-form"), ("four", [4, one, one], "bad-form"),
        ("true", [True, one, one], "bad-form"), ("false", [False, b"x", 0], "bad-form"),
        ("add-short", [0, b"x"], "bad-form"), ("remove-as-role", [1, one, 0], "bad-form"),
        ("mode-3", [3, [3, True, None, 1]], "bad-form"),
        ("may-add-1", [3, [1, 1, None, 1]], "bad-form"),
    ]  # fmt: skip
    for name, op, reason in operations:
        changed = [*commit[:5], [op], *commit[6:]]
        yield parse_case(f"operation-{name}", "commit", [1, 9, *changed], reason, "FORM-05")
    for count, reason in ((16, None), (17, "too-large")):
        changed = [*commit[:6], [[0, b"x"]] * count, *commit[7:]]
        yield parse_case(f"proofs-{count}", "commit", [1, 9, *changed], reason, "LIMIT-12")
    text = "é" * 128
    yield parse_case("name-256", "card", [1, 4, text, b"x"], None, "LIMIT-09 WIRE-16")
    yield parse_case("name-257", "card", [1, 4, text + "a", b"x"], "too-large", "LIMIT-09 WIRE-16")
    yield parse_case("name-bin", "card", [1, 4, b"name", b"x"], "bad-form", "WIRE-15")


# --- dh.json, ed25519.json -----------------------------------------------------------------------


@operation("dh")
def _dh(i: Json) -> Json:
    return {"shared": ref.DH(un(i["private"]), un(i["public"])).hex()}


@operation("dh public")
def _dh_public(i: Json) -> Json:
    return {"public": ref.dh_public(un(i["private"])).hex()}


@operation("check dh key")
def _check_dh_key(i: Json) -> Json:
    ref.check_dh_key(un(i["public"]))
    return {}


@operation("sign")
def _sign(i: Json) -> Json:
    signature = ref.sign(un(i["seed"]), un(i["label"]), *untagged(i["parts"]))
    return {"public": ref.sign_public(un(i["seed"])).hex(), "signature": signature.hex()}


@operation("verify")
def _verify(i: Json) -> Json:
    ref.verify(un(i["public"]), un(i["signature"]), un(i["label"]), *untagged(i["parts"]))
    return {}


@operation("verify bytes")
def _verify_bytes(i: Json) -> Json:
    ref.verify_bytes(un(i["public"]), un(i["signature"]), un(i["message"]))
    return {}


@operation("check sign key")
def _check_sign_key(i: Json) -> Json:
    ref.check_sign_key(un(i["public"]))
    return {}


def little(number: int) -> bytes:
    return number.to_bytes(32, "little")


def dh_cases() -> Iterator[Json]:
    yield case("dh-rfc7748", "PRIM-03", "the first vector of RFC 7748, 5.2", "dh", {
        "private": "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        "public": "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"})  # fmt: skip
    for n in range(4):
        random = Stream(f"dh-random-{n}")
        private, public = random(32), ref.dh_public(random(32))
        yield case(f"dh-random-{n}", "PRIM-03", "random keys", "dh",
                   {"private": private.hex(), "public": public.hex()})  # fmt: skip
        yield case(f"dh-public-{n}", "PRIM-03", "a public key", "dh public",
                   {"private": private.hex()})  # fmt: skip
    private = Stream("dh-private")(32)
    keys: dict[str, tuple[bytes, str | None]] = {
        "two": (little(2), None),
        "twist": (little(ref.P - 2), None),
        "nine": (little(9), None),
        "zero": (little(0), "bad-key"),
        "one": (little(1), "bad-key"),
        "minus-one": (little(ref.P - 1), "bad-key"),
        "order-8-a": (un("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
                      "bad-key"),
        "order-8-b": (un("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
                      "bad-key"),
        "p": (little(ref.P), "bad-key"),
        "p-plus-1": (little(ref.P + 1), "bad-key"),
        "p-plus-2": (little(ref.P + 2), "bad-key"),
        "p-plus-9": (little(ref.P + 9), "bad-key"),
        "highest": (b"\xff" * 32, "bad-key"),
        "top-bit": (little(9 | 1 << 255), "bad-key"),
        "top-bit-zero": (little(1 << 255), "bad-key"),
        "31-bytes": (bytes([9]) + bytes(30), "bad-key"),
        "33-bytes": (bytes([9]) + bytes(32), "bad-key"),
        "empty": (b"", "bad-key"),
    }  # fmt: skip
    for name, (public, reason) in keys.items():
        yield case(f"dh-key-{name}", "PRIM-03 PRIM-04", "a public key at a border", "dh",
                   {"private": private.hex(), "public": public.hex()}, reason)  # fmt: skip
        yield case(f"dh-check-{name}", "PRIM-05", "the same key, checked", "check dh key",
                   {"public": public.hex()}, reason)  # fmt: skip
    for size in (31, 33):
        yield case(f"dh-private-{size}", "PRIM-16", "an own key of a wrong length", "dh",
                   {"private": bytes(size).hex(), "public": little(9).hex()},
                   "bad-input")  # fmt: skip


# "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko, SSR 2020), from its repository
# novifinancial/ed25519-speccheck (Apache-2.0): message, public key, signature; verifies, is a key.
SPECCHECK = [
    ("8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6",
     "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
     "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"
     "0000000000000000000000000000000000000000000000000000000000000000", False, False),
    ("9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
     "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
     "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43"
     "a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04", False, False),
    ("aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab",
     "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
     "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"
     "8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e", False, False),
    ("9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
     "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
     "9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f"
     "87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009", True, False),
    ("e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
     "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
     "160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed512"
     "5ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09", False, False),
    ("e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
     "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
     "21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7"
     "e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405", False, False),
    ("85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
     "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
     "e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e"
     "547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514", False, True),
    ("85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
     "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
     "8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa1942"
     "7e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22", False, True),
    ("9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
     "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
     "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
     "03be9678ac102edcd92b0210bb34d7428d12ffc5df5f37e359941266a4e35f0f", False, False),
    ("9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
     "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
     "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
     "ca8c5b64cd208982aa38d4936621a4775aa233aa0505711d8fdcfdaa943d4908", False, False),
    ("e96b7021eb39c1a163b6da4e3093dcd3f21387da4cc4572be588fafae23c155b",
     "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
     "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dc"
     "a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04", False, False),
    ("39a591f5321bbe07fd5a23dc2f39d025d74526615746727ceefd6e82ae65c06f",
     "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
     "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dc"
     "a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04", False, False),
]  # fmt: skip


def ed25519_cases() -> Iterator[Json]:
    for n, (text, its_key, its_signature, verifies, is_key) in enumerate(SPECCHECK):
        yield case(f"ed25519-speccheck-{n}", "PRIM-08 PRIM-09 PRIM-10", f"speccheck case {n}",
                   "verify bytes", {"public": its_key, "signature": its_signature,
                                    "message": text},
                   None if verifies else "bad-signature")  # fmt: skip
        yield case(f"ed25519-speccheck-key-{n}", "PRIM-06", f"the key of speccheck case {n}",
                   "check sign key", {"public": its_key},
                   None if is_key else "bad-key")  # fmt: skip
    for name, comment, parts in PART_LISTS[:10]:
        yield case(f"ed25519-sign-{name}", "PRIM-07", comment, "sign", {
            "seed": COUNTING.hex(), "label": b"commit".hex(), "parts": tagged(parts)})  # fmt: skip
    for word in ("key package", "member entry", "leave request", "commit", "message",
                 "read mailbox"):  # fmt: skip
        name = f"ed25519-sign-label-{word.replace(' ', '-')}"
        yield case(name, "PRIM-07 PRIM-13", "one label of chapter 2", "sign", {
            "seed": Stream(name)(32).hex(), "label": word.encode().hex(),
            "parts": tagged([b"body"])})  # fmt: skip
    seed = Stream("ed25519-verify")(32)
    public, good = ref.sign_public(seed), ref.sign(seed, b"commit", b"a", b"b")
    s = int.from_bytes(good[32:], "little")
    for name, its, signature, label, parts, reason in (
        ("good", public, good, b"commit", [b"a", b"b"], None),
        ("other-label", public, good, b"message", [b"a", b"b"], "bad-signature"),
        ("other-part", public, good, b"commit", [b"a", b"c"], "bad-signature"),
        ("other-split", public, good, b"commit", [b"ab"], "bad-signature"),
        ("other-key", ref.sign_public(COUNTING), good, b"commit", [b"a", b"b"], "bad-signature"),
        ("s-plus-l", public, good[:32] + little(s + ref.L), b"commit", [b"a", b"b"],
         "bad-signature"),
        ("63-bytes", public, good[:63], b"commit", [b"a", b"b"], "bad-signature"),
        ("65-bytes", public, good + b"\0", b"commit", [b"a", b"b"], "bad-signature"),
        ("key-31-bytes", public[:31], good, b"commit", [b"a", b"b"], "bad-signature"),
        ("empty", public, b"", b"commit", [b"a", b"b"], "bad-signature"),
    ):  # fmt: skip
        yield case(f"ed25519-verify-{name}", "PRIM-07 PRIM-08", name, "verify", {
            "public": its.hex(), "signature": signature.hex(), "label": label.hex(),
            "parts": tagged(parts)}, reason)  # fmt: skip
    order_8 = un("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
    torsion = [ref.decode_point(order_8) or ref.NEUTRAL]
    while torsion[-1] != ref.NEUTRAL:
        torsion.append(ref.add(torsion[-1], torsion[0]))
    honest = ref.decode_point(public) or ref.NEUTRAL
    keys: list[tuple[str, bytes, str | None]] = [("honest", public, None)]
    keys.append(("base-point", ref.encode_point(ref.BASE), None))
    for n, point in enumerate(torsion):
        small, reason = ref.encode_point(point), "bad-key"
        keys.append((f"small-{n}", small, reason))
        if point != ref.NEUTRAL:
            mixed = ref.encode_point(ref.add(honest, point))
            keys.append((f"mixed-{n}", mixed, reason))
    for name, number in (("negative-zero", 1 | 1 << 255), ("minus-one-negative-zero",
                         (ref.P - 1) | 1 << 255), ("y-p", ref.P), ("y-p-plus-1", ref.P + 1),
                         ("y-p-plus-3", ref.P + 3), ("y-p-negative", ref.P | 1 << 255),
                         ("highest", (1 << 256) - 1), ("not-on-curve", 2)):  # fmt: skip
        keys.append((name, little(number), "bad-key"))
    keys += [("31-bytes", public[:31], "bad-key"), ("33-bytes", public + b"\0", "bad-key"),
             ("empty", b"", "bad-key")]  # fmt: skip
    for name, key, reason_of in keys:
        yield case(f"ed25519-key-{name}", "PRIM-06", name, "check sign key",
                   {"public": key.hex()}, reason_of)  # fmt: skip


# --- identity.json -------------------------------------------------------------------------------


def an_identity(i: Json) -> ref.Identity:
    return ref.Identity(un(i["sign_key"]), un(i["dh_key"]))


def identity_json(identity: ref.Identity) -> Json:
    return {"sign_key": identity.sign_key.hex(), "dh_key": identity.dh_key.hex()}


def some_keys(name: str) -> ref.IdentityKeys:
    random = Stream(name)
    return ref.IdentityKeys(random(32), random(32))


def keys_json(keys: ref.IdentityKeys) -> Json:
    return {"seed": keys.seed.hex(), "dh_private": keys.dh_private.hex()}


def identity_keys(i: Json) -> ref.IdentityKeys:
    return ref.IdentityKeys(un(i["seed"]), un(i["dh_private"]))


@operation("identity")
def _identity(i: Json) -> Json:
    return identity_json(identity_keys(i).public)


@operation("fingerprint")
def _fingerprint(i: Json) -> Json:
    return {"fingerprint": ref.fingerprint(an_identity(i)).hex()}


@operation("safety number")
def _safety_number(i: Json) -> Json:
    return {"number": ref.safety_number(an_identity(i["mine"]), an_identity(i["theirs"]))}


@operation("check identity")
def _check_identity(i: Json) -> Json:
    ref.check_identity(an_identity(i))
    return {}


SMALL_SIGN, SMALL_DH = little(1), little(0)


def identity_cases() -> Iterator[Json]:
    a = ref.IdentityKeys(b"\x01" * 32, b"\x02" * 32)
    b = ref.IdentityKeys(b"\x03" * 32, b"\x04" * 32)
    people = [a, b, *(some_keys(f"identity-{n}") for n in range(6))]
    for n, keys in enumerate(people):
        yield case(f"identity-{n}", "ID-01", "public keys of an identity", "identity",
                   keys_json(keys))  # fmt: skip
        yield case(f"fingerprint-{n}", "ID-01", "fingerprint", "fingerprint",
                   identity_json(keys.public))  # fmt: skip
    for n, m in ((0, 1), (1, 0), (0, 0), (2, 3), (3, 2), (4, 5), (6, 7), (7, 0)):
        yield case(f"safety-number-{n}-{m}", "ID-03", "the same from both sides", "safety number", {
            "mine": identity_json(people[n].public),
            "theirs": identity_json(people[m].public)})  # fmt: skip
    good = a.public
    swapped = ref.Identity(good.dh_key, good.sign_key)
    yield case("safety-number-swapped", "ID-01 ID-03", "the keys in the other order",
               "safety number", {"mine": identity_json(swapped),
                                 "theirs": identity_json(b.public)})  # fmt: skip
    for name, identity, reason in (
        ("good", good, None),
        ("sign-small", ref.Identity(SMALL_SIGN, good.dh_key), "bad-key"),
        ("dh-small", ref.Identity(good.sign_key, SMALL_DH), "bad-key"),
        ("dh-not-canonical", ref.Identity(good.sign_key, little(ref.P + 9)), "bad-key"),
    ):
        yield case(f"identity-check-{name}", "ID-02", name, "check identity",
                   identity_json(identity), reason)  # fmt: skip


# --- chain.json ----------------------------------------------------------------------------------


@operation("chain step")
def _chain_step(i: Json) -> Json:
    key = un(i["chain_key"])
    for _ in range(i["index"]):
        key, _ = ref.step(key)
    following, message_key = ref.step(key)
    return {"message_key": message_key.hex(), "next_chain_key": following.hex()}


@operation("message salt")
def _message_salt(i: Json) -> Json:
    salt = ref.message_salt(un(i["message_key"]), un(i["fresh"]), un(i["padded"]))
    return {"salt": salt.hex()}


@operation("message keys")
def _message_keys(i: Json) -> Json:
    key, com = ref.message_keys(un(i["message_key"]), un(i["header_hash"]))
    return {"key": key.hex(), "com": com.hex()}


@operation("chain receive")
def _chain_receive(i: Json) -> Json:
    """A history of `["at", n]` and `["close", count]`; refused ones change nothing."""
    chain, outcomes = ref.Chain(un(i["chain_key"]), 0, {}), []
    for now, (what, number) in enumerate(i["history"]):
        try:
            if what == "at":
                message_key, chain = ref.chain_at(chain, number, now)
                outcomes.append(message_key.hex())
            else:
                chain, gap = ref.chain_close(chain, number, now)
                outcomes.append("gap" if gap else "closed")
        except ref.Refused as refused:
            outcomes.append(refused.reason)
    skipped = sorted(chain.skipped)
    return {"outcomes": outcomes, "index": chain.next, "closed": chain.key is None,
            "skipped": len(skipped), "lowest": skipped[:3], "highest": skipped[-3:]}  # fmt: skip


def chain_cases() -> Iterator[Json]:
    for index in (0, 1, 2, 255, 256, 1_000, 65_535):
        key = COUNTING if index == 0 else Stream("chain-step")(32)
        yield case(f"chain-step-{index}", "CHAIN-01 CHAIN-04", "the message key of an index",
                   "chain step", {"chain_key": key.hex(), "index": index})  # fmt: skip
    example = un("0d9b8d9cd3d5804f9887cf468545e848866ca59705a78060a1e740592b9c332d")
    for name, key, fresh, padded in (
        ("example", example, b"\x22" * 16, un("6869800000000000")),
        ("shortest", Stream("salt-1")(32), Stream("salt-2")(16), b"\x80"),
        ("other-fresh", example, b"\x23" * 16, un("6869800000000000")),
        ("other-content", example, b"\x22" * 16, un("6969800000000000")),
        ("long", Stream("salt-3")(32), Stream("salt-4")(16), bytes(300)),
    ):
        yield case(f"chain-salt-{name}", "CHAIN-02", "salt of a header", "message salt", {
            "message_key": key.hex(), "fresh": fresh.hex(), "padded": padded.hex()})  # fmt: skip
    for n in range(4):
        key = example if n == 0 else Stream(f"message-keys-{n}")(32)
        header_hash = b"\x33" * 32 if n == 0 else Stream(f"header-hash-{n}")(32)
        yield case(f"chain-message-keys-{n}", "CHAIN-03", "AEAD key and com", "message keys", {
            "message_key": key.hex(), "header_hash": header_hash.hex()})  # fmt: skip
    histories: dict[str, list[tuple[str, int]]] = {
        "in-order": [("at", 0), ("at", 1), ("at", 2)],
        "out-of-order": [("at", 2), ("at", 0), ("at", 1)],
        "replay": [("at", 0), ("at", 0)],
        "replay-skipped": [("at", 2), ("at", 1), ("at", 1)],
        "jump-1000": [("at", 1_000)],
        "jump-1001": [("at", 1_001), ("at", 0)],
        "jump-forged": [("at", 2**32 - 1), ("at", 0)],
        "example": [("at", 2), ("at", 0), ("at", 2), ("at", 1_003), ("at", 1_004)],
        "evicted": [("at", 1), ("at", 1_002), ("at", 0), ("at", 2)],
        "close": [("at", 0), ("close", 3), ("at", 3), ("at", 1), ("at", 2), ("at", 2)],
        "close-at-0": [("close", 0), ("at", 0)],
        "close-read": [("at", 5), ("close", 5), ("close", 6), ("at", 6)],
        "close-twice": [("close", 2), ("close", 9), ("at", 1), ("at", 5)],
        "close-1000": [("close", 1_000), ("at", 999)],
        "close-drops": [("at", 600), ("close", 1_601), ("at", 599), ("at", 600), ("at", 601)],
        "close-full": [("at", 600), ("close", 1_001), ("at", 0), ("at", 1_000)],
        "close-gap": [("at", 2), ("close", 1_004), ("at", 1), ("at", 3), ("at", 0)],
    }  # fmt: skip
    for name, history in histories.items():
        yield case(f"chain-receive-{name}", "CHAIN-05 CHAIN-06 CHAIN-07 CHAIN-08 CHAIN-09",
                   "what a receiver makes of messages and closings", "chain receive", {
                       "chain_key": Stream("chain-receive")(32).hex(),
                       "history": [list(event) for event in history]})  # fmt: skip


# --- epoch.json ----------------------------------------------------------------------------------


@operation("epoch secret")
def _epoch_secret(i: Json) -> Json:
    commit = un(i["commit"])
    return {"commit_hash": ref.commit_hash(commit).hex(),
            "secret": ref.epoch_secret(un(i["init"]), un(i["r"]), commit).hex()}  # fmt: skip


@operation("key schedule")
def _key_schedule(i: Json) -> Json:
    members = [un(member) for member in i["members"]]
    keys = ref.key_schedule(un(i["secret"]), un(i["commit"]), members)
    return {
        "confirmation": keys.confirmation.hex(),
        "chains": [keys.chains[member].hex() for member in members],
        "handshakes": [keys.handshakes[member].hex() for member in members],
        "inits": [keys.inits[member].hex() for member in members],
        "exporter": keys.exporter.hex(),
    }


@operation("transcript hash")
def _transcript_hash(i: Json) -> Json:
    result = ref.transcript_hash(un(i["parent"]), un(i["commit"]), un(i["confirmation"]))
    return {"transcript": result.hex(), "prefix": result[:8].hex()}


@operation("state hash")
def _state_hash(i: Json) -> Json:
    return {"state": ref.state_hash(un(i["roster"]), i["policy"]).hex()}


@operation("context")
def _context(i: Json) -> Json:
    context = ref.context_hash(
        i["suite"], un(i["room"]), i["policy"], un(i["roster"]), un(i["transcript"])
    )
    return {"context": context.hex()}


@operation("seal slot")
def _seal_slot(i: Json) -> Json:
    ephemeral, leaf_key = un(i["ephemeral"]), un(i["leaf_key"])
    slot = ref.seal_slot(un(i["r"]), ephemeral, un(i["commit"]), un(i["member"]), leaf_key)
    return {"ephemeral_key": ref.dh_public(ephemeral).hex(), "slot": slot.hex()}


@operation("open slot")
def _open_slot(i: Json) -> Json:
    r = ref.open_slot(
        un(i["slot"]), un(i["leaf"]), un(i["commit"]), un(i["ephemeral_key"]), un(i["member"])
    )
    return {"r": r.hex()}


@operation("seal commit")
def _seal_commit(i: Json) -> Json:
    sealed = ref.seal_commit(un(i["handshake"]), un(i["room"]), un(i["prefix"]), un(i["committer"]),
                             un(i["signed_commit"]), lambda _: un(i["fresh"]))  # fmt: skip
    return {"sealed_commit": sealed.hex()}


@operation("open commit")
def _open_commit(i: Json) -> Json:
    sealed = ref.parse(un(i["sealed_commit"]), "sealed commit")
    return {"signed_commit": ref.unseal_commit(un(i["handshake"]), sealed).hex()}


@operation("export")
def _export(i: Json) -> Json:
    return {"secret": ref.export(un(i["exporter"]), un(i["label"]), i["size"]).hex()}


@operation("member id")
def _member_id(i: Json) -> Json:
    parts = un(i["room"]), un(i["transcript"]), un(i["package_hash"])
    return {"id": ref.member_id(*parts, i["index"]).hex()}


@operation("creator id")
def _creator_id(i: Json) -> Json:
    return {"id": ref.creator_id(un(i["room"]), an_identity(i["identity"])).hex()}


def changed_byte(data: bytes, at: int = -1) -> bytes:
    mutable = bytearray(data)
    mutable[at] ^= 1
    return bytes(mutable)


def epoch_cases() -> Iterator[Json]:
    random = Stream("epoch")
    room, commit, r, secret = (random(size) for size in (32, 300, 32, 32))
    member, leaf, ephemeral, parent = random(32), random(32), random(32), random(32)
    roster, confirmation, handshake = random(200), random(32), random(32)
    yield case("epoch-secret-genesis", "EPOCH-01 EPOCH-05", "a genesis: zeros for the init",
               "epoch secret", {"init": bytes(32).hex(), "r": r.hex(),
                                "commit": commit.hex()})  # fmt: skip
    for n in range(3):
        rand = Stream(f"epoch-secret-{n}")
        yield case(f"epoch-secret-{n}", "EPOCH-01 EPOCH-05", "a commit", "epoch secret", {
            "init": rand(32).hex(), "r": rand(32).hex(), "commit": rand(64).hex()})  # fmt: skip
    for count in (1, 2, 5):
        members = [Stream(f"epoch-member-{n}")(32).hex() for n in range(count)]
        yield case(f"epoch-schedule-{count}", "EPOCH-07", "all keys of an epoch", "key schedule", {
            "secret": secret.hex(), "commit": commit.hex(), "members": members})  # fmt: skip
    for name, base in (("genesis", bytes(32)), ("commit", parent)):
        yield case(f"epoch-transcript-{name}", "EPOCH-08", "transcript hash and prefix",
                   "transcript hash", {"parent": base.hex(), "commit": commit.hex(),
                                       "confirmation": confirmation.hex()})  # fmt: skip
    for name, policy in (("direct", [0, False, None, 259_200]),
    ("signed", [1, False, None, 259_200]),
                         ("open", [1, True, 0, 1]), ("timer", [1, False, 60, 3_600])):  # fmt: skip
        yield case(f"epoch-state-{name}", "EPOCH-06", "state hash", "state hash",
                   {"roster": roster.hex(), "policy": policy})  # fmt: skip
        yield case(f"epoch-context-{name}", "EPOCH-09", "context", "context", {
            "suite": 1, "room": room.hex(), "policy": policy, "roster": roster.hex(),
            "transcript": parent.hex()})  # fmt: skip
    for index in (0, 1, 127, 128, 999):
        yield case(f"epoch-member-id-{index}", "MEM-03", "id of who is admitted", "member id", {
            "room": room.hex(), "transcript": (bytes(32) if index == 0 else parent).hex(),
            "package_hash": member.hex(), "index": index})  # fmt: skip
    creator = ref.IdentityKeys(b"\x01" * 32, b"\x02" * 32).public
    yield case("epoch-creator-id", "MEM-03", "the example of 5.8", "creator id", {
        "room": "aa" * 32, "identity": identity_json(creator)})  # fmt: skip
    leaf_key, ephemeral_key = ref.dh_public(leaf), ref.dh_public(ephemeral)
    slot = ref.seal_slot(r, ephemeral, commit, member, leaf_key)
    yield case("epoch-slot-seal", "EPOCH-03", "r sealed to a leaf key", "seal slot", {
        "r": r.hex(), "ephemeral": ephemeral.hex(), "commit": commit.hex(), "member": member.hex(),
        "leaf_key": leaf_key.hex()})  # fmt: skip
    yield case("epoch-slot-seal-bad-leaf", "EPOCH-03 PRIM-04", "a leaf key of small order",
               "seal slot", {"r": r.hex(), "ephemeral": ephemeral.hex(), "commit": commit.hex(),
                             "member": member.hex(), "leaf_key": SMALL_DH.hex()},
               "bad-key")  # fmt: skip
    opening = {"slot": slot.hex(), "leaf": leaf.hex(), "commit": commit.hex(),
               "ephemeral_key": ephemeral_key.hex(), "member": member.hex()}  # fmt: skip
    for name, change, reason in (
        ("good", {}, None),
        ("changed", {"slot": changed_byte(slot).hex()}, "bad-ciphertext"),
        ("other-leaf", {"leaf": ephemeral.hex()}, "bad-ciphertext"),
        ("other-commit", {"commit": changed_byte(commit).hex()}, "bad-ciphertext"),
        ("other-member", {"member": parent.hex()}, "bad-ciphertext"),
        ("other-ephemeral", {"ephemeral_key": leaf_key.hex()}, "bad-ciphertext"),
        ("small-ephemeral", {"ephemeral_key": SMALL_DH.hex()}, "bad-key"),
        ("ephemeral-not-canonical", {"ephemeral_key": little(ref.P + 2).hex()}, "bad-key"),
    ):  # fmt: skip
        yield case(f"epoch-slot-open-{name}", "EPOCH-04", name, "open slot",
                   {**opening, **change}, reason)  # fmt: skip
    signed_commit, fresh = random(400), random(16)
    sealing = {"handshake": handshake.hex(), "room": room.hex(), "prefix": parent[:8].hex(),
               "committer": member.hex(), "signed_commit": signed_commit.hex(),
               "fresh": fresh.hex()}  # fmt: skip
    made = case("epoch-commit-seal", "EPOCH-10", "a sealed commit (its content is random bytes)",
                "seal commit", sealing)  # fmt: skip
    yield made
    sealed = un(made["out"]["sealed_commit"])
    inner = ref.parse(sealed, "sealed commit")
    for name, fields, key, reason in (
        ("good", inner, handshake, None),
        ("other-handshake", inner, parent, "bad-ciphertext"),
        ("other-room", [parent, *inner[1:]], handshake, "bad-ciphertext"),
        ("other-prefix", [inner[0], bytes(8), *inner[2:]], handshake, "bad-ciphertext"),
        ("other-committer", [*inner[:2], room, *inner[3:]], handshake, "bad-ciphertext"),
        ("other-salt", [*inner[:3], bytes(16), inner[4]], handshake, "bad-ciphertext"),
        ("changed", [*inner[:4], changed_byte(inner[4])], handshake, "bad-ciphertext"),
        ("short", [*inner[:4], bytes(15)], handshake, "bad-form"),
    ):
        yield case(f"epoch-commit-open-{name}", "EPOCH-10", name, "open commit", {
            "sealed_commit": ref.encode([1, 11, *fields]).hex(), "handshake": key.hex()},
            reason)  # fmt: skip
    for name, label, size in (("32", b"app", 32), ("64", b"app", 64), ("1", b"", 1)):
        yield case(f"epoch-export-{name}", "EPOCH-17", "a secret for the application", "export", {
            "exporter": secret.hex(), "label": label.hex(), "size": size})  # fmt: skip


# --- envelope.json -------------------------------------------------------------------------------


def mailbox_of(i: Json) -> ref.Mailbox:
    return ref.Mailbox(un(i["address"]), un(i["envelope_key"]), un(i["capability"]))


def mailbox_json(mailbox: ref.Mailbox) -> Json:
    return {"address": mailbox.address.hex(), "envelope_key": mailbox.envelope_key.hex(),
            "capability": mailbox.capability.hex()}  # fmt: skip


def mailbox_keys(i: Json) -> ref.MailboxKeys:
    return ref.MailboxKeys(un(i["read_seed"]), un(i["envelope_private"]), un(i["capability"]))


@operation("mailbox")
def _mailbox(i: Json) -> Json:
    return mailbox_json(mailbox_keys(i).public)


@operation("envelope size")
def _envelope_size(i: Json) -> Json:
    size = ref.envelope_size(i["least"])
    return {"size": size, "capacity": ref.capacity(size)}


@operation("pad")
def _pad(i: Json) -> Json:
    return {"padded": ref.pad(un(i["data"]), i["size"]).hex()}


@operation("unpad")
def _unpad(i: Json) -> Json:
    return {"data": ref.unpad(un(i["padded"])).hex()}


@operation("seal envelope")
def _seal_envelope(i: Json) -> Json:
    payload = un(i["payload"]) * i["times"]
    data = ref.seal_envelope(mailbox_of(i["mailbox"]), payload, lambda _: un(i["ephemeral"]))
    digest = hashlib.sha256(data).hexdigest()
    whole = data.hex() if len(data) < 3_000 else None
    return {"size": len(data), "sha256": digest, "envelope": whole}


@operation("open envelope")
def _open_envelope(i: Json) -> Json:
    return {"payload": ref.open_envelope(mailbox_keys(i["keys"]), un(i["envelope"])).hex()}


@operation("check mailbox proof")
def _check_mailbox_proof(i: Json) -> Json:
    ref.check_mailbox_proof(
        un(i["address"]), un(i["read_key"]), un(i["challenge"]), un(i["proof"])
    )
    return {}


def envelope_cases() -> Iterator[Json]:
    for least in (1, 511, 512, 513, 1_024, 1_025, 2_048, 2_049, 4_096, 4_097, 8_192, 8_193, 16_384,
                  16_385, 17_408, 17_409, 20_000, 32_768, 32_769, 65_535, 65_536, 65_537, 66_200,
                  100_000, 131_072, 131_073, 262_145, 1_000_000, 1_048_576, 1_048_577, 2_031_617,
                  2_097_152):  # fmt: skip
        yield case(f"envelope-size-{least}", "ENV-05", "size and capacity", "envelope size",
                   {"least": least})  # fmt: skip
    for name, data, size, reason in (("one", b"a", 2, None), ("five", b"hello", 12, None),
                                     ("empty", b"", 1, None), ("zeros", bytes(3), 8, None),
                                     ("eighty", b"\x80", 4, None)):  # fmt: skip
        yield case(f"envelope-pad-{name}", "ENV-06", name, "pad",
                   {"data": data.hex(), "size": size}, reason)  # fmt: skip
    for name, data, reason in (
        ("none-after", b"a\x80", None), ("zeros-after", b"a\x80\0\0", None),
        ("only", b"\x80", None),
        ("eighty-inside", b"\x80\x80\0", None), ("zeros-inside", b"\0\0\x80\0", None),
        ("empty", b"", "bad-padding"), ("all-zeros", bytes(16), "bad-padding"),
        ("wrong-byte", b"a\x81\0", "bad-padding"), ("no-padding", b"hello", "bad-padding"),
        ("trailing-one", b"a\x80\0\x01", "bad-padding"),
    ):  # fmt: skip
        yield case(f"envelope-unpad-{name}", "ENV-06", name, "unpad",
                   {"padded": data.hex()}, reason)  # fmt: skip
    keys = ref.MailboxKeys(b"\x07" * 32, b"\x08" * 32, b"\x09" * 16)
    mailbox = keys.public
    keys_of = {"read_seed": keys.read_seed.hex(), "envelope_private": keys.envelope_private.hex(),
               "capability": keys.capability.hex()}  # fmt: skip
    yield case("envelope-mailbox", "ENV-01", "the mailbox of 12.10", "mailbox", keys_of)
    for name, payload, times in (
        ("example", b"hello", 1), ("empty", b"", 1), ("455", b"\xab", 455), ("456", b"\xab", 456),
        ("967", b"\xcd", 967), ("968", b"\xcd", 968), ("16327", b"a", 16_327),
        ("16328", b"a", 16_328),
        ("65479", b"a", 65_479), ("65480", b"a", 65_480), ("67525", b"a", 67_525),
        ("67526", b"a", 67_526), ("largest", b"a", 2_097_093),
    ):  # fmt: skip
        yield case(f"envelope-seal-{name}", "ENV-03 ENV-05 ENV-06", "payload: so many times",
                   "seal envelope", {"mailbox": mailbox_json(mailbox), "payload": payload.hex(),
                                     "times": times, "ephemeral": "0a" * 32})  # fmt: skip
    yield case("envelope-seal-too-large", "ENV-03 LIMIT-07", "one byte more than fits",
               "seal envelope", {"mailbox": mailbox_json(mailbox), "payload": "61",
                                 "times": 2_097_094, "ephemeral": "0a" * 32},
               "too-large")  # fmt: skip
    yield case("envelope-seal-bad-key", "ENV-03 PRIM-04", "an envelope key of small order",
               "seal envelope", {
                   "mailbox": mailbox_json(mailbox._replace(envelope_key=SMALL_DH)),
                   "payload": "61", "times": 1, "ephemeral": "0a" * 32}, "bad-key")  # fmt: skip
    ephemeral = b"\x0a" * 32
    public = ref.dh_public(ephemeral)
    good = ref.seal_envelope(mailbox, b"hello", lambda _: ephemeral)
    key = ref.envelope_key(ref.DH(ephemeral, mailbox.envelope_key), mailbox, public)

    def sealed(padded: bytes, ephemeral_key: bytes = public) -> bytes:
        return ref.build("envelope", ephemeral_key, ref.encrypt(key, padded))

    other_size = sealed(ref.pad(b"hello", 457))
    for name, data, reason in (
        ("good", good, None),
        ("larger-than-needed", sealed(ref.pad(b"hello", 968)), None),
        ("empty-payload", ref.seal_envelope(mailbox, b"", lambda _: ephemeral), None),
        ("changed", changed_byte(good), "bad-ciphertext"),
        ("other-ephemeral", good[:5] + little(9) + good[37:], "bad-ciphertext"),
        ("ephemeral-small", good[:5] + SMALL_DH + good[37:], "bad-key"),
        ("ephemeral-not-canonical", good[:5] + little(ref.P) + good[37:], "bad-key"),
        ("size-513", other_size, "bad-form"),
        ("size-before-key", other_size[:5] + SMALL_DH + other_size[37:], "bad-form"),
        ("no-padding", sealed(b"a" * 456), "bad-padding"),
        ("all-zeros", sealed(bytes(456)), "bad-padding"),
        ("truncated", good[:-1], "truncated"),
        ("trailing", good + b"\0", "trailing-bytes"),
        ("other-type", b"\x94\x01\x10" + good[3:], "wrong-type"),
        ("version-2", b"\x94\x02" + good[2:], "wrong-version"),
        ("empty", b"", "truncated"),
        ("sealed-16", ref.encode([1, 18, public, bytes(16)]), "bad-form"),
    ):
        yield case(f"envelope-open-{name}", "ENV-04 ENV-06", name, "open envelope",
                   {"keys": keys_of, "envelope": data.hex()}, reason)  # fmt: skip
    elsewhere = {**keys_of, "envelope_private": "0b" * 32}
    yield case("envelope-open-other-mailbox", "ENV-04", "another mailbox", "open envelope",
               {"keys": elsewhere, "envelope": good.hex()}, "bad-ciphertext")  # fmt: skip
    moved = {**keys_of, "read_seed": "0b" * 32}
    yield case("envelope-open-other-address", "ENV-04", "the same envelope key at another address",
               "open envelope", {"keys": moved, "envelope": good.hex()},
               "bad-ciphertext")  # fmt: skip
    challenge = Stream("envelope-proof")(32)
    read_key = ref.sign_public(keys.read_seed)
    proof = ref.sign(keys.read_seed, b"read mailbox", mailbox.address, challenge)
    small = ref.H(b"mailbox", SMALL_SIGN)
    for name, address, key_of, asked, answer, reason in (
        ("good", mailbox.address, read_key, challenge, proof, None),
        ("other-key", mailbox.address, ref.sign_public(COUNTING), challenge, proof,
         "not-permitted"),
        ("other-challenge", mailbox.address, read_key, bytes(32), proof, "bad-signature"),
        ("changed", mailbox.address, read_key, challenge, changed_byte(proof, 0), "bad-signature"),
        ("small-key", small, SMALL_SIGN, challenge, proof, "bad-key"),
    ):
        yield case(f"envelope-proof-{name}", "ENV-10", name, "check mailbox proof", {
            "address": address.hex(), "read_key": key_of.hex(), "challenge": asked.hex(),
            "proof": answer.hex()}, reason)  # fmt: skip


# --- message.json --------------------------------------------------------------------------------


@operation("seal message")
def _seal_message(i: Json) -> Json:
    made = ref.seal_message(untagged(i["header"]), un(i["context"]), un(i["message_key"]),
                            un(i["content"]), un(i["fresh"]), un_maybe(i["room_seed"]))  # fmt: skip
    return {"message": made.message.hex(), "id": made.id.hex(), "key": made.key.hex()}


@operation("open message")
def _open_message(i: Json) -> Json:
    content = ref.open_message(un(i["message"]), un(i["context"]), un(i["message_key"]), i["mode"],
                               un(i["room_sign_key"]))  # fmt: skip
    return {"content": content.hex()}


@operation("message id")
def _message_id(i: Json) -> Json:
    return {"id": ref.message_id(un(i["header"]), un(i["body"])).hex()}


@operation("ciphertext size")
def _ciphertext_size(i: Json) -> Json:
    return {"size": ref.ciphertext_size(i["header"], i["authenticator"], i["content"])}


def message_cases() -> Iterator[Json]:
    random = Stream("message")
    room, transcript, sender, context, key = (random(32) for _ in range(5))
    seed, fresh = random(32), random(16)
    header = [room, transcript[:8], sender, 7, bytes(16), None, 0, None]
    turn = [random(32), random(32), random(48), None]
    text = ref.build("text", 1_700_000_000, None, 259_200, None, "hello")
    headers: dict[str, list[Any]] = {
        "first": [*header[:3], 0, *header[4:]],
        "plain": header,
        "last-index": [*header[:3], 2**32 - 1, *header[4:]],
        "last-spoken": [*header[:5], [random(8), 300], 0, None],
        "turn": [*header[:7], turn],
        "turn-entry": [*header[:7], [*turn[:3], random(211)]],
    }
    for name, its_header in headers.items():
        for mode, its_seed in (("direct", None), ("signed", seed.hex())):
            yield case(f"message-seal-{mode}-{name}", "MSG-01 MSG-02 MSG-03 MSG-04", name,
                       "seal message", {
                           "header": tagged(its_header), "context": context.hex(),
                           "message_key": key.hex(), "content": text.hex(), "fresh": fresh.hex(),
                           "room_seed": its_seed})  # fmt: skip
    for size in (0, 1, 255, 256, 300, 1_000, 5_000):
        for mode, its_seed in (("direct", None), ("signed", seed.hex())):
            yield case(f"message-seal-{mode}-{size}", "MSG-03 MSG-04", "a content of this length",
                       "seal message", {
                           "header": tagged(header), "context": context.hex(),
                           "message_key": key.hex(), "content": (b"\x5a" * size).hex(),
                           "fresh": fresh.hex(), "room_seed": its_seed})  # fmt: skip
    for h, a in ((103, 64), (103, 32), (255, 64), (256, 64), (117, 32), (450, 32)):
        for c in (0, 1, 100, 238, 239, 240, 241, 255, 256, 257, 268, 269, 270, 271, 272, 273, 780,
                  16_000, 16_200, 65_000, 65_400, 65_535, 65_536, 65_792):  # fmt: skip
            yield case(f"message-size-{h}-{a}-{c}", "MSG-04", "length of the ciphertext",
                       "ciphertext size", {"header": h, "authenticator": a,
                                           "content": c})  # fmt: skip
    example: list[Any] = [b"\xaa" * 32, un("1122334455667788"),
               un("ba96d4c4bca93662fe996d3d8fd5ea537d336b25e70735f181b7dc87373259d7"), 7,
               bytes(range(16)), [un("0102030405060708"), 300], 0, None]  # fmt: skip
    yield case("message-id-example", "MSG-02", "the header of 5.8", "message id",
               {"header": ref.build("header", *example).hex(),
                "body": bytes(17).hex()})  # fmt: skip
    direct = ref.seal_message(header, context, key, text, fresh, None)
    signed = ref.seal_message(header, context, key, text, fresh, seed)
    public = ref.sign_public(seed)

    def remade(parts: list[bytes]) -> bytes:
        return ref.encode([1, 16, *parts])

    def resigned(made: ref.SealedMessage, ciphertext: bytes) -> bytes:
        return ref.sign(
            seed, b"message", made.header, made.com, ref.H(b"ciphertext", ciphertext)
        )

    head, body, com = ref.parse(direct.message, "message")
    its_head, its_body, signature = ref.parse(signed.message, "message")
    unpadded = ref.encrypt(signed.key, b"no padding")
    zeros = ref.encrypt(direct.key, bytes(32))
    raised = [*header[:6], 1, None]
    with_flag = ref.seal_message(raised, context, key, text, fresh, seed)
    other = random(32)
    opened: list[tuple[str, bytes, int, bytes, bytes, str | None]] = [
        ("direct", direct.message, 0, key, context, None),
        ("signed", signed.message, 1, key, context, None),
        ("flag", with_flag.message, 1, key, context, None),
        ("direct-other-key", direct.message, 0, other, context, "bad-commitment"),
        ("signed-other-key", signed.message, 1, other, context, "bad-signature"),
        ("direct-other-context", direct.message, 0, key, other, "bad-commitment"),
        ("signed-other-context", signed.message, 1, key, other, "bad-signature"),
        ("direct-as-signed", direct.message, 1, key, context, "bad-form"),
        ("signed-as-direct", signed.message, 0, key, context, "bad-form"),
        ("direct-com-changed", remade([head, body, changed_byte(com)]), 0, key, context,
         "bad-commitment"),
        ("direct-body-changed", remade([head, changed_byte(body), com]), 0, key, context,
         "bad-ciphertext"),
        ("signed-body-changed", remade([its_head, changed_byte(its_body), signature]), 1, key,
         context, "bad-signature"),
        ("signed-signature-changed", remade([its_head, its_body, changed_byte(signature, 0)]), 1,
         key, context, "bad-signature"),
        ("signed-body-resigned", remade([its_head, changed_byte(its_body),
                                         resigned(signed, changed_byte(its_body))]), 1, key,
         context, "bad-ciphertext"),
        ("signed-no-padding", remade([its_head, unpadded, resigned(signed, unpadded)]), 1, key,
         context, "bad-padding"),
        ("direct-zeros", remade([head, zeros, com]), 0, key, context, "bad-padding"),
        ("direct-salt-changed", remade([changed_byte(head, -4), body, com]), 0, key, context,
         "bad-commitment"),
        ("header-not-a-header", remade([b"\xc0", body, com]), 0, key, context, "bad-form"),
        ("header-trailing", remade([head + b"\0", body, com]), 0, key, context, "trailing-bytes"),
        ("authenticator-33", remade([head, body, com + b"\0"]), 0, key, context, "bad-form"),
        ("authenticator-31", remade([head, body, com[:31]]), 0, key, context, "bad-form"),
        ("authenticator-65", remade([its_head, its_body, signature + b"\0"]), 1, key, context,
         "too-large"),
        ("body-16", remade([head, body[:16], com]), 0, key, context, "bad-form"),
        ("truncated", direct.message[:-1], 0, key, context, "truncated"),
        ("empty", b"", 0, key, context, "truncated"),
    ]  # fmt: skip
    for name, message, mode_number, its_key, its_context, reason in opened:
        yield case(f"message-open-{name}", "MSG-05 CHAIN-03", name, "open message", {
            "message": message.hex(), "context": its_context.hex(), "message_key": its_key.hex(),
            "mode": mode_number, "room_sign_key": public.hex()}, reason)  # fmt: skip


# --- keypackage.json, invitation.json ------------------------------------------------------------

EXPIRY = 1_702_592_000


def package_json(package: ref.KeyPackage) -> Json:
    return {
        "suite": package.suite, "identity": identity_json(package.identity),
        "signed_prekey": package.signed_prekey.hex(),
        "prekeys": [prekey.hex() for prekey in package.prekeys],
        "leaf_key": package.leaf_key.hex(), "room_sign_key": package.room_sign_key.hex(),
        "contact": mailbox_json(ref.Mailbox(*package.contact)), "expiry": package.expiry,
        "last_resort": package.last_resort, "hash": package.hash.hex(),
    }  # fmt: skip


def package_keys_json(keys: ref.KeyPackageKeys) -> Json:
    return {
        "signed": keys.package.signed.hex(), "signed_prekey": keys.signed_prekey.hex(),
        "prekeys": [None if prekey is None else prekey.hex() for prekey in keys.prekeys],
        "leaf": keys.leaf.hex(), "room_seed": keys.room_seed.hex(),
    }  # fmt: skip


def package_keys(i: Json) -> ref.KeyPackageKeys:
    return ref.KeyPackageKeys(
        ref.read_key_package(un(i["signed"])), un(i["signed_prekey"]),
        [un_maybe(prekey) for prekey in i["prekeys"]], un(i["leaf"]), un(i["room_seed"]),
    )  # fmt: skip


@operation("make key package")
def _make_key_package(i: Json) -> Json:
    draws = iter([un(i["signed_prekey"]), *map(un, i["prekeys"]), un(i["leaf"]),
                 un(i["room_seed"])])
    contact = mailbox_of(i["contact"])
    made = ref.make_key_package(identity_keys(i["owner"]), list(contact), i["expiry"],
                                i["last_resort"], lambda _: next(draws))  # fmt: skip
    return {"signed": made.package.signed.hex(), "hash": made.package.hash.hex()}


@operation("read key package")
def _read_key_package(i: Json) -> Json:
    return package_json(ref.read_key_package(un(i["signed"])))


@operation("choose prekey")
def _choose_prekey(i: Json) -> Json:
    prekey = ref.choose_prekey(ref.read_key_package(un(i["signed"])), i["index"])
    return {"prekey": None if prekey is None else prekey.hex()}


@operation("read card")
def _read_card(i: Json) -> Json:
    name, signed = ref.parse(un(i["card"]), "card")
    return {"name": name, "hash": ref.read_key_package(signed).hash.hex()}


def some_package(
    name: str, last_resort: bool = False
) -> tuple[ref.IdentityKeys, ref.KeyPackageKeys]:
    random = Stream(name)
    owner = ref.IdentityKeys(random(32), random(32))
    contact = ref.MailboxKeys(random(32), random(32), random(16)).public
    return owner, ref.make_key_package(owner, list(contact), EXPIRY, last_resort, random)


def keypackage_cases() -> Iterator[Json]:
    for name, last_resort in (("one-time", False), ("last-resort", True)):
        owner, keys = some_package(f"keypackage-{name}", last_resort)
        secrets = package_keys_json(keys)
        signed = secrets.pop("signed")
        yield case(f"keypackage-make-{name}", "ID-04 ID-06", name, "make key package", {
            "owner": keys_json(owner), "contact": mailbox_json(ref.Mailbox(*keys.package.contact)),
            "expiry": EXPIRY, "last_resort": last_resort, **secrets})  # fmt: skip
        yield case(f"keypackage-read-{name}", "ID-06 ID-07", name, "read key package",
                   {"signed": signed})  # fmt: skip
        for index in (None, 0, 3, 4):
            refused = index is not None if last_resort else index in (None, 4)
            yield case(f"keypackage-prekey-{name}-{index}", "ID-08", "which prekey",
                       "choose prekey",
                       {"signed": signed, "index": index},
                       "used-package" if refused else None)  # fmt: skip
        card = ref.build("card", "Ann é", keys.package.signed)
        yield case(f"keypackage-card-{name}", "ID-07", "a card", "read card",
                   {"card": card.hex()})  # fmt: skip
    owner, keys = some_package("keypackage-changed")
    whole = ref.parse(ref.parse(keys.package.signed, "signed object")[0], "key package")
    mailbox = whole[7]

    def signed_with(
        place: int, value: Any, more: dict[int, Any] | None = None, label: bytes = b"key package"
    ) -> bytes:
        fields = [*whole[:place], value, *whole[place + 1 :]]
        for other, its_value in (more or {}).items():
            fields[other] = its_value
        body = ref.encode([1, 3, *fields])
        return ref.encode([1, 1, body, ref.sign(owner.seed, label, body)])

    body, signature = ref.parse(keys.package.signed, "signed object")
    four = whole[4]
    bad_order = {3: SMALL_DH, 0: 2}
    for name, data, reason in (
        ("suite-2", signed_with(0, 2), "unknown-suite"),
        ("suite-0", signed_with(0, 0), "unknown-suite"),
        ("suite-256", signed_with(0, 256), "bad-form"),
        ("suite-before-keys", signed_with(1, SMALL_SIGN, bad_order), "unknown-suite"),
        ("sign-key-small", signed_with(1, SMALL_SIGN), "bad-key"),
        ("dh-key-small", signed_with(2, SMALL_DH), "bad-key"),
        ("dh-key-not-canonical", signed_with(2, little(ref.P + 9)), "bad-key"),
        ("signed-prekey-small", signed_with(3, SMALL_DH), "bad-key"),
        ("prekey-3-small", signed_with(4, [*four[:3], SMALL_DH]), "bad-key"),
        ("leaf-small", signed_with(5, SMALL_DH), "bad-key"),
        ("room-key-small", signed_with(6, SMALL_SIGN), "bad-key"),
        ("envelope-key-small", signed_with(7, [mailbox[0], SMALL_DH, mailbox[2]]), "bad-key"),
        ("expiry-highest", signed_with(8, 2**40 - 1), None),
        ("expiry-past", signed_with(8, 2**40), "bad-form"),
        ("expiry-zero", signed_with(8, 0), None),
        ("three-prekeys", signed_with(4, four[:3]), "bad-form"),
        ("no-prekeys", signed_with(4, []), "bad-form"),
        ("five-prekeys", signed_with(4, [*four, four[0]]), "too-large"),
        ("last-resort-with-prekeys", signed_with(9, True), "bad-form"),
        ("prekeys-after-keys", signed_with(4, four[:3], {6: SMALL_SIGN}), "bad-key"),
        ("last-resort-1", signed_with(9, 1), "bad-form"),
        ("mailbox-short", signed_with(7, mailbox[:2]), "bad-form"),
        ("other-label", signed_with(0, 1, None, b"member entry"), "bad-signature"),
        ("signature-changed", ref.encode([1, 1, body, changed_byte(signature, 0)]),
         "bad-signature"),
        ("body-changed", ref.encode([1, 1, changed_byte(body), signature]), "bad-signature"),
        ("signature-before-keys", ref.encode([1, 1, signed_with(3, SMALL_DH)[6:-66], signature]),
         "bad-signature"),
        ("signature-63", ref.encode([1, 1, body, signature[:63]]), "bad-form"),
        ("body-897", ref.encode([1, 1, bytes(897), signature]), "too-large"),
        ("body-entry", ref.encode([1, 1, ref.encode([1, 2, *([bytes(32)] * 5), 0]), signature]),
         "wrong-type"),
        ("not-signed", body, "wrong-type"),
        ("truncated", keys.package.signed[:-1], "truncated"),
        ("trailing", keys.package.signed + b"\0", "trailing-bytes"),
    ):  # fmt: skip
        yield case(f"keypackage-read-{name}", "ID-07 LIMIT-08 LIMIT-23", name, "read key package",
                   {"signed": data.hex()}, reason)  # fmt: skip


@operation("seal invitation")
def _seal_invitation(i: Json) -> Json:
    package = ref.read_key_package(un(i["package"]))
    sealed = ref.seal_invitation(identity_keys(i["inviter"]), package, i["index"], un(i["welcome"]),
                                 lambda _: un(i["ephemeral"]))  # fmt: skip
    return {"invitation": sealed.hex()}


@operation("open invitation")
def _open_invitation(i: Json) -> Json:
    keys = package_keys(i["package"])
    return {"welcome": ref.open_invitation(identity_keys(i["owner"]), keys,
                                           un(i["invitation"])).hex()}  # fmt: skip


def invitation_cases() -> Iterator[Json]:
    inviter = some_keys("invitation-inviter")
    owner, keys = some_package("invitation-owner")
    last_owner, last = some_package("invitation-last", last_resort=True)
    _, other = some_package("invitation-other")
    welcome, ephemeral = Stream("invitation-welcome")(200), Stream("invitation-ephemeral")(32)
    for name, package, index, reason in (
        ("prekey-0", keys, 0, None), ("prekey-3", keys, 3, None), ("last-resort", last, None, None),
        ("prekey-nil", keys, None, "used-package"), ("prekey-4", keys, 4, "used-package"),
        ("last-resort-0", last, 0, "used-package"),
    ):  # fmt: skip
        yield case(f"invitation-seal-{name}", "INV-02 INV-03 ID-08", name, "seal invitation", {
            "inviter": keys_json(inviter), "package": package.package.signed.hex(), "index": index,
            "welcome": welcome.hex(), "ephemeral": ephemeral.hex()}, reason)  # fmt: skip

    def sealed(package: ref.KeyPackageKeys, index: int | None) -> bytes:
        return ref.seal_invitation(inviter, package.package, index, welcome, lambda _: ephemeral)

    good, used = sealed(keys, 1), keys._replace(prekeys=[keys.prekeys[0], None, *keys.prekeys[2:]])
    fields = ref.parse(good, "invitation")

    def changed(*changes: tuple[int, Any]) -> bytes:
        result = list(fields)
        for place, value in changes:
            result[place] = value
        return ref.encode([1, 5, *result])

    impostor = some_keys("invitation-impostor").public
    own = ref.seal_invitation(owner, keys.package, 1, welcome, lambda _: ephemeral)
    for name, its_owner, package, data, reason in (
        ("prekey-1", owner, keys, good, None),
        ("prekey-0", owner, keys, sealed(keys, 0), None),
        ("last-resort", last_owner, last, sealed(last, None), None),
        ("suite-2", owner, keys, changed((0, 2)), "unknown-suite"),
        ("suite-before-package", owner, keys, changed((0, 2), (3, bytes(32))), "unknown-suite"),
        ("other-package", owner, other, good, "unknown-package"),
        ("package-changed", owner, keys, changed((3, bytes(32))), "unknown-package"),
        ("prekey-nil", owner, keys, changed((4, None)), "used-package"),
        ("prekey-4", owner, keys, changed((4, 4)), "bad-form"),
        ("prekey-true", owner, keys, changed((4, True)), "bad-form"),
        ("prekey-other", owner, keys, changed((4, 2)), "bad-ciphertext"),
        ("prekey-of-last-resort", last_owner, last,
         ref.encode([1, 5, *[*fields[:3], last.package.hash, *fields[4:]]]), "used-package"),
        ("prekey-used", owner, used, good, "used-package"),
        ("from-itself", owner, keys, own, "wrong-identity"),
        ("inviter-small-sign-key", owner, keys, changed((1, SMALL_SIGN)), "bad-key"),
        ("inviter-small-dh-key", owner, keys, changed((2, SMALL_DH)), "bad-key"),
        ("inviter-other", owner, keys, changed((1, impostor.sign_key), (2, impostor.dh_key)),
         "bad-ciphertext"),
        ("inviter-other-sign-key", owner, keys, changed((1, impostor.sign_key)), "bad-ciphertext"),
        ("ephemeral-small", owner, keys, changed((5, SMALL_DH)), "bad-key"),
        ("ephemeral-not-canonical", owner, keys, changed((5, little(ref.P + 9))), "bad-key"),
        ("ephemeral-other", owner, keys, changed((5, little(9))), "bad-ciphertext"),
        ("sealed-changed", owner, keys, changed((6, changed_byte(fields[6]))), "bad-ciphertext"),
        ("sealed-15", owner, keys, changed((6, bytes(15))), "bad-form"),
        ("truncated", owner, keys, good[:-1], "truncated"),
        ("other-type", owner, keys, ref.encode([1, 4, *fields]), "wrong-type"),
    ):  # fmt: skip
        yield case(f"invitation-open-{name}", "INV-03 INV-04", name, "open invitation", {
            "owner": keys_json(its_owner), "package": package_keys_json(package),
            "invitation": data.hex()}, reason)  # fmt: skip


# --- evaporation.json ----------------------------------------------------------------------------


@operation("stricter")
def _stricter(i: Json) -> Json:
    after_view, lifetime = ref.stricter(tuple(i["message"]), tuple(i["room"]))
    return {"after_view": after_view, "lifetime": lifetime}


@operation("deadline")
def _deadline(i: Json) -> Json:
    when = ref.deadline(i["sent"], i["received"], i["after_view"], i["lifetime"], i["viewed"])
    return {"deadline": when}


@operation("check policy")
def _check_policy(i: Json) -> Json:
    ref.check_policy(i["policy"])
    return {}


@operation("read content")
def _read_content(i: Json) -> Json:
    name, fields = ref.read_content(un(i["content"]))
    return {"type": name, "fields": tagged(fields)}


def evaporation_cases() -> Iterator[Json]:
    sets: list[tuple[int | None, int]] = [(None, 259_200), (0, 259_200), (60, 3_600), (3_600, 60),
                                          (259_200, 1)]  # fmt: skip
    for n, message in enumerate(sets):
        for m, room in enumerate(sets):
            yield case(f"evaporation-stricter-{n}-{m}", "EVAP-02", "each for itself", "stricter",
                       {"message": list(message), "room": list(room)})  # fmt: skip
    now = 1_700_000_000
    for name, sent, received, after_view, lifetime, viewed in (
        ("unviewed", now, now + 5, None, 3_600, None), ("ahead", now + 99, now, None, 3_600, None),
        ("behind", now - 99, now, None, 3_600, None), ("nil", now, now, None, 3_600, now + 10),
        ("viewed", now, now, 60, 3_600, now + 10),
        ("viewed-late", now, now, 60, 3_600, now + 3_590),
        ("at-zero", now, now, 0, 3_600, now + 10), ("longest", now, now, 259_200, 259_200, now + 1),
        ("expired-on-arrival", now - 259_200, now, None, 259_200, None),
        ("sent-at-0", 0, now, 0, 1, None),
    ):  # fmt: skip
        yield case(f"evaporation-deadline-{name}", "EVAP-03 EVAP-04", name, "deadline", {
            "sent": sent, "received": received, "after_view": after_view, "lifetime": lifetime,
            "viewed": viewed})  # fmt: skip
    for name, after, life, mode, reason in (
        ("longest", 259_200, 259_200, 1, None), ("shortest", 0, 1, 1, None),
        ("nil", None, 1, 0, None),
        ("lifetime-0", None, 0, 1, "bad-policy"), ("lifetime-past", None, 259_201, 1, "bad-policy"),
        ("after-view-past", 259_201, 1, 1, "bad-policy"), ("deniable", None, 1, 2, "wrong-mode"),
        ("deniable-lifetime-0", None, 0, 2, "bad-policy"),
    ):  # fmt: skip
        yield case(f"evaporation-policy-{name}", "EVAP-01 MEM-12 LIMIT-27", name, "check policy",
                   {"policy": [mode, False, after, life]}, reason)  # fmt: skip
    box = list(ref.MailboxKeys(b"\x07" * 32, b"\x08" * 32, b"\x09" * 16).public)
    contents: list[tuple[str, list[Any], str | None]] = [
        ("text", [1, 32, now, None, 259_200, None, "hé"], None),
        ("text-empty", [1, 32, now, 0, 1, bytes(16), ""], None),
        ("data", [1, 33, now, 60, 60, None, b"\0\xff"], None),
        ("data-empty", [1, 33, 0, None, 1, None, b""], None),
        ("announcement", [1, 34, "Ann", box], None),
        ("leave", [1, 35, b"any signed object"], None),
        ("text-as-bin", [1, 32, now, None, 1, None, b"x"], "bad-form"),
        ("data-as-text", [1, 33, now, None, 1, None, "x"], "bad-form"),
        ("lifetime-0", [1, 32, now, None, 0, None, "x"], "bad-policy"),
        ("lifetime-past", [1, 33, now, None, 259_201, None, b"x"], "bad-policy"),
        ("after-view-past", [1, 32, now, 259_201, 1, None, "x"], "bad-policy"),
        ("quote-15", [1, 32, now, None, 1, bytes(15), "x"], "bad-form"),
        ("form-before-policy", [1, 32, now, None, 0, None, b"x"], "bad-form"),
        ("sent-past", [1, 32, 2**40, None, 1, None, "x"], "bad-form"),
        ("announcement-small-key", [1, 34, "Ann", [box[0], SMALL_DH, box[2]]], "bad-key"),
        ("announcement-name-257", [1, 34, "a" * 257, box], "too-large"),
        ("announcement-no-mailbox", [1, 34, "Ann", None], "bad-form"),
        ("leave-empty", [1, 35, b""], "bad-form"),
        ("type-31", [1, 31, b"x"], "wrong-type"),
        ("type-36", [1, 36, b"x"], "wrong-type"),
        ("type-message", [1, 16, b"x"], "wrong-type"),
        ("version-2", [2, 32, b"x"], "wrong-version"),
        ("nothing", [], "bad-form"),
    ]
    for name, content, reason in contents:
        yield case(f"evaporation-content-{name}", "EVAP-10 FORM-03", name, "read content",
                   {"content": ref.encode(content).hex()}, reason)  # fmt: skip


# --- room.json -----------------------------------------------------------------------------------

NOW = 1_700_000_000


@operation("join room")
def _join_room(i: Json) -> Json:
    keys = package_keys(i["package"])
    epoch, me = ref.join_room(identity_keys(i["owner"]), keys, un(i["invitation"]), i["now"])
    return {"me": me.hex(), "number": epoch.number, "transcript": epoch.transcript.hex(),
            "context": epoch.context.hex()}  # fmt: skip


@operation("apply commit")
def _apply_commit(i: Json) -> Json:
    roster = ref.read_roster(un(i["roster"]), un(i["room"]))
    ids = ref.ids_of(roster)
    handshakes = dict(zip(ids, map(un, i["handshakes"]), strict=True))
    keys = ref.EpochKeys(b"", {}, handshakes, dict(zip(ids, map(un, i["inits"]), strict=True)), b"")
    parent = ref.Epoch(1, un(i["room"]), i["number"], un(i["transcript"]), roster, i["policy"],
                       un(i["opener"]), keys)  # fmt: skip
    epoch = ref.apply_commit(parent, un(i["me"]), un(i["leaf"]), un(i["copy"]), i["now"])
    if epoch is None:
        return {"removed": True}
    return {"removed": False, "number": epoch.number, "transcript": epoch.transcript.hex(),
            "context": epoch.context.hex()}  # fmt: skip


ALSO = {  # what a case of room.json is about besides the algorithm, by a word of its name
    "proof": "MEM-06", "leave": "MEM-06", "entry": "MEM-01 MEM-02", "credential": "MEM-02",
    "ahead": "LIMIT-13", "signed": "EPOCH-13", "signature": "EPOCH-13", "lowers": "MEM-08",
    "expired": "ID-05", "expiry": "ID-05", "directory": "ENV-12", "suite": "INV-01 PRIM-19",
    "roster": "MEM-04", "twice": "MEM-11", "state": "EPOCH-06",
}  # fmt: skip


def tags(general: str, name: str) -> str:
    words = name.split("-")
    return " ".join([general, *(also for word, also in ALSO.items() if word in words)])


def room_cases() -> Iterator[Json]:  # noqa: PLR0915  one room, and all that is done to it
    ann, box = some_keys("room-ann"), ref.MailboxKeys(b"\x07" * 32, b"\x08" * 32, b"\x09" * 16)
    bob, bob_keys = some_package("room-bob")
    cid, cid_keys = some_package("room-cid")
    dan, dan_keys = some_package("room-dan")
    eve = some_keys("room-eve")
    policy = [1, False, None, 259_200]
    guests = [ref.Guest(bob_keys.package, 0, ref.MEMBER), ref.Guest(cid_keys.package, 0, ref.ADMIN)]
    founded = ref.found_room(ann, policy, guests, "Ann", box.public, NOW, Stream("room-founding"))
    direct = ref.found_room(ann, [0, False, None, 259_200], guests[:1], "Ann", box.public, NOW,
                            Stream("room-direct"))  # fmt: skip
    room, epoch = founded.epoch.room, founded.epoch
    me, bob_id, cid_id = ref.ids_of(epoch.roster)

    def join(name: str, invitation: bytes, reason: str | None = None, now: int = NOW) -> Json:
        spec = tags("INV-05 INV-06 EPOCH-12", name)
        return case(f"room-join-{name}", spec, name, "join room", {
            "owner": keys_json(bob), "package": package_keys_json(bob_keys),
            "invitation": invitation.hex(), "now": now}, reason)  # fmt: skip

    def sealed(
        fields: list[Any], inviter: ref.IdentityKeys = ann, index: int | None = 0
    ) -> bytes:
        data = ref.encode([1, 6, *fields])
        return ref.seal_invitation(inviter, bob_keys.package, index, data, Stream("room-sealing"))

    welcome = ref.parse(ref.open_invitation(bob, bob_keys, founded.invitations[0]), "welcome")
    quiet = ref.parse(ref.open_invitation(bob, bob_keys, direct.invitations[0]), "welcome")

    def with_field(place: int, value: Any, of: list[Any] = welcome) -> list[Any]:
        return [*of[:place], value, *of[place + 1 :]]

    def resigned(fields: list[Any]) -> list[Any]:
        signature = ref.sign(founded.room_seed, b"commit", fields[0], fields[1])
        return with_field(2, signature, fields)

    def genesis_with(place: int, value: Any) -> list[Any]:
        fields = ref.parse(founded.genesis, "genesis")
        fields[place] = value
        return resigned(with_field(0, ref.encode([1, 8, *fields])))

    alone = ref.found_room(ann, policy, guests[1:], "Ann", box.public, NOW, Stream("room-alone"))
    without_bob = ref.parse(ref.open_invitation(cid, cid_keys, alone.invitations[0]), "welcome")
    row = ref.parse(welcome[4], "roster")
    other_row = ref.encode([1, 7, row[0], [row[1][0], [row[1][1][0], 2, *row[1][1][2:]],
                           row[1][2]]])
    anns = ref.make_key_package(ann, list(box.public), EXPIRY, True, Stream("room-anns"))
    bad_box = [[me, "Ann", [bytes(32), SMALL_DH, bytes(16)]]]
    for name, invitation, reason in (
        ("group", founded.invitations[0], None),
        ("direct", direct.invitations[0], None),
        ("deniable", sealed(with_field(5, [2, False, None, 1])), "wrong-mode"),
        ("lifetime-0", sealed(with_field(5, [1, False, None, 0])), "bad-policy"),
        ("other-policy", sealed(with_field(5, [1, True, None, 259_200])), "bad-state-hash"),
        ("other-policy-no-signature", sealed(with_field(2, None, with_field(
            5, [1, True, None, 259_200]))), "bad-state-hash"),
        ("other-roster", sealed(with_field(4, other_row)), "bad-state-hash"),
        ("no-signature", sealed(with_field(2, None)), "bad-signature"),
        ("signature-changed", sealed(with_field(2, changed_byte(welcome[2], 0))), "bad-signature"),
        ("signed-direct", sealed(with_field(2, welcome[2], quiet)), "bad-form"),
        ("confirmation-changed", sealed(with_field(1, bytes(32))), "bad-signature"),
        ("confirmation-signed", sealed(resigned(with_field(1, bytes(32)))), "bad-confirmation"),
        ("direct-confirmation", sealed(with_field(1, bytes(32), quiet)), "bad-confirmation"),
        ("other-secret", sealed(with_field(6, bytes(32))), "bad-confirmation"),
        ("parent-of-genesis", sealed(with_field(3, row[1][0][6])), "bad-form"),
        ("other-inviter", sealed(welcome, eve), "wrong-identity"),
        ("not-invited", sealed(without_bob), "unknown-member"),
        ("directory-bad-key", sealed(with_field(7, bad_box)), "bad-key"),
        ("roster-for-genesis", sealed(with_field(0, welcome[4])), "wrong-type"),
        ("commit-not-an-object", sealed(with_field(0, b"\xc0")), "bad-form"),
        ("genesis-suite-2", sealed(genesis_with(0, 2)), "unknown-suite"),
        ("genesis-other-room", sealed(genesis_with(1, bytes(32))), "bad-entry"),
        ("genesis-expired", sealed(genesis_with(2, EXPIRY + 1)), "expired"),
        ("genesis-own-package-as-entry", sealed(genesis_with(6, anns.package.signed)),
         "bad-entry"),
        ("genesis-package-as-entry", sealed(genesis_with(6, bob_keys.package.signed)), "bad-entry"),
        ("genesis-member-twice", sealed(genesis_with(7, [[bob_keys.package.signed, 0]] * 2)),
         "already-member"),
        ("genesis-other-state", sealed(genesis_with(8, bytes(32))), "bad-state-hash"),
        ("genesis-direct-of-three", sealed(genesis_with(3, [0, False, None, 1])), "wrong-mode"),
    ):  # fmt: skip
        yield join(name, invitation, reason)
    yield join("genesis-at-expiry", sealed(genesis_with(2, EXPIRY)), "bad-confirmation", EXPIRY)
    yield join("300-ahead", founded.invitations[0], None, NOW - 300)
    yield join("301-ahead", founded.invitations[0], "early-commit", NOW - 301)

    # Commits on epoch 0, as bob gets them.
    def apply(
        name: str, copy: bytes, reason: str | None = None, now: int = NOW, at: ref.Epoch = epoch
    ) -> Json:
        epoch, bob_id = at, ref.ids_of(at.roster)[1]
        spec = tags("EPOCH-10 EPOCH-15 MEM-05 MEM-07", name)
        return case(f"room-apply-{name}", spec, name, "apply commit", {
            "room": at.room.hex(), "number": 0, "transcript": epoch.transcript.hex(),
            "roster": epoch.roster.encode().hex(), "policy": policy, "opener": at.opener.hex(),
            "handshakes": [key.hex() for key in epoch.keys.handshakes.values()],
            "inits": [key.hex() for key in epoch.keys.inits.values()],
            "me": bob_id.hex(), "leaf": bob_keys.leaf.hex(), "copy": copy.hex(), "now": now},
            reason)  # fmt: skip

    def commit(
        name: str, operations: list[list[Any]], guests: list[ref.Guest] | None = None,
        proofs: list[bytes] | None = None, *, by_cid: bool = False,
    ) -> ref.CommitMade:  # fmt: skip
        who = (cid, cid_id, cid_keys.room_seed) if by_cid else (ann, me, founded.room_seed)
        return ref.make_commit(epoch, *who, operations, guests or [], proofs or [], {}, NOW,
                               Stream(f"room-commit-{name}"))  # fmt: skip

    bob_row, cid_row = epoch.roster.find(bob_id), epoch.roster.find(cid_id)
    cid_leaves = ref.make_leave_request(cid, room, cid_row)
    bob_leaves = ref.make_leave_request(bob, room, bob_row)
    to_dan = [ref.Guest(dan_keys.package, 0, ref.MEMBER)]
    remove_bob = [ref.REMOVE, bob_id, bob_row.admission]
    remove_cid = [ref.REMOVE, cid_id, cid_row.admission]
    good: dict[str, ref.CommitMade] = {
        "refresh": commit("refresh", []),
        "refresh-by-admin": commit("refresh-by-admin", [], by_cid=True),
        "add": commit("add", [], to_dan),
        "remove-other": commit("remove-other", [remove_cid]),
        "remove-me": commit("remove-me", [remove_bob]),
        "admin-removes-me": commit("admin-removes-me", [remove_bob], by_cid=True),
        "role": commit("role", [[ref.SET_ROLE, bob_id, ref.OWNER]]),
        "owner-lowers-itself": commit("owner-lowers-itself", [[ref.SET_ROLE, me, ref.MEMBER]]),
        "policy": commit("policy", [[ref.SET_POLICY, [1, True, 0, 60]]]),
        "leave-other": commit("leave-other", [], None, [cid_leaves]),
        "leave-me": commit("leave-me", [], None, [bob_leaves]),
        "all-at-once": commit("all-at-once", [[ref.SET_ROLE, bob_id, ref.ADMIN], [
            ref.SET_POLICY, [1, True, None, 1]]], to_dan, [cid_leaves]),
    }  # fmt: skip
    for name, made in good.items():
        yield apply(name, made.copies[bob_id])
    plain = good["refresh"]
    copy = plain.copies[bob_id]
    sealed_commit, slot = ref.parse(copy, "commit copy")
    yield apply("300-ahead", copy, None, NOW - 300)
    yield apply("301-ahead", copy, "early-commit", NOW - 301)
    yield apply("removed-301-ahead", good["remove-me"].copies[bob_id], "early-commit", NOW - 301)
    outer = ref.parse(sealed_commit, "sealed commit")

    def outside(place: int, value: Any) -> bytes:
        fields = [*outer[:place], value, *outer[place + 1 :]]
        return ref.encode([1, 12, ref.encode([1, 11, *fields]), slot])

    def forged(
        changes: dict[int, Any], made: ref.CommitMade = plain, *, by_cid: bool = False,
        confirmation: bytes | None = None, signed: bool = True,
    ) -> bytes:  # fmt: skip
        fields = ref.parse(made.commit, "commit")
        for place, value in changes.items():
            fields[place] = value
        data = ref.encode([1, 9, *fields])
        confirmed = made.epoch.keys.confirmation if confirmation is None else confirmation
        seed = cid_keys.room_seed if by_cid else founded.room_seed
        signature = ref.sign(seed, b"commit", data, confirmed) if signed else bytes(64)
        whole = ref.build("signed commit", data, confirmed, signature)
        who = cid_id if by_cid else me
        inner = ref.seal_commit(epoch.keys.handshakes[who], room, epoch.prefix, who, whole,
                                Stream("room-forged"))  # fmt: skip
        return ref.build("commit copy", inner, ref.parse(made.copies[bob_id], "commit copy")[1])

    by_cid = good["refresh-by-admin"]
    entry_0 = ref.make_entry(ann, room, me, little(9), ref.sign_public(COUNTING), 0)
    entry_2 = ref.make_entry(ann, room, me, little(9), ref.sign_public(COUNTING), 2)
    entry_small = ref.make_entry(ann, room, me, SMALL_DH, ref.sign_public(COUNTING), 1)
    impostor = ref.IdentityKeys(ann.seed, cid.dh_private)
    entry_dh = ref.make_entry(impostor, room, me, little(9), ref.sign_public(COUNTING), 1)
    entry_cid = ref.make_entry(cid, room, cid_id, little(9), ref.sign_public(COUNTING), 1)
    add_dan: list[Any] = [ref.ADD, dan_keys.package.signed, 0]
    add_bob = [ref.ADD, bob_keys.package.signed, 0]
    other_admission = ref.build("leave request", room, cid_id, bytes(32))
    wrong_leave = ref.build("signed object", other_admission,
                            ref.sign(cid.seed, b"leave request", other_admission))  # fmt: skip
    unsigned = ref.build("leave request", room, cid_id, cid_row.admission)
    unsigned_leave = ref.build("signed object", unsigned,
                               ref.sign(bob.seed, b"leave request", unsigned))  # fmt: skip
    own_leave = ref.make_leave_request(ann, room, epoch.roster.find(me))
    for name, data, reason in (
        ("other-room", outside(0, bytes(32)), "unknown-room"),
        ("other-epoch", outside(1, bytes(8)), "unknown-epoch"),
        ("own", outside(2, bob_id), "own-message"),
        ("unknown-committer", outside(2, bytes(32)), "unknown-member"),
        ("other-committer", outside(2, cid_id), "bad-ciphertext"),
        ("other-salt", outside(3, bytes(16)), "bad-ciphertext"),
        ("changed", outside(4, changed_byte(outer[4])), "bad-ciphertext"),
        ("not-signed", forged({}, signed=False), "bad-signature"),
        ("no-slot", ref.build("commit copy", sealed_commit, None), "bad-form"),
        ("slot-changed", ref.build("commit copy", sealed_commit, changed_byte(slot)),
         "bad-ciphertext"),
        ("other-confirmation", forged({}, confirmation=bytes(32)), "bad-confirmation"),
        ("inner-room", forged({0: bytes(32)}), "wrong-transcript"),
        ("inner-epoch", forged({1: 1}), "wrong-transcript"),
        ("inner-transcript", forged({2: epoch.prefix + bytes(24)}), "wrong-transcript"),
        ("inner-committer", forged({3: cid_id}), "wrong-transcript"),
        ("ephemeral-small", forged({8: SMALL_DH}), "bad-key"),
        ("state-hash", forged({9: bytes(32)}), "bad-state-hash"),
        ("entry-version-0", forged({7: entry_0}), "bad-entry"),
        ("entry-version-2", forged({7: entry_2}), "bad-entry"),
        ("entry-small-key", forged({7: entry_small}), "bad-key"),
        ("entry-of-another", forged({7: entry_cid}), "bad-entry"),
        ("entry-package", forged({7: dan_keys.package.signed}), "bad-entry"),
        ("entry-other-dh-key", forged({7: entry_dh}), "bad-entry"),
        ("entry-other", forged({7: good["add"].epoch.roster.find(me).signed}), "bad-state-hash"),
        ("proof-kind-1", forged({6: [[1, cid_leaves]]}), "bad-proof"),
        ("proof-of-committer", forged({6: [[0, own_leave]]}), "bad-proof"),
        ("proof-other-admission", forged({6: [[0, wrong_leave]]}), "bad-proof"),
        ("proof-not-signed", forged({6: [[0, unsigned_leave]]}), "bad-signature"),
        ("proof-twice", forged({6: [[0, cid_leaves]] * 2}), "unknown-member"),
        ("proof-and-removal", forged({5: [remove_cid], 6: [[0, cid_leaves]]}), "unknown-member"),
        ("add-member", forged({5: [add_bob]}), "already-member"),
        ("add-twice", forged({5: [add_dan, add_dan]}), "already-member"),
        ("add-at-expiry", forged({4: EXPIRY, 5: [add_dan]}), "bad-state-hash"),
        ("add-expired", forged({4: EXPIRY + 1, 5: [add_dan]}), "expired"),
        ("add-bad-package", forged({5: [[0, changed_byte(add_dan[1], -1), 0]]}), "bad-signature"),
        ("remove-nobody", forged({5: [[1, bytes(32), bytes(32)]]}), "unknown-member"),
        ("remove-other-admission", forged({5: [[1, cid_id, bytes(32)]]}), "unknown-member"),
        ("remove-itself", forged({5: [[1, me, bytes(32)]]}), "not-entitled"),
        ("role-of-nobody", forged({5: [[2, bytes(32), 0]]}), "unknown-member"),
        ("role-unchanged-of-itself", forged({5: [[2, me, 2]]}), "not-entitled"),
        ("mode-direct", forged({5: [[3, [0, False, None, 1]]]}), "wrong-mode"),
        ("mode-deniable", forged({5: [[3, [2, False, None, 1]]]}), "wrong-mode"),
        ("lifetime-0", forged({5: [[3, [1, False, None, 0]]]}), "bad-policy"),
        ("admin-adds-admin", forged({5: [[0, add_dan[1], 1]]}, by_cid, by_cid=True),
         "not-entitled"),
        ("admin-removes-owner", forged({5: [[1, me, epoch.roster.find(me).admission]]}, by_cid,
                                       by_cid=True), "not-entitled"),
        ("admin-raises-member", forged({5: [[2, bob_id, 1]]}, by_cid, by_cid=True), "not-entitled"),
        ("admin-sets-policy", forged({5: [[3, policy]]}, by_cid, by_cid=True), "not-entitled"),
    ):  # fmt: skip
        yield apply(name, data, reason)

    # Two owners: the one admitted earlier outranks the other.
    owners = ref.found_room(ann, policy, [guests[0], guests[1]._replace(role=ref.OWNER)], "Ann",
                            box.public, NOW, Stream("room-owners")).epoch  # fmt: skip
    older, us, younger = owners.roster.members
    removal: list[Any] = [ref.REMOVE, younger.id, younger.admission]
    by_older = ref.make_commit(owners, ann, older.id, Stream("room-owners")(96)[64:], [removal],
                               [], [], {}, NOW, Stream("room-by-older"))  # fmt: skip
    yield apply("owner-removes-younger", by_older.copies[us.id], None, NOW, owners)
    refresh = ref.make_commit(owners, cid, younger.id, cid_keys.room_seed, [], [], [], {}, NOW,
                              Stream("room-by-younger"))  # fmt: skip
    for name, its in (("removes", [ref.REMOVE, older.id, older.admission]),
                      ("lowers", [ref.SET_ROLE, older.id, ref.MEMBER])):  # fmt: skip
        its_fields = ref.parse(refresh.commit, "commit")
        its_fields[5] = [its]
        changed, confirmed = ref.encode([1, 9, *its_fields]), refresh.epoch.keys.confirmation
        whole = ref.build("signed commit", changed, confirmed, ref.sign(
            cid_keys.room_seed, b"commit", changed, confirmed))  # fmt: skip
        inner = ref.seal_commit(owners.keys.handshakes[younger.id], owners.room, owners.prefix,
                                younger.id, whole, Stream("room-forged"))  # fmt: skip
        data = ref.build("commit copy", inner, bytes(48))
        yield apply(f"younger-owner-{name}-older", data, "not-entitled", NOW, owners)

    # Joining by a commit: ann admits dan to epoch 1.
    dans = ref.parse(
        ref.open_invitation(dan, dan_keys, good["add"].invitations[0]), "welcome"
    )  # fmt: skip

    def dan_joins(
        name: str, fields: list[Any], reason: str | None = None,
        *, inviter: ref.IdentityKeys = ann, now: int = NOW,
    ) -> Json:  # fmt: skip
        data = ref.encode([1, 6, *fields])
        sealing = Stream("room-sealing-dan")
        invitation = ref.seal_invitation(inviter, dan_keys.package, 0, data, sealing)
        spec = tags("INV-05 INV-06 MEM-10 EPOCH-11", name)
        return case(f"room-join-commit-{name}", spec, name, "join room", {
            "owner": keys_json(dan), "package": package_keys_json(dan_keys),
            "invitation": invitation.hex(), "now": now}, reason)  # fmt: skip

    def commit_with(place: int, value: Any) -> list[Any]:
        fields = ref.parse(dans[0], "commit")
        fields[place] = value
        return resigned(with_field(0, ref.encode([1, 9, *fields]), dans))

    its_next, its_rows = ref.parse(dans[4], "roster")

    def roster_with(rows: list[Any], following: int = its_next) -> list[Any]:
        return with_field(4, ref.encode([1, 7, following, rows]), dans)

    def row_with(place: int, column: int, value: Any) -> list[Any]:
        rows = [list(each) for each in its_rows]
        rows[place][column] = value
        return roster_with(rows)

    newer = ref.make_entry(ann, room, me, little(9), ref.sign_public(COUNTING), 1)
    for name, fields, reason in (
        ("good", dans, None),
        ("no-signature", with_field(2, None, dans), "bad-signature"),
        ("signature-changed", with_field(2, changed_byte(dans[2], 0), dans), "bad-signature"),
        ("direct", with_field(5, [0, False, None, 1], dans), "wrong-mode"),
        ("other-policy", with_field(5, [1, True, None, 259_200], dans), "bad-state-hash"),
        ("other-secret", with_field(6, bytes(32), dans), "bad-confirmation"),
        ("no-parent-credential", with_field(3, None, dans), "bad-entry"),
        ("parent-credential-new", with_field(3, its_rows[0][6], dans), "bad-entry"),
        ("parent-credential-other", with_field(3, bob_keys.package.signed, dans), "bad-entry"),
        ("parent-credential-forged", with_field(3, newer, dans), "bad-entry"),
        ("directory-bad-key", with_field(7, bad_box, dans), "bad-key"),
        ("directory-bad-key-of-nobody", with_field(
            7, [[bytes(32), "", [bytes(32), SMALL_DH, bytes(16)]]], dans), None),
        ("no-operation", commit_with(5, []), "unknown-member"),
        ("other-time", commit_with(4, EXPIRY + 1), "expired"),
        ("committer-nobody", commit_with(3, bytes(32)), "unknown-member"),
        ("committer-other", commit_with(3, cid_id), "wrong-identity"),
        ("entry-other", commit_with(7, newer), "bad-entry"),
        ("ephemeral-small", commit_with(8, SMALL_DH), "bad-key"),
        ("state-hash", commit_with(9, bytes(32)), "bad-state-hash"),
        ("roster-order", roster_with([its_rows[1], its_rows[0], *its_rows[2:]]), "bad-form"),
        ("roster-member-twice", roster_with([*its_rows, its_rows[3]]), "bad-form"),
        ("roster-next-seniority", roster_with(its_rows, 3), "bad-form"),
        ("roster-no-owner", row_with(0, 1, 1), "bad-form"),
        ("roster-without-dan", roster_with(its_rows[:3]), "bad-state-hash"),
        ("roster-identity-small", row_with(1, 3, SMALL_SIGN), "bad-key"),
        ("roster-identity-other", row_with(1, 4, little(9)), "bad-entry"),
        ("roster-credential-of-another", row_with(1, 6, its_rows[2][6]), "bad-entry"),
        ("roster-credential-damaged", row_with(1, 6, changed_byte(its_rows[1][6])),
         "bad-signature"),
        ("roster-id-of-committer", row_with(0, 0, bytes(32)), "bad-entry"),
        ("roster-role-raised", row_with(1, 1, 2), "bad-state-hash"),
    ):  # fmt: skip
        yield dan_joins(name, fields, reason)
    yield dan_joins("other-inviter", dans, "wrong-identity", inviter=cid)
    yield dan_joins("300-ahead", dans, None, now=NOW - 300)
    yield dan_joins("301-ahead", dans, "early-commit", now=NOW - 301)


# --- the files -----------------------------------------------------------------------------------

FILES: dict[str, Callable[[], Iterator[Json]]] = {
    "kdf.json": kdf_cases,
    "hash.json": hash_cases,
    "aead.json": aead_cases,
    "decode.json": decode_cases,
    "dh.json": dh_cases,
    "ed25519.json": ed25519_cases,
    "identity.json": identity_cases,
    "chain.json": chain_cases,
    "epoch.json": epoch_cases,
    "envelope.json": envelope_cases,
    "message.json": message_cases,
    "keypackage.json": keypackage_cases,
    "invitation.json": invitation_cases,
    "evaporation.json": evaporation_cases,
    "room.json": room_cases,
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
