"""decode.json: encoding and the forms of objects (chapters 4 and 5)."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import Json, case, operation, tagged, un

from spec import reference as ref


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
