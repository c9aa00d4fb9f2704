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
        yield case(f"keypackage-read-{name}", "ID-06 ID-07 LIMIT-23", name, "read key package",
                   {"signed": signed})  # fmt: skip
        for index in (None, 0, 3, 4):
            refused = index is not None if last_resort else index in (None, 4)
            yield case(f"keypackage-prekey-{name}-{index}", "ID-08", "which prekey",
                       "choose prekey",
                       {"signed": signed, "index": index},
                       "used-package" if refused else None,
                       parent=f"keypackage-prekey-{name}-{None if last_resort else 0}"
                       if refused else None,
                       mutation=f"the index is {index if index is not None else 'nil'}"
                       if refused else None)  # fmt: skip
        card = ref.build("card", "Ann é", keys.package.signed)
        yield case(f"keypackage-card-{name}", "ID-07 FORM-02", "a card", "read card",
                   {"card": card.hex()})  # fmt: skip
        if not last_resort:
            for word, bad, reason, what in (
                ("signature", ref.build("card", "Ann é", changed_byte(keys.package.signed)),
                 "bad-signature", "the last byte of the signature of the package changed"),
                ("package-trailing", ref.build("card", "Ann é", keys.package.signed + b"\0"),
                 "trailing-bytes", "a zero byte put in at the end of the package"),
                ("package-array", ref.encode([1, 4, "Ann é", ref.decode(keys.package.signed,
                                                                        1_024)]),
                 "bad-form", "an array in the place of the encoded package"),
                ("name-257", ref.encode([1, 4, "a" * 257, keys.package.signed]), "too-large",
                 "a name of 257 bytes"),
                ("other-type", ref.encode([1, 3, "Ann é", keys.package.signed]), "wrong-type",
                 "the type is 3, that of a key package"),
            ):
                yield case(f"keypackage-card-{word}", "ID-07 FORM-02 WIRE-17 LIMIT-09", word,
                           "read card", {"card": bad.hex()}, reason,
                           parent="keypackage-card-one-time", mutation=what)  # fmt: skip
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

    def with_signature(its_body: bytes, its_signature: bytes = signature) -> bytes:
        return ref.encode([1, 1, its_body, its_signature])

    def unsigned(place: int, value: Any, more: dict[int, Any] | None = None) -> bytes:
        its_body, _ = ref.decode(signed_with(place, value, more), 2_048)[2:]
        return with_signature(its_body)

    negative = next(key for key in (ref.sign_public(bytes([n]) * 32) for n in range(99))
                    if key[31] >= 0x80)  # fmt: skip
    entry = ref.encode([1, 2, *([bytes(32)] * 5), 0])
    for name, data in (
        ("good", keys.package.signed),
        ("expiry-highest", signed_with(8, 2**40 - 1)),
        ("expiry-zero", signed_with(8, 0)),
        ("leaf-not-on-ed25519", signed_with(5, little(2))),
        ("room-key-top-bit", signed_with(6, negative)),
    ):
        yield read_case(name, data, None, None)
    for name, data, reason, mutation in (
        ("suite-2", signed_with(0, 2), "unknown-suite", "the suite is 2"),
        ("suite-0", signed_with(0, 0), "unknown-suite", "the suite is 0"),
        ("suite-256", signed_with(0, 256), "bad-form", "the suite is 256"),
        ("sign-key-small", signed_with(1, SMALL_SIGN), "bad-key",
         "the identity signature key is of small order"),
        ("dh-key-small", signed_with(2, SMALL_DH), "bad-key",
         "the identity DH key is of small order"),
        ("dh-key-not-canonical", signed_with(2, little(ref.P + 9)), "bad-key",
         "u of the identity DH key is p + 9"),
        ("signed-prekey-small", signed_with(3, SMALL_DH), "bad-key",
         "the signed prekey is of small order"),
        ("prekey-0-small", signed_with(4, [SMALL_DH, *four[1:]]), "bad-key",
         "the first one-time prekey is of small order"),
        ("prekey-3-small", signed_with(4, [*four[:3], SMALL_DH]), "bad-key",
         "the last one-time prekey is of small order"),
        ("leaf-small", signed_with(5, SMALL_DH), "bad-key", "the leaf key is of small order"),
        ("leaf-is-a-sign-key", signed_with(5, negative), "bad-key",
         "a signature key with its top bit set as leaf key"),
        ("room-key-small", signed_with(6, SMALL_SIGN), "bad-key",
         "the room signature key is of small order"),
        ("room-key-is-a-dh-key", signed_with(6, little(2)), "bad-key",
         "2 as room signature key: a DH key, but no point of Ed25519"),
        ("envelope-key-small", signed_with(7, [mailbox[0], SMALL_DH, mailbox[2]]), "bad-key",
         "the envelope key of the contact mailbox is of small order"),
        ("expiry-past", signed_with(8, 2**40), "bad-form", "the expiry is 2^40"),
        ("three-prekeys", signed_with(4, four[:3]), "bad-form",
         "the last one-time prekey left out"),
        ("no-prekeys", signed_with(4, []), "bad-form", "all one-time prekeys left out"),
        ("five-prekeys", signed_with(4, [*four, four[0]]), "too-large",
         "the first one-time prekey once more at the end"),
        ("last-resort-with-prekeys", signed_with(9, True), "bad-form",
         "true for last resort, with four one-time prekeys"),
        ("last-resort-1", signed_with(9, 1), "bad-form", "the integer 1 for last resort"),
        ("mailbox-short", signed_with(7, mailbox[:2]), "bad-form",
         "the capability of the mailbox left out"),
        ("other-label", signed_with(0, 1, None, b"member entry"), "bad-signature",
         "signed under the label of a member entry"),
        ("signature-changed", with_signature(body, changed_byte(signature, 0)), "bad-signature",
         "the first byte of the signature changed"),
        ("signature-of-another", with_signature(body, ref.sign(bytes(32), b"key package", body)),
         "bad-signature", "signed with another identity key"),
        ("body-changed", with_signature(changed_byte(body, -10)), "bad-signature",
         "a byte of the capability of the contact mailbox changed"),
        ("expiry-changed", unsigned(8, EXPIRY + 1), "bad-signature",
         "the expiry one second later, under the old signature"),
        ("signature-63", with_signature(body, signature[:63]), "bad-form",
         "the last byte of the signature left out"),
        ("body-897", with_signature(bytes(897)), "too-large", "897 zero bytes as body"),
        ("body-entry", with_signature(entry), "wrong-type", "a member entry as body"),
        ("body-trailing", with_signature(body + b"\0"), "trailing-bytes",
         "a zero byte put in at the end of the body"),
        ("body-array", ref.encode([1, 1, ref.decode(body, 896), signature]), "bad-form",
         "an array in the place of the encoded body"),
        ("not-signed", body, "wrong-type", "the body alone, without a signed object around it"),
        ("truncated", keys.package.signed[:-1], "truncated", "the last byte left out"),
        ("trailing", keys.package.signed + b"\0", "trailing-bytes",
         "a zero byte put in at the end"),
    ):  # fmt: skip
        yield read_case(name, data, reason, mutation)
    for name, data, reason, mutation, order in (
        ("signed-before-body", with_signature(entry, signature[:63]), "bad-form",
         "a member entry as body, and the last byte of the signature left out",
         "the signed object, then its body"),
        ("body-before-suite", signed_with(0, 2, {9: 1}), "bad-form",
         "the suite is 2, and the integer 1 stands for last resort", "the form, then the suite"),
        ("suite-before-keys", signed_with(1, SMALL_SIGN, {3: SMALL_DH, 0: 2}), "unknown-suite",
         "the suite is 2, and two keys are of small order", "the suite, then the keys"),
        ("suite-before-signature", unsigned(0, 2), "unknown-suite",
         "the suite is 2, under the old signature", "the suite, then the signature"),
        ("identity-before-signature", unsigned(2, SMALL_DH), "bad-key",
         "the identity DH key is of small order, under the old signature",
         "the identity, then the signature"),
        ("signature-before-keys", unsigned(3, SMALL_DH), "bad-signature",
         "the signed prekey is of small order, under the old signature",
         "the signature, then the other keys"),
        ("signature-before-count", unsigned(4, four[:3]), "bad-signature",
         "the last one-time prekey left out, under the old signature",
         "the signature, then the number of prekeys"),
        ("prekeys-after-keys", signed_with(4, four[:3], {6: SMALL_SIGN}), "bad-key",
         "the last one-time prekey left out, and the room signature key is of small order",
         "the keys, then the number of prekeys"),
    ):  # fmt: skip
        yield read_case(name, data, reason, mutation, f"two faults: {order}")


def read_case(
    name: str, data: bytes, reason: str | None, mutation: str | None, comment: str = ""
) -> Json:
    spec = "ID-07"
    for word, more in (("body-897", "LIMIT-08"), ("prekey", "LIMIT-23"), ("top-bit", "FORM-04"),
                       ("-key", "FORM-04"), ("ed25519", "FORM-04"), ("body-", "FORM-02"),
                       ("array", "WIRE-17"), ("suite", "PRIM-19"), ("small", "PRIM-05"),
                       ("signature", "PRIM-07"), ("trailing", "WIRE-06")):  # fmt: skip
        if word in name:
            spec += f" {more}"
    return case(f"keypackage-read-{name}", spec, comment or name, "read key package",
                {"signed": data.hex()}, reason,
                parent="keypackage-read-good" if mutation else None, mutation=mutation)  # fmt: skip
