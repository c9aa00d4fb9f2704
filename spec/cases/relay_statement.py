"""relay.json: what a relay says that it has disclosed (22.8)."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import SMALL_SIGN, Json, Stream, case, operation, un

from spec import reference as ref


@operation("check statement")
def _check_statement(i: Json) -> Json:
    said = ref.check_statement(un(i["data"]), un(i["address"]))
    told = ("key", "request", "jurisdiction", "category", "disclosed", "told", "gag_order",
            "handed_over", "envelopes")  # fmt: skip
    return {**{name: said[name] for name in told}, **said["ledger"]}


random = Stream("relay-statement")
SEED, ADDRESS, SALT, HEAD = random(32), random(32), random(16), random(32)
LABEL = b"disclosure statement"
SAID: dict[str, Any] = {
    "type": "evanesce disclosure statement", "version": 1, "request": 7, "jurisdiction": "KR",
    "category": "search_seizure", "disclosed": 472_000, "told": 472_025, "delayed_hours": 25,
    "gag_order": True, "handed_over": ["mailbox", "envelopes"], "envelopes": 3, "salt": SALT.hex(),
    "subject": ref.H(b"ledger address", SALT, ADDRESS).hex(),
    "ledger": {"entry": 12, "head": HEAD.hex()}, "key": ref.sign_public(SEED).hex(),
}  # fmt: skip


def signed(value: dict[str, Any], label: bytes = LABEL) -> bytes:
    signature = ref.sign(SEED, label, ref.canonical_json(value))
    return ref.canonical_json({**value, "signature": signature.hex()})


def changed(**fields: Any) -> bytes:
    return signed({**SAID, **fields})


def without(name: str) -> bytes:
    return signed({key: value for key, value in SAID.items() if key != name})


def statement_cases() -> Iterator[Json]:
    good = signed(SAID)
    signature = ref.check_statement(good, ADDRESS)["signature"]
    assert signature[:2] != "00"
    names = ["a" * 64, *(f"n{'x' * n}" for n in range(63))]
    last: dict[str, Any] = {
        "request": 10**9, "jurisdiction": "Z" * 16, "category": "z" + "_" * 63, "disclosed": 0,
        "told": 10**9, "delayed_hours": 10**9, "gag_order": False, "handed_over": names,
        "envelopes": 10**9, "ledger": {"entry": 10**9, "head": HEAD.hex()},
    }  # fmt: skip

    def statement(
        name: str, data: bytes, reason: str | None = None, mutation: str | None = None,
        address: bytes = ADDRESS, comment: str = "",
    ) -> Json:  # fmt: skip
        return case(f"relay-statement-{name}", "RELAY-25", comment or "a statement of a relay",
                    "check statement", {"data": data.hex(), "address": address.hex()}, reason,
                    features="client", parent="relay-statement-good" if reason else None,
                    mutation=mutation)  # fmt: skip

    yield statement("good", good)
    yield statement("most", changed(**last), comment="as much of everything as may be")
    yield statement("nothing", changed(handed_over=[], envelopes=0, gag_order=False, told=472_000,
                                       delayed_hours=0),
                    comment="nothing was there, and it was told at once")  # fmt: skip
    two = "two faults: "
    wrong: list[tuple[str, bytes, str, str, str]] = [
        ("other-salt", changed(subject=ref.H(b"ledger address", bytes(16), ADDRESS).hex()),
         "bad-form", "the subject of another salt", ""),
        ("signature", good.replace(signature.encode(), b"00" + signature[2:].encode()),
         "bad-signature", "the first byte of the signature changed", ""),
        ("other-label", signed(SAID, b"disclosure"), "bad-signature", "signed as an answer", ""),
        ("other-words", good.replace(b'"envelopes":3', b'"envelopes":2'), "bad-signature",
         "2 envelopes instead of 3", ""),
        ("small-key", changed(key=SMALL_SIGN.hex()), "bad-signature", "the key is of small order",
         ""),
        ("key-uppercase", changed(key=SAID["key"].upper()), "bad-form", "the key in uppercase", ""),
        ("salt-15", changed(salt=SALT[1:].hex()), "bad-form", "a salt of 15 bytes", ""),
        ("type", changed(type="evanesce disclosure"), "bad-form", "the type of an answer", ""),
        ("version-2", changed(version=2), "wrong-version", "the version is 2", ""),
        ("version-true", changed(version=True), "wrong-version", "the version is true", ""),
        ("no-version", without("version"), "wrong-version", "the version left out", ""),
        ("no-told", without("told"), "bad-form", "a field left out", ""),
        ("more", changed(more=1), "bad-form", "a field more", ""),
        ("request-0", changed(request=0), "bad-form", "request 0", ""),
        ("request-past", changed(request=10**9 + 1), "bad-form", "request 1,000,000,001", ""),
        ("request-text", changed(request="7"), "bad-form", "the request as text", ""),
        ("request-true", changed(request=True), "bad-form", "true as request", ""),
        ("told-negative", changed(told=-1, delayed_hours=-472_001), "bad-form", "hour -1", ""),
        ("delay", changed(delayed_hours=24), "bad-form", "a delay that is not the difference", ""),
        ("gag-1", changed(gag_order=1), "bad-form", "1 as gag order", ""),
        ("gag-null", changed(gag_order=None), "bad-form", "null as gag order", ""),
        ("jurisdiction", changed(jurisdiction="kr"), "bad-form", "kr in lowercase", ""),
        ("category", changed(category="search seizure"), "bad-form", "a space in a code", ""),
        ("category-newline", changed(category="search_seizure\n"), "bad-form",
         "a line feed after the code", ""),
        ("names-65", changed(handed_over=["a"] * 65), "bad-form", "65 names", ""),
        ("name-65", changed(handed_over=["a" * 65]), "bad-form", "a name of 65 characters", ""),
        ("name-number", changed(handed_over=[1]), "bad-form", "a number as a name", ""),
        ("names-text", changed(handed_over="mailbox"), "bad-form", "a name instead of names", ""),
        ("no-entry", changed(ledger={"head": HEAD.hex()}), "bad-form", "no entry", ""),
        ("ledger-null", changed(ledger=None), "bad-form", "null as ledger", ""),
        ("empty", b"", "bad-form", "no bytes at all", ""),
        ("cut", good[:-1], "bad-form", "the last byte left out", ""),
        ("array", b"[" + good + b"]", "bad-form", "in an array", ""),
        ("not-utf-8", good.replace(b"KR", b"K\xff"), "bad-form", "a byte that is not UTF-8", ""),
        ("line-feed", good + b"\n", "non-canonical", "a line feed at the end", ""),
        ("space", good.replace(b":", b": ", 1), "non-canonical", "a space after a colon", ""),
        ("escape", good.replace(b"KR", b"\\u004bR"), "non-canonical", "K as an escape", ""),
        ("order", b'{"version":1,' + good[1:].replace(b',"version":1', b""), "non-canonical",
         "the version first", ""),
        ("twice", b'{"version":1,' + good[1:], "non-canonical", "the version twice", ""),
        ("large", good + b" " * (16_385 - len(good)), "too-large", "spaces, to 16,385 bytes", ""),
        ("spaces", good + b" " * (16_384 - len(good)), "non-canonical", "spaces, to 16,384 bytes",
         two + "the limit comes first, and is not reached"),
        ("version-before-fields", changed(version=2, more=1), "wrong-version",
         "version 2, and a field more", two + "the version comes before the fields"),
        ("canonical-before-type", changed(type="x") + b" ", "non-canonical",
         "another type, and a space at the end", two + "the bytes come before what they say"),
        ("fields-before-signature", good.replace(b'"request":7', b'"request":0'), "bad-form",
         "request 0, not signed anew", two + "the fields come before the signature"),
    ]  # fmt: skip
    for name, data, reason, mutation, comment in wrong:
        yield statement(name, data, reason, mutation, comment=comment)
    yield statement("other-address", good, "bad-form", "another mailbox", bytes(32))
    yield statement("signature-before-subject", signed(SAID, b"disclosure"), "bad-signature",
                    "signed as an answer, and about another mailbox", bytes(32),
                    "two faults: the signature comes before the subject")  # fmt: skip
