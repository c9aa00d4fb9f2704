"""evaporation.json (chapter 13)."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import SMALL_DH, Json, case, operation, tagged, un

from spec import reference as ref


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
    for name, after, life, mode, reason, what in (
        ("longest", 259_200, 259_200, 1, None, None), ("shortest", 0, 1, 1, None, None),
        ("nil", None, 1, 0, None, None), ("signed-nil", None, 1, 1, None, None),
        ("lifetime-0", None, 0, 1, "bad-policy", "the lifetime is 0"),
        ("lifetime-past", None, 259_201, 1, "bad-policy", "the lifetime is 259,201"),
        ("lifetime-highest", None, 2**32 - 1, 1, "bad-policy", "the lifetime is 2^32 - 1"),
        ("after-view-past", 259_201, 1, 1, "bad-policy", "after_view is 259,201"),
        ("deniable", None, 1, 2, "wrong-mode", "the mode is 2"),
        ("deniable-lifetime-0", None, 0, 2, "bad-policy", "the lifetime is 0, the mode is 2"),
        ("both-past", 259_201, 0, 1, "bad-policy", "after_view is 259,201, the lifetime is 0"),
        ("mode-3", None, 1, 3, "bad-policy", "the mode is 3"),
    ):  # fmt: skip
        two = "two faults: the evaporation, then the mode" if "deniable-" in name else name
        yield case(f"evaporation-policy-{name}", "EVAP-01 MEM-12 LIMIT-27", two, "check policy",
                   {"policy": [mode, False, after, life]}, reason,
                   parent="evaporation-policy-signed-nil" if what else None,
                   mutation=what)  # fmt: skip
    box = list(ref.MailboxKeys(b"\x07" * 32, b"\x08" * 32, b"\x09" * 16).public)
    good: dict[str, list[Any]] = {  # a small one of each type
        "text": [1, 32, now, None, 259_200, None, "hé"],
        "data": [1, 33, now, 60, 60, None, b"\0\xff"],
        "announcement": [1, 34, "Ann", box],
        "leave": [1, 35, b"any signed object"],
        "viewed": [1, 36, [b"\x01" * 16]],
        "burn": [1, 37, [b"\x01" * 16, b"\x02" * 16]],
    }

    def content(  # `of`: the good one that a refused one was made from, by a change of `what`
        name: str, value: Any, reason: str | None = None, of: str | None = None,
        what: str | None = None, spec: str = "", comment: str = "",
    ) -> Json:  # fmt: skip
        data = value if isinstance(value, bytes) else ref.encode(value)
        return case(f"evaporation-content-{name}", f"EVAP-10 FORM-03 {spec}".strip(),
                    comment or name, "read content", {"content": data.hex()}, reason,
                    parent=of and f"evaporation-content-{of}", mutation=what)  # fmt: skip

    for name, fields in good.items():
        yield content(name, fields)
    yield content("text-empty", [1, 32, now, 0, 1, bytes(16), ""])
    yield content("data-empty", [1, 33, 0, None, 1, None, b""])
    yield content("sent-last", [1, 32, 2**40 - 1, None, 1, None, "x"])
    yield content("announcement-name-256", [1, 34, "é" * 128, box], spec="LIMIT-09")
    many: list[Any] = [n.to_bytes(16, "big") for n in range(257)]
    for kind, name in ((36, "viewed"), (37, "burn")):
        yield content(f"{name}-256", [1, kind, many[:256]], spec="LIMIT-34")
        yield content(f"{name}-twice", [1, kind, [many[3], many[3]]],
                      comment="an id twice: it says no more than once")  # fmt: skip
        for fault, listed, reason, what in (
            ("257", many, "too-large", "one more id"),
            ("none", [], "bad-form", "no id"),
            ("id-15", [bytes(15)], "bad-form", "an id of 15 bytes"),
            ("id-17", [bytes(17)], "bad-form", "an id of 17 bytes"),
            ("id-text", ["x" * 16], "bad-form", "a text of 16 bytes as an id"),
            ("bin", many[3], "bad-form", "an id in the place of the array of them"),
            ("nil", None, "bad-form", "nil in the place of the array"),
        ):
            parent = f"{name}-256" if fault == "257" else name
            spec = "LIMIT-34" if fault == "257" else ""
            yield content(f"{name}-{fault}", [1, kind, listed], reason, parent, what, spec)
        yield content(f"{name}-more", [1, kind, [many[3]], None], "bad-form", name,
                      "nil as another field")  # fmt: skip
    past: list[tuple[str, Any, str, str, str, str]] = [
        ("text-as-bin", [1, 32, now, None, 259_200, None, b"x"], "bad-form", "text",
         "a bin as text", ""),
        ("data-as-text", [1, 33, now, 60, 60, None, "x"], "bad-form", "data", "a str as data", ""),
        ("lifetime-0", [1, 32, now, None, 0, None, "hé"], "bad-policy", "text",
         "the lifetime is 0", "EVAP-01 LIMIT-27"),
        ("lifetime-past", [1, 33, now, 60, 259_201, None, b"x"], "bad-policy", "data",
         "the lifetime is 259,201", "EVAP-01 LIMIT-27"),
        ("after-view-past", [1, 32, now, 259_201, 259_200, None, "hé"], "bad-policy", "text",
         "after_view is 259,201", "EVAP-01 LIMIT-27"),
        ("quote-15", [1, 32, now, None, 259_200, bytes(15), "hé"], "bad-form", "text",
         "a quote of 15 bytes", ""),
        ("sent-past", [1, 32, 2**40, None, 259_200, None, "hé"], "bad-form", "text",
         "sent at 2^40", ""),
        ("announcement-small-key", [1, 34, "Ann", [box[0], SMALL_DH, box[2]]], "bad-key",
         "announcement", "the envelope key is of small order", "ENV-12 PRIM-05"),
        ("announcement-name-257", [1, 34, "é" * 128 + "a", box], "too-large",
         "announcement-name-256", "one more character of one byte at the end of the name",
         "LIMIT-09"),
        ("announcement-no-mailbox", [1, 34, "Ann", None], "bad-form", "announcement",
         "nil as mailbox", ""),
        ("leave-empty", [1, 35, b""], "bad-form", "leave", "the leave request is empty", ""),
        ("leave-array", [1, 35, [1, 1, b"x", bytes(64)]], "bad-form", "leave",
         "an array in the place of the encoded leave request", "WIRE-17"),
        ("leave-1025", [1, 35, bytes(1_025)], "too-large", "leave",
         "a leave request of 1,025 bytes", "LIMIT-08"),
        ("type-31", [1, 31, b"any signed object"], "wrong-type", "leave", "the type is 31", ""),
        ("type-38", [1, 38, b"any signed object"], "wrong-type", "leave", "the type is 38", ""),
        ("type-message", [1, 16, b"any signed object"], "wrong-type", "leave",
         "the type is 16, that of a message", ""),
        ("version-2", [2, 35, b"any signed object"], "wrong-version", "leave",
         "the version is 2", ""),
        ("nothing", [], "bad-form", "leave", "an empty array in the place of the content", ""),
        ("trailing", ref.encode(good["leave"]) + b"\0", "trailing-bytes", "leave",
         "a zero byte put in at the end", ""),
    ]
    for name, value, reason, of, what, spec in past:
        yield content(name, value, reason, of, what, spec)
    for name, value, reason, of, what, comment in (
        ("form-before-policy", [1, 32, now, None, 0, None, b"x"], "bad-form", "text",
         "the lifetime is 0, and a bin stands as text", "the form, then the policy"),
        ("type-before-form", [1, 31, None], "wrong-type", "leave",
         "the type is 31, and the leave request is nil", "the type, then the form"),
        ("version-before-type", [2, 31, b"x"], "wrong-version", "leave",
         "the version is 2, the type 31", "the version, then the type"),
        ("form-before-key", [1, 34, 0, [box[0], SMALL_DH, box[2]]], "bad-form", "announcement",
         "the name is 0, and the envelope key is of small order", "the form, then the key"),
    ):
        yield content(name, value, reason, of, what, comment=f"two faults: {comment}")
