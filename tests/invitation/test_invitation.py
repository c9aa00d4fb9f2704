"""Invitations: who can open one, what it is bound to, and that it proves nothing (spec 07).

`Exchange` derives the key of an invitation once more, from the definition, with `hashlib` and
libsodium alone: the tests change one of its parts at a time.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import pytest
from nacl import bindings as sodium

from evanesce.errors import LocalError, Reason, RemoteError
from evanesce.formats import INVITATION, KEY_PACKAGE
from evanesce.identity import Identity, IdentityKeys, open_signed, seal_signed
from evanesce.invitation import Invitation, open_invitation, seal_invitation
from evanesce.keypackage import KeyPackage, KeyPackageKeys
from evanesce.limits import MAX_INVITATION, ONE_TIME_PREKEYS
from evanesce.mailbox import Mailbox, MailboxKeys
from evanesce.primitives import Random, dh_public

Streams = Callable[[str], Random]

NOW: Final = 1_700_000_000
WELCOME: Final = b"come in, the room is warm"
LOW_ORDER: Final = [
    bytes(32),
    bytes([1]) + bytes(31),
    (2**255 - 20).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
]
NOT_CANONICAL: Final = [b"\xff" * 32, (2**255 - 10).to_bytes(32, "little")]


def packed(*items: bytes | int | None) -> bytes:
    """MessagePack by hand: an array of at most 15 short `bin`, small integers and nil."""
    out = [bytes([0x90 | len(items)])]
    for item in items:
        if item is None:
            out.append(b"\xc0")
        elif isinstance(item, int):
            assert item < 128
            out.append(bytes([item]))
        else:
            out.append(bytes([0xC4, len(item)]) + item)
    return b"".join(out)


def package_hash(package: KeyPackage) -> bytes:
    signed = package.signed
    head = b"\x92\xc4\x0bkey package\xc5" + len(signed).to_bytes(2, "big")
    return hashlib.blake2b(head + signed, digest_size=32).digest()


@dataclass(frozen=True)
class Exchange:
    """Everything the key of an invitation is made of."""

    secrets: tuple[bytes, ...]
    suite: int
    inviter_sign: bytes
    inviter_dh: bytes
    invited_sign: bytes
    invited_dh: bytes
    package: bytes
    signed_prekey: bytes
    index: int | None
    prekey: bytes | None
    ephemeral: bytes

    def key(self) -> bytes:
        fields = (self.suite, self.inviter_sign, self.inviter_dh, self.invited_sign,
                  self.invited_dh, self.package, self.signed_prekey, self.index, self.prekey,
                  self.ephemeral)  # fmt: skip
        message = packed(b"invitation transcript", *fields)
        transcript = hashlib.blake2b(message, digest_size=32).digest()
        message = packed(b"invitation", *self.secrets, transcript)
        return hashlib.blake2b(message, key=bytes(32), digest_size=32).digest()


def as_inviter(
    inviter: IdentityKeys, package: KeyPackage, index: int | None, ephemeral: bytes
) -> Exchange:
    """What the inviter computes: its identity key, a fresh key, and public keys."""
    mult = sodium.crypto_scalarmult
    prekey = None if index is None else package.one_time_prekeys[index]
    secrets = [
        mult(inviter.dh_private.reveal(), package.signed_prekey),
        mult(ephemeral, package.identity.dh_key),
        mult(ephemeral, package.signed_prekey),
    ]
    secrets += [] if prekey is None else [mult(ephemeral, prekey)]
    return Exchange(
        tuple(secrets), 1, inviter.identity.sign_key, inviter.identity.dh_key,
        package.identity.sign_key, package.identity.dh_key, package_hash(package),
        package.signed_prekey, index, prekey, sodium.crypto_scalarmult_base(ephemeral),
    )  # fmt: skip


def sealed_with(key: bytes, welcome: bytes) -> bytes:
    sealed = sodium.crypto_aead_chacha20poly1305_ietf_encrypt(welcome, None, bytes(12), key)
    return bytes(sealed)


def invitation_of(exchange: Exchange, welcome: bytes = WELCOME) -> bytes:
    """An invitation sealed under the key of an exchange, its fields as the exchange says."""
    sealed = sealed_with(exchange.key(), welcome)
    return INVITATION.build(
        exchange.suite, exchange.inviter_sign, exchange.inviter_dh, exchange.package,
        exchange.index, exchange.ephemeral, sealed,
    )  # fmt: skip


@pytest.fixture(scope="module")
def alice(stream: Streams) -> IdentityKeys:
    return IdentityKeys.generate(stream("alice"))


@pytest.fixture(scope="module")
def bob(stream: Streams) -> IdentityKeys:
    return IdentityKeys.generate(stream("bob"))


@pytest.fixture(scope="module")
def eve(stream: Streams) -> IdentityKeys:
    return IdentityKeys.generate(stream("eve"))


@pytest.fixture(scope="module")
def contact(stream: Streams) -> Mailbox:
    return MailboxKeys.generate(stream("contact")).mailbox


@pytest.fixture(scope="module")
def keys(bob: IdentityKeys, contact: Mailbox, stream: Streams) -> KeyPackageKeys:
    """Bob's one-time package."""
    return KeyPackageKeys.generate(bob, contact, NOW, stream("package"))


@pytest.fixture(scope="module")
def last(bob: IdentityKeys, contact: Mailbox, stream: Streams) -> KeyPackageKeys:
    """Bob's last-resort package."""
    return KeyPackageKeys.generate(bob, contact, NOW, stream("last resort"), last_resort=True)


def refusal(owner: IdentityKeys, keys: KeyPackageKeys, data: bytes) -> Reason:
    """Why an invitation is refused, in reading or in opening it."""
    with pytest.raises(RemoteError) as caught:
        open_invitation(owner, keys, Invitation.parse(data))
    return caught.value.reason


def field_changed(data: bytes, **changes: object) -> bytes:
    """An invitation with other values in some fields, its ciphertext untouched."""
    invitation = replace(Invitation.parse(data), **changes)  # type: ignore[arg-type]
    return INVITATION.build(
        invitation.suite, invitation.inviter.sign_key, invitation.inviter.dh_key,
        invitation.package_hash, invitation.prekey_index, invitation.ephemeral_key,
        invitation.sealed,
    )  # fmt: skip


# --- Sealing and opening -------------------------------------------------------------------------


@pytest.mark.parametrize("index", range(ONE_TIME_PREKEYS))
@pytest.mark.parametrize("welcome", [b"", b"w", WELCOME, bytes(5_000)], ids=len)
def test_an_invitation_opens_with_a_one_time_prekey(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, stream: Streams, index: int,
    welcome: bytes,
) -> None:  # fmt: skip
    data = seal_invitation(alice, keys.package, index, welcome, stream("ephemeral"))
    invitation = Invitation.parse(data)
    assert invitation.suite == 1
    assert invitation.inviter == alice.identity
    assert invitation.package_hash == keys.package.hash
    assert invitation.prekey_index == index
    assert len(invitation.sealed) == len(welcome) + 16
    assert open_invitation(bob, keys, invitation) == welcome


def test_an_invitation_opens_with_a_last_resort_package(
    alice: IdentityKeys, bob: IdentityKeys, last: KeyPackageKeys, stream: Streams
) -> None:
    data = seal_invitation(alice, last.package, None, WELCOME, stream("ephemeral"))
    assert Invitation.parse(data).prekey_index is None
    for _ in range(2):  # and again: such a package is not used up
        assert open_invitation(bob, last, Invitation.parse(data)) == WELCOME


def test_only_the_named_prekey_is_needed(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, stream: Streams
) -> None:
    data = seal_invitation(alice, keys.package, 2, WELCOME, stream("ephemeral"))
    left = keys.without(0).without(1).without(3)
    assert open_invitation(bob, left, Invitation.parse(data)) == WELCOME


@pytest.mark.parametrize("index", [None, 0, 3])
def test_the_key_is_as_defined(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, last: KeyPackageKeys,
    stream: Streams, index: int | None,
) -> None:  # fmt: skip
    """Both ways: what is sealed here opens there, and the same bytes come out."""
    owned = last if index is None else keys
    exchange = as_inviter(alice, owned.package, index, stream("ephemeral")(32))
    data = seal_invitation(alice, owned.package, index, WELCOME, stream("ephemeral"))
    assert data == invitation_of(exchange)
    assert open_invitation(bob, owned, Invitation.parse(invitation_of(exchange))) == WELCOME


def test_a_known_invitation(alice: IdentityKeys, keys: KeyPackageKeys, stream: Streams) -> None:
    """Every key and random byte comes from a seed: these bytes never change within version 1."""
    data = seal_invitation(alice, keys.package, 3, b"welcome", stream("ephemeral"))
    assert Invitation.parse(data).sealed.hex() == "6cfe854e11c6949063e530f189bffe5769a0938611c1c8"


def test_no_two_invitations_are_equal(
    alice: IdentityKeys, keys: KeyPackageKeys, stream: Streams
) -> None:
    random = stream("ephemeral")
    first, second = (
        Invitation.parse(seal_invitation(alice, keys.package, 0, WELCOME, random)) for _ in "12"
    )
    assert first.ephemeral_key != second.ephemeral_key
    assert first.sealed != second.sealed


def test_the_welcome_is_as_large_as_an_invitation_allows(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, stream: Streams
) -> None:
    small = seal_invitation(alice, keys.package, 0, bytes(70_000), stream("ephemeral"))
    most = MAX_INVITATION - (len(small) - 70_000)
    data = seal_invitation(alice, keys.package, 0, bytes(most), stream("ephemeral"))
    assert len(data) == MAX_INVITATION
    assert open_invitation(bob, keys, Invitation.parse(data)) == bytes(most)
    with pytest.raises(LocalError) as caught:
        seal_invitation(alice, keys.package, 0, bytes(most + 1), stream("ephemeral"))
    assert caught.value.reason is Reason.TOO_LARGE


# --- What it is bound to -------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0x01, 0x80])
def test_every_flipped_byte_is_refused(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, last: KeyPackageKeys,
    stream: Streams, mask: int,
) -> None:  # fmt: skip
    for owned, index in ((keys, 1), (last, None)):
        data = seal_invitation(alice, owned.package, index, WELCOME, stream("ephemeral"))
        assert open_invitation(bob, owned, Invitation.parse(data)) == WELCOME
        for at in range(len(data)):
            flipped = bytearray(data)
            flipped[at] ^= mask
            refusal(bob, owned, bytes(flipped))


def test_every_cut_and_every_extra_byte_is_refused(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, stream: Streams
) -> None:
    data = seal_invitation(alice, keys.package, 1, WELCOME, stream("ephemeral"))
    for size in range(len(data)):
        assert refusal(bob, keys, data[:size]) is Reason.TRUNCATED
    assert refusal(bob, keys, data + b"\x00") is Reason.TRAILING_BYTES


@pytest.mark.parametrize("place", range(4))
def test_each_dh_matters(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, stream: Streams, place: int
) -> None:
    """Whoever lacks one of the four shared secrets cannot make the invitation."""
    exchange = as_inviter(alice, keys.package, 1, stream("ephemeral")(32))
    assert open_invitation(bob, keys, Invitation.parse(invitation_of(exchange))) == WELCOME
    for other in (bytes(32), stream("guess")(32), exchange.secrets[place - 1]):
        secrets = list(exchange.secrets)
        secrets[place] = other
        guessed = replace(exchange, secrets=tuple(secrets))
        assert refusal(bob, keys, invitation_of(guessed)) is Reason.BAD_CIPHERTEXT
    without = exchange.secrets[:place] + exchange.secrets[place + 1 :]
    data = invitation_of(replace(exchange, secrets=without))
    assert refusal(bob, keys, data) is Reason.BAD_CIPHERTEXT


@pytest.mark.parametrize("place", range(3))
def test_each_dh_with_a_last_resort_package_matters(
    alice: IdentityKeys, bob: IdentityKeys, last: KeyPackageKeys, stream: Streams, place: int
) -> None:
    exchange = as_inviter(alice, last.package, None, stream("ephemeral")(32))
    assert open_invitation(bob, last, Invitation.parse(invitation_of(exchange))) == WELCOME
    secrets = list(exchange.secrets)
    secrets[place] = stream("guess")(32)
    data = invitation_of(replace(exchange, secrets=tuple(secrets)))
    assert refusal(bob, last, data) is Reason.BAD_CIPHERTEXT


@pytest.mark.parametrize(
    "name",
    ["suite", "inviter_sign", "inviter_dh", "invited_sign", "invited_dh", "package",
     "signed_prekey", "index", "prekey", "ephemeral"],
)  # fmt: skip
def test_each_part_of_the_transcript_matters(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, stream: Streams, name: str
) -> None:
    """The four secrets are right and the fields are honest; one view of one value differs."""
    exchange = as_inviter(alice, keys.package, 1, stream("ephemeral")(32))
    other: object = {"suite": 2, "index": 2}.get(name, stream("other")(32))
    seen = replace(exchange, **{name: other})  # type: ignore[arg-type]
    data = field_changed(invitation_of(exchange), sealed=sealed_with(seen.key(), WELCOME))
    assert refusal(bob, keys, data) is Reason.BAD_CIPHERTEXT


def test_the_roles_matter(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, stream: Streams
) -> None:
    """With the identities of the transcript exchanged, nothing opens."""
    exchange = as_inviter(alice, keys.package, 1, stream("ephemeral")(32))
    seen = replace(
        exchange,
        inviter_sign=exchange.invited_sign,
        inviter_dh=exchange.invited_dh,
        invited_sign=exchange.inviter_sign,
        invited_dh=exchange.inviter_dh,
    )
    data = field_changed(invitation_of(exchange), sealed=sealed_with(seen.key(), WELCOME))
    assert refusal(bob, keys, data) is Reason.BAD_CIPHERTEXT


def test_another_inviter_cannot_be_named(
    alice: IdentityKeys, bob: IdentityKeys, eve: IdentityKeys, keys: KeyPackageKeys,
    stream: Streams,
) -> None:  # fmt: skip
    data = seal_invitation(eve, keys.package, 1, WELCOME, stream("ephemeral"))
    mixed = [
        alice.identity,
        Identity(alice.identity.sign_key, eve.identity.dh_key),
        Identity(eve.identity.sign_key, alice.identity.dh_key),
    ]
    for inviter in mixed:
        changed = field_changed(data, inviter=inviter)
        assert refusal(bob, keys, changed) is Reason.BAD_CIPHERTEXT


def test_eve_with_every_key_but_alices_cannot_invite_as_alice(
    alice: IdentityKeys, bob: IdentityKeys, eve: IdentityKeys, keys: KeyPackageKeys,
    stream: Streams,
) -> None:  # fmt: skip
    honest = as_inviter(alice, keys.package, 1, stream("ephemeral")(32))
    own = as_inviter(eve, keys.package, 1, stream("ephemeral")(32))
    forged = replace(honest, secrets=own.secrets)
    assert forged.secrets[1:] == honest.secrets[1:]
    assert refusal(bob, keys, invitation_of(forged)) is Reason.BAD_CIPHERTEXT


def test_another_prekey_cannot_be_named(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, stream: Streams
) -> None:
    data = seal_invitation(alice, keys.package, 1, WELCOME, stream("ephemeral"))
    for index in (0, 2, 3):
        changed = field_changed(data, prekey_index=index)
        assert refusal(bob, keys, changed) is Reason.BAD_CIPHERTEXT
    assert refusal(bob, keys, field_changed(data, prekey_index=None)) is Reason.USED_PACKAGE
    past = INVITATION.build(1, *(bytes(32),) * 3, ONE_TIME_PREKEYS, bytes(32), bytes(16))
    with pytest.raises(RemoteError) as caught:
        Invitation.parse(past)
    assert caught.value.reason is Reason.BAD_FORM


def test_another_package_cannot_be_named(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, contact: Mailbox,
    stream: Streams,
) -> None:  # fmt: skip
    other = KeyPackageKeys.generate(bob, contact, NOW, stream("other package"))
    data = seal_invitation(alice, keys.package, 1, WELCOME, stream("ephemeral"))
    assert refusal(bob, other, data) is Reason.UNKNOWN_PACKAGE
    changed = field_changed(data, package_hash=other.package.hash)
    assert refusal(bob, other, changed) is Reason.BAD_CIPHERTEXT
    assert refusal(bob, keys, changed) is Reason.UNKNOWN_PACKAGE


def test_another_recipient_cannot_open_it(
    alice: IdentityKeys, eve: IdentityKeys, keys: KeyPackageKeys, stream: Streams
) -> None:
    """Not even with every private key of the package: the identity key is missing."""
    data = seal_invitation(alice, keys.package, 1, WELCOME, stream("ephemeral"))
    assert refusal(eve, keys, data) is Reason.BAD_CIPHERTEXT


def test_each_private_key_of_the_recipient_is_needed(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, contact: Mailbox,
    stream: Streams,
) -> None:  # fmt: skip
    other = KeyPackageKeys.generate(bob, contact, NOW, stream("other package"))
    data = seal_invitation(alice, keys.package, 1, WELCOME, stream("ephemeral"))
    for lacking in (
        replace(keys, signed_prekey=other.signed_prekey),
        replace(keys, one_time_prekeys=other.one_time_prekeys),
        replace(keys, one_time_prekeys=keys.one_time_prekeys[::-1]),
    ):
        assert refusal(bob, lacking, data) is Reason.BAD_CIPHERTEXT


def test_a_package_taken_over_under_another_name_serves_nobody(
    alice: IdentityKeys, bob: IdentityKeys, eve: IdentityKeys, keys: KeyPackageKeys,
    stream: Streams,
) -> None:  # fmt: skip
    """Unknown key share: Eve signs Bob's keys as her own. Alice's invitation is to Eve."""
    body, _ = open_signed(keys.package.signed)
    fields = KEY_PACKAGE.parse(body)
    fields[1] = eve.identity.sign_key
    signed = seal_signed(eve.sign_private.reveal(), b"key package", KEY_PACKAGE.build(*fields))
    stolen = KeyPackage.parse(signed)
    assert stolen.identity.fingerprint != bob.identity.fingerprint
    data = seal_invitation(alice, stolen, 1, WELCOME, stream("ephemeral"))
    assert refusal(bob, keys, data) is Reason.UNKNOWN_PACKAGE
    changed = field_changed(data, package_hash=keys.package.hash)
    assert refusal(bob, keys, changed) is Reason.BAD_CIPHERTEXT


def test_an_invitation_to_oneself_is_refused(
    bob: IdentityKeys, keys: KeyPackageKeys, stream: Streams
) -> None:
    data = seal_invitation(bob, keys.package, 1, WELCOME, stream("ephemeral"))
    assert refusal(bob, keys, data) is Reason.WRONG_IDENTITY


def test_a_reflected_invitation_is_refused(
    alice: IdentityKeys, contact: Mailbox, keys: KeyPackageKeys, stream: Streams
) -> None:
    """What Alice sent comes back to her."""
    own = KeyPackageKeys.generate(alice, contact, NOW, stream("alice's package"))
    data = seal_invitation(alice, keys.package, 1, WELCOME, stream("ephemeral"))
    assert refusal(alice, own, data) is Reason.UNKNOWN_PACKAGE
    changed = field_changed(data, package_hash=own.package.hash)
    assert refusal(alice, own, changed) is Reason.WRONG_IDENTITY


# --- Bad keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [*LOW_ORDER, *NOT_CANONICAL])
def test_a_bad_ephemeral_key_is_refused(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, stream: Streams, bad: bytes
) -> None:
    """The key is computed with what a careless DH would return: zeros."""
    exchange = as_inviter(alice, keys.package, 1, stream("ephemeral")(32))
    zero = bytes(32)
    exchange = replace(exchange, secrets=(exchange.secrets[0], zero, zero, zero), ephemeral=bad)
    assert refusal(bob, keys, invitation_of(exchange)) is Reason.BAD_KEY


@pytest.mark.parametrize("bad", [*LOW_ORDER, *NOT_CANONICAL])
def test_a_bad_identity_key_of_the_inviter_is_refused(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, stream: Streams, bad: bytes
) -> None:
    """Anybody could compute this key, in anybody's name."""
    exchange = as_inviter(alice, keys.package, 1, stream("ephemeral")(32))
    secrets = (bytes(32), *exchange.secrets[1:])
    exchange = replace(exchange, secrets=secrets, inviter_dh=bad)
    assert refusal(bob, keys, invitation_of(exchange)) is Reason.BAD_KEY


def test_a_bad_signature_key_of_the_inviter_is_refused(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, stream: Streams
) -> None:
    order_two = (2**255 - 20).to_bytes(32, "little")
    mixed = sodium.crypto_core_ed25519_add(alice.identity.sign_key, order_two)
    exchange = as_inviter(alice, keys.package, 1, stream("ephemeral")(32))
    for bad in (bytes(32), b"\xff" * 32, order_two, mixed):
        data = invitation_of(replace(exchange, inviter_sign=bad))
        assert refusal(bob, keys, data) is Reason.BAD_KEY


# --- Used prekeys --------------------------------------------------------------------------------


def test_after_its_prekey_is_erased_an_invitation_is_closed_for_good(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, stream: Streams
) -> None:
    data = seal_invitation(alice, keys.package, 1, WELCOME, stream("ephemeral"))
    assert open_invitation(bob, keys, Invitation.parse(data)) == WELCOME
    left = KeyPackageKeys.load(keys.without(1).dump())
    assert refusal(bob, left, data) is Reason.USED_PACKAGE
    for index in (0, 2, 3):  # nor do the other prekeys help
        assert refusal(bob, left, field_changed(data, prekey_index=index)) is Reason.BAD_CIPHERTEXT
        other = seal_invitation(alice, keys.package, index, WELCOME, stream("ephemeral"))
        assert open_invitation(bob, left, Invitation.parse(other)) == WELCOME


@pytest.mark.parametrize("index", [None, ONE_TIME_PREKEYS])
def test_a_one_time_package_is_not_used_without_a_prekey(
    alice: IdentityKeys, keys: KeyPackageKeys, stream: Streams, index: int | None
) -> None:
    with pytest.raises(RemoteError) as caught:
        seal_invitation(alice, keys.package, index, WELCOME, stream("ephemeral"))
    assert caught.value.reason is Reason.USED_PACKAGE


def test_leaving_out_the_fourth_dh_is_refused(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, stream: Streams
) -> None:
    """A relay or an inviter cannot turn a one-time package into one without forward secrecy."""
    exchange = as_inviter(alice, keys.package, None, stream("ephemeral")(32))
    assert refusal(bob, keys, invitation_of(exchange)) is Reason.USED_PACKAGE
    left = keys.without(0).without(1).without(2).without(3)
    assert refusal(bob, left, invitation_of(exchange)) is Reason.USED_PACKAGE


def test_a_last_resort_package_names_no_prekey(
    alice: IdentityKeys, bob: IdentityKeys, last: KeyPackageKeys, stream: Streams
) -> None:
    data = seal_invitation(alice, last.package, None, WELCOME, stream("ephemeral"))
    assert refusal(bob, last, field_changed(data, prekey_index=0)) is Reason.USED_PACKAGE


# --- Suites --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 2, 255])
def test_another_suite_is_refused(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, stream: Streams, number: int
) -> None:
    """Even when its inviter means it: the number is in the transcript, too."""
    exchange = as_inviter(alice, keys.package, 1, stream("ephemeral")(32))
    if number < 128:
        data = invitation_of(replace(exchange, suite=number))
    else:
        data = field_changed(invitation_of(exchange), suite=number)
    with pytest.raises(RemoteError) as caught:
        Invitation.parse(data)
    assert caught.value.reason is Reason.UNKNOWN_SUITE


def test_the_suite_of_the_package_is_in_the_key(
    alice: IdentityKeys, keys: KeyPackageKeys, stream: Streams
) -> None:
    """What is sealed for a later suite is derived for that suite."""
    package = replace(keys.package, suite=replace(keys.package.suite, number=2))
    exchange = as_inviter(alice, keys.package, 1, stream("ephemeral")(32))
    data = seal_invitation(alice, package, 1, WELCOME, stream("ephemeral"))
    assert data == invitation_of(replace(exchange, suite=2))


def test_the_suite_of_an_invitation_is_that_of_the_package(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, stream: Streams
) -> None:
    """REQ-PRIM-20: a downgrade: a known suite, but not the one the package was made for."""
    higher = replace(keys.package.suite, number=2)
    package = replace(keys.package, suite=higher)
    data = seal_invitation(alice, keys.package, 1, WELCOME, stream("ephemeral"))
    assert refusal(bob, replace(keys, package=package), data) is Reason.UNKNOWN_SUITE


# --- Which refusal comes first -------------------------------------------------------------------


def test_the_order_of_checks(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, stream: Streams
) -> None:
    """Each step repairs the fault that was named; the next one shows."""
    good = Invitation.parse(seal_invitation(alice, keys.package, 1, WELCOME, stream("ephemeral")))
    left = keys.without(0)
    bad_key = Identity(alice.identity.sign_key, bytes(32))
    worst = replace(
        good, suite=2, package_hash=bytes(32), prekey_index=0, inviter=bob.identity,
        ephemeral_key=bytes(32), sealed=bytes(16),
    )  # fmt: skip
    steps: list[tuple[Reason, dict[str, object]]] = [
        (Reason.UNKNOWN_PACKAGE, {"package_hash": good.package_hash}),
        (Reason.UNKNOWN_SUITE, {"suite": 1}),
        (Reason.USED_PACKAGE, {"prekey_index": 1}),
        (Reason.WRONG_IDENTITY, {"inviter": bad_key}),
        (Reason.BAD_KEY, {"inviter": good.inviter}),
        (Reason.BAD_KEY, {"ephemeral_key": good.ephemeral_key}),
        (Reason.BAD_CIPHERTEXT, {"sealed": good.sealed}),
    ]
    for reason, repair in steps:
        with pytest.raises(RemoteError) as caught:
            open_invitation(bob, left, worst)
        assert caught.value.reason is reason
        worst = replace(worst, **repair)  # type: ignore[arg-type]
    assert open_invitation(bob, left, worst) == WELCOME


# --- Deniability ---------------------------------------------------------------------------------


def as_invited(
    inviter: Identity, owner: IdentityKeys, keys: KeyPackageKeys, index: int | None,
    ephemeral: bytes,
) -> Exchange:  # fmt: skip
    """What the INVITED side can compute alone: its private keys, and the inviter's public ones."""
    mult = sodium.crypto_scalarmult
    public = sodium.crypto_scalarmult_base(ephemeral)
    package = keys.package
    one_time = keys.one_time_prekey(index)
    secrets = [
        mult(keys.signed_prekey.reveal(), inviter.dh_key),
        mult(owner.dh_private.reveal(), public),
        mult(keys.signed_prekey.reveal(), public),
    ]
    secrets += [] if one_time is None else [mult(one_time.reveal(), public)]
    return Exchange(
        tuple(secrets), 1, inviter.sign_key, inviter.dh_key, package.identity.sign_key,
        package.identity.dh_key, package_hash(package), package.signed_prekey, index,
        None if one_time is None else dh_public(one_time.reveal()), public,
    )  # fmt: skip


@pytest.mark.parametrize("index", [None, 0, 3])
def test_the_receiver_alone_can_make_any_invitation(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, last: KeyPackageKeys,
    stream: Streams, index: int | None,
) -> None:  # fmt: skip
    """Deniable: Alice never took part, and no judge can tell."""
    owned = last if index is None else keys
    words = b"words that Alice never wrote"
    forged = invitation_of(
        as_invited(alice.identity, bob, owned, index, stream("bob's own")(32)), words
    )
    invitation = Invitation.parse(forged)
    assert invitation.inviter == alice.identity
    assert open_invitation(bob, owned, invitation) == words


def test_a_simulated_invitation_is_the_genuine_one_bit_for_bit(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, stream: Streams
) -> None:
    """With the same ephemeral key, inviter and invited make the very same bytes."""
    genuine = seal_invitation(alice, keys.package, 2, WELCOME, stream("ephemeral"))
    exchange = as_invited(alice.identity, bob, keys, 2, stream("ephemeral")(32))
    assert invitation_of(exchange, WELCOME) == genuine


def test_no_signature_of_the_inviter_is_made(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, stream: Streams
) -> None:
    """Sealing works after the inviter's signature key is gone."""
    inviter = IdentityKeys.load(alice.dump())
    inviter.sign_private.erase()
    data = seal_invitation(inviter, keys.package, 1, WELCOME, stream("ephemeral"))
    assert open_invitation(bob, keys, Invitation.parse(data)) == WELCOME


def test_opening_needs_no_signature_key(
    alice: IdentityKeys, bob: IdentityKeys, keys: KeyPackageKeys, stream: Streams
) -> None:
    data = seal_invitation(alice, keys.package, 1, WELCOME, stream("ephemeral"))
    owner = IdentityKeys.load(bob.dump())
    owner.sign_private.erase()
    assert open_invitation(owner, keys, Invitation.parse(data)) == WELCOME
