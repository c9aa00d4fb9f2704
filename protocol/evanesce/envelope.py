"""Envelopes: one sealed, padded copy for one mailbox (spec 12).

Every copy is made with its own ephemeral key, so no two look alike, and lands on one of few sizes.
"""

from __future__ import annotations

from .errors import LocalError, Reason, RemoteError
from .formats import ENVELOPE
from .limits import MAX_ENVELOPE
from .mailbox import Mailbox, MailboxKeys
from .primitives import EMPTY_KEY, KDF, TAG_BYTES, H, Random, decrypt, dh, dh_keypair, encrypt

__all__ = ["envelope_size", "open_envelope", "pad", "room_for", "seal_envelope", "unpad"]

_STEPS = (512, 1_024, 2_048, 4_096, 8_192, 16_384)
# [version, type, bin 8 ephemeral key, bin 16 or 32 ciphertext]: bytes before the ciphertext.
_HEAD_16 = 1 + 1 + 1 + 2 + 32 + 3
_HEAD_32 = _HEAD_16 + 2


def pad(data: bytes, size: int) -> bytes:
    """Extend `data` to `size` bytes: one 0x80, then zeros. `size` is at least one more byte."""
    if size <= len(data):
        raise LocalError(Reason.TOO_LARGE, "no room for padding")
    return data + b"\x80" + bytes(size - len(data) - 1)


def unpad(data: bytes) -> bytes:
    """Undo `pad`. Raise `RemoteError` (bad-padding)."""
    end = len(data.rstrip(b"\x00"))
    if end == 0 or data[end - 1] != 0x80:
        raise RemoteError(Reason.BAD_PADDING, "padding does not start with 0x80")
    return data[: end - 1]


def envelope_size(least: int) -> int:
    """Return the smallest allowed envelope size of at least `least` bytes (REQ-ENV-05).

    512 bytes, 1, 2, 4, 8 or 16 KiB; above that Padmé: the low bits of the length that may be set
    shrink with its magnitude, so that a length leaks only O(log log) bits.
    """
    for step in _STEPS:
        if least <= step:
            return step
    magnitude = least.bit_length() - 1
    mask = (1 << (magnitude - magnitude.bit_length())) - 1
    return (least + mask) & ~mask


def room_for(size: int) -> int:
    """Return how many payload bytes fit an envelope of `size` bytes, before the padding byte."""
    head = _HEAD_16 if size - _HEAD_16 < 1 << 16 else _HEAD_32
    return size - head - TAG_BYTES - 1


def _key(shared: bytes, mailbox: Mailbox, ephemeral_key: bytes) -> bytes:
    transcript = H(b"envelope transcript", mailbox.address, mailbox.envelope_key, ephemeral_key)
    return KDF(EMPTY_KEY, b"envelope", shared, transcript)


def seal_envelope(mailbox: Mailbox, payload: bytes, random: Random) -> bytes:
    """Seal `payload` to a mailbox; the result has exactly an `envelope_size` (REQ-ENV-03).

    Raise `LocalError` (too-large) when it would exceed `MAX_ENVELOPE`.
    """
    size = envelope_size(len(payload) + 1 + TAG_BYTES + _HEAD_16)
    if room_for(size) < len(payload):  # the two bytes of a longer length field did not fit
        size = envelope_size(len(payload) + 1 + TAG_BYTES + _HEAD_32)
    if size > MAX_ENVELOPE:
        raise LocalError(Reason.TOO_LARGE, f"{len(payload)} bytes do not fit an envelope")
    ephemeral, ephemeral_key = dh_keypair(random)
    key = _key(dh(ephemeral, mailbox.envelope_key), mailbox, ephemeral_key)
    return ENVELOPE.build(ephemeral_key, encrypt(key, pad(payload, room_for(size) + 1)))


def open_envelope(keys: MailboxKeys, data: bytes) -> bytes:
    """Return the payload of an envelope (REQ-ENV-04).

    Raise `RemoteError`: the reasons of `Form.parse`, bad-form (a size that is not a step), bad-key,
    bad-ciphertext, bad-padding, in this order.
    """
    ephemeral_key, sealed = ENVELOPE.parse(data)
    if len(data) != envelope_size(len(data)):
        raise RemoteError(Reason.BAD_FORM, f"{len(data)} bytes is not an envelope size")
    shared = dh(keys.envelope_private.reveal(), ephemeral_key)
    return unpad(decrypt(_key(shared, keys.mailbox, ephemeral_key), sealed))
