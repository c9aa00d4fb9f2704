"""Messages: a header bound into the key, a body, and what authenticates the sender (spec 11)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from .chain import message_keys, message_salt
from .envelope import envelope_size, pad, room_for, unpad
from .errors import LocalError, Reason, RemoteError
from .formats import HEADER, MESSAGE
from .limits import MAX_CIPHERTEXT
from .membership import Mode
from .primitives import SIGNATURE_BYTES, TAG_BYTES, H, decrypt, encrypt, equal, sign, verify

__all__ = ["STRAYED", "Header", "OpenedMessage", "ParsedMessage", "TurnFields", "message_id",
           "open_message", "seal_message"]  # fmt: skip

_LABEL = b"message"
_COMMITMENT_BYTES = 32
STRAYED = 1  # flag: the sender has opened or spoken in an epoch beside its path (REQ-EPOCH-30)


class TurnFields(NamedTuple):
    """The commit that rides in every message of a direct epoch, as far as it travels."""

    leaf_key: bytes
    ephemeral_key: bytes
    slot: bytes
    entry: bytes | None


class Header(NamedTuple):
    """Everything about a message but its content; all of it is bound into the message key."""

    room: bytes
    prefix: bytes
    sender: bytes
    number: int  # the index of the message in its sender's chain
    salt: bytes
    last_spoken: tuple[bytes, int] | None
    flags: int = 0
    turn: TurnFields | None = None

    def encode(self) -> bytes:
        """The header's bytes."""
        return HEADER.build(*self)

    @classmethod
    def parse(cls, data: bytes) -> Header:
        """Read a header. Raise `RemoteError` as `Form.parse`."""
        room, prefix, sender, index, salt, last, flags, turn = HEADER.parse(data)
        return cls(
            room, prefix, sender, index, salt,
            None if last is None else (last[0], last[1]),
            flags,
            None if turn is None else TurnFields(*turn),
        )  # fmt: skip


@dataclass(slots=True)
class ParsedMessage:
    """A message taken apart, nothing checked but its form."""

    header: Header
    header_bytes: bytes
    ciphertext: bytes
    authenticator: bytes

    @classmethod
    def parse(cls, data: bytes) -> ParsedMessage:
        """Read a message and its header. Raise `RemoteError` as `Form.parse`."""
        header, ciphertext, authenticator = MESSAGE.parse(data)
        return cls(Header.parse(header), header, ciphertext, authenticator)


@dataclass(slots=True, repr=False)
class SealedMessage:
    """A message ready to send, and what its sender keeps of it."""

    message: bytes
    id: bytes
    header: bytes
    key: bytes  # the AEAD key: all it takes to open the ciphertext again
    ciphertext: bytes


@dataclass(slots=True, repr=False)
class OpenedMessage:
    """A message that passed every check of its sender and key."""

    content: bytes
    id: bytes
    key: bytes  # as in `SealedMessage`


def _body_hash(ciphertext: bytes) -> bytes:
    return H(b"ciphertext", ciphertext)


def _id(header: bytes, body_hash: bytes) -> bytes:
    return H(b"message id", header, body_hash)[:16]


def message_id(header: bytes, ciphertext: bytes) -> bytes:
    """The 16 bytes by which a message is quoted or recalled (REQ-MSG-02)."""
    return _id(header, _body_hash(ciphertext))


def _header_hash(header: bytes, context: bytes) -> bytes:
    return H(b"header", header, context)


@lru_cache(maxsize=256)  # the same few sizes recur
def _padded_size(header_size: int, authenticator_size: int, content_size: int) -> int:
    """How long the padded content must be for the envelope to land on a step (REQ-MSG-04)."""

    def head(size: int) -> int:  # of a bin
        return 2 if size < 1 << 8 else 3 if size < 1 << 16 else 5

    fixed = 3 + head(header_size) + header_size + head(authenticator_size) + authenticator_size
    least = content_size + 1 + TAG_BYTES
    size = envelope_size(512)
    while room_for(size) < fixed + head(least) + least:
        size = envelope_size(size + 1)
    space = room_for(size) - fixed
    sealed = max(n for n in (space - 2, space - 3, space - 5) if head(n) + n <= space)
    return max(sealed, least) - TAG_BYTES


def seal_message(
    header: Header,
    context: bytes,
    message_key: bytes,
    content: bytes,
    fresh: bytes,
    room_sign_private: bytes | None,
) -> SealedMessage:
    """Seal `content` (REQ-MSG-03).

    `fresh` is 16 random bytes. `room_sign_private` signs in signed rooms; without it the
    authenticator is `com`, as in direct rooms. The given header's salt is replaced. Raise
    `LocalError` (too-large): the body would be over its limit.
    """
    authenticator_size = _COMMITMENT_BYTES if room_sign_private is None else SIGNATURE_BYTES
    size = _padded_size(len(header.encode()), authenticator_size, len(content))
    if size + TAG_BYTES > MAX_CIPHERTEXT:
        raise LocalError(Reason.TOO_LARGE, f"a content of {len(content)} bytes fits no message")
    padded = pad(content, size)
    salt = message_salt(message_key, fresh, padded)
    head = HEADER.build(*header[:4], salt, *header[5:])
    key, com = message_keys(message_key, _header_hash(head, context))
    ciphertext = encrypt(key, padded)
    body_hash = _body_hash(ciphertext)
    if room_sign_private is None:
        authenticator = com
    else:
        authenticator = sign(room_sign_private, _LABEL, head, com, body_hash)
    message = MESSAGE.build(head, ciphertext, authenticator)
    return SealedMessage(message, _id(head, body_hash), head, key, ciphertext)


def open_message(
    message: ParsedMessage, context: bytes, message_key: bytes, mode: Mode, room_sign_key: bytes
) -> OpenedMessage:
    """Check and open a message with its message key (REQ-MSG-05).

    The sender is authenticated, through `com`, before the text is used. Raise `RemoteError`:
    bad-form (authenticator of another mode), bad-commitment or bad-signature, bad-ciphertext,
    bad-padding, in this order.
    """
    header, authenticator = message.header_bytes, message.authenticator
    key, com = message_keys(message_key, _header_hash(header, context))
    body_hash = _body_hash(message.ciphertext)
    if mode is Mode.DIRECT:
        if len(authenticator) != _COMMITMENT_BYTES:
            raise RemoteError(Reason.BAD_FORM, "authenticator of another mode")
        if not equal(com, authenticator):
            raise RemoteError(Reason.BAD_COMMITMENT, "the commitment does not match")
    else:
        if len(authenticator) != SIGNATURE_BYTES:
            raise RemoteError(Reason.BAD_FORM, "authenticator of another mode")
        verify(room_sign_key, authenticator, _LABEL, header, com, body_hash)
    content = unpad(decrypt(key, message.ciphertext))
    return OpenedMessage(content, _id(header, body_hash), key)


def reopen(key: bytes, ciphertext: bytes) -> bytes:
    """Open the kept ciphertext of a message that has been checked before."""
    return unpad(decrypt(key, ciphertext))
