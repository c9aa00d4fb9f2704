"""chain.json (chapter 8)."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import COUNTING, Json, Stream, case, operation, un

from spec import reference as ref


@operation("chain step")
def _chain_step(i: Json) -> Json:
    key = un(i["chain_key"])
    for _ in range(i["index"]):
        key, _ = ref.step(key)
    ref.note("chain key", key)
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
    chain, outcomes = ref.Chain(un(i["chain_key"]), 0, {}), list[Any]()
    for place, (what, number, *times) in enumerate(i["history"]):
        now = times[0] if times else place
        try:
            if what == "at":
                message_key, chain = ref.chain_at(chain, number, now)
                outcomes.append(message_key.hex())
            else:
                chain, gap = ref.chain_close(chain, number, now)
                outcomes.append(gap)
        except ref.Refused as refused:
            outcomes.append(refused.reason)
    skipped = sorted(chain.skipped)
    return {"outcomes": outcomes, "index": chain.next, "closed": chain.key is None,
            "skipped": len(skipped), "lowest": skipped[:3], "highest": skipped[-3:]}  # fmt: skip


@operation("chain accumulate")
def _chain_accumulate(i: Json) -> Json:
    key, message_keys = ref.unnoted(ref.accumulate, un(i["chain_key"]), i["steps"])
    return {"chain_key": key.hex(), "message_keys": message_keys.hex()}


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
    histories: dict[str, list[tuple[Any, ...]]] = {
        "in-order": [("at", 0), ("at", 1), ("at", 2)],
        "out-of-order": [("at", 2), ("at", 0), ("at", 1)],
        "replay": [("at", 0), ("at", 0)],
        "replay-skipped": [("at", 2), ("at", 1), ("at", 1)],
        "times": [("at", 2, 1_700_000_000), ("at", 0, 1_700_000_001), ("close", 4, 1_700_000_002),
                  ("at", 3, 1_700_000_003)],
        "jump-1000": [("at", 1_000)],
        "jump-1001": [("at", 1_001), ("at", 0)],
        "jump-1000-later": [("at", 0), ("at", 1_001), ("at", 2_003), ("at", 2_002)],
        "jump-forged": [("at", 2**32 - 1), ("at", 0)],
        "example": [("at", 2), ("at", 0), ("at", 2), ("at", 1_003), ("at", 1_004)],
        "evicted": [("at", 1), ("at", 1_002), ("at", 0), ("at", 2)],
        "close": [("at", 0), ("close", 3), ("at", 3), ("at", 1), ("at", 2), ("at", 2)],
        "close-at-0": [("close", 0), ("at", 0)],
        "close-read": [("at", 5), ("close", 5), ("close", 6), ("at", 6)],
        "close-bad-count": [("at", 2), ("close", 2), ("at", 1), ("close", 3), ("at", 3)],
        "close-1001": [("close", 1_001), ("at", 0), ("at", 1_001)],
        "close-twice": [("close", 2), ("close", 9), ("at", 1), ("at", 5)],
        "close-1000": [("close", 1_000), ("at", 999)],
        "close-drops": [("at", 600), ("close", 1_601), ("at", 599), ("at", 600), ("at", 601)],
        "close-full": [("at", 600), ("close", 1_001), ("at", 0), ("at", 1_000)],
        "close-gap": [("at", 2), ("close", 1_004), ("at", 1), ("at", 3), ("at", 0)],
    }  # fmt: skip
    for name, history in histories.items():
        limit = " LIMIT-16" if "jump" in name else ""
        yield case(f"chain-receive-{name}",
                   "CHAIN-05 CHAIN-06 CHAIN-07 CHAIN-08 CHAIN-09 CHAIN-11" + limit,
                   "what a receiver makes of messages and closings", "chain receive", {
                       "chain_key": Stream("chain-receive")(32).hex(),
                       "history": [list(event) for event in history]})  # fmt: skip
    for steps in (0, 1, 100, 255, 256, 10_000, 65_535, 1_000_000):
        key = COUNTING if steps < 2 else Stream("chain-accumulate")(32)
        yield case(f"chain-accumulate-{steps}", "CHAIN-01 CHAIN-04",
                   "so many steps, told by where they end and by one hash of all message keys",
                   "chain accumulate", {"chain_key": key.hex(), "steps": steps},
                   features="large" if steps > 100_000 else "")  # fmt: skip
