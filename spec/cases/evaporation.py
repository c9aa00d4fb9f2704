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
