"""decode.json, last part: objects as large as they may be, and larger by one (chapter 15)."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import Json, case, operation, un

from spec import reference as ref

Parts = list[tuple[bytes, int]]


def told(value: Any) -> Any:
    """What a case tells of a field: of a long kind its type and size, of others the value."""
    if isinstance(value, bytes):
        return {"type": "bin", "size": len(value)}
    if isinstance(value, str):
        return {"type": "str", "size": len(value.encode())}
    return {"type": "array", "size": len(value)} if isinstance(value, list) else value


@operation("parse long")
def _parse_long(i: Json) -> Json:
    data = b"".join(un(part) * times for part, times in i["data"])
    return {"fields": [told(value) for value in ref.parse(data, i["form"])]}


ID, SIGNATURE, MAILBOX = b"\x01" * 32, b"\x02" * 64, [b"\x01" * 32, b"\x01" * 32, b"\x03" * 16]
POLICY: list[Any] = [1, True, None, 1]
FIELDS: dict[str, list[Any]] = {  # an object of each form, with None where the long field goes
    "invitation": [1, ID, ID, ID, None, ID, None],
    "welcome": [b"x", ID, None, None, None, POLICY, ID, [], []],
    "welcome directory": [b"x", ID, None, None, b"x", POLICY, ID, None, []],
    "welcome trail": [b"x", ID, None, None, b"x", POLICY, ID, [], None],
    "roster": [1_001, None],
    "genesis": [1, ID, 0, POLICY, ID, ID, b"x", None, ID],
    "commit": [ID, 0, ID, ID, 0, None, [], b"x", ID, ID],
    "signed commit": [None, ID, SIGNATURE],
    "sealed commit": [ID, ID[:8], ID, ID[:16], None],
    "commit copy": [None, None],
    "message": [b"x", None, ID],
    "envelope": [ID, None],
    "text": [0, None, 1, None, None],
}
PLACES = {"invitation": 6, "welcome": 4, "welcome directory": 7, "welcome trail": 8, "roster": 1,
          "genesis": 7, "commit": 5, "signed commit": 0, "sealed commit": 4, "commit copy": 0,
          "message": 1, "envelope": 1, "text": 4}  # fmt: skip


def around(what: str, middle: Parts) -> Parts:
    """An object with this in the place of its long field."""
    fields, place = FIELDS[what], PLACES[what]
    form = ref.FORMS[what.removesuffix(" directory").removesuffix(" trail")]
    head = ref.encode([1, form.type, *fields])[:1] + ref.encode(1) + ref.encode(form.type)
    before = head + b"".join(ref.encode(value) for value in fields[:place])
    after = b"".join(ref.encode(value) for value in fields[place + 1 :])
    return [(before, 1), *middle, (after, 1)]


def a_bin(size: int) -> Parts:
    return [(ref.encode(bytes(size))[:-size], 1), (b"\0", size)]


def a_text(size: int) -> Parts:
    return [(ref.encode("a" * size)[:-size], 1), (b"a", size)]


def an_array(item: Any, count: int) -> Parts:
    return [(b"\xdc" + count.to_bytes(2, "big"), 1), (ref.encode(item), count)]


def length(parts: Parts) -> int:
    return sum(len(part) * times for part, times in parts)


def filled(what: str, size: int) -> Parts:
    """An object of exactly this length, by its one long bin."""
    spare = size - length(around(what, a_bin(100_000))) + 100_000  # both have a head of 5 bytes
    return around(what, a_bin(spare))


def crowded(what: str, item: list[Any], place: int, size: int) -> Parts:
    """An object of exactly this length, by many items with a bin of 1,024, and a shorter one."""
    full = [*item[:place], bytes(1_024), *item[place + 1 :]]
    count = (size - length(around(what, [(bytes(3), 1)]))) // len(ref.encode(full)) - 1
    rest = size - length(around(what, an_array(full, count))) - len(ref.encode(full)) + 1_024
    last = []
    while rest > 1_024:  # two shorter ones, each with a length in two bytes
        last.append(bytes(512))
        rest -= len(ref.encode([*item[:place], bytes(512), *item[place + 1 :]]))
    last.append(bytes(rest))
    head = b"\xdc" + (count + len(last)).to_bytes(2, "big")
    items = [(ref.encode([*item[:place], each, *item[place + 1 :]]), 1) for each in last]
    return around(what, [(head, 1), (ref.encode(full), count), *items])


def limit_cases() -> Iterator[Json]:
    row, signed = [ID, 0, 0, ID, ID, ID, 0, 0, b"x", None], b"x"
    pairs: list[tuple[str, str, str, str, Parts, Parts]] = [
        ("commit-bytes", "LIMIT-05", "commit", "786,432 bytes",
         crowded("commit", [0, b"", 0], 1, 786_432), crowded("commit", [0, b"", 0], 1, 786_433)),
        ("genesis-bytes", "LIMIT-05", "genesis", "786,432 bytes",
         crowded("genesis", [b"", 0], 0, 786_432), crowded("genesis", [b"", 0], 0, 786_433)),
        ("commit-in-signed-commit", "LIMIT-05", "signed commit", "a commit of 786,432 bytes",
         around("signed commit", a_bin(786_432)), around("signed commit", a_bin(786_433))),
        ("sealed-commit", "LIMIT-05", "sealed commit", "a ciphertext of 786,576 bytes",
         around("sealed commit", a_bin(786_576)), around("sealed commit", a_bin(786_577))),
        ("commit-copy", "LIMIT-05", "commit copy", "a sealed commit of 786,688 bytes",
         around("commit copy", a_bin(786_688)), around("commit copy", a_bin(786_689))),
        ("invitation-bytes", "LIMIT-06", "invitation", "1,572,864 bytes",
         filled("invitation", 1_572_864), filled("invitation", 1_572_865)),
        ("welcome-bytes", "LIMIT-06", "welcome", "1,572,864 bytes",
         filled("welcome", 1_572_864), filled("welcome", 1_572_865)),
        ("envelope-bytes", "LIMIT-07", "envelope", "2,097,152 bytes",
         filled("envelope", 2_097_152), filled("envelope", 2_097_153)),
        ("message-body", "LIMIT-04", "message", "a body of 81,920 bytes",
         around("message", a_bin(81_920)), around("message", a_bin(81_921))),
        ("text", "LIMIT-02", "text", "a text of 65,536 bytes",
         around("text", a_text(65_536)), around("text", a_text(65_537))),
        ("roster-members", "LIMIT-10 MEM-11", "roster", "1,000 members",
         around("roster", an_array(row, 1_000)), around("roster", an_array(row, 1_001))),
        ("genesis-members", "LIMIT-10 MEM-11", "genesis", "999 packages",
         around("genesis", an_array([signed, 0], 999)),
         around("genesis", an_array([signed, 0], 1_000))),
        ("directory-rows", "LIMIT-10", "welcome", "a directory of 1,000 rows",
         around("welcome directory", an_array([ID, "x", MAILBOX], 1_000)),
         around("welcome directory", an_array([ID, "x", MAILBOX], 1_001))),
        ("trail", "INV-05", "welcome", "a trail of 256 epochs",
         around("welcome trail", an_array([ID[:8], [3, 0, 2**40 - 1, 2, 2**32 - 1]], 256)),
         around("welcome trail", an_array([ID[:8], [3, 0, 2**40 - 1, 2, 2**32 - 1]], 257))),
        ("operations", "LIMIT-11", "commit", "1,000 operations",
         around("commit", an_array([2, ID, 0], 1_000)),
         around("commit", an_array([2, ID, 0], 1_001))),
        ("policies", "LIMIT-11", "commit", "1,000 changes of policy",
         around("commit", an_array([3, POLICY], 1_000)),
         around("commit", an_array([3, POLICY], 1_001))),
    ]  # fmt: skip
    for name, spec, form, comment, at, past in pairs:
        large = "large" if length(at) > 1_000_000 else ""
        for what, parts, reason in (("at", at, None), ("past", past, "too-large")):
            yield case(f"limit-{name}-{what}", f"{spec} FORM-01",
                       comment if reason is None else f"one more than {comment}", "parse long",
                       {"form": form, "data": [[part.hex(), n] for part, n in parts if part]},
                       reason, parent=f"limit-{name}-at" if reason else None,
                       mutation="one byte or item more" if reason else None,
                       features=large)  # fmt: skip
