"""keypackage.json (chapter 6)."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import (
    EXPIRY,
    SMALL_DH,
    SMALL_SIGN,
    Json,
    case,
    changed_byte,
    identity_keys,
    keys_json,
    little,
    mailbox_json,
    mailbox_of,
    operation,
    package_json,
    package_keys_json,
    some_package,
    un,
)

from spec import reference as ref


@operation("make key package")
def _make_key_package(i: Json) -> Json:
    draws = iter([un(i["signed_prekey"]), *map(un, i["prekeys"]), un(i["leaf"]),
                 un(i["room_seed"])])
    contact = mailbox_of(i["contact"])
    made = ref.make_key_package(identity_keys(i["owner"]), list(contact), i["expiry"],
                                i["last_resort"], lambda _: next(draws))  # fmt: skip
    return {"signed": made.package.signed.hex(), "hash": made.package.hash.hex()}


@operation("read key package")
def _read_key_package(i: Json) -> Json:
    return package_json(ref.read_key_package(un(i["signed"])))


@operation("choose prekey")
def _choose_prekey(i: Json) -> Json:
    prekey = ref.choose_prekey(ref.read_key_package(un(i["signed"])), i["index"])
    return {"prekey": None if prekey is None else prekey.hex()}


@operation("read card")
def _read_card(i: Json) -> Json:
    name, signed = ref.parse(un(i["card"]), "card")
    return {"name": name, "hash": ref.read_key_package(signed).hash.hex()}


def keypackage_cases() -> Iterator[Json]:
    for name, last_resort in (("one-time", False), ("last-resort", True)):
        owner, keys = some_package(f"keypackage-{name}", last_resort)
        secrets = package_keys_json(keys)
        signed = secrets.pop("signed")
        yield case(f"keypackage-make-{name}", "ID-04 ID-06", name, "make key package", {
            "owner": keys_json(owner), "contact": mailbox_json(ref.Mailbox(*keys.package.contact)),
            "expiry": EXPIRY, "last_resort": last_resort, **secrets})  # fmt: skip
        yield case(f"keypackage-read-{name}", "ID-06 ID-07", name, "read key package",
                   {"signed": signed})  # fmt: skip
        for index in (None, 0, 3, 4):
            refused = index is not None if last_resort else index in (None, 4)
            yield case(f"keypackage-prekey-{name}-{index}", "ID-08", "which prekey",
                       "choose prekey",
                       {"signed": signed, "index": index},
                       "used-package" if refused else None)  # fmt: skip
        card = ref.build("card", "Ann é", keys.package.signed)
        yield case(f"keypackage-card-{name}", "ID-07", "a card", "read card",
                   {"card": card.hex()})  # fmt: skip
    owner, keys = some_package("keypackage-changed")
    whole = ref.parse(ref.parse(keys.package.signed, "signed object")[0], "key package")
    mailbox = whole[7]

    def signed_with(
        place: int, value: Any, more: dict[int, Any] | None = None, label: bytes = b"key package"
    ) -> bytes:
        fields = [*whole[:place], value, *whole[place + 1 :]]
        for other, its_value in (more or {}).items():
            fields[other] = its_value
        body = ref.encode([1, 3, *fields])
        return ref.encode([1, 1, body, ref.sign(owner.seed, label, body)])

    body, signature = ref.parse(keys.package.signed, "signed object")
    four = whole[4]
    bad_order = {3: SMALL_DH, 0: 2}
    for name, data, reason in (
        ("suite-2", signed_with(0, 2), "unknown-suite"),
        ("suite-0", signed_with(0, 0), "unknown-suite"),
        ("suite-256", signed_with(0, 256), "bad-form"),
        ("suite-before-keys", signed_with(1, SMALL_SIGN, bad_order), "unknown-suite"),
        ("sign-key-small", signed_with(1, SMALL_SIGN), "bad-key"),
        ("dh-key-small", signed_with(2, SMALL_DH), "bad-key"),
        ("dh-key-not-canonical", signed_with(2, little(ref.P + 9)), "bad-key"),
        ("signed-prekey-small", signed_with(3, SMALL_DH), "bad-key"),
        ("prekey-3-small", signed_with(4, [*four[:3], SMALL_DH]), "bad-key"),
        ("leaf-small", signed_with(5, SMALL_DH), "bad-key"),
        ("room-key-small", signed_with(6, SMALL_SIGN), "bad-key"),
        ("envelope-key-small", signed_with(7, [mailbox[0], SMALL_DH, mailbox[2]]), "bad-key"),
        ("expiry-highest", signed_with(8, 2**40 - 1), None),
        ("expiry-past", signed_with(8, 2**40), "bad-form"),
        ("expiry-zero", signed_with(8, 0), None),
        ("three-prekeys", signed_with(4, four[:3]), "bad-form"),
        ("no-prekeys", signed_with(4, []), "bad-form"),
        ("five-prekeys", signed_with(4, [*four, four[0]]), "too-large"),
        ("last-resort-with-prekeys", signed_with(9, True), "bad-form"),
        ("prekeys-after-keys", signed_with(4, four[:3], {6: SMALL_SIGN}), "bad-key"),
        ("last-resort-1", signed_with(9, 1), "bad-form"),
        ("mailbox-short", signed_with(7, mailbox[:2]), "bad-form"),
        ("other-label", signed_with(0, 1, None, b"member entry"), "bad-signature"),
        ("signature-changed", ref.encode([1, 1, body, changed_byte(signature, 0)]),
         "bad-signature"),
        ("body-changed", ref.encode([1, 1, changed_byte(body), signature]), "bad-signature"),
        ("signature-before-keys", ref.encode([1, 1, signed_with(3, SMALL_DH)[6:-66], signature]),
         "bad-signature"),
        ("signature-63", ref.encode([1, 1, body, signature[:63]]), "bad-form"),
        ("body-897", ref.encode([1, 1, bytes(897), signature]), "too-large"),
        ("body-entry", ref.encode([1, 1, ref.encode([1, 2, *([bytes(32)] * 5), 0]), signature]),
         "wrong-type"),
        ("not-signed", body, "wrong-type"),
        ("truncated", keys.package.signed[:-1], "truncated"),
        ("trailing", keys.package.signed + b"\0", "trailing-bytes"),
    ):  # fmt: skip
        yield case(f"keypackage-read-{name}", "ID-07 LIMIT-08 LIMIT-23", name, "read key package",
                   {"signed": data.hex()}, reason)  # fmt: skip
