"""relay.json, first part: what a client and a relay say to each other (22.2, 22.4)."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import Json, case, operation, tagged, un
from spec.cases.limits import Parts, a_bin, an_array, length

from spec import reference as ref


@operation("read frame")
def _read_frame(i: Json) -> Json:
    form, fields = ref.read_frame(un(i["data"]), i["from"] == "client")
    return {"form": form, "fields": tagged(fields)}


A, B = b"\x01" * 32, b"\x02" * 32
CAPABILITY, ENVELOPE_ID, TOKEN = b"\x03" * 16, b"\x04" * 16, b"\x05" * 16
SIGNATURE = b"\x06" * 64
LAST = 2**32 - 1
ITEM: list[Any] = [A, CAPABILITY, ENVELOPE_ID, b"x"]
IDS = [n.to_bytes(16, "big") for n in range(257)]

Wrong = tuple[str, list[Any], str, str]  # name, fields, reason, what was changed


def replaced(fields: list[Any], place: int, value: Any) -> list[Any]:
    return [*fields[:place], value, *fields[place + 1 :]]


def of_size(what: str, size: int) -> tuple[bytes, str]:
    return b"\x07" * size, f"{what} of {size} bytes"


def form_case(
    form: str, name: str, value: Any, reason: str | None, spec: str, of: str | None = None,
    mutation: str | None = None, comment: str = "",
) -> Json:  # fmt: skip
    data = value if isinstance(value, bytes) else ref.encode(value)
    stem = f"relay-form-{form.replace(' ', '-')}"
    return case(f"{stem}-{name}", spec, comment or f"parse as {form}", "parse",
                {"form": form, "data": data.hex()}, reason, features="client",
                parent=of and f"{stem}-{of}", mutation=mutation)  # fmt: skip


# Of each form: fields that are accepted, by name, the first of them as the parent of others.
GOOD: dict[str, dict[str, list[Any]]] = {
    "put": {"one": [[ITEM]], "two": [[ITEM, [B, *ITEM[1:]]]], "equal": [[ITEM, ITEM]]},
    "outcomes": {"nil": [[None]], "each": [["unknown-mailbox", None, "mailbox-full"]],
                 "empty-text": [[""]], "text-32": [["é" * 16]], "256": [[None] * 256]},
    "recall": {"one": [[ITEM[:3]]], "two": [[ITEM[:3], [B, *ITEM[1:3]]]]},
    "publish": {"nothing": [A, [], None], "one": [A, [b"x"], None], "last": [A, [], b"x"],
                "100": [A, [b"x"] * 100, b"x"], "1024": [A, [bytes(1_024)], bytes(1_024)]},
    "claim": {"good": [A]},
    "blob": {"one": [A, b"x"]},
    "blob deletion": {"good": [A, TOKEN]},
    "challenge": {"good": [A]},
    "delivery": {"one": [A, ENVELOPE_ID, b"x"]},
    "notice": {"one": [A, ENVELOPE_ID, b"x"]},
    "done": {"nil": [0, None, 0], "refused": [7, "unknown-mailbox", 0],
             "last": [LAST, "a" * 32, LAST], "empty-text": [1, "", 1]},
    "prove": {"good": [0, A, SIGNATURE], "last": [LAST, A, SIGNATURE]},
    "make mailbox": {"good": [0, A, B], "last": [LAST, A, B]},
    "remove mailbox": {"good": [0, A], "last": [LAST, A]},
    "subscribe": {"good": [0, A], "last": [LAST, A]},
    "unsubscribe": {"good": [0, A], "last": [LAST, A]},
    "ack": {"one": [0, A, [ENVELOPE_ID]], "256": [LAST, A, IDS[:256]]},
    "credit": {"none": [0, 0], "most": [1_000, 16_777_216]},
}  # fmt: skip


def numbered(fields: list[Any]) -> list[Wrong]:
    """What a number may not be."""
    return [("number-past", replaced(fields, 0, LAST + 1), "bad-form", "the number is 2^32"),
            ("number-true", replaced(fields, 0, True), "bad-form", "true as number"),
            ("number-nil", replaced(fields, 0, None), "bad-form", "nil as number")]  # fmt: skip


def sized(fields: list[Any], place: int, what: str, size: int) -> list[Wrong]:
    """A bin of one size, longer and shorter by one, and what is no bin."""
    word = what.replace(" ", "-")
    return [
        *((f"{word}-{n}", replaced(fields, place, of_size(what, n)[0]), "bad-form",
           of_size(what, n)[1]) for n in (size - 1, size + 1)),
        (f"{word}-str", replaced(fields, place, "a" * size), "bad-form", f"a str as {what}"),
        (f"{word}-nil", replaced(fields, place, None), "bad-form", f"nil as {what}"),
    ]  # fmt: skip


def wrong_items(fields: list[Any], place: int, item: list[Any], names: list[str]) -> list[Wrong]:
    """Arrays of items, and what they may not hold."""
    found: list[Wrong] = [
        ("none", replaced(fields, place, []), "bad-form", "no item"),
        ("nil", replaced(fields, place, None), "bad-form", "nil as items"),
        ("bare", replaced(fields, place, item), "bad-form", "an item in the place of the items"),
        ("item-short", replaced(fields, place, [item[:-1]]), "bad-form", "the last of it left out"),
        ("item-long", replaced(fields, place, [[*item, None]]), "bad-form", "nil after an item"),
        ("item-nil", replaced(fields, place, [item, None]), "bad-form", "nil as second item"),
    ]
    for at, name in enumerate(names):
        size = len(item[at])
        for n in (size - 1, size + 1):
            found.append((f"{name}-{n}", replaced(fields, place, [replaced(item, at, bytes(n))]),
                          "bad-form", f"{name} of {n} bytes"))  # fmt: skip
    return found


def wrong(form: str) -> list[Wrong]:
    """What has one fault in a field."""
    good = next(iter(GOOD[form].values()))
    if form == "put":
        return [
            *wrong_items(good, 0, ITEM, ["address", "capability", "id"]),
            ("envelope-empty", [[replaced(ITEM, 3, b"")]], "bad-form", "an empty envelope"),
            ("envelope-str", [[replaced(ITEM, 3, "x")]], "bad-form", "a str as envelope"),
            ("envelope-array", [[replaced(ITEM, 3, [1, 18, A, bytes(17)])]], "bad-form",
             "an array in the place of the envelope"),
            ("second-id-15", [[ITEM, replaced(ITEM, 2, bytes(15))]], "bad-form",
             "one more item, with an id of 15 bytes"),
        ]  # fmt: skip
    if form == "recall":
        return [*wrong_items(good, 0, ITEM[:3], ["address", "capability", "id"]),
                ("with-envelope", [[ITEM]], "bad-form", "an item of a put")]  # fmt: skip
    if form == "outcomes":
        return [
            ("none", [[]], "bad-form", "no outcome"), ("bare", [None], "bad-form", "nil alone"),
            ("text-33", [["é" * 16 + "a"]], "too-large", "a reason of 33 bytes in UTF-8"),
            ("bin", [[b"unknown-mailbox"]], "bad-form", "a bin as reason"),
            ("number", [[0]], "bad-form", "0 as outcome"),
            ("true", [[True]], "bad-form", "true as outcome"),
            ("nested", [[[None]]], "bad-form", "an outcome in an array of its own"),
            ("257", [[None] * 257], "too-large", "256 more outcomes"),
            ("257-true", [[True, *[None] * 256]], "too-large",
             "256 more outcomes, and the first is true"),
        ]  # fmt: skip
    if form == "publish":
        return [
            *sized(good, 0, "fingerprint", 32),
            ("101", [A, [b"x"] * 101, None], "too-large", "101 packages"),
            ("package-empty", [A, [b""], None], "bad-form", "an empty package"),
            ("package-1025", [A, [bytes(1_025)], None], "too-large", "a package of 1,025 bytes"),
            ("package-nil", [A, [None], None], "bad-form", "nil as a package"),
            ("package-array", [A, [[1, 1, b"x", SIGNATURE]], None], "bad-form",
             "an array in the place of an encoded package"),
            ("packages-nil", [A, None, None], "bad-form", "nil as packages"),
            ("last-empty", [A, [], b""], "bad-form", "an empty last resort"),
            ("last-1025", [A, [], bytes(1_025)], "too-large", "a last resort of 1,025 bytes"),
            ("last-array", [A, [], [b"x"]], "bad-form", "the last resort in an array"),
        ]  # fmt: skip
    if form == "blob":
        return [*sized(good, 0, "token hash", 32), ("empty", [A, b""], "bad-form", "no content"),
                ("str", [A, "x"], "bad-form", "a str as content")]  # fmt: skip
    if form == "blob deletion":
        return [*sized(good, 0, "hash", 32), *sized(good, 1, "token", 16)]
    if form == "claim":
        return sized(good, 0, "fingerprint", 32)
    if form == "challenge":
        return sized(good, 0, "challenge", 32)
    if form in ("delivery", "notice"):
        what = "envelope" if form == "delivery" else "statement"
        return [*sized(good, 0, "address", 32), *sized(good, 1, "id", 16),
                ("empty", replaced(good, 2, b""), "bad-form", f"an empty {what}"),
                ("str", replaced(good, 2, "x"), "bad-form", f"a str as {what}")]  # fmt: skip
    if form == "done":
        return [
            *numbered(good), ("text-33", [0, "a" * 33, 0], "too-large", "a reason of 33 bytes"),
            ("bin", [0, b"replay", 0], "bad-form", "a bin as reason"),
            ("false", [0, False, 0], "bad-form", "false as reason"),
            ("seconds-past", [0, None, LAST + 1], "bad-form", "2^32 seconds"),
            ("seconds-nil", [0, None, None], "bad-form", "nil as seconds"),
        ]  # fmt: skip
    if form == "prove":
        return [*numbered(good), *sized(good, 1, "read key", 32), *sized(good, 2, "proof", 64)]
    if form == "ack":
        return [
            *numbered(good), *sized(good, 1, "address", 32),
            ("none", [0, A, []], "bad-form", "no id"), ("nil", [0, A, None], "bad-form",
                                                        "nil as ids"),
            ("bare", [0, A, ENVELOPE_ID], "bad-form", "an id in the place of the ids"),
            ("id-15", [0, A, [bytes(15)]], "bad-form", "an id of 15 bytes"),
            ("id-17", [0, A, [bytes(17)]], "bad-form", "an id of 17 bytes"),
            ("id-nil", [0, A, [ENVELOPE_ID, None]], "bad-form", "nil as second id"),
            ("257", [0, A, IDS], "too-large", "257 ids"),
            ("257-id-15", [0, A, [bytes(15), *IDS[1:]]], "too-large",
             "257 ids, and the first has 15 bytes"),
        ]  # fmt: skip
    if form == "credit":
        return [
            ("envelopes-past", [1_001, 0], "bad-form", "1,001 envelopes"),
            ("bytes-past", [0, 16_777_217], "bad-form", "16,777,217 bytes"),
            ("envelopes-true", [True, 0], "bad-form", "true as envelopes"),
            ("bytes-nil", [0, None], "bad-form", "nil as bytes"),
            ("numbered", [0, 0, 0], "bad-form", "a number before"),
        ]  # fmt: skip
    if form == "make mailbox":
        return [*numbered(good), *sized(good, 1, "address", 32),
                *sized(good, 2, "capability hash", 32)]  # fmt: skip
    return [*numbered(good), *sized(good, 1, "address", 32)]  # an address alone


SEVERAL = ("put", "outcomes", "recall", "ack")  # REQ-LIMIT-37


def form_cases() -> Iterator[Json]:
    """Each form: what it takes, what it does not, and where another object stands."""
    assert GOOD.keys() == ref.RELAY_FORMS.keys()
    names = list(GOOD)
    for place, (form, good) in enumerate(GOOD.items()):
        kind, limit = ref.FORMS[form].type, ref.FORMS[form].limit
        first, fields = next(iter(good.items()))
        for name, values in good.items():
            spec = "RELAY-04" + {"256": " LIMIT-37", "100": " LIMIT-39",
                                 "most": " LIMIT-40"}.get(name, "")  # fmt: skip
            yield form_case(form, name, [1, kind, *values], None, spec)
        for name, values, reason, mutation in wrong(form):
            spec = "RELAY-01 RELAY-04"
            if name.startswith("257"):
                spec += " LIMIT-37"
            if name == "101":
                spec += " LIMIT-39"
            if form == "credit" and name.endswith("past"):
                spec += " LIMIT-40"
            two = "two faults: the number of items comes first" if name[:4] == "257-" else ""
            yield form_case(form, name, [1, kind, *values], reason, spec, first, mutation, two)
        whole, after = ref.encode([1, kind, *fields]), ref.FORMS[names[place - 1]].type
        for name, value, reason, mutation in (
            ("cut", whole[:-1], "truncated", "the last byte left out"),
            ("more", whole + b"\xc0", "trailing-bytes", "nil at the end"),
            ("short", ref.encode([1, kind, *fields[:-1]]), "bad-form", "the last field left out"),
            ("long", ref.encode([1, kind, *fields, None]), "bad-form", "nil as another field"),
            ("type", ref.encode([1, after, *fields]), "wrong-type", f"the type is {after}"),
            ("version-2", ref.encode([2, kind, *fields]), "wrong-version", "the version is 2"),
            ("type-long", whole.replace(bytes([1, kind]), bytes([1, 0xCC, kind]), 1),
             "non-canonical", "the type in two bytes"),
        ):  # fmt: skip
            yield form_case(form, name, value, reason, "RELAY-01 RELAY-04 WIRE-14", first, mutation)
        if limit <= 8_192:
            yield form_case(form, "limit", bytes(limit + 1), "too-large",
                            "RELAY-01 RELAY-04 WIRE-01", first,
                            f"{limit + 1:,} zero bytes in its place")  # fmt: skip
    yield form_case("put", "unused-55", ref.encode([1, 55, [ITEM]]), "wrong-type", "RELAY-04",
                    "one", "the type is 55, that of nothing")  # fmt: skip


def long_object(form: str, *parts: Parts) -> Parts:
    """An object with these in the place of its fields."""
    number = ref.FORMS[form].type
    head = ref.encode([1, number, *[0] * len(parts)])[: -len(parts)]
    return [(head, 1), *(piece for part in parts for piece in part)]


def plain(value: Any) -> Parts:
    return [(ref.encode(value), 1)]


def items(item: list[Any], count: int) -> Parts:
    return an_array(item, count)


def put_of(size: int) -> Parts:
    """A put of exactly this length: two envelopes, the first as long as it may be."""
    first = [A, CAPABILITY, IDS[0]]
    head = ref.encode([*first, b""])[:-2]  # an array of four, without its last item

    def of(second: int) -> Parts:
        return long_object("put", [(b"\x92", 1), (head, 1), *a_bin(2_097_152), (head, 1),
                                   *a_bin(second)])  # fmt: skip

    return of(size - length(of(100_000)) + 100_000)  # both have a head of 5 bytes


def limit_cases() -> Iterator[Json]:
    """At the limits, and one past them."""
    address, name = plain(A), plain(ENVELOPE_ID)
    reason = "a" * 32
    pairs: list[tuple[str, str, str, str, Parts, Parts]] = [
        ("put-items", "LIMIT-37", "put", "256 items",
         long_object("put", items(ITEM, 256)), long_object("put", items(ITEM, 257))),
        ("recall-items", "LIMIT-37", "recall", "256 items",
         long_object("recall", items(ITEM[:3], 256)), long_object("recall", items(ITEM[:3], 257))),
        ("outcomes", "LIMIT-37", "outcomes", "256 outcomes with long reasons",
         long_object("outcomes", [(b"\xdc\x01\x00", 1), (ref.encode(reason), 256)]),
         long_object("outcomes", [(b"\xdc\x01\x01", 1), (ref.encode(reason), 257)])),
        ("packages", "LIMIT-39", "publish", "100 packages of 1,024 bytes",
         long_object("publish", address,
                     [(b"\xdc\x00\x64", 1), (ref.encode(bytes(1_024)), 100)], a_bin(1_024)),
         long_object("publish", address,
                     [(b"\xdc\x00\x65", 1), (ref.encode(bytes(1_024)), 101)], a_bin(1_024))),
        ("blob", "LIMIT-38", "blob", "a content of 1,048,576 bytes",
         long_object("blob", address, a_bin(1_048_576)),
         long_object("blob", address, a_bin(1_048_577))),
        ("put-bytes", "LIMIT-07", "put", "4,194,304 bytes", put_of(4_194_304), put_of(4_194_305)),
        ("put-envelope", "LIMIT-07", "put", "an envelope of 2,097,152 bytes",
         long_object("put", [(b"\x91", 1), (ref.encode([*ITEM[:3], b""])[:-2], 1),
                             *a_bin(2_097_152)]),
         long_object("put", [(b"\x91", 1), (ref.encode([*ITEM[:3], b""])[:-2], 1),
                             *a_bin(2_097_153)])),
        ("delivery", "LIMIT-07", "delivery", "an envelope of 2,097,152 bytes",
         long_object("delivery", address, name, a_bin(2_097_152)),
         long_object("delivery", address, name, a_bin(2_097_153))),
        ("notice", "RELAY-04", "notice", "a statement of 16,384 bytes",
         long_object("notice", address, name, a_bin(16_384)),
         long_object("notice", address, name, a_bin(16_385))),
    ]  # fmt: skip
    for stem, spec, form, comment, at, past in pairs:
        large = " large" if length(at) > 1_000_000 else ""
        for what, parts, refused in (("at", at, None), ("past", past, "too-large")):
            yield case(f"relay-limit-{stem}-{what}", f"{spec} RELAY-04",
                       comment if refused is None else f"one more than {comment}", "parse long",
                       {"form": form, "data": [[part.hex(), n] for part, n in parts if part]},
                       refused, parent=f"relay-limit-{stem}-at" if refused else None,
                       mutation="one byte or item more" if refused else None,
                       features=f"client{large}")  # fmt: skip


def frame_cases() -> Iterator[Json]:
    """Which frames come from which side, and which limit holds (REQ-RELAY-15)."""

    def frame(
        side: str, name: str, data: bytes, reason: str | None = None, mutation: str | None = None,
        comment: str = "",
    ) -> Json:  # fmt: skip
        parent = {"client": "relay-frame-client-ack-one", "relay": "relay-frame-relay-done-nil"}
        return case(f"relay-frame-{side}-{name}", "RELAY-01 RELAY-15",
                    comment or f"a frame from a {side}", "read frame",
                    {"from": side, "data": data.hex()}, reason, features="client",
                    parent=parent[side] if reason else None, mutation=mutation)  # fmt: skip

    taken = {"client": ref.CLIENT_FRAMES, "relay": ref.RELAY_FRAMES}
    for side, forms in taken.items():
        for form, good in GOOD.items():
            number = ref.FORMS[form].type
            for name, values in good.items() if form in forms else list(good.items())[:1]:
                data = ref.encode([1, number, *values])
                refused = form not in forms
                yield frame(side, f"{form.replace(' ', '-')}-{name}", data,
                            "wrong-type" if refused else None,
                            f"the type is {number}, of a {form}" if refused else None)  # fmt: skip
        smallest: dict[str, list[Any]] = {
            "client": [1, 65, 0, A, [ENVELOPE_ID]], "relay": [1, 59, 0, None, 0]}  # fmt: skip
        least = ref.encode(smallest[side])
        for name, data, reason, mutation in (
            ("empty", b"", "truncated", "no bytes at all"),
            ("cut", least[:-1], "truncated", "the last byte left out"),
            ("more", least + b"\0", "trailing-bytes", "a zero byte at the end"),
            ("nil", b"\xc0", "bad-form", "nil in its place"),
            ("version-2", least[:1] + b"\x02" + least[2:], "wrong-version", "the version is 2"),
            ("type-nil", ref.encode([1, None, 0]), "bad-form", "the type is nil"),
            ("type-55", ref.encode([1, 55, 0]), "wrong-type", "the type is 55, that of nothing"),
            ("type-18", ref.encode([1, 18, A, bytes(17)]), "wrong-type",
             "the type is 18, that of an envelope"),
            ("twice", least + least, "trailing-bytes", "the same once more: two in one frame"),
        ):  # fmt: skip
            yield frame(side, name, data, reason, mutation)
    for name, data, reason, mutation, comment in (
        ("subscribe-65", ref.encode([1, 63, LAST, A, bytes(21)]), "too-large",
         "a subscribe of 65 bytes, with another field",
         "two faults: the limit of the type comes before its fields"),
        ("subscribe-64", ref.encode([1, 63, LAST, A, bytes(20)]), "bad-form",
         "a subscribe of 64 bytes, with another field", "at the limit of the type"),
        ("type-before-limit", ref.encode([1, 48, bytes(8_100)]), "wrong-type",
         "a put of 8,106 bytes", "below the limit of the place"),
        ("place-8192", bytes(8_192), "trailing-bytes", "8,192 zero bytes in its place",
         "at the limit of the place"),
        ("place-8193", bytes(8_193), "too-large", "8,193 zero bytes in its place",
         "past the limit of the place"),
    ):  # fmt: skip
        yield frame("client", name, data, reason, mutation, comment)
