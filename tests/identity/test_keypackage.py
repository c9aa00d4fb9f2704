"""Key packages and cards: nothing but a whole, well-signed one is accepted (spec 06)."""

import hashlib
import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest
from nacl import bindings as sodium

from evanesce.errors import LocalError, Reason, RemoteError
from evanesce.formats import CARD, KEY_PACKAGE, SIGNED
from evanesce.identity import IdentityKeys, open_signed, seal_signed
from evanesce.keypackage import Card, KeyPackage, KeyPackageKeys
from evanesce.limits import (
    MAX_NAME,
    ONE_TIME_PREKEYS,
    PACKAGE_LIFETIME,
    SIGNED_PREKEY_ROTATION,
)
from evanesce.mailbox import MailboxKeys
from evanesce.primitives import SUITE_1, Random, check_sign_key, dh_public, verify
from evanesce.secret import Secret

Streams = Callable[[str], Random]

NOW: Final = 1_700_000_000
LABEL: Final = b"key package"
FIELDS: Final = ("suite", "sign_key", "dh_key", "signed_prekey", "one_time_prekeys", "leaf_key",
                 "room_sign_key", "contact", "expiry", "last_resort")  # fmt: skip

P: Final = 2**255 - 19
# X25519: low order (RFC 7748's curve and its twist), and not canonical.
BAD_DH_KEYS: Final = {
    "zero": bytes(32),
    "one": bytes([1]) + bytes(31),
    "minus one": (P - 1).to_bytes(32, "little"),
    "order eight": bytes.fromhex(
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"
    ),
    "other order eight": bytes.fromhex(
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"
    ),
    "p": P.to_bytes(32, "little"),
    "p + 9": (P + 9).to_bytes(32, "little"),
    "high bit": bytes([9]) + bytes(30) + bytes([0x80]),
}
ORDER_TWO: Final = (P - 1).to_bytes(32, "little")  # Ed25519: the point (0, -1)


@pytest.fixture(scope="module")
def owner(stream: Streams) -> IdentityKeys:
    return IdentityKeys.generate(stream("owner"))


@pytest.fixture(scope="module")
def contact(stream: Streams) -> MailboxKeys:
    return MailboxKeys.generate(stream("contact"))


@pytest.fixture(scope="module")
def keys(owner: IdentityKeys, contact: MailboxKeys, stream: Streams) -> KeyPackageKeys:
    return KeyPackageKeys.generate(owner, contact.mailbox, NOW, stream("package"))


@pytest.fixture(scope="module")
def last(owner: IdentityKeys, contact: MailboxKeys, stream: Streams) -> KeyPackageKeys:
    return KeyPackageKeys.generate(
        owner, contact.mailbox, NOW, stream("last resort"), last_resort=True
    )


def body_with(package: KeyPackage, changes: Mapping[str, Any]) -> bytes:
    """The body of a package, with other values in some of its fields."""
    body, _ = open_signed(package.signed)
    fields = dict(zip(FIELDS, KEY_PACKAGE.parse(body), strict=True))
    assert set(changes) <= set(FIELDS)
    return KEY_PACKAGE.build(*(fields | dict(changes)).values())


def signed_with(owner: IdentityKeys, package: KeyPackage, **changes: Any) -> bytes:
    """The same package with other fields, signed again, so that the signature is right."""
    return seal_signed(owner.sign_private.reveal(), LABEL, body_with(package, changes))


def assert_refused(signed: bytes, reason: Reason) -> None:
    with pytest.raises(RemoteError) as caught:
        KeyPackage.parse(signed)
    assert caught.value.reason is reason


# --- What a package says -------------------------------------------------------------------------


@pytest.mark.parametrize("last_resort", [False, True])
def test_a_package_is_read_as_it_was_made(
    owner: IdentityKeys, contact: MailboxKeys, stream: Streams, last_resort: bool
) -> None:
    keys = KeyPackageKeys.generate(
        owner, contact.mailbox, NOW, stream("made"), last_resort=last_resort
    )
    package = KeyPackage.parse(keys.package.signed)
    assert package == keys.package
    assert package.suite is SUITE_1
    assert package.identity == owner.identity
    assert package.contact == contact.mailbox
    lifetime = SIGNED_PREKEY_ROTATION if last_resort else PACKAGE_LIFETIME
    assert package.expiry == NOW + lifetime
    assert package.last_resort is last_resort
    assert len(package.one_time_prekeys) == (0 if last_resort else ONE_TIME_PREKEYS)
    assert KeyPackage.parse(keys.package.signed, verified=True) == package


def test_each_public_key_has_its_private_key(keys: KeyPackageKeys) -> None:
    """REQ-ID-04."""
    package = keys.package
    assert dh_public(keys.signed_prekey.reveal()) == package.signed_prekey
    assert dh_public(keys.leaf.reveal()) == package.leaf_key
    assert keys.room_sign.reveal()[32:] == package.room_sign_key
    prekeys = [keys.one_time_prekey(n) for n in range(ONE_TIME_PREKEYS)]
    assert [dh_public(key.reveal()) for key in prekeys if key] == list(package.one_time_prekeys)
    public = [
        package.identity.sign_key, package.identity.dh_key, package.signed_prekey,
        *package.one_time_prekeys, package.leaf_key, package.room_sign_key,
    ]  # fmt: skip
    assert len(set(public)) == 5 + ONE_TIME_PREKEYS


def test_the_hash_covers_the_signed_bytes(keys: KeyPackageKeys, last: KeyPackageKeys) -> None:
    signed = keys.package.signed
    assert 256 <= len(signed) < 65_536
    packed = b"\x92\xc4\x0bkey package\xc5" + len(signed).to_bytes(2, "big") + signed
    assert keys.package.hash == hashlib.blake2b(packed, digest_size=32).digest()
    assert keys.package.hash != last.package.hash


def test_the_signature_is_the_identity_keys_over_the_body(
    owner: IdentityKeys, keys: KeyPackageKeys
) -> None:
    body, signature = open_signed(keys.package.signed)
    verify(owner.identity.sign_key, signature, LABEL, body)


# --- What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0x01, 0x80])
def test_every_flipped_byte_is_refused(
    keys: KeyPackageKeys, last: KeyPackageKeys, mask: int
) -> None:
    for signed in (keys.package.signed, last.package.signed):
        for at in range(len(signed)):
            flipped = bytearray(signed)
            flipped[at] ^= mask
            with pytest.raises(RemoteError):
                KeyPackage.parse(bytes(flipped))


def test_every_cut_and_every_extra_byte_is_refused(keys: KeyPackageKeys) -> None:
    signed = keys.package.signed
    for size in range(len(signed)):
        assert_refused(signed[:size], Reason.TRUNCATED)
    assert_refused(signed + b"\xc0", Reason.TRAILING_BYTES)


def test_signing_again_without_a_change_is_accepted(
    owner: IdentityKeys, keys: KeyPackageKeys
) -> None:
    """What the tests below do to one field is the only fault they make."""
    assert KeyPackage.parse(signed_with(owner, keys.package)) == keys.package


@pytest.mark.parametrize("name", ["dh_key", "signed_prekey", "leaf_key", "contact", *range(4)])
@pytest.mark.parametrize("bad", BAD_DH_KEYS.values(), ids=BAD_DH_KEYS)
def test_each_bad_dh_key_is_refused(
    owner: IdentityKeys, keys: KeyPackageKeys, name: str | int, bad: bytes
) -> None:
    package = keys.package
    value: Any = bad
    if isinstance(name, int):
        prekeys = list(package.one_time_prekeys)
        prekeys[name] = bad
        name, value = "one_time_prekeys", prekeys
    elif name == "contact":
        value = [package.contact.address, bad, package.contact.capability]
    assert_refused(signed_with(owner, package, **{name: value}), Reason.BAD_KEY)


def test_each_bad_dh_key_of_a_last_resort_package_is_refused(
    owner: IdentityKeys, last: KeyPackageKeys
) -> None:
    contact = last.package.contact
    for bad in BAD_DH_KEYS.values():
        for name in ("dh_key", "signed_prekey", "leaf_key"):
            assert_refused(signed_with(owner, last.package, **{name: bad}), Reason.BAD_KEY)
        mailbox = [contact.address, bad, contact.capability]
        assert_refused(signed_with(owner, last.package, contact=mailbox), Reason.BAD_KEY)


def test_a_bad_room_signature_key_is_refused(owner: IdentityKeys, keys: KeyPackageKeys) -> None:
    mixed = sodium.crypto_core_ed25519_add(keys.package.room_sign_key, ORDER_TWO)
    for bad in (bytes(32), b"\xff" * 32, ORDER_TWO, bytes([1]) + bytes(31), mixed):
        signed = signed_with(owner, keys.package, room_sign_key=bad)
        assert_refused(signed, Reason.BAD_KEY)


def test_an_identity_key_of_mixed_order_is_refused(keys: KeyPackageKeys, stream: Streams) -> None:
    """The signature verifies, so that nothing but the check of the key itself can refuse it."""
    random = stream("mixed order")
    scalar = sodium.crypto_core_ed25519_scalar_reduce(random(64))
    good = sodium.crypto_scalarmult_ed25519_base_noclamp(scalar)
    mixed = sodium.crypto_core_ed25519_add(good, ORDER_TWO)
    check_sign_key(good)

    def sign(key: bytes, body: bytes) -> bytes:
        length = len(body).to_bytes(2, "big")
        message = b"\x93\xc4\x0aEvanesce 1\xc4\x0bkey package\xc5" + length + body
        while True:
            nonce = sodium.crypto_core_ed25519_scalar_reduce(random(64))
            point = sodium.crypto_scalarmult_ed25519_base_noclamp(nonce)
            challenge = hashlib.sha512(point + key + message).digest()
            h = sodium.crypto_core_ed25519_scalar_reduce(challenge)
            if h[0] % 2 == 0:  # h times the point of order two vanishes
                product = sodium.crypto_core_ed25519_scalar_mul(h, scalar)
                return bytes(point + sodium.crypto_core_ed25519_scalar_add(nonce, product))

    for key in (good, mixed):
        body = body_with(keys.package, {"sign_key": key})
        signature = sign(key, body)
        verify(key, signature, LABEL, body)
        signed = SIGNED.build(body, signature)
        if key == good:
            assert KeyPackage.parse(signed).identity.sign_key == good
        else:
            assert_refused(signed, Reason.BAD_KEY)


@pytest.mark.parametrize(
    "bad",
    [bytes(32), b"\xff" * 32, ORDER_TWO, bytes([1]) + bytes(31), (P + 1).to_bytes(32, "little")],
    ids=["order four", "not canonical", "order two", "neutral", "neutral, not canonical"],
)
def test_an_identity_key_of_small_order_is_refused(
    owner: IdentityKeys, keys: KeyPackageKeys, bad: bytes
) -> None:
    """With such a key, S = 0 and an R of small order would do as a signature."""
    body = body_with(keys.package, {"sign_key": bad})
    for signature in (bytes([1]) + bytes(63), bad + bytes(32), bytes(64)):
        assert_refused(SIGNED.build(body, signature), Reason.BAD_KEY)
        with pytest.raises(RemoteError) as caught:
            verify(bad, signature, LABEL, body)
        assert caught.value.reason is Reason.BAD_SIGNATURE


def test_another_signer_is_refused(keys: KeyPackageKeys, stream: Streams) -> None:
    other = IdentityKeys.generate(stream("another"))
    assert_refused(signed_with(other, keys.package), Reason.BAD_SIGNATURE)


def test_the_room_signature_key_may_not_sign_a_package(keys: KeyPackageKeys) -> None:
    body, _ = open_signed(keys.package.signed)
    assert_refused(seal_signed(keys.room_sign.reveal(), LABEL, body), Reason.BAD_SIGNATURE)


@pytest.mark.parametrize("label", [b"member entry", b"commit", b"", b"key packagf"])
def test_a_signature_made_for_another_purpose_is_refused(
    owner: IdentityKeys, keys: KeyPackageKeys, label: bytes
) -> None:
    body, _ = open_signed(keys.package.signed)
    assert_refused(seal_signed(owner.sign_private.reveal(), label, body), Reason.BAD_SIGNATURE)


@pytest.mark.parametrize("count", range(ONE_TIME_PREKEYS))
def test_a_one_time_package_has_four_prekeys(
    owner: IdentityKeys, keys: KeyPackageKeys, count: int
) -> None:
    prekeys = list(keys.package.one_time_prekeys[:count])
    assert_refused(signed_with(owner, keys.package, one_time_prekeys=prekeys), Reason.BAD_FORM)


def test_a_fifth_prekey_is_refused(owner: IdentityKeys, keys: KeyPackageKeys) -> None:
    prekeys = [*keys.package.one_time_prekeys, keys.package.leaf_key]
    assert_refused(signed_with(owner, keys.package, one_time_prekeys=prekeys), Reason.TOO_LARGE)


@pytest.mark.parametrize("count", range(1, ONE_TIME_PREKEYS + 1))
def test_a_last_resort_package_has_no_prekeys(
    owner: IdentityKeys, keys: KeyPackageKeys, last: KeyPackageKeys, count: int
) -> None:
    prekeys = list(keys.package.one_time_prekeys[:count])
    assert_refused(signed_with(owner, last.package, one_time_prekeys=prekeys), Reason.BAD_FORM)


def test_the_last_resort_mark_cannot_be_moved(
    owner: IdentityKeys, keys: KeyPackageKeys, last: KeyPackageKeys
) -> None:
    assert_refused(signed_with(owner, keys.package, last_resort=True), Reason.BAD_FORM)
    assert_refused(signed_with(owner, last.package, last_resort=False), Reason.BAD_FORM)


@pytest.mark.parametrize("number", [0, 2, 3, 255])
def test_an_unknown_suite_is_refused(
    owner: IdentityKeys, keys: KeyPackageKeys, number: int
) -> None:
    signed = signed_with(owner, keys.package, suite=number)
    assert_refused(signed, Reason.UNKNOWN_SUITE)
    with pytest.raises(RemoteError) as caught:
        KeyPackage.parse(signed, verified=True)
    assert caught.value.reason is Reason.UNKNOWN_SUITE


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"suite": 256}, Reason.BAD_FORM),
        ({"expiry": 2**40}, Reason.BAD_FORM),
        ({"expiry": b"1"}, Reason.BAD_FORM),
        ({"last_resort": 1}, Reason.BAD_FORM),
        ({"last_resort": None}, Reason.BAD_FORM),
        ({"leaf_key": bytes(31)}, Reason.BAD_FORM),
        ({"leaf_key": bytes(33)}, Reason.BAD_FORM),
        ({"leaf_key": "l" * 32}, Reason.BAD_FORM),
        ({"sign_key": bytes(33)}, Reason.BAD_FORM),
        ({"contact": [bytes(32), bytes(32)]}, Reason.BAD_FORM),
        ({"contact": [bytes(32), bytes(32), bytes(17)]}, Reason.BAD_FORM),
        ({"one_time_prekeys": None}, Reason.BAD_FORM),
        ({"one_time_prekeys": [bytes(32)] * 3 + [bytes(31)]}, Reason.BAD_FORM),
    ],
)
def test_a_field_of_another_form_is_refused(
    owner: IdentityKeys, keys: KeyPackageKeys, changes: dict[str, Any], reason: Reason
) -> None:
    assert_refused(signed_with(owner, keys.package, **changes), reason)


def test_the_expiry_may_be_the_last_second_of_the_format(
    owner: IdentityKeys, keys: KeyPackageKeys
) -> None:
    package = KeyPackage.parse(signed_with(owner, keys.package, expiry=2**40 - 1))
    assert package.expiry == 2**40 - 1


# In the order in which they are looked for.
FAULTS: Final[list[tuple[str, Reason, dict[str, Any]]]] = [
    ("form", Reason.BAD_FORM, {"expiry": 2**40}),
    ("suite", Reason.UNKNOWN_SUITE, {"suite": 2}),
    ("identity", Reason.BAD_KEY, {"dh_key": bytes(32)}),
    ("signature", Reason.BAD_SIGNATURE, {}),
    ("key", Reason.BAD_KEY, {"leaf_key": bytes(32)}),
    ("prekeys", Reason.BAD_FORM, {"last_resort": True}),
]


@pytest.mark.parametrize(
    "pair",
    list(itertools.combinations(FAULTS, 2)),
    ids=lambda pair: f"{pair[0][0]} and {pair[1][0]}",
)
def test_of_two_faults_the_first_is_named(
    owner: IdentityKeys, keys: KeyPackageKeys, stream: Streams, pair: tuple[Any, Any]
) -> None:
    (_, reason, first), (_, _, second) = pair
    names = {name for name, _, _ in pair}
    signer = IdentityKeys.generate(stream("another")) if "signature" in names else owner
    assert_refused(signed_with(signer, keys.package, **first, **second), reason)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault[0]))
def test_each_fault_alone_is_named(
    owner: IdentityKeys, keys: KeyPackageKeys, stream: Streams, fault: tuple[Any, Reason, Any]
) -> None:
    name, reason, changes = fault
    signer = IdentityKeys.generate(stream("another")) if name == "signature" else owner
    assert_refused(signed_with(signer, keys.package, **changes), reason)


def test_a_package_inside_another_object_is_no_package(keys: KeyPackageKeys) -> None:
    body, _ = open_signed(keys.package.signed)
    assert_refused(body, Reason.WRONG_TYPE)
    assert_refused(Card("x", keys.package).encode(), Reason.WRONG_TYPE)


# --- One-time prekeys ----------------------------------------------------------------------------


def test_a_prekey_is_found_by_its_index(keys: KeyPackageKeys, last: KeyPackageKeys) -> None:
    for index in range(ONE_TIME_PREKEYS):
        private = keys.one_time_prekey(index)
        assert private is not None
        assert dh_public(private.reveal()) == keys.package.prekey(index)
    assert last.package.prekey(None) is None
    assert last.one_time_prekey(None) is None


@pytest.mark.parametrize("index", [None, ONE_TIME_PREKEYS, 255])
def test_a_one_time_package_must_name_one_of_its_prekeys(
    keys: KeyPackageKeys, index: int | None
) -> None:
    for attempt in (keys.package.prekey, keys.one_time_prekey):
        with pytest.raises(RemoteError) as caught:
            attempt(index)
        assert caught.value.reason is Reason.USED_PACKAGE


@pytest.mark.parametrize("index", [0, 3, 4])
def test_a_last_resort_package_has_no_prekey_to_name(last: KeyPackageKeys, index: int) -> None:
    for attempt in (last.package.prekey, last.one_time_prekey):
        with pytest.raises(RemoteError) as caught:
            attempt(index)
        assert caught.value.reason is Reason.USED_PACKAGE


@pytest.mark.parametrize("index", range(ONE_TIME_PREKEYS))
def test_a_used_prekey_is_gone(keys: KeyPackageKeys, index: int) -> None:
    private = keys.one_time_prekey(index)
    assert private is not None
    left = keys.without(index)
    for attempt in (left, left.without(index), KeyPackageKeys.load(left.dump())):
        with pytest.raises(RemoteError) as caught:
            attempt.one_time_prekey(index)
        assert caught.value.reason is Reason.USED_PACKAGE
        assert private.reveal() not in attempt.dump()
    assert private.reveal() in keys.dump()
    for other in set(range(ONE_TIME_PREKEYS)) - {index}:
        assert left.one_time_prekey(other) == keys.one_time_prekey(other)
    assert (left.package, left.signed_prekey, left.leaf, left.room_sign) == (
        keys.package, keys.signed_prekey, keys.leaf, keys.room_sign,
    )  # fmt: skip


def test_a_join_without_a_prekey_uses_none(keys: KeyPackageKeys, last: KeyPackageKeys) -> None:
    assert keys.without(None) == keys
    assert last.without(None) == last


def test_all_prekeys_can_be_used_in_any_order(keys: KeyPackageKeys) -> None:
    left = keys
    for index in (2, 0, 3, 1):
        assert left.one_time_prekey(index) is not None
        left = left.without(index)
    assert left.one_time_prekeys == (None,) * ONE_TIME_PREKEYS


# --- What is stored and shown --------------------------------------------------------------------


def test_dump_and_load(keys: KeyPackageKeys, last: KeyPackageKeys) -> None:
    for made in (keys, last, keys.without(0), keys.without(1).without(3)):
        loaded = KeyPackageKeys.load(made.dump())
        assert loaded == made
        assert loaded.dump() == made.dump()
    assert keys.dump() != keys.without(0).dump()


def test_no_printout_shows_private_bytes(keys: KeyPackageKeys) -> None:
    prekeys = [key for key in keys.one_time_prekeys if key is not None]
    secrets: list[Secret] = [keys.signed_prekey, keys.leaf, *prekeys, keys.room_sign]
    text = f"{keys!r} {keys} {[keys]}"
    assert text.count("Secret(…)") == 3 * len(secrets)
    for private in (secret.reveal()[:32] for secret in secrets):
        windows = [private[n : n + 4] for n in range(29)]
        assert repr(windows[5])[2:-1] in repr(private)  # the search would find them
        for window in windows:
            assert window.hex() not in text
            assert repr(window)[2:-1] not in text


# --- Cards ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "Alice", "알리스 🦔", "a" * MAX_NAME, "é" * (MAX_NAME // 2)])
def test_a_card_is_read_as_it_was_made(
    owner: IdentityKeys, keys: KeyPackageKeys, last: KeyPackageKeys, name: str
) -> None:
    for made in (keys, last):
        card = Card(name, made.package)
        assert Card.decode(card.encode()) == card
        assert Card.decode(card.encode()).name == name
        assert card.identity == owner.identity


@pytest.mark.parametrize(
    "name", ["a" * (MAX_NAME + 1), "é" * (MAX_NAME // 2) + "a", "🦔" * (MAX_NAME // 4) + "a"]
)
def test_a_name_past_the_limit_is_refused(keys: KeyPackageKeys, name: str) -> None:
    with pytest.raises(RemoteError) as caught:
        Card.decode(CARD.build(name, keys.package.signed))
    assert caught.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a" * (MAX_NAME + 1), Reason.TOO_LARGE),
        ("é" * (MAX_NAME // 2) + "a", Reason.TOO_LARGE),
        ("\ud800", Reason.BAD_INPUT),
        ("a\udfffb", Reason.BAD_INPUT),
    ],
)
def test_a_card_that_nobody_can_read_is_not_made(
    keys: KeyPackageKeys, name: str, reason: Reason
) -> None:
    with pytest.raises(LocalError) as caught:
        Card(name, keys.package).encode()
    assert caught.value.reason is reason


def test_a_name_that_is_no_text_is_refused(keys: KeyPackageKeys) -> None:
    data = Card("abc", keys.package).encode()
    for bad in (b"\xed\xa0\x80", b"\xff\xfe\xfd", b"\xc0\xafx"):
        with pytest.raises(RemoteError) as caught:
            Card.decode(data.replace(b"abc", bad, 1))
        assert caught.value.reason is Reason.NON_CANONICAL
    with pytest.raises(RemoteError) as caught:
        Card.decode(CARD.build(b"abc", keys.package.signed))
    assert caught.value.reason is Reason.BAD_FORM


def test_the_package_in_a_card_is_checked(owner: IdentityKeys, keys: KeyPackageKeys) -> None:
    bad = signed_with(owner, keys.package, leaf_key=bytes(32))
    with pytest.raises(RemoteError) as caught:
        Card.decode(CARD.build("Alice", bad))
    assert caught.value.reason is Reason.BAD_KEY


def test_no_flipped_byte_of_a_card_changes_its_package(keys: KeyPackageKeys) -> None:
    """The name is not signed: a flip there may be another name, and nothing else."""
    name = "Alice"
    data = Card(name, keys.package).encode()
    renamed = 0
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 0x01
        if data.index(b"Alice") <= at < data.index(b"Alice") + 5:
            card = Card.decode(bytes(flipped))
            assert card.package == keys.package
            assert card.name != name
            renamed += 1
        else:
            with pytest.raises(RemoteError):
                Card.decode(bytes(flipped))
    assert renamed == 5


def test_a_card_expires_with_its_package(keys: KeyPackageKeys, last: KeyPackageKeys) -> None:
    for made, lifetime in ((keys, PACKAGE_LIFETIME), (last, SIGNED_PREKEY_ROTATION)):
        card = Card("Alice", made.package)
        for moment in (0, NOW, NOW + lifetime):
            card.check_usable(moment)
        for moment in (NOW + lifetime + 1, 2**40):
            with pytest.raises(LocalError) as caught:
                card.check_usable(moment)
            assert caught.value.reason is Reason.EXPIRED
