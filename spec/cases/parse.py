"""decode.json, second half: the forms of objects (chapter 5)."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import Json, case, operation, tagged, un

from spec import reference as ref


@operation("parse")
def _parse(i: Json) -> Json:
    return {"fields": tagged(ref.parse(un(i["data"]), i["form"]))}


def parse_case(
    name: str, form: str, value: Any, reason: str | None = None, spec: str = "WIRE-14",
    of: str | None = None, what: str | None = None, comment: str = "",
) -> Json:  # fmt: skip
    """`of`: the accepted one that a refused one was made from, by a change of `what`."""
    data = value if isinstance(value, bytes) else ref.encode(value)
    return case(f"parse-{name}", spec, comment or f"parse as {form}", "parse",
                {"form": form, "data": data.hex()}, reason,
                parent=of and f"parse-{of}", mutation=what)  # fmt: skip


ONE = b"\x01" * 32
LEAVE = [ONE, ONE, ONE]
HEADER = [ONE, ONE[:8], ONE, 7, ONE[:16], None, 0, None]
ROW = [ONE, 0, 0, ONE, ONE, ONE, 0, 0, b"x", None]


def object_cases() -> Iterator[Json]:
    """`parse` step by step, with leave requests."""
    leaving = "leave-request"
    yield parse_case(leaving, "leave request", [1, 14, *LEAVE])
    for name, value, reason, spec, what in (
        ("nil", None, "bad-form", "", "nil in the place of the object"),
        ("bin", ref.encode(ONE), "bad-form", "", "a bin in the place of the object"),
        ("one-item", [1], "bad-form", "", "only the version is left"),
        ("version-2", [2, 14, *LEAVE], "wrong-version", "WIRE-12", "the version is 2"),
        ("version-0", [0, 14, *LEAVE], "wrong-version", "WIRE-12", "the version is 0"),
        ("version-nil", [None, 14, *LEAVE], "wrong-version", "WIRE-12", "the version is nil"),
        ("version-true", [True, 14, *LEAVE], "wrong-version", "WIRE-12 WIRE-15",
         "the version is true"),
        ("type-nil", [1, None, *LEAVE], "bad-form", "WIRE-13", "the type is nil"),
        ("type-true", [1, True, *LEAVE], "bad-form", "WIRE-15", "the type is true"),
        ("type-other", [1, 13, *LEAVE], "wrong-type", "WIRE-13", "the type is 13"),
        ("fields-none", [1, 14], "bad-form", "", "all fields left out"),
        ("fields-few", [1, 14, ONE, ONE], "bad-form", "", "the last field left out"),
        ("fields-many", [1, 14, *LEAVE, ONE], "bad-form", "", "one more field at the end"),
        ("id-31", [1, 14, ONE, ONE[1:], ONE], "bad-form", "WIRE-16",
         "the first byte of the member left out"),
        ("id-33", [1, 14, ONE, ONE + ONE[:1], ONE], "bad-form", "WIRE-16",
         "one more byte at the end of the member"),
        ("id-str", [1, 14, ONE, "a" * 32, ONE], "bad-form", "WIRE-15",
         "a str of 32 bytes as member"),
        ("limit", bytes(257), "too-large", "WIRE-01", "257 zero bytes in the place of the object"),
    ):
        yield parse_case(name, "leave request", value, reason, spec or "WIRE-14", leaving, what)
    short, more = [ONE[1:], ONE, ONE], [*LEAVE, ONE]
    twice: list[tuple[str, Any, str, str, str]] = [
        ("limit-first", [2, 14, *more, *more], "too-large",
         "the version is 2, and five more fields make it longer than 256 bytes",
         "the limit comes before the version"),
        ("encoding-first", ref.encode([2, 14, *LEAVE])[:-1], "truncated",
         "the version is 2, and the last byte is left out",
         "the encoding comes before the version"),
        ("items-before-version", [2], "bad-form", "only a version 2 is left",
         "the number of items comes before the version"),
        ("version-first", [2, None], "wrong-version",
         "the version is 2, the type nil, and all fields left out",
         "the version comes before the type"),
        ("version-before-type", [2, 13, *LEAVE], "wrong-version", "the version is 2, the type 13",
         "the version comes before the type"),
        ("type-form-before-count", [1, None, ONE], "bad-form",
         "the type is nil, and two fields left out", "the type comes before the fields"),
        ("type-before-count", [1, 13], "wrong-type", "the type is 13, and all fields left out",
         "the type comes before the number of fields"),
        ("type-before-fields", [1, 13, *short], "wrong-type",
         "the type is 13, and the first byte of the room left out",
         "the type comes before the fields"),
    ]
    for name, value, reason, what, comment in twice:
        yield parse_case(name, "leave request", value, reason, "WIRE-14", leaving, what,
                         f"two faults: {comment}")  # fmt: skip


def header_cases() -> Iterator[Json]:
    """The fields of a header."""
    places: list[tuple[str, int, Any, str | None]] = [
        ("index-last", 3, 2**32 - 1, None), ("index-past", 3, 2**32, "the index is 2^32"),
        ("index-true", 3, True, "the index is true"), ("salt-empty", 4, b"", "the salt is empty"),
        ("prefix-7", 1, ONE[:7], "the prefix has 7 bytes"),
        ("last-spoken", 5, [ONE[:8], 300], None),
        ("last-spoken-last", 5, [ONE[:8], 2**32 - 1], None),
        ("last-spoken-past", 5, [ONE[:8], 2**32], "last spoken at a count of 2^32"),
        ("last-spoken-one", 5, [ONE[:8]], "last spoken without its count"),
        ("last-spoken-bin", 5, ONE[:8], "a bin as last spoken"),
        ("last-spoken-empty", 5, [], "an empty array as last spoken"),
        ("flags-1", 6, 1, None),
        ("flags-2", 6, 2, "the flags are 2"), ("flags-false", 6, False, "the flags are false"),
        ("turn", 7, [ONE, ONE, ONE + ONE[:16], None], None),
        ("turn-entry", 7, [ONE, ONE, ONE + ONE[:16], b"x"], None),
        ("turn-entry-empty", 7, [ONE, ONE, ONE + ONE[:16], b""], "an empty entry in a turn"),
        ("turn-entry-array", 7, [ONE, ONE, ONE + ONE[:16], [1, 1, b"x", ONE + ONE]],
         "an array in the place of the encoded entry of a turn"),
        ("turn-slot", 7, [ONE, ONE, ONE, None], "a slot of 32 bytes in a turn"),
        ("turn-empty-bin", 7, b"", "an empty bin as turn"),
    ]  # fmt: skip
    yield parse_case("header", "header", [1, 15, *HEADER])
    for name, place, value, mutation in places:
        changed = [*HEADER[:place], value, *HEADER[place + 1 :]]
        number = " LIMIT-21" if name in ("index-last", "index-past", "last-spoken-last",
                                         "last-spoken-past") else ""  # fmt: skip
        embedded = " WIRE-17" if name == "turn-entry-array" else ""
        yield parse_case(f"header-{name}", "header", [1, 15, *changed],
                         "bad-form" if mutation else None,
                         f"FORM-01 WIRE-15 WIRE-16{number}{embedded}",
                         "header" if mutation else None, mutation)  # fmt: skip
    for size, long_entry in ((1_024, None), (1_025, "an entry of 1,025 bytes in a turn")):
        changed = [*HEADER[:7], [ONE, ONE, ONE + ONE[:16], bytes(size)]]
        yield parse_case("header-turn-entry-long" if long_entry else f"header-turn-entry-{size}",
                         "header", [1, 15, *changed], "too-large" if long_entry else None,
                         "FORM-01 WIRE-16 LIMIT-08",
                         "header-turn-entry" if long_entry else None, long_entry)  # fmt: skip


def roster_cases() -> Iterator[Json]:
    """The fields of a roster."""
    roster = "roster-one"
    yield parse_case(roster, "roster", [1, 7, 1, [ROW]], None, "FORM-01")
    yield parse_case("roster-none", "roster", [1, 7, 1, []], "bad-form", "FORM-01", roster,
                     "the one row left out")
    yield parse_case("roster-role-3", "roster", [1, 7, 1, [[ONE, 3, *ROW[2:]]]], "bad-form",
                     "FORM-01", roster, "the role is 3")
    yield parse_case("roster-row-short", "roster", [1, 7, 1, [[*ROW[:6], *ROW[8:]]]], "bad-form",
                     "FORM-01", roster, "a row of eight items, as in earlier drafts")
    yield parse_case("roster-credential-array", "roster",
                     [1, 7, 1, [[*ROW[:8], [1, 1, b"x", ONE + ONE], None]]], "bad-form",
                     "FORM-01 WIRE-17", roster,
                     "an array in the place of the encoded credential")  # fmt: skip
    yield parse_case("roster-seniority-last", "roster",
                     [1, 7, 2**32 - 1, [[*ROW[:2], 2**32 - 1, *ROW[3:]]]], None,
                     "FORM-01 LIMIT-21")  # fmt: skip
    yield parse_case("roster-resynced-last", "roster", [1, 7, 1, [[*ROW[:9], 2**40 - 1]]], None,
                     "FORM-01")  # fmt: skip
    yield parse_case("roster-resynced-past", "roster", [1, 7, 1, [[*ROW[:9], 2**40]]], "bad-form",
                     "FORM-01", "roster-resynced-last", "one second more")  # fmt: skip
    yield parse_case("roster-seniority-past", "roster", [1, 7, 1, [[*ROW[:2], 2**32, *ROW[3:]]]],
                     "bad-form", "FORM-01 LIMIT-21", roster, "a seniority of 2^32")
    for place, name in ((6, "sponsor"), (7, "ranked")):
        for number, mutation in ((2**32 - 1, None), (2**32, "one more")):
            yield parse_case(f"roster-{name}-{'past' if mutation else 'last'}", "roster",
                             [1, 7, 1, [[*ROW[:place], number, *ROW[place + 1 :]]]],
                             "bad-form" if mutation else None, "FORM-01 LIMIT-21",
                             f"roster-{name}-last" if mutation else None, mutation)  # fmt: skip
    yield parse_case("roster-next-past", "roster", [1, 7, 2**32, [ROW]], "bad-form",
                     "FORM-01 LIMIT-21", roster, "a next seniority of 2^32")


def commit_cases() -> Iterator[Json]:
    """Operations, proofs and numbers in a commit."""
    commit = [ONE, 0, ONE, ONE, 0, [], [], b"x", ONE, ONE]
    operations: list[tuple[str, Any, str | None, str | None]] = [
        ("add", [0, b"x", 2], None, None), ("sanction", [1, b"x"], None, None),
        ("set-role", [2, ONE, 0], None, None),
        ("set-policy", [3, [1, True, None, 1]], None, None),
        ("none", [], "set-role", "the operation is an empty array"),
        ("bin", b"", "set-role", "the operation is an empty bin"),
        ("four", [4, ONE, ONE], "set-role", "the number of the operation is 4"),
        ("true", [True, b"x"], "sanction", "the number of the operation is true"),
        ("false", [False, b"x", 0], "add", "the number of the operation is false"),
        ("add-short", [0, b"x"], "add", "an add without its role"),
        ("add-role-3", [0, b"x", 3], "add", "the role is 3"),
        ("add-array", [0, [1, 1, b"x", ONE + ONE], 2], "add",
         "an array in the place of the encoded package"),
        ("sanction-as-removal", [1, ONE, ONE], "sanction",
         "member and admission, as in earlier drafts"),
        ("sanction-nil", [1, None], "sanction", "nil as sanction"),
        ("sanction-empty", [1, b""], "sanction", "an empty sanction"),
        ("sanction-array", [1, [1, 1, b"x", ONE + ONE]], "sanction",
         "an array in the place of the encoded sanction"),
        ("mode-3", [3, [3, True, None, 1]], "set-policy", "the mode is 3"),
        ("may-add-1", [3, [1, 1, None, 1]], "set-policy",
         "the integer 1 in the place of true"),
        ("policy-bin", [3, b"x"], "set-policy", "a bin in the place of the policy"),
    ]  # fmt: skip
    for name, op, of, mutation in operations:
        changed = [*commit[:5], [op], *commit[6:]]
        spec = "FORM-05"
        if name == "set-policy":
            spec += " LIMIT-01"  # the deepest object that there is
        if name in ("add-array", "sanction-array"):
            spec += " WIRE-17"
        yield parse_case(f"operation-{name}", "commit", [1, 9, *changed],
                         "bad-form" if mutation else None, spec,
                         of and f"operation-{of}", mutation)  # fmt: skip
    for count in (16, 17):
        changed = [*commit[:6], [[0, b"x"]] * count, *commit[7:]]
        mutation = "one proof more" if count == 17 else None
        yield parse_case(f"proofs-{count}", "commit", [1, 9, *changed],
                         "too-large" if mutation else None, "LIMIT-12",
                         "proofs-16" if mutation else None, mutation)  # fmt: skip
    for kind, mutation in ((1, None), (2, "the kind is 2")):
        changed = [*commit[:6], [[kind, b"x"]], *commit[7:]]
        yield parse_case(f"proof-kind-{kind}", "commit", [1, 9, *changed],
                         "bad-form" if mutation else None, "FORM-01",
                         "proof-kind-1" if mutation else None, mutation)  # fmt: skip
    for number, mutation in ((2**32 - 1, None), (2**32, "the number of the epoch is 2^32")):
        yield parse_case("commit-epoch-past" if mutation else "commit-epoch-last", "commit",
                         [1, 9, ONE, number, *commit[2:]], "bad-form" if mutation else None,
                         "LIMIT-21", "commit-epoch-last" if mutation else None,
                         mutation)  # fmt: skip


def embedded_cases() -> Iterator[Json]:
    """What stands in another object as a bin, and how long it may be."""
    text = "é" * 128
    yield parse_case("name-256", "card", [1, 4, text, b"x"], None, "LIMIT-09 WIRE-16")
    yield parse_case("name-257", "card", [1, 4, text + "a", b"x"], "too-large",
                     "LIMIT-09 WIRE-16", "name-256", "one more character of one byte at the end")
    yield parse_case("name-bin", "card", [1, 4, b"name", b"x"], "bad-form", "WIRE-15",
                     "name-256", "the name is a bin")
    yield parse_case("card-array", "card", [1, 4, text, [1, 1, b"x", ONE + ONE]], "bad-form",
                     "WIRE-17", "name-256", "an array in the place of the encoded package")
    # A body of a signed object is a bin: no limit but its own, and no type until it is parsed.
    whole = ONE + ONE
    yield parse_case("signed-896", "signed object", [1, 1, bytes(896), whole], None, "LIMIT-08")
    yield parse_case("signed-897", "signed object", [1, 1, bytes(897), whole], "too-large",
                     "LIMIT-08", "signed-896", "one more byte in the body")
    yield parse_case("signed-array", "signed object", [1, 1, [1, 14, *LEAVE], whole], "bad-form",
                     "WIRE-17", "signed-896", "an array in the place of the encoded body")
    for size, reason in ((1_024, "bad-form"), (1_025, "too-large")):
        filled = bytes(size - 3 - 3 - 896 - 2)
        yield parse_case(f"signed-object-{size}", "signed object", [1, 1, bytes(896), filled],
                         reason, "LIMIT-08 WIRE-14", "signed-896",
                         f"the signature lengthened until the object has {size:,} bytes",
                         "two faults: the limit, then the fields" if size > 1_024 else
                         "at the limit of the whole object: only the signature is wrong",
                         )  # fmt: skip
    sealed = [ONE, ONE[:8], ONE, ONE[:16]]
    yield parse_case("sealed-commit-16", "sealed commit", [1, 11, *sealed, bytes(16)], None,
                     "FORM-01")
    yield parse_case("sealed-commit-15", "sealed commit", [1, 11, *sealed, bytes(15)], "bad-form",
                     "FORM-01 WIRE-16", "sealed-commit-16", "one byte less in the ciphertext")
    yield parse_case("commit-copy-array", "commit copy", [1, 12, [1, 11, *sealed, bytes(16)],
                     None], "bad-form", "WIRE-17", "commit-copy",
                     "an array in the place of the encoded sealed commit")  # fmt: skip
    yield parse_case("commit-copy", "commit copy", [1, 12, b"x", None], None, "FORM-01")
    yield parse_case("message-array", "message", [1, 16, [1, 15, *HEADER], bytes(17), ONE],
                     "bad-form", "WIRE-17", "message",
                     "an array in the place of the encoded header")  # fmt: skip
    yield parse_case("message", "message", [1, 16, b"x", bytes(17), ONE], None, "FORM-01")
    yield parse_case("count-before-fields", "card", [1, 4, "a" * 257], "bad-form", "WIRE-14",
                     "name-256", "the name has 257 bytes, the package is left out",
                     "two faults: the number of fields comes before the fields")  # fmt: skip
    yield parse_case("field-order", "card", [1, 4, b"", bytes(1_025)], "bad-form", "WIRE-14",
                     "name-256", "the name is a bin, the package 1,025 bytes long",
                     "two faults: fields in their order")  # fmt: skip
    yield parse_case("field-order-reversed", "card", [1, 4, "a" * 257, None], "too-large",
                     "WIRE-14", "name-256", "the name has 257 bytes, the package is nil",
                     "two faults: fields in their order")  # fmt: skip


def content_cases() -> Iterator[Json]:
    """The limits of contents (LIMIT-02, LIMIT-03), by `parse long` of `limits.py`."""
    text, data = "9701" "20" "00c001c0", "9701" "21" "00c001c0"
    begun = "9702" "20" "00c001c0"  # version 2: seen as soon as the length is right
    filler = 65_792 - len(un(begun)) - 5
    for name, form, parts, reason, of, what, comment in (
        ("data-65536", "data", [[data + "c600010000", 1], ["a5", 65_536]], None, None, None,
         "the longest data"),
        ("data-65537", "data", [[data + "c600010001", 1], ["a5", 65_537]], "too-large",
         "data-65536", "one more byte of data", "one byte past the longest data"),
        ("text-two-bytes", "text", [[text + "db00010000", 1], ["c3a9", 32_768]], None, None, None,
         "the longest text, in half as many characters"),
        ("text-65537", "text", [[text + "db00010001", 1], ["c3a9", 32_768], ["61", 1]],
         "too-large", "text-two-bytes", "one more character of one byte at the end",
         "one byte past the longest text, in half as many characters"),
        ("content-65792", "text", [[f"{begun}db{filler:08x}", 1], ["61", filler]],
         "wrong-version", "text-two-bytes",
         "the version is 2, and the text so long that the content has 65,792 bytes",
         "two faults: at the limit of a content, the version is seen first"),
        ("content-65793", "text", [[f"{begun}db{filler + 1:08x}", 1], ["61", filler + 1]],
         "too-large", "text-two-bytes",
         "the version is 2, and the text so long that the content has 65,793 bytes",
         "two faults: past the limit of a content, nothing else is seen"),
    ):  # fmt: skip
        spec = "LIMIT-03 WIRE-01" if name.startswith("content") else "LIMIT-02 WIRE-16"
        yield case(f"parse-long-{name}", spec, comment, "parse long",
                   {"form": form, "data": parts}, reason,
                   parent=of and f"parse-long-{of}", mutation=what)  # fmt: skip


def parse_cases() -> Iterator[Json]:
    yield from object_cases()
    yield from header_cases()
    yield from roster_cases()
    yield from commit_cases()
    yield from embedded_cases()
    yield from content_cases()
