"""relay.json, last part: what a relay remembers, and for how long (22.3 to 22.5)."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import EXPIRY, Json, Stream, case, operation, some_keys, un, un_maybe

from spec import reference as ref

HOUR = 3_600
START = 472_222 * HOUR  # where an hour begins


def told(package: bytes | None) -> str:
    return "" if package is None else package.hex()


def step(relay: ref.Relay, i: Json) -> Json:
    """One step: what a relay answers."""
    what, now = i["do"], i["now"]
    relay.forget(now)
    if what == "make":
        relay.make(un(i["address"]), un(i["capability_hash"]), now)
    elif what == "remove":
        relay.boxes.pop(un(i["address"]), None)
    elif what in ("put", "recall"):
        outcomes: list[str | None] = []
        for item in i["items"]:
            try:
                address, capability, name, *envelope = map(un, item)
                if what == "put":
                    relay.put(address, capability, name, envelope[0], now)
                else:
                    relay.recall(address, capability, name, now)
                outcomes.append(None)
            except ref.Refused as refused:
                outcomes.append(refused.reason)
        return {"outcomes": outcomes}
    elif what == "fill":
        address, capability = un(i["address"]), un(i["capability"])
        for n in range(i["count"]):
            relay.put(address, capability, n.to_bytes(16, "big"), b"\0", now)
    elif what == "fetch":
        waiting = sorted(relay.fetch(un(i["address"])).items())
        return {"waiting": [[name.hex(), envelope.hex()] for name, envelope in waiting]}
    elif what == "count":
        return {"count": len(relay.fetch(un(i["address"])))}
    elif what == "ack":
        relay.ack(un(i["address"]), [un(name) for name in i["ids"]])
    elif what == "publish":
        relay.publish(un(i["fingerprint"]), [un(each) for each in i["packages"]],
                      un_maybe(i["last_resort"]), now)  # fmt: skip
    elif what == "claim":
        given = [relay.claim(un(i["fingerprint"]), now) for _ in range(i["times"])]
        return {"packages": sorted(told(each) for each in given)}
    elif what == "put blob":
        relay.put_blob(un(i["token_hash"]), un(i["content"]), now)
    elif what == "fetch blob":
        return {"content": relay.blob(un(i["hash"])).hex()}
    else:
        relay.delete_blob(un(i["hash"]), un(i["token"]))
    return {}


@operation("relay")
def _relay(i: Json) -> Json:
    relay, results = ref.Relay(i["retention"]), []
    for each in i["steps"]:
        try:
            results.append(step(relay, each))
        except ref.Refused as refused:
            results.append({"reason": refused.reason})
    return {"results": results}


class Mailbox:
    """Steps that are about one mailbox; `now` is in seconds from the start."""

    def __init__(self, name: str) -> None:
        random = Stream(f"relay-{name}")
        self.address, self.capability, self.wrong = random(32), random(16), random(16)

    def make(self, now: int, capability: bytes | None = None) -> Json:
        kept = ref.H(b"capability", capability or self.capability)
        return {"do": "make", "now": START + now, "address": self.address.hex(),
                "capability_hash": kept.hex()}  # fmt: skip

    def item(self, name: int, envelope: bytes | None = None, *, wrong: bool = False) -> list[str]:
        capability = self.wrong if wrong else self.capability
        base = [self.address, capability, bytes([0xE0]) + name.to_bytes(15, "big")]
        return [part.hex() for part in ([*base, envelope] if envelope is not None else base)]

    def put(self, now: int, *names: int, envelope: bytes = b"x", wrong: bool = False) -> Json:
        return items("put", now, *(self.item(name, envelope, wrong=wrong) for name in names))

    def recall(self, now: int, *names: int, wrong: bool = False) -> Json:
        return items("recall", now, *(self.item(name, wrong=wrong) for name in names))

    def ack(self, now: int, *names: int) -> Json:
        ids = [self.item(name)[2] for name in names]
        return {"do": "ack", "now": START + now, "address": self.address.hex(), "ids": ids}

    def other(self, do: str, now: int, **more: Any) -> Json:
        return {"do": do, "now": START + now, "address": self.address.hex(), **more}

    def fetch(self, now: int) -> Json:
        return self.other("fetch", now)


def items(do: str, now: int, *each: list[str]) -> Json:
    return {"do": do, "now": START + now, "items": list(each)}


def play(
    name: str, spec: str, comment: str, steps: list[Json], wanted: list[Any],
    retention: int = 72,
) -> Json:  # fmt: skip
    """`wanted`: what is meant to come of it, in a few words."""
    made = case(f"relay-play-{name}", spec, comment, "relay",
                {"retention": retention, "steps": steps}, features="relay")  # fmt: skip
    brief: list[Any] = []
    for result in made["out"]["results"]:
        ((key, value),) = result.items() or [("ok", None)]
        brief.append(len(value) if key in ("waiting", "packages", "content") else value)
    assert brief == wanted, (name, brief)
    return made


def play_cases() -> Iterator[Json]:
    yield from putting()
    yield from forgetting()
    yield from leasing()
    yield from keeping_packages()
    yield from keeping_blobs()


def putting() -> Iterator[Json]:
    a, b, none = Mailbox("a"), Mailbox("b"), Mailbox("none")
    yield play("put", "RELAY-05 ENV-11", "what a relay takes, and what not", [
        a.fetch(0), a.put(0, 1), a.make(0), a.fetch(0), a.put(1, 1), a.fetch(1),
        a.put(2, 1, envelope=b"other bytes"), a.fetch(2), a.put(3, 2, wrong=True), a.fetch(3),
        b.make(4), items("put", 5, a.item(3, b"y"), none.item(3, b"y"), b.item(3, b"z"),
                         b.item(4, b"y", wrong=True), a.item(3, b"w"), b.item(1, b"y")),
        a.fetch(5), b.fetch(5),
    ], ["unknown-mailbox", ["unknown-mailbox"], None, 0, [None], 1, [None], 1, ["not-permitted"], 1,
        None, [None, "unknown-mailbox", None, "not-permitted", None, None], 2, 2])  # fmt: skip
    yield play("make-again", "RELAY-09 ENV-11", "the capability of the first time counts", [
        a.make(0), a.put(1, 1), a.make(2, a.wrong), a.fetch(2), a.put(3, 2),
        a.put(3, 3, wrong=True), a.fetch(4),
    ], [None, [None], None, 1, [None], ["not-permitted"], 2])  # fmt: skip
    yield play("remove", "RELAY-09 ENV-10", "a mailbox that is removed, and made anew", [
        a.make(0), b.make(0), a.put(0, 1), b.put(0, 1), a.other("remove", 1), a.fetch(1),
        a.put(1, 2), a.recall(1, 2), b.fetch(1), a.other("remove", 2), a.make(3, a.wrong),
        a.fetch(3), a.put(4, 3), a.put(4, 3, wrong=True), a.fetch(4),
    ], [None, None, [None], [None], None, "unknown-mailbox", ["unknown-mailbox"],
        ["unknown-mailbox"], 1, None, None, 0, ["not-permitted"], [None], 1])  # fmt: skip
    yield play("ack", "RELAY-05 RELAY-11 ENV-11 ENV-21", "acked is erased, and stays known", [
        a.make(0), b.make(0), a.put(0, 1, 2, 3), b.put(0, 1), a.ack(1, 2), a.fetch(1), a.put(2, 2),
        a.fetch(2), a.ack(3, 2, 9), a.ack(3, 1, 1, 3), a.fetch(3), b.fetch(3), a.put(4, 1, 2, 3),
        a.fetch(4), none.ack(5, 1),
    ], [None, None, [None] * 3, [None], None, 2, [None], 2, None, None, 0, 1, [None] * 3, 0,
        None])  # fmt: skip
    yield play("recall", "RELAY-05 RELAY-11 ENV-23", "recalled is erased, and is never taken", [
        a.make(0), a.put(0, 1, 2), a.recall(1, 1), a.fetch(1), a.put(2, 1), a.fetch(2),
        a.recall(3, 5), a.put(4, 5), a.fetch(4), a.recall(5, 2, wrong=True), a.fetch(5),
        items("recall", 6, none.item(1), a.item(2), a.item(2), a.item(2, wrong=True)), a.fetch(6),
    ], [None, [None, None], [None], 1, [None], 1, [None], [None], 1, ["not-permitted"], 1,
        ["unknown-mailbox", None, None, "not-permitted"], 0])  # fmt: skip
    capability = a.capability.hex()
    yield play("full", "RELAY-05 ENV-11 LIMIT-29", "1,000 envelopes, and one more", [
        a.make(0), a.other("fill", 0, capability=capability, count=1_000), a.other("count", 0),
        a.put(1, 1), a.other("count", 1), a.other("fill", 2, capability=capability, count=3),
        a.recall(3, 7), a.put(3, 7), a.other("count", 3),
        {**a.ack(4), "ids": [(0).to_bytes(16, "big").hex()]}, a.put(5, 1), a.put(5, 2),
        a.other("count", 5), a.other("count", 72 * HOUR), a.put(72 * HOUR, 2),
        a.other("count", 72 * HOUR),
    ], [None, None, 1_000, ["mailbox-full"], 1_000, None, [None], [None], 1_000, None, [None],
        ["mailbox-full"], 1_000, 0, [None], 1])  # fmt: skip


def forgetting() -> Iterator[Json]:
    a = Mailbox("a")
    for retention in (48, 71, 72):
        end = retention * HOUR
        yield play(f"hour-{retention}", "RELAY-11 LIMIT-30 LIMIT-41",
                   "forgotten when the hour begins that is so many after that of the put", [
                       a.make(0), a.put(0, 1), a.put(1_800, 2), a.put(HOUR - 1, 3), a.put(HOUR, 4),
                       a.fetch(end - 1), a.fetch(end), a.put(end, 1), a.fetch(end),
                       a.fetch(end + HOUR - 1), a.fetch(end + HOUR), a.fetch(2 * end - 1),
                       a.fetch(2 * end),
                   ], [None, [None], [None], [None], [None], 4, 1, [None], 2, 2, 1, 1, 0],
                   retention)  # fmt: skip
    end = 48 * HOUR
    yield play("ids", "RELAY-05 RELAY-11 ENV-11 ENV-23",
               "ids are known as long as their envelopes might wait, and then forgotten", [
                   a.make(0), a.put(0, 1, 2, 3), a.ack(1, 1), a.recall(5 * HOUR, 2),
                   a.recall(5 * HOUR, 9), a.put(end - 1, 1, 2, 9), a.fetch(end - 1),
                   a.put(end, 1, 2, 9), a.fetch(end), a.put(end + 5 * HOUR - 1, 9),
                   a.fetch(end + 5 * HOUR - 1), a.put(end + 5 * HOUR, 9), a.fetch(end + 5 * HOUR),
               ], [None, [None] * 3, None, [None], [None], [None] * 3, 1, [None] * 3, 2, [None], 2,
                   [None], 3], 48)  # fmt: skip


def leasing() -> Iterator[Json]:
    a, b = Mailbox("a"), Mailbox("b")
    quarter = 91 * 86_400
    yield play("quarters", "RELAY-09 LIMIT-42",
               "a mailbox is kept for a quarter after it was made, and gone after two", [
                   a.make(0), b.make(0), a.put(0, 1), a.fetch(1), b.make(quarter),
                   a.fetch(quarter), a.put(quarter, 2), a.fetch(quarter),
                   a.fetch(2 * quarter), a.put(2 * quarter, 3), b.fetch(2 * quarter),
                   a.make(2 * quarter), a.put(2 * quarter, 3), a.fetch(2 * quarter),
                   b.fetch(3 * quarter), a.fetch(3 * quarter),
               ], [None, None, [None], 1, None, 0, [None], 1, "unknown-mailbox",
                   ["unknown-mailbox"], 0, None, [None], 1, "unknown-mailbox", 0])  # fmt: skip


def keeping_packages() -> Iterator[Json]:
    from spec.cases.relay import package_of  # noqa: PLC0415  which has this module in turn

    owner, other = some_keys("relay-stock"), some_keys("relay-stock-other")
    now = EXPIRY - 20 * 86_400
    mine, theirs = ref.fingerprint(owner.public), ref.fingerprint(other.public)
    one, two, three = (package_of(owner, f"relay-stock-{n}") for n in (1, 2, 3))
    day = 86_400
    first, later, earlier = (
        package_of(owner, f"relay-stock-last-{days}", True, now + days * day) for days in (7, 8, 6)
    )

    def publish(at: int, packages: list[bytes], last: bytes | None = None) -> Json:
        return {"do": "publish", "now": now + at, "fingerprint": mine.hex(),
                "packages": [each.hex() for each in packages],
                "last_resort": None if last is None else last.hex()}  # fmt: skip

    def claim(at: int, times: int = 1, given: bytes = mine) -> Json:
        return {"do": "claim", "now": now + at, "fingerprint": given.hex(), "times": times}

    made = play("packages", "RELAY-07 ID-12", "each one-time package once, then the last resort", [
        claim(0, 2), publish(1, [one, two], first), claim(2, 1, theirs), claim(3, 4),
        publish(4, [one, three, three]), claim(5, 2), publish(6, [one, two, three], first),
        claim(7, 1),
    ], [2, None, 1, 4, None, 2, None, 1])  # fmt: skip
    given = [result.get("packages") for result in made["out"]["results"]]
    assert given[3] == sorted([told(one), told(two), told(first), told(first)])
    assert given[5] == sorted([told(three), told(first)])
    yield made
    made = play("last-resort", "RELAY-07", "a last resort gives way to one that expires later", [
        publish(0, [], first), publish(1, [], earlier), claim(2), publish(3, [], later), claim(4),
        publish(5, [], first), claim(6, 2), publish(7, [one[:-1]]), publish(8, [one], one),
        claim(9),
        publish(8 * day - 100, [], earlier),
    ], [None, None, 1, None, 1, None, 2, "truncated", "bad-form", 1, "expired"])  # fmt: skip
    given = [result.get("packages") for result in made["out"]["results"]]
    assert [each for each in given if each] == [
        [told(first)], [told(later)], [told(later)] * 2, [told(later)]]  # fmt: skip
    yield made
    soon = package_of(owner, "relay-stock-soon", expiry=now + day)
    brief = package_of(owner, "relay-stock-brief", True, now + 2 * day)
    made = play("expired-packages", "RELAY-07", "what has expired is not given", [
        publish(0, [soon], brief), claim(day + 1), claim(2 * day), claim(2 * day + 1),
    ], [None, 1, 1, 1])  # fmt: skip
    given = [result.get("packages") for result in made["out"]["results"]]
    assert given[1:] == [[told(brief)], [told(brief)], [""]]
    yield made


def keeping_blobs() -> Iterator[Json]:
    random = Stream("relay-blobs")
    token, wrong, content, other = random(16), random(16), random(100), random(1)

    def put(now: int, its_token: bytes, what: bytes) -> Json:
        return {"do": "put blob", "now": START + now, "content": what.hex(),
                "token_hash": ref.H(b"blob token", its_token).hex()}  # fmt: skip

    def fetch(now: int, what: bytes) -> Json:
        return {"do": "fetch blob", "now": START + now, "hash": ref.H(b"blob", what).hex()}

    def delete(now: int, its_token: bytes, what: bytes) -> Json:
        return {"do": "delete blob", "now": START + now, "hash": ref.H(b"blob", what).hex(),
                "token": its_token.hex()}  # fmt: skip

    yield play("blobs", "RELAY-08", "a blob, and who may delete it", [
        fetch(0, content), delete(0, token, content), put(0, token, content), fetch(1, content),
        put(2, wrong, content), delete(3, wrong, content), fetch(3, content), put(4, wrong, other),
        delete(5, token, other), delete(6, token, content), fetch(6, content),
        delete(7, token, content), fetch(7, other), put(8, wrong, content),
        delete(9, token, content), delete(9, wrong, content), fetch(9, content),
    ], ["unknown-blob", "unknown-blob", None, 200, None, "not-permitted", 200, None,
        "not-permitted", None, "unknown-blob", "unknown-blob", 2, None, "not-permitted", None,
        "unknown-blob"])  # fmt: skip
    for retention in (48, 72):
        end = retention * HOUR
        yield play(f"blob-hour-{retention}", "RELAY-08 RELAY-11",
                   "kept as long as an envelope, from the last put on", [
            put(HOUR - 1, token, content), put(HOUR, wrong, other), fetch(end - 1, content),
            fetch(end, content), fetch(end + HOUR - 1, other), fetch(end + HOUR, other),
            put(end + HOUR, wrong, content), fetch(end + HOUR, content),
            delete(end + HOUR, wrong, content), put(2 * end, token, other),
            put(2 * end + 5 * HOUR, wrong, other), fetch(3 * end, other),
            fetch(3 * end + 5 * HOUR - 1, other), delete(3 * end + 5 * HOUR - 1, wrong, other),
            fetch(3 * end + 5 * HOUR, other),
        ], [None, None, 200, "unknown-blob", 2, "unknown-blob", None, 200, None, None, None, 2, 2,
            "not-permitted", "unknown-blob"],
            retention)  # fmt: skip
