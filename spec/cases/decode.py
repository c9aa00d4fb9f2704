"""decode.json: encoding (chapter 4), and by `parse` the forms of objects (chapter 5)."""

from collections.abc import Iterator

from spec.cases.common import Json, case, difference, operation, tagged, un
from spec.cases.parse import parse_cases

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
    "array-two": "920000", "depth-two": "929000", "str-inside": "9191a100",
    "depth-four-second": "9290919190", "depth-four-twice": "9291919091919100",
    "bin-holds-arrays": "c4059191919190",
    "example": "970103c4020102a368c3a9c0c394007fcc80ce00010000",
}  # fmt: skip
# Name, bytes, and the accepted case that they come from. Those after another with "before" have
# two faults.
REFUSED = [
    ("truncated", "WIRE-02", [
        ("empty", "", "zero"), ("uint8", "cc", "uint8-first"), ("uint16", "cd01", "uint16-first"),
        ("uint32", "ce000100", "uint32-first"), ("uint64", "cf00000001000000", "uint64-first"),
        ("bin-length", "c4", "bin-empty"), ("bin16-length", "c501", "bin16-first"),
        ("bin32-length", "c6000100", "bin-empty"), ("bin", "c401", "bin-one"),
        ("bin-half", "c4020a", "bin-one"), ("str", "a1", "str-nul"),
        ("str8-length", "d9", "str8-first"), ("str8", "d92061", "str8-first"),
        ("array", "91", "array-empty"), ("array-item", "9200", "array-two"),
        ("array16-length", "dc00", "array16-first"), ("array32-length", "dd000100", "array-empty"),
        ("huge-bin", "c6ffffffff", "bin-empty"), ("huge-str", "dbffffffff", "str-empty"),
        ("huge-array", "ddffffffff", "array-empty"), ("array-in-array", "9290", "array-two"),
        ("before-too-deep", "9191919191", "depth-four"),
        ("example", "970103c4020102a368c3a9c0c394007fcc80ce000100", "example"),
    ]),
    ("trailing-bytes", "WIRE-06", [
        ("nil-nil", "c0c0", "nil"), ("after-array", "9000", "array-empty"),
        ("after-bin", "c4010000", "bin-one"), ("forbidden-after", "00c1", "zero"),
        ("before-bad-utf8", "a1ff00", "str-nul"),
        ("example", "970103c4020102a368c3a9c0c394007fcc80ce00010000c0", "example"),
    ]),
    ("non-canonical", "WIRE-04", [
        ("uint8-zero", "cc00", "zero"), ("uint8-127", "cc7f", "fixint-last"),
        ("uint16-128", "cd0080", "uint8-first"), ("uint16-255", "cd00ff", "uint8-last"),
        ("uint16-zero", "cd0000", "zero"), ("uint32-zero", "ce00000000", "zero"),
        ("uint32-255", "ce000000ff", "uint8-last"),
        ("uint32-65535", "ce0000ffff", "uint16-last"),
        ("uint64-zero", "cf0000000000000000", "zero"),
        ("uint64-65535", "cf000000000000ffff", "uint16-last"),
        ("uint64-2^32-1", "cf00000000ffffffff", "uint32-last"), ("bin16-0", "c50000", "bin-empty"),
        ("bin16-255", "c500ff" + "ab" * 255, "bin8-last"), ("bin32-0", "c600000000", "bin-empty"),
        ("bin32-255", "c6000000ff" + "ab" * 255, "bin8-last"),
        ("bin32-65535", "c60000ffff", "bin-empty"), ("str8-0", "d900", "str-empty"),
        ("str8-31", "d91f" + "61" * 31, "fixstr-last"), ("str16-0", "da0000", "str-empty"),
        ("str16-31", "da001f" + "61" * 31, "fixstr-last"),
        ("str16-255", "da00ff" + "61" * 255, "str8-last"),
        ("str32-0", "db00000000", "str-empty"),
        ("str32-255", "db000000ff" + "61" * 255, "str8-last"),
        ("str32-65535", "db0000ffff", "str-empty"), ("array16-0", "dc0000", "array-empty"),
        ("array16-15", "dc000f" + "00" * 15, "fixarray-last"),
        ("array32-0", "dd00000000", "array-empty"),
        ("array32-15", "dd0000000f" + "00" * 15, "fixarray-last"),
        ("array32-65535", "dd0000ffff", "array-empty"),
        ("before-truncated", "c500ff00", "bin8-last"),
        ("before-too-deep", "91919191dc0000", "depth-four"),
        ("inside-array", "92cc0100", "array-two"),
    ]),
    ("non-canonical", "WIRE-07", [
        ("utf8-lone-continuation", "a180", "str-nul"), ("utf8-lone-lead", "a1c3", "str-two-bytes"),
        ("utf8-overlong-nul", "a2c080", "str-nul"),
        ("utf8-overlong-slash", "a3e080af", "str-bom"),
        ("utf8-overlong-four", "a4f0808080", "str-highest"),
        ("utf8-surrogate-first", "a3eda080", "str-bom"),
        ("utf8-surrogate-last", "a3edbfbf", "str-bom"),
        ("utf8-surrogate-pair", "a6eda0bdedb880", "str-highest"),
        ("utf8-above-10ffff", "a4f4908080", "str-highest"),
        ("utf8-f5", "a4f5808080", "str-highest"), ("utf8-ff", "a1ff", "str-nul"),
        ("utf8-inside-array", "9191a1ff", "str-inside"),
        ("utf8-example", "970103c4020102a368c328c0c394007fcc80ce00010000", "example"),
    ]),
    ("forbidden-type", "WIRE-03", [
        ("fixmap", "80", "array-empty"), ("fixmap-last", "8f", "fixarray-last"),
        ("map16", "de0000", "array-empty"), ("map32", "df00000000", "array-empty"),
        ("never-used", "c1", "nil"), ("ext8", "c70000", "bin-empty"),
        ("ext16", "c8000000", "bin-empty"), ("ext32", "c90000000000", "bin-empty"),
        ("float32", "ca00000000", "zero"), ("float64", "cb0000000000000000", "zero"),
        ("int8", "d001", "zero"), ("int16", "d10001", "zero"), ("int32", "d200000001", "zero"),
        ("int64", "d30000000000000001", "zero"), ("fixext1", "d40000", "bin-one"),
        ("fixext2", "d5000000", "bin-one"), ("fixext4", "d60000000000", "bin-one"),
        ("fixext8", "d7" + "00" * 9, "bin-one"), ("fixext16", "d8" + "00" * 17, "bin-one"),
        ("negative-32", "e0", "zero"), ("negative-1", "ff", "zero"),
        ("before-truncated", "92c1cc", "array-two"), ("inside-array", "9291c100", "depth-two"),
        ("example", "9701d003c4020102a368c3a9c0c394007fcc80ce00010000", "example"),
    ]),
    ("too-deep", "WIRE-05", [
        ("five", "9191919190", "depth-four"), ("six", "919191919190", "depth-four"),
        ("five-second", "92909191919190", "depth-four-second"),
        ("before-forbidden", "9191919191c1", "depth-four"),
        ("array16", "91919191dc0010" + "00" * 16, "array16-first"),
        ("example", "970103c4020102a368c3a9c0c39400919190cc80ce00010000", "example"),
    ]),
]  # fmt: skip


DECODE_TWICE = {
    "truncated-before-too-deep": "the fifth array has no item: this is seen before its depth",
    "trailing-bytes-forbidden-after": "two faults: what follows the value is not read",
    "trailing-bytes-before-bad-utf8": "two faults: text is looked at last",
    "non-canonical-before-truncated": "two faults: the length, then whether so much is there",
    "non-canonical-before-too-deep": "two faults: the length, then the depth",
    "non-canonical-bin32-65535": "two faults: the length, then whether so much is there",
    "non-canonical-str32-65535": "two faults: the length, then whether so much is there",
    "non-canonical-array32-65535": "two faults: the length, then whether so much is there",
    "forbidden-type-before-truncated": "two faults: the first in the order of the bytes",
    "too-deep-before-forbidden": "two faults: the depth, then the items",
}


def decode_cases() -> Iterator[Json]:
    for name, data in DECODED.items():
        yield case(f"decode-{name}", "WIRE-08 LIMIT-01" if "depth" in name else "WIRE-08",
                   "accepted, and encodes to the same bytes", "decode",
                   {"data": data, "limit": 4_096})  # fmt: skip
    for code, spec, cases in REFUSED:
        limit = " LIMIT-01" if code == "too-deep" else ""
        for name, data, parent in cases:
            yield case(f"decode-{code}-{name}", f"{spec} WIRE-09{limit}",
                       DECODE_TWICE.get(f"{code}-{name}", f"{code}: {name}"), "decode",
                       {"data": data, "limit": 4_096}, code, parent=f"decode-{parent}",
                       mutation=difference(un(DECODED[parent]), un(data)))  # fmt: skip
    example = DECODED["example"]
    yield case("decode-limit-at", "WIRE-01", "exactly as long as the limit", "decode",
               {"data": example, "limit": 23})  # fmt: skip
    yield case("decode-limit-past", "WIRE-01", "one byte longer than the limit", "decode",
               {"data": example, "limit": 22}, "too-large", parent="decode-limit-at",
               mutation="the limit is one less")  # fmt: skip
    yield case("decode-limit-first", "WIRE-01 WIRE-09",
               "two faults: too large, whatever the bytes are", "decode",
               {"data": "c1c1c1", "limit": 2}, "too-large", parent="decode-limit-at",
               mutation="three bytes of a forbidden type, at a limit of two")  # fmt: skip
    long: list[tuple[str, list[tuple[str, int]], str | None, str | None, str | None]] = [
        ("bin16-last", [("c5ffff", 1), ("00", 65_535)], None, None, None),
        ("bin32-first", [("c600010000", 1), ("00", 65_536)], None, None, None),
        ("str16-last", [("daffff", 1), ("61", 65_535)], None, None, None),
        ("str32-first", [("db00010000", 1), ("61", 65_536)], None, None, None),
        ("array16-last", [("dcffff", 1), ("00", 65_535)], None, None, None),
        ("array32-first", [("dd00010000", 1), ("00", 65_536)], None, None, None),
        ("array32-65535", [("dd0000ffff", 1), ("00", 65_535)], "non-canonical", "array16-last",
         "the number of items in four bytes"),
        ("bin32-65535", [("c60000ffff", 1), ("00", 65_535)], "non-canonical", "bin16-last",
         "the length in four bytes"),
        ("str32-65535", [("db0000ffff", 1), ("61", 65_535)], "non-canonical", "str16-last",
         "the length in four bytes"),
        ("bin16-short", [("c5ffff", 1), ("00", 65_534)], "truncated", "bin16-last",
         "the last byte left out"),
        ("str16-short", [("daffff", 1), ("61", 65_534)], "truncated", "str16-last",
         "the last byte left out"),
        ("array16-short", [("dcffff", 1), ("00", 65_534)], "truncated", "array16-last",
         "the last item left out"),
        ("array16-trailing", [("dcffff", 1), ("00", 65_536)], "trailing-bytes", "array16-last",
         "one more byte at the end"),
        ("nesting-bomb", [("91", 100_000)], "too-deep", "array16-last",
         "100,000 arrays inside one another"),
        ("too-large", [("c600030d40", 1), ("00", 200_000)], "too-large", "bin32-first",
         "a bin of 200,000 bytes, five more than fit"),
    ]
    for name, parts, reason, of, what in long:
        yield case(f"decode-long-{name}",
                   "WIRE-08 WIRE-10" if reason is None else "WIRE-09 WIRE-10",
                   "data: each hex string, so many times, one after another", "decode long",
                   {"data": [list(part) for part in parts], "limit": 200_000}, reason,
                   parent=of and f"decode-long-{of}", mutation=what)  # fmt: skip
    yield from parse_cases()
