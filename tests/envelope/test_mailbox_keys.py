"""Mailboxes: the address, the right to read, what is stored and what is shown (spec 12)."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from nacl import bindings as sodium

from evanesce.errors import LocalError, Reason, RemoteError
from evanesce.mailbox import Mailbox, MailboxKeys, MailboxReader
from evanesce.primitives import Random, check_dh_key, check_sign_key, dh_public

Streams = Callable[[str], Random]


@pytest.fixture(scope="module")
def keys(stream: Streams) -> MailboxKeys:
    return MailboxKeys.generate(stream("mailbox"))


@pytest.fixture(scope="module")
def other(stream: Streams) -> MailboxKeys:
    return MailboxKeys.generate(stream("other mailbox"))


def refusal(reader: MailboxReader, challenge: bytes, proof: bytes) -> Reason:
    with pytest.raises(RemoteError) as caught:
        reader.check(challenge, proof)
    return caught.value.reason


def test_the_address_is_the_hash_of_the_read_key(keys: MailboxKeys) -> None:
    packed = b"\x92\xc4\x07mailbox\xc4\x20" + keys.read_key
    assert keys.mailbox.address == hashlib.blake2b(packed, digest_size=32).digest()


def test_the_keys_belong_together(keys: MailboxKeys) -> None:
    check_sign_key(keys.read_key)
    check_dh_key(keys.mailbox.envelope_key)
    assert keys.read_private.reveal()[32:] == keys.read_key
    assert dh_public(keys.envelope_private.reveal()) == keys.mailbox.envelope_key
    assert len(keys.mailbox.capability) == 16


def test_two_mailboxes_of_one_device_have_nothing_in_common(stream: Streams) -> None:
    """REQ-ENV-02."""
    random = stream("device")
    one, other = (MailboxKeys.generate(random) for _ in "12")
    values = [*one.mailbox.value(), one.read_key, *other.mailbox.value(), other.read_key]
    values += [one.read_private.reveal(), other.read_private.reveal()]
    values += [one.envelope_private.reveal(), other.envelope_private.reveal()]
    assert len(set(values)) == len(values)


def test_the_wire_form(keys: MailboxKeys) -> None:
    mailbox = keys.mailbox
    assert mailbox.value() == [mailbox.address, mailbox.envelope_key, mailbox.capability]
    assert Mailbox(*mailbox.value()) == mailbox


def test_dump_and_load(keys: MailboxKeys, other: MailboxKeys) -> None:
    loaded = MailboxKeys.load(keys.dump())
    assert loaded == keys
    assert loaded.dump() == keys.dump()
    assert loaded != other


def test_erased_keys_cannot_be_dumped(stream: Streams) -> None:
    for name in ("read_private", "envelope_private"):
        keys = MailboxKeys.generate(stream("mailbox"))
        getattr(keys, name).erase()
        with pytest.raises(LocalError) as caught:
            keys.dump()
        assert caught.value.reason is Reason.EVAPORATED


def test_no_printout_shows_private_bytes(keys: MailboxKeys) -> None:
    text = f"{keys!r} {keys} {keys.reader()!r}"
    assert text.count("Secret(…)") == 4
    for private in (keys.read_private.reveal()[:32], keys.envelope_private.reveal()):
        for n in range(29):
            assert private[n : n + 4].hex() not in text
            assert repr(private[n : n + 4])[2:-1] not in text


# --- The right to read ---------------------------------------------------------------------------


def test_a_reader_proves_its_right(keys: MailboxKeys) -> None:
    reader = keys.reader()
    assert (reader.mailbox, reader.read_key) == (keys.mailbox, keys.read_key)
    proof = reader.prove(b"challenge")
    reader.check(b"challenge", proof)
    message = (
        b"\x94\xc4\x0aEvanesce 1\xc4\x0cread mailbox\xc4\x20"
        + keys.mailbox.address
        + b"\xc4\x09challenge"
    )
    assert sodium.crypto_sign_open(proof + message, keys.read_key) == message


def test_a_proof_serves_one_challenge_and_one_mailbox(
    keys: MailboxKeys, other: MailboxKeys
) -> None:
    proof = keys.reader().prove(b"challenge")
    assert refusal(keys.reader(), b"challengf", proof) is Reason.BAD_SIGNATURE
    assert refusal(keys.reader(), b"", proof) is Reason.BAD_SIGNATURE
    assert refusal(other.reader(), b"challenge", proof) is Reason.BAD_SIGNATURE
    for at in range(64):
        flipped = bytearray(proof)
        flipped[at] ^= 1
        assert refusal(keys.reader(), b"challenge", bytes(flipped)) is Reason.BAD_SIGNATURE


def test_a_bad_read_key_gives_no_right(keys: MailboxKeys) -> None:
    """Even where a mailbox was made for it: any signature might do for such a key."""
    order_two = (2**255 - 20).to_bytes(32, "little")
    mixed = sodium.crypto_core_ed25519_add(keys.read_key, order_two)
    for bad in (order_two, bytes([1]) + bytes(31), mixed):
        address = hashlib.blake2b(b"\x92\xc4\x07mailbox\xc4\x20" + bad, digest_size=32).digest()
        reader = MailboxReader(replace(keys.mailbox, address=address), bad, keys.reader().prove)
        for proof in (bytes([1]) + bytes(63), reader.prove(b"challenge")):
            assert refusal(reader, b"challenge", proof) is Reason.BAD_KEY


def test_a_read_key_must_be_the_one_of_the_address(keys: MailboxKeys, other: MailboxKeys) -> None:
    """Eve signs with her own key, and shows that key."""
    claimed = replace(other, mailbox=keys.mailbox).reader()
    assert refusal(claimed, b"challenge", claimed.prove(b"challenge")) is Reason.NOT_PERMITTED
    shown = MailboxReader(keys.mailbox, keys.read_key, claimed.prove)
    assert refusal(shown, b"challenge", shown.prove(b"challenge")) is Reason.BAD_SIGNATURE
