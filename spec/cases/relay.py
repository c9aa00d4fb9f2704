"""relay.json (chapter 22): the whole, and what a relay does with what it is told."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import (
    EXPIRY,
    SMALL_DH,
    Json,
    Stream,
    case,
    changed_byte,
    difference,
    operation,
    some_keys,
    un,
    un_maybe,
)
from spec.cases.relay_forms import form_cases, frame_cases, limit_cases
from spec.cases.relay_play import play_cases
from spec.cases.relay_statement import statement_cases

from spec import reference as ref


@operation("name blob")
def _name_blob(i: Json) -> Json:
    name, token_hash = ref.blob_names(un(i["content"]), un(i["token"]))
    return {"hash": name.hex(), "token_hash": token_hash.hex()}


@operation("check publish")
def _check_publish(i: Json) -> Json:
    packages = [un(each) for each in i["packages"]]
    ref.check_publish(un(i["fingerprint"]), packages, un_maybe(i["last_resort"]), i["now"])
    return {}


@operation("credit")
def _credit(i: Json) -> Json:
    return {"sent": ref.sent_by_credit(i["events"])}


def relay_cases() -> Iterator[Json]:
    yield from form_cases()
    yield from limit_cases()
    yield from frame_cases()
    yield from blob_cases()
    yield from publish_cases()
    yield from credit_cases()
    yield from play_cases()
    yield from statement_cases()


def blob_cases() -> Iterator[Json]:
    for name, content, token in (
        ("one", b"x", bytes(16)), ("token", b"x", b"\x01" * 16), ("zeros", bytes(300), bytes(16)),
        ("long", b"\xab" * 2_000, bytes(range(16))),
    ):  # fmt: skip
        yield case(f"relay-blob-{name}", "RELAY-08", "the names of a blob and of its token",
                   "name blob", {"content": content.hex(), "token": token.hex()},
                   features="client")  # fmt: skip


def package_of(
    owner: ref.IdentityKeys, name: str, last_resort: bool = False, expiry: int = EXPIRY
) -> bytes:
    random = Stream(name)
    contact = ref.MailboxKeys(b"\x01" * 32, b"\x02" * 32, b"\x03" * 16).public
    keys = ref.unnoted(ref.make_key_package, owner, list(contact), expiry, last_resort, random)
    return bytes(keys.package.signed)


def remade(owner: ref.IdentityKeys, signed: bytes, place: int, value: Any) -> bytes:
    """The package with another field, signed anew by its owner."""
    fields = ref.parse(ref.parse(signed, "signed object")[0], "key package")
    body = ref.encode([1, 3, *fields[:place], value, *fields[place + 1 :]])
    return ref.encode([1, 1, body, ref.sign(owner.seed, b"key package", body)])


def publish_cases() -> Iterator[Json]:
    owner, other = some_keys("relay-publish"), some_keys("relay-publish-other")
    mine = ref.fingerprint(owner.public)
    one, two = (package_of(owner, f"relay-publish-{n}") for n in (1, 2))
    last = package_of(owner, "relay-publish-last", last_resort=True)
    soon = package_of(owner, "relay-publish-soon", expiry=EXPIRY - 1)
    theirs = package_of(other, "relay-publish-theirs")
    their_last = package_of(other, "relay-publish-their-last", last_resort=True)
    their_soon = package_of(other, "relay-publish-their-soon", expiry=EXPIRY - 1)
    last_soon = package_of(owner, "relay-publish-last-soon", True, EXPIRY - 1)
    bad_tag = changed_byte(two)

    def publish(
        name: str, packages: list[bytes], last_resort: bytes | None, reason: str | None = None,
        of: str | None = None, mutation: str | None = None, now: int = EXPIRY, comment: str = "",
        given: bytes = mine,
    ) -> Json:  # fmt: skip
        return case(f"relay-publish-{name}", "RELAY-06", comment or "what may be published",
                    "check publish", {
                        "fingerprint": given.hex(), "packages": [each.hex() for each in packages],
                        "last_resort": None if last_resort is None else last_resort.hex(),
                        "now": now},
                    reason, features="relay", parent=of and f"relay-publish-{of}",
                    mutation=mutation)  # fmt: skip

    yield publish("nothing", [], None, comment="nothing at all: that is no failure")
    yield publish("both", [one, two], last, comment="in the last second of their expiry")
    yield publish("twice", [one, one], None, comment="one package twice: passed over later")
    yield publish("last-alone", [], last)
    for name, packages, last_resort, reason, mutation in (
        ("other-identity", [one, theirs], last, "wrong-identity", "the second is another's"),
        ("other-last", [one, two], their_last, "wrong-identity", "the last resort is another's"),
        ("expired", [one, soon], last, "expired", "the second expired a second before"),
        ("last-expired", [one, two], last_soon, "expired",
         "the last resort expired a second before"),
        ("last-in-array", [one, last], None, "bad-form", "the last resort in the array"),
        ("one-time-as-last", [one], two, "bad-form", "a one-time package as last resort"),
        ("signature", [one, bad_tag], last, "bad-signature",
         "the last byte of the second's signature changed"),
        ("trailing", [one, two + b"\0"], last, "trailing-bytes",
         "a zero byte at the end of the second"),
        ("suite", [one, remade(owner, two, 0, 2)], last, "unknown-suite",
         "the second's suite is 2"),
        ("leaf", [one, remade(owner, two, 5, SMALL_DH)], last, "bad-key",
         "the second's leaf key is of small order"),
        ("three-prekeys", [one, remade(owner, two, 4, [ref.dh_public(bytes([n]) * 32)
                                                       for n in (1, 2, 3)])], last, "bad-form",
         "the second has three one-time prekeys"),
        ("entry", [one, ref.encode([1, 2, *([bytes(32)] * 5), 0])], last, "wrong-type",
         "a member entry in the place of the second"),
    ):  # fmt: skip
        yield publish(name, packages, last_resort, reason, "both", mutation)
    yield publish("other-fingerprint", [one], None, "wrong-identity", "nothing",
                  "a package, and another's fingerprint", given=ref.fingerprint(other.public))
    yield publish("past", [one, two], last, "expired", "both", "a second later", EXPIRY + 1)
    for name, packages, last_resort, reason, mutation, comment in (
        ("identity-before-expiry", [their_soon], None, "wrong-identity",
         "another's, that expired a second before", "the identity comes before the expiry"),
        ("expiry-before-kind", [last_soon], None, "expired",
         "a last resort in the array, that expired a second before",
         "the expiry comes before the kind"),
        ("signature-before-identity", [changed_byte(theirs)], None, "bad-signature",
         "another's, the last byte of its signature changed",
         "the package itself comes before its identity"),
        ("order", [soon, theirs], None, "expired",
         "the first expired a second before, the second is another's", "packages in their order"),
        ("order-reversed", [theirs, soon], None, "wrong-identity",
         "the first is another's, the second expired a second before", "packages in their order"),
        ("array-before-last", [soon], their_last, "expired",
         "the first expired a second before, the last resort is another's",
         "the packages come before the last resort"),
    ):
        yield publish(name, packages, last_resort, reason, "both", mutation,
                      comment=f"two faults: {comment}")  # fmt: skip
    assert difference(two, bad_tag) != "the same bytes"


def credit_cases() -> Iterator[Json]:
    credit: list[tuple[str, str, list[list[Any]]]] = [
        ("none", "without credit nothing is sent", [["envelope", 512, 1], ["envelope", 1, 1]]),
        ("first", "what waits is sent when there is credit",
         [["envelope", 512, 2], ["credit", 1, 10_000], ["credit", 5, 0], ["envelope", 512, 2]]),
        ("no-bytes", "envelopes alone are no credit",
         [["credit", 5, 0], ["envelope", 512, 1], ["credit", 0, 1], ["envelope", 512, 1],
          ["credit", 0, 511], ["credit", 0, 1]]),
        ("no-envelopes", "bytes alone are no credit",
         [["credit", 0, 10_000], ["envelope", 512, 1], ["credit", 1, 0]]),
        ("overdrawn", "one byte is enough for one; what is missing is taken from what comes next",
         [["credit", 10, 1], ["envelope", 2_097_152, 1], ["envelope", 512, 1],
          ["credit", 0, 2_097_151], ["credit", 0, 1], ["envelope", 512, 1]]),
        ("exact", "bytes that are just enough leave none",
         [["credit", 3, 1_024], ["envelope", 512, 3], ["credit", 0, 1]]),
        ("most-envelopes", "1,000 at once, and no more by giving it twice",
         [["credit", 1_000, 16_777_216], ["credit", 1_000, 16_777_216], ["envelope", 1, 999],
          ["envelope", 1, 2], ["credit", 1, 0]]),
        ("refilled", "the most is what is left, not what was given",
         [["credit", 600, 10_000], ["envelope", 1, 600], ["credit", 1_000, 10_000],
          ["envelope", 1, 1_001], ["credit", 2, 0]]),
        ("most-bytes", "16,777,216 at once, and no more by giving it twice",
         [["credit", 10, 16_777_216], ["credit", 10, 16_777_216], ["envelope", 2_097_152, 9],
          ["credit", 0, 1]]),
        ("overdrawn-most", "what is missing is taken from the most that can be given, too",
         [["credit", 20, 1], ["envelope", 2_097_152, 1], ["credit", 0, 16_777_215],
          ["envelope", 2_097_152, 9], ["credit", 0, 1], ["credit", 0, 16_777_216]]),
    ]  # fmt: skip
    for name, comment, events in credit:
        yield case(f"relay-credit-{name}", "RELAY-09 RELAY-10 LIMIT-40", comment, "credit",
                   {"events": events}, features="relay")  # fmt: skip
