"""decode.json, last part: the forms of requests, receipts and recalls, and of a resync."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import Json
from spec.cases.parse import ONE, parse_case

from spec import reference as ref

LAST = 2**40 - 1


def request_form_cases() -> Iterator[Json]:
    yield from repair_cases()
    yield from resync_cases()
    yield from notice_cases()
    yield from operation_cases()


def forms(
    form: str, good: dict[str, list[Any]], wrong: list[tuple[str, str, list[Any], str, str]]
) -> Iterator[Json]:
    """Accepted fields by name; refused ones with parent, reason and what was changed."""
    number, name = ref.FORMS[form].type, form.replace(" ", "-")
    for each, values in good.items():
        yield parse_case(f"{name}-{each}", form, [1, number, *values], None, "FORM-01")
    for each, of, values, reason, mutation in wrong:
        data = values[0] if each == "limit" else [1, number, *values]
        spec = "WIRE-01" if each == "limit" else "FORM-01"
        yield parse_case(f"{name}-{each}", form, data, reason, spec, f"{name}-{of}",
                         mutation)  # fmt: skip


def repair_cases() -> Iterator[Json]:
    request: list[Any] = [ONE, ONE, ONE[:8], 0]
    good = {"least": request, "last": [*request[:3], LAST]}
    yield from forms("repair request", good, [
        ("time-past", "last", [*request[:3], LAST + 1], "bad-form", "one second more"),
        ("time-nil", "least", [*request[:3], None], "bad-form", "nil as time"),
        ("time-true", "least", [*request[:3], True], "bad-form", "true as time"),
        ("prefix-7", "least", [ONE, ONE, ONE[:7], 0], "bad-form", "a prefix of 7 bytes"),
        ("prefix-9", "least", [ONE, ONE, ONE[:9], 0], "bad-form", "a prefix of 9 bytes"),
        ("prefix-nil", "least", [ONE, ONE, None, 0], "bad-form", "nil as prefix"),
        ("prefix-str", "least", [ONE, ONE, "a" * 8, 0], "bad-form", "a str of 8 bytes as prefix"),
        ("room-31", "least", [ONE[1:], ONE, ONE[:8], 0], "bad-form", "a room of 31 bytes"),
        ("member-33", "least", [ONE, ONE + ONE[:1], ONE[:8], 0], "bad-form",
         "a member of 33 bytes"),
        ("short", "least", request[:3], "bad-form", "the time left out"),
        ("long", "least", [*request, None], "bad-form", "nil as another field"),
        ("limit", "least", [bytes(257)], "too-large", "257 zero bytes in its place"),
    ])  # fmt: skip
    for name, number, what in (
        ("leave", 14, "the type of a leave request"),
        ("resync", 20, "the type of a resync request"),
    ):
        yield parse_case(f"repair-request-type-{name}", "repair request", [1, number, *request],
                         "wrong-type", "WIRE-13", "repair-request-least", what)  # fmt: skip
    yield parse_case("repair-request-version-2", "repair request", [2, 19, *request],
                     "wrong-version", "WIRE-12", "repair-request-least",
                     "the version is 2")  # fmt: skip
    least = ref.encode([1, 19, *request])
    yield parse_case("repair-request-time-long", "repair request",
                     least[:-1] + b"\xcc\x00", "non-canonical", "WIRE-04",
                     "repair-request-least", "the time in two bytes")  # fmt: skip
    yield parse_case("repair-request-bin-long", "repair request",
                     least.replace(b"\xc4\x08", b"\xc5\x00\x08"), "non-canonical", "WIRE-04",
                     "repair-request-least", "the length of the prefix in two bytes")  # fmt: skip
    yield parse_case("repair-request-more", "repair request", least + b"\0", "trailing-bytes",
                     "WIRE-06", "repair-request-least", "a zero byte at the end")  # fmt: skip


def resync_cases() -> Iterator[Json]:
    # The package is a bin of at most 1,024 bytes, but the whole has no more than 896.
    head = len(ref.encode([1, 20, ONE, ONE, LAST, bytes(700)])) - 700
    room = 896 - head
    good = {"least": [ONE, ONE, 0, b"x"], "last": [ONE, ONE, LAST, bytes(room)]}
    yield from forms("resync request", good, [
        ("897", "last", [ONE, ONE, LAST, bytes(room + 1)], "too-large",
         "one more byte in the package: it has 897 bytes"),
        ("package-1025", "least", [ONE, ONE, 0, bytes(1_025)], "too-large",
         "a package of 1,025 bytes"),
        ("package-empty", "least", [ONE, ONE, 0, b""], "bad-form", "an empty package"),
        ("package-nil", "least", [ONE, ONE, 0, None], "bad-form", "nil as package"),
        ("package-str", "least", [ONE, ONE, 0, "x"], "bad-form", "a str as package"),
        ("time-past", "last", [ONE, ONE, LAST + 1, bytes(room)], "bad-form", "one second more"),
        ("time-nil", "least", [ONE, ONE, None, b"x"], "bad-form", "nil as time"),
        ("room-31", "least", [ONE[1:], ONE, 0, b"x"], "bad-form", "a room of 31 bytes"),
        ("member-31", "least", [ONE, ONE[1:], 0, b"x"], "bad-form", "a member of 31 bytes"),
        ("short", "least", [ONE, ONE, 0], "bad-form", "the package left out"),
        ("long", "least", [ONE, ONE, 0, b"x", b"x"], "bad-form", "two packages"),
    ])  # fmt: skip
    yield parse_case("resync-request-array", "resync request",
                     [1, 20, ONE, ONE, 0, [1, 1, b"x", ONE + ONE]], "bad-form", "WIRE-17",
                     "resync-request-least",
                     "an array in the place of the encoded package")  # fmt: skip
    yield parse_case("resync-request-type-leave", "resync request", [1, 14, ONE, ONE, 0, b"x"],
                     "wrong-type", "WIRE-13", "resync-request-least",
                     "the type of a leave request")  # fmt: skip
    least = ref.encode([1, 20, ONE, ONE, 0, b"x"])
    yield parse_case("resync-request-package-long", "resync request",
                     least[:-3] + b"\xc5\x00\x01x", "non-canonical", "WIRE-04",
                     "resync-request-least", "the length of the package in two bytes")  # fmt: skip
    yield parse_case("resync-request-cut", "resync request", least[:-1], "truncated", "WIRE-02",
                     "resync-request-least", "the last byte left out")  # fmt: skip


def notice_cases() -> Iterator[Json]:
    """Viewed and burn have one form; more of them stands in evaporation.json."""
    ids = [n.to_bytes(16, "big") for n in range(257)]
    for form, number, other in (("viewed", 36, 37), ("burn", 37, 36)):
        yield from forms(form, {"one": [ids[:1]], "16": [ids[:16]], "256": [ids[:256]]}, [
            ("257", "256", [ids], "too-large", "one more id"),
            ("none", "one", [[]], "bad-form", "no id"),
            ("id-15", "one", [[ids[0][1:]]], "bad-form", "an id of 15 bytes"),
            ("id-17", "one", [[ids[0] + b"\0"]], "bad-form", "an id of 17 bytes"),
            ("id-nil", "one", [[None]], "bad-form", "nil as an id"),
            ("id-array", "one", [[ids[:1]]], "bad-form", "an array of ids as an id"),
            ("last-id-15", "256", [[*ids[:255], ids[255][1:]]], "bad-form",
             "the last id has 15 bytes"),
            ("short", "one", [], "bad-form", "the ids left out"),
            ("long", "one", [ids[:1], ids[:1]], "bad-form", "the ids twice"),
        ])  # fmt: skip
        yield parse_case(f"{form}-type", form, [1, other, ids[:1]], "wrong-type", "WIRE-13",
                         f"{form}-one", f"the type is {other}")  # fmt: skip
        yield parse_case(f"{form}-257-id-15", form, [1, number, [ids[0][1:], *ids[1:]]],
                         "too-large", "LIMIT-34 WIRE-14", f"{form}-256",
                         "one more id, and the first has 15 bytes",
                         "two faults: the number of ids comes before the ids")  # fmt: skip
        data = ref.encode([1, number, ids[:16]])
        assert data[3:6] == b"\xdc\x00\x10"
        yield parse_case(f"{form}-array-long", form, data[:3] + b"\xdd\x00\x00\x00\x10" + data[6:],
                         "non-canonical", "WIRE-04", f"{form}-16",
                         "the number of ids in four bytes")  # fmt: skip
        yield parse_case(f"{form}-limit", form, bytes(65_793), "too-large", "WIRE-01 LIMIT-03",
                         f"{form}-one", "65,793 zero bytes in its place")  # fmt: skip


def operation_cases() -> Iterator[Json]:
    """A resync in a commit, and the number after it."""
    commit = [ONE, 0, ONE, ONE, 0, [], [], b"x", ONE, ONE]
    for name, op, reason, mutation in (
        ("resync", [4, b"x"], None, None),
        ("resync-1024", [4, bytes(1_024)], None, None),
        ("resync-1025", [4, bytes(1_025)], "too-large", "a request of 1,025 bytes"),
        ("resync-empty", [4, b""], "bad-form", "an empty request"),
        ("resync-nil", [4, None], "bad-form", "nil as request"),
        ("resync-short", [4], "bad-form", "the request left out"),
        ("resync-long", [4, b"x", 0], "bad-form", "a role after the request, as in an add"),
        ("resync-array", [4, [1, 1, b"x", ONE + ONE]], "bad-form",
         "an array in the place of the encoded request"),
        ("five", [5, b"x"], "bad-form", "the number of the operation is 5"),
    ):  # fmt: skip
        spec = "FORM-05 WIRE-17" if name == "resync-array" else "FORM-05"
        spec += " LIMIT-08" if "102" in name else ""
        changed = [*commit[:5], [op], *commit[6:]]
        yield parse_case(f"operation-{name}", "commit", [1, 9, *changed], reason, spec,
                         "operation-resync" if reason else None, mutation)  # fmt: skip
