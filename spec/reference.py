"""Evanesce, suite 1: the algorithms of the specification, transcribed to be read and run.

This file is for checking implementations and for making test vectors. It is slow, keeps secrets in
ordinary objects, and its own point arithmetic takes a time that depends on secrets: do not use it
for anything else. The comments name the requirements that a line transcribes.
"""

import hashlib
import hmac
import json
import re
from typing import Any, Callable, NamedTuple, Sequence, TypeVar, Union  # noqa: UP035  nothing else imported

from nacl import bindings as sodium
from nacl.exceptions import CryptoError

Value = Union[int, bytes, str, bool, None, Sequence["Value"]]
Random = Callable[[int], bytes]
Noted = TypeVar("Noted")


class Refused(Exception):  # noqa: N818  the word of the specification
    """Input is refused; `reason` is one of the codes of chapter 2."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


TRACE: list[tuple[str, Any]] | None = None  # where the intermediate values of a vector go


def note(name: str, value: Noted) -> Noted:
    """Let a test vector have this value, which the text calls `name`."""
    if TRACE is not None:
        TRACE.append((name, value))
    return value


def unnoted(function: Callable[..., Noted], *given: Any) -> Noted:
    """What a function returns, without the values on its way: where it is only tried."""
    global TRACE  # noqa: PLW0603
    trace, TRACE = TRACE, None
    try:
        return function(*given)
    finally:
        TRACE = trace


def fail_if(condition: bool, reason: str) -> None:
    """Fail if `condition` → `reason` (1.4)."""
    if condition:
        raise Refused(reason)


# --- Chapter 4: encoding -------------------------------------------------------------------------


def encode_uint(value: int) -> bytes:
    """The shortest form of an unsigned integer (4.2)."""
    fail_if(not 0 <= value < 1 << 64, "bad-form")  # REQ-WIRE-11
    if value < 1 << 7:
        return bytes([value])
    for first, width in ((0xCC, 1), (0xCD, 2), (0xCE, 4)):
        if value < 1 << 8 * width:
            return bytes([first]) + value.to_bytes(width, "big")
    return b"\xcf" + value.to_bytes(8, "big")


def encode_head(size: int, short: int, fix: int, forms: tuple[tuple[int, int], ...]) -> bytes:
    """The shortest type byte and length: `fix` sizes stand in the type byte `short` itself."""
    if size < fix:
        return bytes([short + size])
    for first, width in forms:
        if size < 1 << 8 * width:
            return bytes([first]) + size.to_bytes(width, "big")
    raise Refused("bad-form")  # REQ-WIRE-11


def encode(value: Value) -> bytes:
    """`encode(value)`: the one encoding of a value (4.5, REQ-WIRE-11)."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return encode_uint(value)
    if isinstance(value, bytes):
        return encode_head(len(value), 0, 0, ((0xC4, 1), (0xC5, 2), (0xC6, 4))) + value
    if isinstance(value, str):
        try:
            text = value.encode("utf-8")
        except UnicodeEncodeError:
            raise Refused("bad-form") from None
        return encode_head(len(text), 0xA0, 32, ((0xD9, 1), (0xDA, 2), (0xDB, 4))) + text
    fail_if(not isinstance(value, list | tuple), "bad-form")
    head = encode_head(len(value), 0x90, 16, ((0xDC, 2), (0xDD, 4)))
    return head + b"".join(encode(item) for item in value)


MAX_DEPTH = 4  # REQ-LIMIT-01

UINT_FORMS = {0xCC: (1, 1 << 7), 0xCD: (2, 1 << 8), 0xCE: (4, 1 << 16), 0xCF: (8, 1 << 32)}
BIN_FORMS = {0xC4: (1, 0), 0xC5: (2, 1 << 8), 0xC6: (4, 1 << 16)}
STR_FORMS = {0xD9: (1, 1 << 5), 0xDA: (2, 1 << 8), 0xDB: (4, 1 << 16)}
ARRAY_FORMS = {0xDC: (2, 1 << 4), 0xDD: (4, 1 << 16)}
LONG_FORMS = UINT_FORMS | BIN_FORMS | STR_FORMS | ARRAY_FORMS  # bytes that follow, least value


class RawText(NamedTuple):
    """The bytes of a str, before step 4 of `decode`."""

    data: bytes


def read_item(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """Read one item at a depth: the value, and where the next one begins (4.4)."""
    fail_if(at >= len(data), "truncated")  # step 1, REQ-WIRE-02
    first = data[at]
    at += 1
    is_array = 0x90 <= first <= 0x9F or first in ARRAY_FORMS
    is_text = 0xA0 <= first <= 0xBF or first in STR_FORMS
    scalar = first < 0x80 or first in (0xC0, 0xC2, 0xC3)
    known = is_array or is_text or scalar or first in LONG_FORMS
    fail_if(not known, "forbidden-type")  # step 2, REQ-WIRE-03
    if scalar:
        return {0xC0: None, 0xC2: False, 0xC3: True}.get(first, first), at
    if first in LONG_FORMS:  # step 3
        width, least = LONG_FORMS[first]
        fail_if(len(data) - at < width, "truncated")
        size = int.from_bytes(data[at : at + width], "big")
        fail_if(size < least, "non-canonical")  # REQ-WIRE-04
        at += width
    else:
        size = first - (0x90 if is_array else 0xA0)
    if first in UINT_FORMS:  # step 4
        return size, at
    fail_if(len(data) - at < size, "truncated")  # step 5
    if not is_array:  # step 6
        raw = data[at : at + size]
        return RawText(raw) if is_text else raw, at + size
    fail_if(depth + 1 > MAX_DEPTH, "too-deep")  # step 7, REQ-WIRE-05
    items = []
    for _ in range(size):  # step 8
        item, at = read_item(data, at, depth + 1)
        items.append(item)
    return items, at


def build_value(raw: Any) -> Any:
    """Steps 4 and 5 of `decode`: text must be well-formed UTF-8 (REQ-WIRE-07)."""
    if isinstance(raw, RawText):
        try:
            return raw.data.decode("utf-8")
        except UnicodeDecodeError:
            raise Refused("non-canonical") from None
    return [build_value(item) for item in raw] if isinstance(raw, list) else raw


def decode(data: bytes, limit: int) -> Any:
    """`decode(data, limit)` (4.4). Whatever passes is accepted (REQ-WIRE-08, 09)."""
    fail_if(len(data) > limit, "too-large")  # step 1, REQ-WIRE-01
    raw, at = read_item(data, 0, 0)  # step 2
    fail_if(at < len(data), "trailing-bytes")  # step 3, REQ-WIRE-06
    return build_value(raw)  # steps 4 and 5


Field = Callable[[Any], object]


def a_bin(least: int, most: int | None = None) -> Field:
    """Bin *n*, or bin *a*..*b* (4.6)."""

    def check(value: Any) -> None:
        fail_if(type(value) is not bytes, "bad-form")  # REQ-WIRE-15
        fail_if(most is not None and len(value) > most, "too-large")  # REQ-WIRE-16
        fail_if(not least <= len(value) <= (least if most is None else most), "bad-form")

    return check


def a_uint(most: int) -> Field:
    """Uint ≤ *m*."""

    def check(value: Any) -> None:
        fail_if(type(value) is not int or value > most, "bad-form")

    return check


def a_text(most: int) -> Field:
    """Text ≤ *n*, in bytes of UTF-8."""

    def check(value: Any) -> None:
        fail_if(type(value) is not str, "bad-form")
        fail_if(len(value.encode("utf-8")) > most, "too-large")

    return check


def a_boolean(value: Any) -> None:
    """True or false, and not 1 or 0."""
    fail_if(type(value) is not bool, "bad-form")


def or_nil(field: Field) -> Field:
    """*field* or nil."""

    def check(value: Any) -> None:
        if value is not None:
            field(value)

    return check


def an_array(least: int, most: int, field: Field) -> Field:
    """Array *a*..*b* of *field*."""

    def check(value: Any) -> None:
        fail_if(type(value) is not list, "bad-form")
        fail_if(len(value) > most, "too-large")
        fail_if(len(value) < least, "bad-form")
        for item in value:
            field(item)

    return check


def fields(*each: Field) -> Field:
    """(*field*, …): an array of exactly these."""

    def check(value: Any) -> None:
        fail_if(type(value) is not list or len(value) != len(each), "bad-form")
        for item, field in zip(value, each, strict=True):
            field(item)

    return check


# --- Chapter 5: formats --------------------------------------------------------------------------

ID = KEY = CONFIRMATION = a_bin(32)
SIGNATURE, PREFIX, SALT, SLOT = a_bin(64), a_bin(8), a_bin(16), a_bin(48)
TIME, COUNT, SECONDS = a_uint(2**40 - 1), a_uint(2**32 - 1), a_uint(2**32 - 1)
SUITE, ROLE = a_uint(255), a_uint(2)
SIGNED = a_bin(1, 1_024)
MAILBOX = fields(ID, KEY, a_bin(16))
POLICY = fields(a_uint(2), a_boolean, or_nil(SECONDS), SECONDS)
ADD, SANCTION, SET_ROLE, SET_POLICY, RESYNC = 0, 1, 2, 3, 4
LEAVES, SANCTIONED = 0, 1  # kinds of proofs
OPERATIONS = {
    ADD: fields(a_uint(0), SIGNED, ROLE),
    SANCTION: fields(a_uint(1), SIGNED),
    SET_ROLE: fields(a_uint(2), ID, ROLE),
    SET_POLICY: fields(a_uint(3), POLICY),
    RESYNC: fields(a_uint(4), SIGNED),
}


def an_operation(value: Any) -> None:
    """An operation: its first item alone says which (REQ-FORM-05)."""
    fail_if(type(value) is not list or len(value) == 0, "bad-form")
    fail_if(type(value[0]) is not int or value[0] not in OPERATIONS, "bad-form")
    OPERATIONS[value[0]](value)


class Form(NamedTuple):
    """A type of top-level object: number, limit in bytes, fields (REQ-FORM-01)."""

    type: int
    limit: int
    fields: tuple[Field, ...]


COMMIT_LIMIT, INVITATION_LIMIT, BODY_LIMIT = 786_432, 1_572_864, 896
CONTENT_LIMIT, ENVELOPE_LIMIT = 65_792, 2_097_152
TIMED = (TIME, or_nil(SECONDS), SECONDS, or_nil(a_bin(16)))
TURN = fields(KEY, KEY, SLOT, or_nil(SIGNED))
MEMBER_ROW = fields(ID, ROLE, COUNT, KEY, KEY, ID, COUNT, COUNT, SIGNED, or_nil(TIME))
ORDER = fields(a_uint(3), COUNT, TIME, ROLE, COUNT)
MESSAGES = an_array(1, 256, a_bin(16))  # REQ-LIMIT-34
DIRECTORY_ROW = fields(ID, a_text(256), or_nil(MAILBOX))

FORMS = {
    "signed object": Form(1, 1_024, (a_bin(1, BODY_LIMIT), SIGNATURE)),
    "member entry": Form(2, BODY_LIMIT, (ID, ID, KEY, KEY, KEY, COUNT)),
    "key package": Form(3, BODY_LIMIT, (SUITE, KEY, KEY, KEY, an_array(0, 4, KEY), KEY, KEY,
                                        MAILBOX, TIME, a_boolean)),
    "card": Form(4, 2_048, (a_text(256), SIGNED)),
    "invitation": Form(5, INVITATION_LIMIT, (SUITE, KEY, KEY, ID, or_nil(a_uint(3)), KEY,
                                             a_bin(16, INVITATION_LIMIT))),
    "welcome": Form(6, INVITATION_LIMIT, (a_bin(1, COMMIT_LIMIT), CONFIRMATION, or_nil(SIGNATURE),
                                          or_nil(SIGNED), a_bin(1, INVITATION_LIMIT), POLICY,
                                          a_bin(32), an_array(0, 1_000, DIRECTORY_ROW),
                                          an_array(0, 256, fields(PREFIX, or_nil(ORDER))))),
    "roster": Form(7, INVITATION_LIMIT, (COUNT, an_array(1, 1_000, MEMBER_ROW))),
    "genesis": Form(8, COMMIT_LIMIT, (SUITE, ID, TIME, POLICY, KEY, KEY, SIGNED,
                                      an_array(0, 999, fields(SIGNED, ROLE)), ID)),
    "commit": Form(9, COMMIT_LIMIT, (ID, COUNT, ID, ID, TIME, an_array(0, 1_000, an_operation),
                                     an_array(0, 16, fields(a_uint(1), SIGNED)), SIGNED, KEY, ID)),
    "signed commit": Form(10, 786_560, (a_bin(1, COMMIT_LIMIT), CONFIRMATION, SIGNATURE)),
    "sealed commit": Form(11, 786_688, (ID, PREFIX, ID, SALT, a_bin(16, 786_576))),
    "commit copy": Form(12, 786_944, (a_bin(1, 786_688), or_nil(SLOT))),
    "direct commit": Form(13, 2_048, (ID, COUNT, ID, ID, KEY, KEY, or_nil(SIGNED))),
    "leave request": Form(14, 256, (ID, ID, ID)),
    "header": Form(15, 2_048, (ID, PREFIX, ID, COUNT, SALT, or_nil(fields(PREFIX, COUNT)),
                               a_uint(1), or_nil(TURN))),
    "message": Form(16, 86_016, (a_bin(1, 2_048), a_bin(17, 81_920), a_bin(32, 64))),
    "opening": Form(17, 98_304, (a_bin(1, 8_192), a_bin(1, 86_016))),
    "envelope": Form(18, ENVELOPE_LIMIT, (KEY, a_bin(17, ENVELOPE_LIMIT))),
    "repair request": Form(19, 256, (ID, ID, PREFIX, TIME)),
    "resync request": Form(20, BODY_LIMIT, (ID, ID, TIME, SIGNED)),
    "sanction": Form(21, BODY_LIMIT, (ID, ID, ID, ID, or_nil(ROLE), COUNT,
                                      or_nil(an_array(0, 64, PREFIX)))),
    "text": Form(32, CONTENT_LIMIT, (*TIMED, a_text(65_536))),
    "data": Form(33, CONTENT_LIMIT, (*TIMED, a_bin(0, 65_536))),
    "announcement": Form(34, CONTENT_LIMIT, (a_text(256), MAILBOX)),
    "leave": Form(35, CONTENT_LIMIT, (SIGNED,)),
    "viewed": Form(36, CONTENT_LIMIT, (MESSAGES,)),
    "burn": Form(37, CONTENT_LIMIT, (MESSAGES,)),
}  # fmt: skip

# Chapter 22.2 (REQ-RELAY-04): what a client and a relay say to each other.
ADDRESS = FINGERPRINT = HASH = a_bin(32)
CAPABILITY = TOKEN = ENVELOPE_ID = a_bin(16)
SOME_ENVELOPE, REASON, NUMBER = a_bin(1, ENVELOPE_LIMIT), or_nil(a_text(32)), COUNT
RELAY_FORMS = {
    "put": Form(48, 4_194_304, (an_array(1, 256, fields(ADDRESS, CAPABILITY, ENVELOPE_ID,
                                                        SOME_ENVELOPE)),)),
    "outcomes": Form(49, 16_384, (an_array(1, 256, REASON),)),
    "recall": Form(50, 32_768, (an_array(1, 256, fields(ADDRESS, CAPABILITY, ENVELOPE_ID)),)),
    "publish": Form(51, 131_072, (FINGERPRINT, an_array(0, 100, SIGNED), or_nil(SIGNED))),
    "claim": Form(52, 64, (FINGERPRINT,)),
    "blob": Form(53, 1_048_832, (HASH, a_bin(1, 1_048_576))),
    "blob deletion": Form(54, 96, (HASH, TOKEN)),
    "challenge": Form(56, 64, (a_bin(32),)),
    "delivery": Form(57, 2_097_280, (ADDRESS, ENVELOPE_ID, SOME_ENVELOPE)),
    "notice": Form(58, 16_640, (ADDRESS, ENVELOPE_ID, a_bin(1, 16_384))),
    "done": Form(59, 96, (NUMBER, REASON, SECONDS)),
    "prove": Form(60, 160, (NUMBER, KEY, SIGNATURE)),
    "make mailbox": Form(61, 128, (NUMBER, ADDRESS, HASH)),
    "remove mailbox": Form(62, 64, (NUMBER, ADDRESS)),
    "subscribe": Form(63, 64, (NUMBER, ADDRESS)),
    "unsubscribe": Form(64, 64, (NUMBER, ADDRESS)),
    "ack": Form(65, 8_192, (NUMBER, ADDRESS, an_array(1, 256, ENVELOPE_ID))),
    "credit": Form(66, 32, (a_uint(1_000), a_uint(16_777_216))),
}  # fmt: skip
FORMS |= RELAY_FORMS


def build(name: str, *values: Value) -> bytes:
    """The encoding of a top-level object (4.6)."""
    form = FORMS[name]
    fail_if(len(values) != len(form.fields), "bad-form")
    data = encode([1, form.type, *values])  # REQ-WIRE-12, 13
    fail_if(len(data) > form.limit, "too-large")  # REQ-WIRE-11
    return data


def begin_parse(data: bytes, limit: int) -> Any:
    """Steps 1 to 4 of `parse`: an object of this version, of any type."""
    value = decode(data, limit)  # step 1
    fail_if(type(value) is not list or len(value) < 2, "bad-form")  # step 2
    fail_if(type(value[0]) is not int or value[0] != 1, "wrong-version")  # step 3
    fail_if(type(value[1]) is not int, "bad-form")  # step 4
    return value


def end_parse(value: Any, name: str) -> list[Any]:
    """Steps 5 to 7 of `parse`: the fields of an object of this type."""
    form = FORMS[name]
    fail_if(value[1] != form.type, "wrong-type")  # step 5
    fail_if(len(value) - 2 != len(form.fields), "bad-form")  # step 6
    for item, field in zip(value[2:], form.fields, strict=True):  # step 7
        field(item)
    return list(value[2:])


def parse(data: bytes, name: str) -> list[Any]:
    """`parse(data, type)` (4.6, REQ-WIRE-14)."""
    return end_parse(begin_parse(data, FORMS[name].limit), name)


# --- Chapter 3: primitives -----------------------------------------------------------------------

ZEROS = bytes(32)
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493


def KDF(key: bytes, label: bytes, *parts: Value, size: int = 32) -> bytes:  # noqa: N802
    """Keyed BLAKE2b over `encode([label, *parts])` (3.1, REQ-PRIM-01)."""
    fail_if(len(key) != 32, "bad-input")  # local
    return hashlib.blake2b(encode([label, *parts]), key=key, digest_size=size).digest()


def H(label: bytes, *parts: Value) -> bytes:  # noqa: N802
    """Unkeyed BLAKE2b-256 over `encode([label, *parts])` (3.2, REQ-PRIM-02)."""
    return hashlib.blake2b(encode([label, *parts]), digest_size=32).digest()


def DH(private: bytes, public: bytes) -> bytes:  # noqa: N802
    """X25519, strict (3.3)."""
    fail_if(len(private) != 32, "bad-input")  # REQ-PRIM-16, local
    fail_if(len(public) != 32, "bad-key")
    fail_if(int.from_bytes(public, "little") >= P, "bad-key")  # REQ-PRIM-03
    try:
        shared = sodium.crypto_scalarmult(private, public)
    except RuntimeError:  # libsodium's own refusal of a result of zeros
        raise Refused("bad-key") from None
    fail_if(hmac.compare_digest(shared, ZEROS), "bad-key")  # REQ-PRIM-04
    return shared


def dh_public(private: bytes) -> bytes:
    """The public key of an X25519 private key (3.3)."""
    fail_if(len(private) != 32, "bad-input")
    return sodium.crypto_scalarmult_base(private)


def check_dh_key(public: bytes) -> None:
    """A DH with any private key must not fail (REQ-PRIM-05)."""
    DH(bytes([8]) + bytes(30) + bytes([64]), public)


# Ed25519 by its equations, affine points as (x, y).
Point = tuple[int, int]
D = -121665 * pow(121666, -1, P) % P
NEUTRAL: Point = (0, 1)
# Extended coordinates (X, Y, Z, T) for multiplication.
Extended = tuple[int, int, int, int]


def extended_add(a: Extended, b: Extended) -> Extended:
    """The complete addition law of a = −1 twisted Edwards curves (RFC 8032, 5.1.4)."""
    p = (a[1] - a[0]) * (b[1] - b[0]) % P
    q = (a[1] + a[0]) * (b[1] + b[0]) % P
    r = 2 * a[3] * b[3] * D % P
    s = 2 * a[2] * b[2] % P
    e, f, g, h = q - p, s - r, s + r, q + p
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(number: int, point: Point) -> Point:
    """`number` times a point."""
    result: Extended = (0, 1, 1, 0)
    step: Extended = (point[0], point[1], 1, point[0] * point[1] % P)
    while number:
        if number & 1:
            result = extended_add(result, step)
        step = extended_add(step, step)
        number >>= 1
    inverse = pow(result[2], -1, P)
    return result[0] * inverse % P, result[1] * inverse % P


def add(a: Point, b: Point) -> Point:
    """The sum of two points."""
    x, y, z, _ = extended_add((*a, 1, a[0] * a[1] % P), (*b, 1, b[0] * b[1] % P))
    inverse = pow(z, -1, P)
    return x * inverse % P, y * inverse % P


def encode_point(point: Point) -> bytes:
    """32 bytes: y, and the low bit of x on top (RFC 8032, 5.1.2)."""
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def decode_point(data: bytes) -> Point | None:
    """The point of a canonical encoding, or None (3.4)."""
    whole = int.from_bytes(data, "little")
    y, sign_bit = whole & (1 << 255) - 1, whole >> 255
    if y >= P:
        return None  # y is not canonical
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square:
        return None  # not on the curve
    if x == 0 and sign_bit:
        return None  # the top bit is 0 where x = 0
    return (P - x if x & 1 != sign_bit else x), y


BASE: Point = decode_point(bytes([0x58]) + bytes([0x66]) * 31) or NEUTRAL


def small_order(point: Point) -> bool:
    """8 times it is the neutral element (3.4)."""
    return multiply(8, point) == NEUTRAL


def sign_public(seed: bytes) -> bytes:
    """The Ed25519 public key of a seed (RFC 8032, 5.1.5)."""
    fail_if(len(seed) != 32, "bad-input")
    return sodium.crypto_sign_seed_keypair(seed)[0]


def sign(seed: bytes, label: bytes, *parts: Value) -> bytes:
    """Ed25519 over `encode(["Evanesce 1", label, *parts])` (REQ-PRIM-07)."""
    fail_if(len(seed) != 32, "bad-input")
    _, private = sodium.crypto_sign_seed_keypair(seed)
    message = note("message", encode([b"Evanesce 1", label, *parts]))
    return sodium.crypto_sign(message, private)[:64]


def verify_bytes(public: bytes, signature: bytes, message: bytes) -> None:
    """Steps 1 to 6 of `verify`, over a message as it is (3.4)."""
    fail_if(len(public) != 32 or len(signature) != 64, "bad-signature")  # step 1
    r_bytes, s = signature[:32], int.from_bytes(signature[32:], "little")
    fail_if(s >= L, "bad-signature")  # step 2, REQ-PRIM-08
    a = decode_point(public)  # step 3, REQ-PRIM-09
    if a is None or small_order(a):
        raise Refused("bad-signature")
    r = decode_point(r_bytes)  # step 4
    if r is None or small_order(r):
        raise Refused("bad-signature")
    h = int.from_bytes(hashlib.sha512(r_bytes + public + message).digest(), "little") % L  # step 5
    note("h", h.to_bytes(32, "little"))
    minus_a = ((P - a[0]) % P, a[1])
    computed = add(multiply(s, BASE), multiply(h, minus_a))
    result = note("SB - hA", encode_point(computed))
    fail_if(result != r_bytes, "bad-signature")  # step 6, REQ-PRIM-10


def verify(public: bytes, signature: bytes, label: bytes, *parts: Value) -> None:
    """Check a signature over `encode(["Evanesce 1", label, *parts])` (REQ-PRIM-07)."""
    verify_bytes(public, signature, note("message", encode([b"Evanesce 1", label, *parts])))


def check_sign_key(public: bytes) -> None:
    """Of the subgroup of order L, canonical, and not the neutral element (REQ-PRIM-06)."""
    fail_if(len(public) != 32, "bad-key")
    point = decode_point(public)
    if point is None or point == NEUTRAL:
        raise Refused("bad-key")
    product = multiply(L, point)
    note("LA", encode_point(product))
    fail_if(product != NEUTRAL, "bad-key")


def encrypt(key: bytes, plaintext: bytes) -> bytes:
    """ChaCha20-Poly1305, nonce zero, no associated data (3.5, REQ-PRIM-11)."""
    fail_if(len(key) != 32, "bad-input")
    return sodium.crypto_aead_chacha20poly1305_ietf_encrypt(plaintext, None, bytes(12), key)


def decrypt(key: bytes, ciphertext: bytes) -> bytes:
    """Undo `encrypt` (3.5)."""
    fail_if(len(key) != 32, "bad-input")
    fail_if(len(ciphertext) < 16, "bad-ciphertext")  # step 1
    try:
        return sodium.crypto_aead_chacha20poly1305_ietf_decrypt(ciphertext, None, bytes(12), key)
    except CryptoError:
        raise Refused("bad-ciphertext") from None  # step 2


def check_suite(number: int) -> None:
    """Only suite 1 is implemented (REQ-PRIM-19)."""
    fail_if(number != 1, "unknown-suite")


# --- Chapter 6: identity and key packages --------------------------------------------------------


class Identity(NamedTuple):
    """The two public identity keys (6.1)."""

    sign_key: bytes
    dh_key: bytes


class IdentityKeys(NamedTuple):
    """The private identity keys: an Ed25519 seed and an X25519 private key."""

    seed: bytes
    dh_private: bytes

    @property
    def public(self) -> Identity:
        return Identity(sign_public(self.seed), dh_public(self.dh_private))


def check_identity(identity: Identity) -> None:
    """Both keys, in this order (REQ-ID-02)."""
    check_sign_key(identity.sign_key)
    check_dh_key(identity.dh_key)


def fingerprint(identity: Identity) -> bytes:
    """REQ-ID-01."""
    return H(b"fingerprint", identity.sign_key, identity.dh_key)


def digits(identity: Identity) -> str:
    """Six groups of five digits (REQ-ID-03)."""
    its_fingerprint = note("fingerprint", fingerprint(identity))
    wide = note("wide", KDF(its_fingerprint, b"safety number", size=48))
    groups = [int.from_bytes(wide[8 * n : 8 * n + 8], "big") % 100_000 for n in range(6)]
    return " ".join(f"{group:05d}" for group in groups)


def safety_number(mine: Identity, theirs: Identity) -> str:
    """REQ-ID-03."""
    a, b = digits(mine), digits(theirs)
    if a > b:
        a, b = b, a
    return a + " " + b


class KeyPackage(NamedTuple):
    """A key package that has been read."""

    signed: bytes
    suite: int
    identity: Identity
    signed_prekey: bytes
    prekeys: list[bytes]
    leaf_key: bytes
    room_sign_key: bytes
    contact: list[bytes]
    expiry: int
    last_resort: bool

    @property
    def hash(self) -> bytes:
        return H(b"key package", self.signed)  # REQ-ID-06


class KeyPackageKeys(NamedTuple):
    """A package with its private keys; a used one-time prekey is None."""

    package: KeyPackage
    signed_prekey: bytes
    prekeys: list[bytes | None]
    leaf: bytes
    room_seed: bytes


def read_key_package(signed: bytes) -> KeyPackage:
    """*read key package* (REQ-ID-07)."""
    body, signature = parse(signed, "signed object")  # 1
    (suite, sign_key, dh_key, signed_prekey, prekeys, leaf_key, room_sign_key, contact, expiry,
     last_resort) = parse(body, "key package")  # 2  # fmt: skip
    check_suite(suite)  # 3
    check_identity(Identity(sign_key, dh_key))  # 4, 5
    verify(sign_key, signature, b"key package", body)  # 6
    for key in [signed_prekey, *prekeys, leaf_key, contact[1]]:  # 7
        check_dh_key(key)
    check_sign_key(room_sign_key)  # 8
    fail_if(len(prekeys) != (0 if last_resort else 4), "bad-form")  # 9, REQ-LIMIT-23
    return KeyPackage(signed, suite, Identity(sign_key, dh_key), signed_prekey, prekeys, leaf_key,
                      room_sign_key, contact, expiry, last_resort)  # fmt: skip


def make_key_package(
    owner: IdentityKeys, contact: list[bytes], expiry: int, last_resort: bool, random: Random
) -> KeyPackageKeys:
    """Make and sign a package (6.3). Each private key is 32 random bytes (REQ-ID-04)."""
    signed_prekey = random(32)
    prekeys = [random(32) for _ in range(0 if last_resort else 4)]
    leaf, room_seed = random(32), random(32)
    body = note("body", build(
        "key package", 1, *owner.public, dh_public(signed_prekey),
        [dh_public(private) for private in prekeys], dh_public(leaf), sign_public(room_seed),
        contact, expiry, last_resort,
    ))  # fmt: skip
    signed = build("signed object", body, sign(owner.seed, b"key package", body))
    return KeyPackageKeys(read_key_package(signed), signed_prekey, list(prekeys), leaf, room_seed)


def choose_prekey(package: KeyPackage, index: int | None) -> bytes | None:
    """*choose prekey* (REQ-ID-08)."""
    if package.last_resort:
        fail_if(index is not None, "used-package")
        return None
    if index is None or index >= len(package.prekeys):
        raise Refused("used-package")
    return package.prekeys[index]


# --- Chapter 7: invitations ----------------------------------------------------------------------


def invitation_key(
    secrets: list[bytes],
    inviter: Identity,
    package: KeyPackage,
    index: int | None,
    ephemeral_key: bytes,
) -> bytes:
    """The key of an invitation (REQ-INV-03, REQ-PRIM-18)."""
    transcript = note("transcript", H(
        b"invitation transcript", package.suite, *inviter, *package.identity, package.hash,
        package.signed_prekey, index, choose_prekey(package, index), ephemeral_key,
    ))  # fmt: skip
    return note("key", KDF(ZEROS, b"invitation", *secrets, transcript))


def seal_invitation(
    own: IdentityKeys, package: KeyPackage, index: int | None, welcome: bytes, random: Random
) -> bytes:
    """*seal invitation* (REQ-INV-02)."""
    prekey = choose_prekey(package, index)  # 1
    ephemeral = random(32)  # 2
    secrets = [  # 3
        note("dh1", DH(own.dh_private, package.signed_prekey)),
        note("dh2", DH(ephemeral, package.identity.dh_key)),
        note("dh3", DH(ephemeral, package.signed_prekey)),
    ]
    if prekey is not None:
        secrets.append(note("dh4", DH(ephemeral, prekey)))
    key = invitation_key(secrets, own.public, package, index, dh_public(ephemeral))  # 4
    sealed = encrypt(key, welcome)
    return build("invitation", package.suite, *own.public, package.hash, index,
                 dh_public(ephemeral), sealed)  # 6  # fmt: skip


def open_invitation(own: IdentityKeys, keys: KeyPackageKeys, data: bytes) -> bytes:
    """*open invitation* (REQ-INV-04), for a device that has the one package `keys`."""
    suite, sign_key, dh_key, package_hash, index, ephemeral_key, sealed = parse(
        data, "invitation"
    )  # 1
    check_suite(suite)  # 2
    package = keys.package
    fail_if(package_hash != package.hash, "unknown-package")  # 3
    fail_if(suite != package.suite, "unknown-suite")  # 4
    choose_prekey(package, index)  # 5
    prekey = None if index is None else keys.prekeys[index]
    fail_if(index is not None and prekey is None, "used-package")  # 6
    inviter = Identity(sign_key, dh_key)
    fail_if(inviter == own.public, "wrong-identity")  # 7
    check_identity(inviter)  # 8, 9
    secrets = [  # 10
        note("dh1", DH(keys.signed_prekey, inviter.dh_key)),
        note("dh2", DH(own.dh_private, ephemeral_key)),
        note("dh3", DH(keys.signed_prekey, ephemeral_key)),
    ]
    if prekey is not None:
        secrets.append(note("dh4", DH(prekey, ephemeral_key)))
    return decrypt(invitation_key(secrets, inviter, package, index, ephemeral_key), sealed)  # 11


# --- Chapter 8: chains ---------------------------------------------------------------------------


def step(chain_key: bytes) -> tuple[bytes, bytes]:
    """*step* (REQ-CHAIN-01): next chain key, message key."""
    both = KDF(chain_key, b"chain", size=64)
    return both[:32], both[32:]


def message_key_at(chain_key: bytes, index: int) -> bytes:
    """The message key of an index, counted from the first chain key (REQ-CHAIN-04)."""
    for _ in range(index):
        chain_key, _ = step(chain_key)
    return step(chain_key)[1]


def message_salt(message_key: bytes, fresh: bytes, padded: bytes) -> bytes:
    """REQ-CHAIN-02."""
    return note("salt", KDF(message_key, b"salt", fresh, padded, size=16))


def message_keys(message_key: bytes, header_hash: bytes) -> tuple[bytes, bytes]:
    """AEAD key and com (REQ-CHAIN-03)."""
    both = note("both", KDF(message_key, b"message", header_hash, size=64))
    return both[:32], both[32:]


def accumulate(chain_key: bytes, steps: int) -> tuple[bytes, bytes]:
    """The chain key after so many steps, and one hash of all message keys on the way."""
    hashed = hashlib.blake2b(digest_size=32)
    for _ in range(steps):
        chain_key, message_key = step(chain_key)
        hashed.update(message_key)
    return chain_key, hashed.digest()


class Chain(NamedTuple):
    """What a receiver keeps (8.3): key (None once closed), index, skipped keys with times."""

    key: bytes | None
    next: int  # *index* in the text
    skipped: dict[int, tuple[bytes, int]]


MAX_JUMP = 1_000  # REQ-CHAIN-08, 11


def chain_advance(chain: Chain, n: int, now: int) -> Chain:
    """*advance* (8.4); the index is left to the caller."""
    key, skipped = chain.key, dict(chain.skipped)
    for i in range(chain.next, n):  # 1
        key, message_key = step(key or b"")
        skipped[i] = (message_key, now)
    while len(skipped) > MAX_JUMP:  # 2
        del skipped[min(skipped)]
    return Chain(key, chain.next, skipped)


def chain_at(chain: Chain, n: int, now: int) -> tuple[bytes, Chain]:
    """*at* (REQ-CHAIN-05)."""
    if n < chain.next:  # 1
        fail_if(n not in chain.skipped, "replay")  # REQ-CHAIN-06
        rest = {i: kept for i, kept in chain.skipped.items() if i != n}
        return chain.skipped[n][0], chain._replace(skipped=rest)
    fail_if(chain.key is None, "beyond-count")  # 2, REQ-CHAIN-07
    fail_if(n - chain.next > MAX_JUMP, "jump-too-far")  # 3, REQ-CHAIN-08
    chain = chain_advance(chain, n, now)  # 4
    key, message_key = step(chain.key or b"")  # 5
    return message_key, Chain(key, n + 1, chain.skipped)


def chain_close(chain: Chain, count: int, now: int) -> tuple[Chain, bool]:
    """*close* (REQ-CHAIN-09): the chain, and whether there is a gap."""
    if chain.key is None:  # 1
        return chain, False
    fail_if(count < chain.next, "bad-count")  # 2
    if count - chain.next > MAX_JUMP:  # 3
        return chain._replace(key=None), True
    skipped = chain_advance(chain, count, now).skipped  # 4
    dropped = len(skipped) < len(chain.skipped) + count - chain.next  # 5
    return Chain(None, count, skipped), dropped


# --- Chapter 12: envelopes (before chapter 11, which pads to their sizes) ------------------------


class Mailbox(NamedTuple):
    """What a sender knows of a mailbox (12.1)."""

    address: bytes
    envelope_key: bytes
    capability: bytes


class MailboxKeys(NamedTuple):
    """The private keys of a mailbox, and its capability."""

    read_seed: bytes
    envelope_private: bytes
    capability: bytes

    @property
    def public(self) -> Mailbox:
        address = H(b"mailbox", sign_public(self.read_seed))  # REQ-ENV-01
        return Mailbox(address, dh_public(self.envelope_private), self.capability)


def pad(data: bytes, size: int) -> bytes:
    """*pad* (REQ-ENV-06)."""
    fail_if(size <= len(data), "too-large")  # local
    return data + b"\x80" + bytes(size - len(data) - 1)


def unpad(padded: bytes) -> bytes:
    """*unpad* (REQ-ENV-06)."""
    rest = padded.rstrip(b"\x00")  # 1
    fail_if(rest[-1:] != b"\x80", "bad-padding")  # 2
    return rest[:-1]  # 3


def envelope_size(least: int) -> int:
    """*envelope size* (REQ-ENV-05)."""
    if least <= 16_384:  # 1
        return next(size for size in (512, 1_024, 2_048, 4_096, 8_192, 16_384) if size >= least)
    e = note("e", least.bit_length() - 1)  # 2
    s = note("s", e.bit_length())
    step_size = note("step", 1 << (e - s))  # 3
    return -(-least // step_size) * step_size  # 4


def capacity(size: int) -> int:
    """*capacity*: the largest payload of an envelope of this size (12.3)."""
    head = 40 if size - 40 < 65_536 else 42
    return size - head - 17


def envelope_key(shared: bytes, mailbox: Mailbox, ephemeral_key: bytes) -> bytes:
    """*key* (12.2)."""
    transcript = note("transcript", H(
        b"envelope transcript", mailbox.address, mailbox.envelope_key, ephemeral_key
    ))  # fmt: skip
    return note("key", KDF(ZEROS, b"envelope", shared, transcript))


def seal_envelope(mailbox: Mailbox, payload: bytes, random: Random) -> bytes:
    """*seal envelope* (REQ-ENV-03)."""
    n = len(payload)  # 1
    size = envelope_size(n + 57)
    if capacity(size) < n:  # 2
        size = envelope_size(n + 59)
    fail_if(note("size", size) > ENVELOPE_LIMIT, "too-large")  # 3, REQ-LIMIT-07
    ephemeral = random(32)  # 4
    shared = note("shared", DH(ephemeral, mailbox.envelope_key))  # 5
    padded = note("padded", pad(payload, capacity(size) + 1))  # 6
    key = envelope_key(shared, mailbox, dh_public(ephemeral))
    envelope = build("envelope", dh_public(ephemeral), encrypt(key, padded))  # 7, 9
    assert len(envelope) == size
    return envelope


def open_envelope(keys: MailboxKeys, data: bytes) -> bytes:
    """*open envelope* (REQ-ENV-04)."""
    ephemeral_key, sealed = parse(data, "envelope")  # 1
    fail_if(envelope_size(len(data)) != len(data), "bad-form")  # 2
    shared = note("shared", DH(keys.envelope_private, ephemeral_key))  # 3
    padded = decrypt(envelope_key(shared, keys.public, ephemeral_key), sealed)  # 4
    return unpad(note("padded", padded))  # 5


def dispatch_type(payload: bytes, in_contact_mailbox: bool) -> int:
    """Steps 1 and 2 of *dispatch*: the type of a payload (REQ-ENV-07)."""
    kind = None  # 1
    if len(payload) >= 3 and 0x92 <= payload[0] <= 0x9F and payload[1] == 1 and payload[2] <= 0x7F:
        kind = payload[2]
    taken = ["message", "commit copy", "signed object"]
    if in_contact_mailbox:
        taken += ["invitation", "opening"]
    if kind is None or kind not in [FORMS[name].type for name in taken]:  # 2
        begin_parse(payload, ENVELOPE_LIMIT)
        raise Refused("wrong-type")
    return kind


def check_mailbox_proof(
    address: bytes, read_key: bytes, challenge: bytes, proof: bytes
) -> None:
    """*check* (REQ-ENV-10)."""
    fail_if(note("address", H(b"mailbox", read_key)) != address, "not-permitted")  # 1
    check_sign_key(read_key)  # 2
    verify(read_key, proof, b"read mailbox", address, challenge)  # 3


# --- Chapter 13: contents and evaporation --------------------------------------------------------

MAX_LIFETIME = 259_200  # REQ-LIMIT-27


def check_evaporation(after_view: int | None, lifetime: int) -> None:
    """REQ-EVAP-01."""
    fail_if(not 1 <= lifetime <= MAX_LIFETIME, "bad-policy")
    fail_if(after_view is not None and after_view > MAX_LIFETIME, "bad-policy")


def stricter(
    own: tuple[int | None, int], room: tuple[int | None, int]
) -> tuple[int | None, int]:
    """(after_view, lifetime) of a message in a room (REQ-EVAP-02)."""
    timers = [timer for timer in (own[0], room[0]) if timer is not None]
    return min(timers) if timers else None, min(own[1], room[1])


def deadline(
    sent: int, received: int, after_view: int | None, lifetime: int, viewed: int | None
) -> int:
    """When a message evaporates (REQ-EVAP-03, REQ-EVAP-04)."""
    end = note("end", min(sent, received) + lifetime)
    return end if viewed is None or after_view is None else min(end, viewed + after_view)


def read_content(data: bytes) -> tuple[str, list[Any]]:
    """The name of a content's type, and its fields (REQ-EVAP-10)."""
    value = begin_parse(data, CONTENT_LIMIT)  # 1
    names = [name for name, form in FORMS.items() if form.type == value[1]]
    fail_if(not 32 <= value[1] <= 37, "wrong-type")  # 2
    content = end_parse(value, names[0])  # 3
    if names[0] in ("text", "data"):  # 4
        check_evaporation(content[1], content[2])
    if names[0] == "announcement":  # 5
        check_dh_key(content[1][1])
    return names[0], content


# --- Chapter 11: messages ------------------------------------------------------------------------

DIRECT, SIGNED_MODE, DENIABLE = 0, 1, 2


class SealedMessage(NamedTuple):
    """A message, and what it was made of."""

    message: bytes
    id: bytes
    header: bytes
    key: bytes
    com: bytes


def message_id(header: bytes, body: bytes) -> bytes:
    """REQ-MSG-02."""
    return H(b"message id", header, note("ciphertext hash", H(b"ciphertext", body)))[:16]


def head_size(n: int) -> int:
    """head(*n*) of REQ-MSG-04."""
    return 2 if n < 256 else 3 if n < 65_536 else 5


def ciphertext_size(h: int, a: int, c: int) -> int:
    """How long the ciphertext of a message is (REQ-MSG-04)."""
    fixed = note("fixed", 3 + head_size(h) + h + head_size(a) + a)  # 1
    least = note("least", c + 17)
    size = 512  # 2
    while capacity(size) < fixed + head_size(least) + least:
        size = unnoted(envelope_size, size + 1)
    space = note("space", capacity(note("S", size)) - fixed)  # 3
    n = max(m for m in (space - 2, space - 3, space - 5) if head_size(m) + m <= space)
    return max(note("n", n), least)  # 4


def seal_message(
    header: list[Any],
    context: bytes,
    message_key: bytes,
    content: bytes,
    fresh: bytes,
    room_seed: bytes | None,
) -> SealedMessage:
    """Seal a content (REQ-MSG-03). `header`: its fields, with any salt; no seed: direct mode."""
    a = 32 if room_seed is None else 64
    size = ciphertext_size(len(build("header", *header)), a, len(content))
    fail_if(size > 81_920, "too-large")  # 1, local
    padded = note("padded", pad(content, size - 16))
    salt = message_salt(message_key, fresh, padded)  # 2
    head = build("header", *header[:4], salt, *header[5:])
    note("header", head)
    key, com = message_keys(message_key, note("header hash", H(b"header", head, context)))  # 3
    ciphertext = encrypt(key, padded)  # 4
    authenticator = com  # 5
    if room_seed is not None:
        its_hash = note("ciphertext hash", H(b"ciphertext", ciphertext))
        authenticator = sign(room_seed, b"message", head, com, its_hash)
    message = build("message", head, ciphertext, authenticator)
    return SealedMessage(message, message_id(head, ciphertext), head, key, com)


def open_message(
    data: bytes, context: bytes, message_key: bytes, mode: int, room_sign_key: bytes
) -> bytes:
    """Step 1 of REQ-MSG-07, then REQ-MSG-05: the content of a message."""
    head, ciphertext, authenticator = parse(data, "message")
    parse(head, "header")
    key, com = message_keys(message_key, note("header hash", H(b"header", head, context)))  # 1
    fail_if(len(authenticator) != (32 if mode == DIRECT else 64), "bad-form")  # 2
    if mode == DIRECT:  # 3
        fail_if(not hmac.compare_digest(com, authenticator), "bad-commitment")
    else:
        its_hash = note("ciphertext hash", H(b"ciphertext", ciphertext))
        verify(room_sign_key, authenticator, b"message", head, com, its_hash)
    return unpad(note("padded", decrypt(key, ciphertext)))  # 4, 5


# --- Chapter 9: membership -----------------------------------------------------------------------

MEMBER, ADMIN, OWNER = 0, 1, 2
NO_TRANSCRIPT = bytes(32)
MAX_CLOCK_LEAD = 300  # REQ-LIMIT-13


class Credential(NamedTuple):
    """What a credential gives (9.2)."""

    leaf_key: bytes
    room_sign_key: bytes
    version: int
    is_package: bool
    awaits_refresh: bool


class Member(NamedTuple):
    """A row of a roster, in the order of its fields (9.3)."""

    id: bytes
    role: int
    seniority: int
    sign_key: bytes
    dh_key: bytes
    admission: bytes
    sponsor: int
    ranked: int
    signed: bytes
    resynced: int | None = None

    @property
    def identity(self) -> Identity:
        return Identity(self.sign_key, self.dh_key)


class Roster(NamedTuple):
    """The next seniority, and the members in ascending order of seniority (REQ-MEM-04)."""

    next_seniority: int
    members: list[Member]

    def encode(self) -> bytes:
        return build("roster", self.next_seniority, [list(member) for member in self.members])

    def find(self, member: bytes) -> Member:
        for row in self.members:
            if row.id == member:
                return row
        raise Refused("unknown-member")

    def has(self, member: bytes) -> bool:
        return any(row.id == member for row in self.members)

    def without(self, member: bytes) -> "Roster":
        return Roster(self.next_seniority, [row for row in self.members if row.id != member])

    def replace(self, new: Member) -> "Roster":
        rows = [new if row.id == new.id else row for row in self.members]
        return Roster(self.next_seniority, rows)


Policy = list[Any]  # [mode, members may add, after_view, lifetime] (9.4)


def check_policy(policy: Policy) -> None:
    """REQ-MEM-12."""
    check_evaporation(policy[2], policy[3])
    fail_if(policy[0] not in (DIRECT, SIGNED_MODE, DENIABLE), "bad-policy")
    fail_if(policy[0] == DENIABLE, "wrong-mode")


def creator_id(room: bytes, identity: Identity) -> bytes:
    """REQ-MEM-03."""
    return note("creator id", H(b"creator", room, *identity))


def member_id(room: bytes, transcript: bytes, package_hash: bytes, index: int) -> bytes:
    """REQ-MEM-03."""
    return note("member id", H(b"member", room, transcript, package_hash, index))


def make_entry(
    owner: IdentityKeys, room: bytes, member: bytes, leaf_key: bytes, room_key: bytes, version: int
) -> bytes:
    """A signed member entry (REQ-MEM-01)."""
    fail_if(version >= 2**32, "bad-form")  # REQ-MEM-04
    dh_key = owner.public.dh_key
    body = build("member entry", room, member, dh_key, leaf_key, room_key, version)
    note("body", body)
    return build("signed object", body, sign(owner.seed, b"member entry", body))


def read_credential(signed: bytes, room: bytes, member: bytes, identity: Identity) -> Credential:
    """REQ-MEM-02."""
    body, signature = parse(signed, "signed object")  # 1
    value = begin_parse(body, BODY_LIMIT)  # 2
    if value[1] == FORMS["key package"].type:  # 3
        package = read_key_package(signed)
        fail_if(package.identity != identity, "bad-entry")
        return Credential(package.leaf_key, package.room_sign_key, 0, True, package.last_resort)
    its_room, its_member, dh_key, leaf_key, room_key, version = end_parse(
        value, "member entry"
    )  # 4
    fail_if((its_room, its_member, dh_key) != (room, member, identity.dh_key), "bad-entry")  # 5
    verify(identity.sign_key, signature, b"member entry", body)  # 6
    check_dh_key(leaf_key)  # 7
    check_sign_key(room_key)
    return Credential(leaf_key, room_key, version, False, False)  # 8


def kept_credential(signed: bytes) -> Credential:
    """The same of a credential that has been read before: its signature is not checked again."""
    body, _ = parse(signed, "signed object")
    value = begin_parse(body, BODY_LIMIT)
    if value[1] == FORMS["key package"].type:
        package = end_parse(value, "key package")
        return Credential(package[5], package[6], 0, True, package[9])
    entry = end_parse(value, "member entry")
    return Credential(entry[3], entry[4], entry[5], False, False)


def read_roster(data: bytes, room: bytes) -> Roster:
    """REQ-MEM-10."""
    next_seniority, rows = parse(data, "roster")  # 1
    members: list[Member] = []
    last = -1
    for row in rows:  # 2
        member = Member(*row)
        seen = any(m.id == member.id or m.identity == member.identity for m in members)
        fail_if(seen or not last < member.seniority < next_seniority, "bad-form")  # 2.1
        check_identity(member.identity)  # 2.2
        read_credential(member.signed, room, member.id, member.identity)  # 2.3
        members.append(member)
        last = member.seniority
    fail_if(not any(m.role == OWNER for m in members), "bad-form")  # 3
    return Roster(next_seniority, members)


def outranks(a: Member, b: Member) -> bool:
    """Role higher, or both owners and *a* admitted earlier (9.5)."""
    both_owners = a.role == OWNER and b.role == OWNER
    return a.role > b.role or (both_owners and a.seniority < b.seniority)


def check_right(me: Member, operation: list[Any], roster: Roster, policy: Policy) -> None:
    """The table of rights (REQ-MEM-05)."""
    kind = operation[0]
    allowed = False
    if kind == ADD and operation[2] == MEMBER:
        allowed = me.role >= ADMIN or bool(policy[1])
    elif kind == ADD:
        allowed = me.role == OWNER
    elif kind == SANCTION:
        allowed = True  # its table is that of REQ-MEM-14
    elif kind == SET_ROLE:
        target = roster.find(operation[1])  # unknown-member before the right
        if target.id == me.id:
            allowed = operation[2] < me.role
        elif me.role == OWNER:
            allowed = outranks(me, target) and operation[2] >= target.role
        elif me.role == ADMIN:
            allowed = target.role == MEMBER and operation[2] == MEMBER
    elif kind == SET_POLICY:
        allowed = me.role == OWNER
    elif kind == RESYNC:
        allowed = roster.find(read_resync_request(operation[1]).member).id != me.id
    fail_if(not allowed, "not-entitled")


class ResyncRequest(NamedTuple):
    """A resync request that has been read, its signature apart (9.8)."""

    body: bytes
    signature: bytes
    room: bytes
    member: bytes
    time: int
    package: KeyPackage


REQUEST_LIFETIME = 259_200  # REQ-LIMIT-36


def make_resync_request(
    owner: IdentityKeys, room: bytes, member: bytes, time: int, package: bytes
) -> bytes:
    """A signed resync request; *package* is a signed key package (REQ-MEM-13)."""
    body = note("body", build("resync request", room, member, time, package))
    return build("signed object", body, sign(owner.seed, b"resync request", body))


def read_resync_request(signed: bytes) -> ResyncRequest:
    """Steps 1 and 2 of REQ-MEM-13."""
    body, signature = parse(signed, "signed object")  # 1
    room, member, time, package = parse(body, "resync request")
    return ResyncRequest(body, signature, room, member, time, read_key_package(package))  # 2


def check_resync_request(
    signed: bytes, suite: int, room: bytes, roster: Roster, time: int
) -> tuple[Member, ResyncRequest]:
    """Who is to be let in anew (REQ-MEM-13)."""
    request = read_resync_request(signed)  # 1, 2
    package = request.package
    fail_if(request.room != room, "bad-proof")  # 3
    member = roster.find(request.member)  # 4
    fail_if(package.identity != member.identity, "wrong-identity")  # 5
    verify(member.sign_key, request.signature, b"resync request", request.body)  # 6
    fail_if(package.suite != suite, "unknown-suite")  # 7
    fail_if(package.last_resort, "bad-proof")
    used = package.hash == member.admission or package.signed == member.signed
    fail_if(used, "used-package")  # 8
    fail_if(time > package.expiry or time > request.time + REQUEST_LIFETIME, "expired")  # 9
    fail_if(request.time > time + MAX_CLOCK_LEAD, "bad-proof")  # 10
    fail_if(member.resynced is not None and request.time <= member.resynced, "replay")  # 11
    return member, request


def make_leave_request(owner: IdentityKeys, room: bytes, member: Member) -> bytes:
    """A signed leave request (REQ-MEM-06)."""
    body = note("body", build("leave request", room, member.id, member.admission))
    return build("signed object", body, sign(owner.seed, b"leave request", body))


def check_leave_request(signed: bytes, room: bytes, roster: Roster) -> Member:
    """Who asks to leave (REQ-MEM-06)."""
    body, signature = parse(signed, "signed object")  # 1
    its_room, member, admission = parse(body, "leave request")
    fail_if(its_room != room, "bad-proof")  # 2
    leaver = roster.find(member)  # 3
    fail_if(admission != leaver.admission, "bad-proof")  # 4
    verify(leaver.sign_key, signature, b"leave request", body)  # 5
    return leaver


class Sanction(NamedTuple):
    """A sanction that has been read, its signature apart (9.7)."""

    body: bytes
    signature: bytes
    room: bytes
    member: bytes
    admission: bytes
    author: bytes
    role: int | None  # None: a removal
    epoch: int
    spared: list[bytes] | None


def read_sanction(signed: bytes) -> Sanction:
    """Step 1 of REQ-MEM-14."""
    body, signature = parse(signed, "signed object")
    return Sanction(body, signature, *parse(body, "sanction"))


def sign_sanction(
    author: IdentityKeys, room: bytes, member: bytes, admission: bytes, author_id: bytes,
    role: int | None, epoch: int, spared: list[bytes] | None,
) -> bytes:  # fmt: skip
    """A signed sanction (REQ-MEM-14)."""
    body = build("sanction", room, member, admission, author_id, role, epoch, spared)
    note("body", body)
    return build("signed object", body, sign(author.seed, b"sanction", body))


def check_sanction(signed: bytes, room: bytes, roster: Roster) -> tuple[Member, Sanction]:
    """Whom it removes or demotes (REQ-MEM-14)."""
    sanction = read_sanction(signed)  # 1
    fail_if(sanction.room != room, "bad-proof")  # 2
    member = roster.find(sanction.member)  # 3
    fail_if(sanction.admission != member.admission, "bad-proof")  # 4
    fail_if(not roster.has(sanction.author), "not-entitled")  # 5
    author = roster.find(sanction.author)
    verify(author.sign_key, sanction.signature, b"sanction", sanction.body)  # 6
    fail_if(author.role < ADMIN or not outranks(author, member), "not-entitled")  # 7
    if sanction.role is not None:
        fail_if(author.role < OWNER, "not-entitled")
        fail_if(sanction.role >= member.role or sanction.epoch > 2**32 - 3, "bad-proof")  # 8
        fail_if(member.ranked > sanction.epoch + 1, "replay")
    return member, sanction


MOST_SPARED = 64  # REQ-LIMIT-44


def taken_along(
    result: Roster, parent: Roster, author: bytes, target: Member, spared: list[bytes] | None
) -> list[Member]:
    """Whom a removal takes along (9.7). Rank is that of the parent (REQ-MEM-05)."""
    taken: list[Member] = []
    if spared is None:
        return taken
    gone = {target.seniority}
    for row in result.members:
        if row.id == target.id or row.sponsor not in gone or row.id[:8] in spared:
            continue
        if parent.has(row.id) and outranks(parent.find(author), parent.find(row.id)):
            gone.add(row.seniority)
            taken.append(row)
    return taken


def due_fields(
    parent: Roster, number: int, author: bytes, target: Member, role: int | None
) -> tuple[int, list[bytes] | None]:
    """*epoch* and *spared* of a sanction that is made for a commit on this parent (REQ-MEM-14)."""
    epoch = max(number, target.ranked - 1)
    if role is not None:
        return epoch, None
    listed = [row.id[:8] for row in taken_along(parent, parent, author, target, [])]
    return epoch, listed if len(listed) <= MOST_SPARED else None


def make_sanction(
    owner: IdentityKeys, room: bytes, roster: Roster, number: int, me: bytes, target: bytes,
    role: int | None,
) -> bytes:  # fmt: skip
    """A sanction for a commit on the epoch of this number and roster (10.6, step 3)."""
    row = roster.find(target)
    epoch, spared = due_fields(roster, number, me, row, role)
    return sign_sanction(owner, room, target, row.admission, me, role, epoch, spared)


def with_role(roster: Roster, member: bytes, role: int, number: int) -> Roster:
    """A member with a role; with another one it is *ranked* anew (REQ-MEM-04)."""
    row = roster.find(member)
    if role == row.role:
        return roster
    return roster.replace(row._replace(role=role, ranked=max(number, row.ranked)))


def punish(
    result: Roster, parent: Roster, target: Member, sanction: Sanction, number: int
) -> Roster:
    """Step 2.3 of REQ-MEM-07 for a sanction. *number*: of the epoch that is opened."""
    row = result.find(target.id)
    if sanction.role is None:
        for taken in taken_along(result, parent, sanction.author, target, sanction.spared):
            result = result.without(taken.id)
        return result.without(target.id)
    ranked = max(number, sanction.epoch + 2, row.ranked)
    return result.replace(row._replace(role=min(row.role, sanction.role), ranked=ranked))


def admit(
    roster: Roster, member: bytes, role: int, package: KeyPackage, suite: int, time: int,
    sponsor: int, number: int,
) -> Roster:  # fmt: skip
    """The add of step 3.2 of REQ-MEM-07."""
    fail_if(package.suite != suite, "unknown-suite")
    fail_if(time > package.expiry, "expired")  # REQ-ID-05
    present = any(m.identity == package.identity or m.id == member for m in roster.members)
    fail_if(present, "already-member")
    fail_if(len(roster.members) >= 1_000, "too-many-members")  # REQ-MEM-11
    fail_if(roster.next_seniority >= 2**32 - 1, "bad-form")  # REQ-MEM-04
    row = Member(member, role, roster.next_seniority, *package.identity, package.hash, sponsor,
                 number, package.signed)  # fmt: skip
    return Roster(roster.next_seniority + 1, [*roster.members, row])


def with_owner(roster: Roster, number: int) -> Roster:
    """Without an owner, the first in rank becomes owner (REQ-MEM-08)."""
    if any(m.role == OWNER for m in roster.members):
        return roster
    first = min(roster.members, key=lambda m: (-m.role, m.seniority))
    return with_role(roster, first.id, OWNER, number)


def apply_operations(
    roster: Roster,
    policy: Policy,
    suite: int,
    room: bytes,
    number: int,
    transcript: bytes,
    committer: Member,
    time: int,
    operations: list[list[Any]],
    proofs: list[list[Any]],
) -> tuple[Roster, Policy]:
    """What a commit makes of roster and policy (REQ-MEM-07). *number*: that of the parent."""
    result, rules, opened = roster, policy, number + 1  # 1
    for kind, proof in proofs:  # 2
        result = embed(result, roster, room, opened, committer, kind, proof)
    for index, operation in enumerate(operations):  # 3
        check_right(committer, operation, roster, policy)  # 3.1
        if operation[0] == ADD:  # 3.2
            package = read_key_package(operation[1])
            new = member_id(room, transcript, package.hash, index)
            result = admit(result, new, operation[2], package, suite, time, committer.seniority,
                           opened)  # fmt: skip
        elif operation[0] == SANCTION:  # 3.3
            target, sanction = check_sanction(operation[1], room, roster)
            fail_if(sanction.author != committer.id, "bad-proof")
            due = due_fields(roster, number, committer.id, target, sanction.role)
            fail_if((sanction.epoch, sanction.spared) != due, "bad-proof")
            result = punish(result, roster, target, sanction, opened)
        elif operation[0] == SET_ROLE:  # 3.4
            result = with_role(result, operation[1], operation[2], opened)
        elif operation[0] == SET_POLICY:  # 3.5
            fail_if(operation[1][0] != policy[0], "wrong-mode")
            check_policy(operation[1])
            rules = operation[1]
        else:  # 3.6
            member, asked = check_resync_request(operation[1], suite, room, result, time)
            result = result.replace(
                member._replace(signed=asked.package.signed, resynced=asked.time)
            )
    fail_if(not result.has(committer.id), "not-entitled")  # 4
    return with_owner(result, opened), rules  # 5


def embed(
    result: Roster, parent: Roster, room: bytes, opened: int, committer: Member, kind: int,
    proof: bytes,
) -> Roster:  # fmt: skip
    """Step 2 of REQ-MEM-07 for one proof."""
    if kind == LEAVES:  # 2.1
        leaver = check_leave_request(proof, room, parent)
        fail_if(leaver.id == committer.id, "bad-proof")  # 2.2
        result.find(leaver.id)  # 2.3
        return result.without(leaver.id)
    target, sanction = check_sanction(proof, room, parent)  # 2.1
    fail_if(target.id == committer.id, "bad-proof")  # 2.2
    return punish(result, parent, target, sanction, opened)  # 2.3


# A trail: prefix and order of epochs of a path, from the oldest on (7.5, REQ-ENV-24).
Order = list[int]
Trail = list[tuple[bytes, "Order | None"]]


def order_of_commit(
    roster: Roster, parent_time: int, committer: Member, time: int, proofs: list[list[Any]]
) -> Order:
    """REQ-EPOCH-20, with the roster of the parent and the committer as it stands there."""
    authority = (3, 0)
    for kind, proof in proofs:
        if kind == SANCTIONED and read_sanction(proof).role is None:
            author = roster.find(read_sanction(proof).author)
            authority = min(authority, (2 - author.role, author.seniority))
    note("authority", authority[0])
    bucket = note("bucket", max(0, time - parent_time) // 3_600)
    return [*authority, bucket, 2 - committer.role, committer.seniority]


def trail_wins(new: Trail, old: Trail, new_time: int, old_time: int) -> bool:
    """Whether a trail wins against another (REQ-ENV-24). Times: of the last commit of each."""
    old_places = {prefix: place for place, (prefix, _) in enumerate(old)}
    shared = [place for place, (prefix, _) in enumerate(new) if prefix in old_places]
    if not shared:
        return new_time > old_time
    rest = new[shared[-1] + 1 :]
    old_rest = old[old_places[new[shared[-1]][0]] + 1 :]
    if not rest or not old_rest:
        return False  # one is a beginning of the other
    a, b = rest[0][1], old_rest[0][1]
    return a is not None and (b is None or a < b)


# --- Chapter 10: epochs --------------------------------------------------------------------------


def commit_hash(commit: bytes) -> bytes:
    """REQ-EPOCH-01."""
    return note("commit hash", H(b"commit", commit))


def transcript_hash(parent: bytes, commit: bytes, confirmation: bytes) -> bytes:
    """REQ-EPOCH-08."""
    return note("transcript hash", H(b"transcript", parent, commit, confirmation))


def state_hash(roster: bytes, policy: Policy) -> bytes:
    """REQ-EPOCH-06."""
    return note("state hash", H(b"state", note("roster", roster), policy))


def context_hash(
    suite: int, room: bytes, policy: Policy, roster: bytes, transcript: bytes
) -> bytes:
    """REQ-EPOCH-09."""
    return H(b"context", suite, room, policy, roster, transcript)


def slot_key(
    shared: bytes, commit: bytes, ephemeral_key: bytes, member: bytes, leaf_key: bytes
) -> bytes:
    """The key of a slot (REQ-EPOCH-03, REQ-PRIM-18)."""
    its_hash = commit_hash(commit)
    transcript = H(b"slot transcript", its_hash, ephemeral_key, member, leaf_key)
    note("transcript", transcript)
    return note("key", KDF(ZEROS, b"slot", shared, transcript))


def seal_slot(r: bytes, ephemeral: bytes, commit: bytes, member: bytes, leaf_key: bytes) -> bytes:
    """REQ-EPOCH-03."""
    shared = note("shared", DH(ephemeral, leaf_key))
    return encrypt(slot_key(shared, commit, dh_public(ephemeral), member, leaf_key), r)


def open_slot(slot: bytes, leaf: bytes, commit: bytes, ephemeral_key: bytes, me: bytes) -> bytes:
    """REQ-EPOCH-04."""
    shared = note("shared", DH(leaf, ephemeral_key))
    return note("r", decrypt(slot_key(shared, commit, ephemeral_key, me, dh_public(leaf)), slot))


def epoch_secret(init: bytes, r: bytes, commit: bytes) -> bytes:
    """REQ-EPOCH-05; `init` is 32 zero bytes for a genesis."""
    return note("epoch secret", KDF(init, b"epoch", r, commit_hash(commit)))


class EpochKeys(NamedTuple):
    """The key schedule (10.5)."""

    confirmation: bytes
    chains: dict[bytes, bytes]
    handshakes: dict[bytes, bytes]
    inits: dict[bytes, bytes]
    exporter: bytes


def key_schedule(secret: bytes, commit: bytes, members: list[bytes]) -> EpochKeys:
    """REQ-EPOCH-07."""
    its_hash = commit_hash(commit)
    confirm = note("root confirm", KDF(secret, b"confirm"))
    chains = note("root chains", KDF(secret, b"chains"))
    handshakes = note("root handshakes", KDF(secret, b"handshakes"))
    inits = note("root inits", KDF(secret, b"inits"))
    keys = EpochKeys(
        note("confirmation", KDF(confirm, b"confirmation", its_hash)),
        {m: KDF(chains, b"chain of", m) for m in members},
        {m: KDF(handshakes, b"handshake of", m) for m in members},
        {m: KDF(inits, b"init of", m) for m in members},
        note("exporter", KDF(secret, b"exporter")),
    )
    for m in members[:3]:
        note("chain", keys.chains[m])
        note("handshake", keys.handshakes[m])
        note("init", keys.inits[m])
    return keys


def export(exporter: bytes, label: bytes, size: int) -> bytes:
    """REQ-EPOCH-17. The size is the digest length, and no part (2.1)."""
    return KDF(exporter, b"export", label, size=size)


def seal_commit(
    handshake: bytes, room: bytes, prefix: bytes, me: bytes, signed_commit: bytes, random: Random
) -> bytes:
    """REQ-EPOCH-10."""
    salt = note("salt", KDF(handshake, b"commit salt", random(16), signed_commit, size=16))
    key = note("key", KDF(handshake, b"seal commit", room, prefix, me, salt))
    return build("sealed commit", room, prefix, me, salt, encrypt(key, signed_commit))


def unseal_commit(handshake: bytes, sealed: list[Any]) -> bytes:
    """Undo `seal_commit`: the signed commit in the fields of a sealed one (REQ-EPOCH-10)."""
    room, prefix, committer, salt, ciphertext = sealed
    key = note("key", KDF(handshake, b"seal commit", room, prefix, committer, salt))
    return decrypt(key, ciphertext)


class Epoch(NamedTuple):
    """An epoch of a room, with all its keys: nothing is erased here."""

    suite: int
    room: bytes
    number: int
    transcript: bytes
    roster: Roster
    policy: Policy
    opener: bytes
    keys: EpochKeys
    time: int = 0  # of the commit or genesis that opened it; a turn has none

    @property
    def prefix(self) -> bytes:
        return self.transcript[:8]

    @property
    def context(self) -> bytes:
        roster = self.roster.encode()
        return context_hash(self.suite, self.room, self.policy, roster, self.transcript)


def ids_of(roster: Roster) -> list[bytes]:
    """The members that the key schedule is for."""
    return [member.id for member in roster.members]


class Guest(NamedTuple):
    """One to invite: its package, which prekey of it, and its role."""

    package: KeyPackage
    prekey: int | None
    role: int


Contact = tuple[str, "Mailbox | None"]


def make_welcome(
    commit: bytes,
    confirmation: bytes,
    signature: bytes | None,
    parent_credential: bytes | None,
    roster: Roster,
    policy: Policy,
    secret: bytes,
    directory: dict[bytes, Contact],
    trail: Trail,
) -> bytes:
    """REQ-INV-05."""
    rows: list[Value] = []
    for member in roster.members:
        if member.id in directory:
            name, mailbox = directory[member.id]
            rows.append([member.id, name, None if mailbox is None else list(mailbox)])
    return build("welcome", commit, confirmation, signature, parent_credential, roster.encode(),
                 policy, secret, rows, [list(entry) for entry in trail])  # fmt: skip


def genesis_roster(
    suite: int, room: bytes, time: int, policy: Policy, creator: Identity, entry: bytes,
    packages: list[tuple[KeyPackage, int]],
) -> Roster:  # fmt: skip
    """Steps 7 to 9 of REQ-EPOCH-12."""
    fail_if(policy[0] == DIRECT and len(packages) != 1, "wrong-mode")  # 7
    admission = note("admission", H(b"creator admission", entry))  # 9.1
    first = Member(creator_id(room, creator), OWNER, 0, *creator, admission, 0, 0, entry)
    roster = Roster(1, [first])  # 8
    for index, (package, role) in enumerate(packages):  # 9
        new = member_id(room, NO_TRANSCRIPT, package.hash, index)
        roster = admit(roster, new, role, package, suite, time, 0, 0)
    return roster


class Founded(NamedTuple):
    """A room that has been founded."""

    epoch: Epoch
    secret: bytes
    genesis: bytes
    leaf: bytes
    room_seed: bytes
    invitations: list[bytes]


def found_room(
    own: IdentityKeys, policy: Policy, guests: list[Guest], name: str, mailbox: Mailbox, time: int,
    random: Random,
) -> Founded:  # fmt: skip
    """Found a room (10.2). The packages have been read."""
    fail_if(not 0 <= time < 1 << 40, "bad-input")
    fail_if(len(name.encode()) > 256, "too-large")  # REQ-LIMIT-09
    room, leaf, room_seed = random(32), random(32), random(32)
    me = creator_id(room, own.public)
    entry = make_entry(own, room, me, dh_public(leaf), sign_public(room_seed), 0)
    check_policy(policy)
    packages = [(guest.package, guest.role) for guest in guests]
    rows: list[Value] = [[package.signed, role] for package, role in packages]
    roster = genesis_roster(1, room, time, policy, own.public, entry, packages)
    genesis = note("genesis", build(
        "genesis", 1, room, time, policy, *own.public, entry, rows,
        state_hash(roster.encode(), policy),
    ))  # fmt: skip
    secret = epoch_secret(ZEROS, random(32), genesis)  # REQ-EPOCH-02
    keys = key_schedule(secret, genesis, ids_of(roster))
    signature = None
    if policy[0] != DIRECT:
        signature = sign(room_seed, b"commit", genesis, keys.confirmation)  # REQ-EPOCH-13
    transcript = transcript_hash(NO_TRANSCRIPT, genesis, keys.confirmation)
    trail: Trail = [] if policy[0] == DIRECT else [(transcript[:8], None)]
    welcome = make_welcome(genesis, keys.confirmation, signature, None, roster, policy, secret,
                           {me: (name, mailbox)}, trail)  # fmt: skip
    epoch = Epoch(1, room, 0, transcript, roster, policy, me, keys, time)
    invitations = [seal_invitation(own, g.package, g.prekey, welcome, random) for g in guests]
    return Founded(epoch, secret, genesis, leaf, room_seed, invitations)


def read_genesis(data: bytes) -> list[Any]:
    """Steps 1 to 5 of REQ-EPOCH-12: the fields, with the packages read."""
    fields_of = parse(data, "genesis")  # 1
    suite, room, time, policy, sign_key, dh_key, entry, rows, its_state = fields_of
    check_identity(Identity(sign_key, dh_key))  # 2
    packages = [(read_key_package(signed), role) for signed, role in rows]  # 3
    check_suite(suite)  # 4
    check_policy(policy)  # 5
    return [suite, room, time, policy, Identity(sign_key, dh_key), entry, packages, its_state]


def read_commit(data: bytes) -> list[Any]:
    """REQ-EPOCH-11: the fields."""
    fields_of = parse(data, "commit")  # 1
    operations, ephemeral_key = fields_of[5], fields_of[8]
    check_dh_key(ephemeral_key)  # 2
    for operation in operations:  # 3
        if operation[0] == ADD:
            read_key_package(operation[1])
        elif operation[0] == SET_POLICY:
            check_policy(operation[1])
        elif operation[0] == SANCTION:
            read_sanction(operation[1])
        elif operation[0] == RESYNC:
            read_resync_request(operation[1])
    return fields_of


def let_in_as(
    me: Identity, package: KeyPackage, room: bytes, parent: bytes, time: int,
    operations: list[list[Any]],
) -> bytes:  # fmt: skip
    """The own member id, or nothing: step 8 of *check commit*."""
    member = b""
    for place, operation in enumerate(operations):
        if operation[0] == ADD and operation[1] == package.signed:
            fail_if(time > package.expiry, "expired")
            member = member_id(room, parent, package.hash, place)
        if operation[0] == RESYNC:
            request = read_resync_request(operation[1])
            if request.package.signed == package.signed:
                fail_if(request.room != room, "bad-proof")
                verify(me.sign_key, request.signature, b"resync request", request.body)
                fail_if(time > package.expiry, "expired")
                member = request.member
    return member


def join_room(
    own: IdentityKeys, keys: KeyPackageKeys, data: bytes, now: int
) -> tuple[Epoch, bytes, Trail]:
    """*join* (REQ-INV-06): the epoch that is entered, the own member id, and the trail."""
    welcome = open_invitation(own, keys, data)  # 1
    inviter = Identity(*parse(data, "invitation")[1:3])
    (commit, confirmation, signature, parent_credential, roster_bytes, policy, secret,
     directory, trail) = parse(welcome, "welcome")  # 2  # fmt: skip
    check_policy(policy)  # 3
    me = b""
    if begin_parse(commit, COMMIT_LIMIT)[1] == FORMS["genesis"].type:  # 4, 5
        suite, room, time, its_policy, creator, entry, packages, its_state = read_genesis(
            commit
        )  # *check genesis* 1 to 5
        fail_if(creator != inviter, "wrong-identity")  # 6
        fail_if(suite != keys.package.suite, "unknown-suite")  # 7
        committer_id = creator_id(room, creator)
        credential = read_credential(entry, room, committer_id, creator)  # 8
        fail_if(credential.is_package or credential.version != 0, "bad-entry")  # 9
        roster = genesis_roster(suite, room, time, its_policy, creator, entry, packages)  # 10
        fail_if(roster.encode() != roster_bytes or policy != its_policy, "bad-state-hash")  # 11
        for member in roster.members:  # 12
            if member.identity == own.public:
                me = member.id
        number, parent, signing_key = 0, NO_TRANSCRIPT, credential.room_sign_key
        fail_if(parent_credential is not None, "bad-form")
    else:  # 6
        fail_if(policy[0] == DIRECT, "wrong-mode")
        (room, parent_number, parent, committer_id, time, operations, _, entry, _,
         its_state) = read_commit(commit)  # *check commit* 1  # fmt: skip
        roster = read_roster(roster_bytes, room)  # 2
        committer = roster.find(committer_id)  # 3
        fail_if(committer.identity != inviter, "wrong-identity")  # 4
        fail_if(parent_credential is None or committer.signed != entry, "bad-entry")  # 5
        before = read_credential(parent_credential, room, committer_id, inviter)  # 6
        version = kept_credential(committer.signed).version
        fail_if(version != before.version + 1, "bad-entry")  # 7
        me = let_in_as(own.public, keys.package, room, parent, time, operations)  # 8
        number, signing_key = parent_number + 1, before.room_sign_key  # 9
    fail_if(time > now + MAX_CLOCK_LEAD, "early-commit")  # 7
    if policy[0] == DIRECT:  # 8
        fail_if(signature is not None, "bad-form")
    else:
        fail_if(signature is None, "bad-signature")
        verify(signing_key, signature, b"commit", commit, confirmation)
    fail_if(state_hash(roster_bytes, policy) != its_state, "bad-state-hash")  # 9
    mine = [member for member in roster.members if member.id == me]  # 10
    fail_if(not mine or mine[0].signed != keys.package.signed, "unknown-member")
    schedule = key_schedule(secret, commit, ids_of(roster))  # 11
    fail_if(not hmac.compare_digest(schedule.confirmation, confirmation), "bad-confirmation")
    for member_of, _, mailbox in directory:  # 12, REQ-ENV-12
        if mailbox is not None and roster.has(member_of) and member_of != me:
            check_dh_key(mailbox[1])
    transcript = transcript_hash(parent, commit, confirmation)  # 13
    epoch = Epoch(keys.package.suite, room, number, transcript, roster, policy, committer_id,
                  schedule, time)  # fmt: skip
    return epoch, me, [(prefix, order) for prefix, order in trail]


def chosen_proofs(
    parent: Epoch, me: bytes, noted: list[list[Any]], leaving: list[bytes],
    operations: list[list[Any]],
) -> list[list[Any]]:  # fmt: skip
    """Step 3 of REQ-EPOCH-14: which proofs a commit embeds, of those noted and then those kept."""
    named = [operation[1] for operation in operations if operation[0] in (SANCTION, SET_ROLE)]
    named += [read_resync_request(operation[1]).member for operation in operations
              if operation[0] == RESYNC]  # fmt: skip
    committer, opened = parent.roster.find(me), parent.number + 1
    proofs: list[list[Any]] = []
    result = parent.roster
    for kind, proof in [*noted, *([LEAVES, request] for request in leaving)]:
        about = proof_valid(parent, kind, proof)
        if about is None or about in named or len(proofs) == 16:  # REQ-LIMIT-12
            continue
        try:
            after = embed(result, parent.roster, parent.room, opened, committer, kind, proof)
        except Refused:
            continue  # about this device, or about one that is removed already
        if after.has(me):
            proofs.append([kind, proof])
            result = after
    return proofs


def proof_valid(epoch: Epoch, kind: int, proof: bytes) -> bytes | None:
    """Whom a proof is about, if it is valid at an epoch."""
    try:
        if kind == LEAVES:
            return check_leave_request(proof, epoch.room, epoch.roster).id
        return check_sanction(proof, epoch.room, epoch.roster)[0].id
    except Refused:
        return None


class CommitMade(NamedTuple):
    """A commit of one's own."""

    epoch: Epoch
    secret: bytes
    commit: bytes
    confirmation: bytes
    signature: bytes
    leaf: bytes
    room_seed: bytes
    sealed: bytes
    copies: dict[bytes, bytes]
    invitations: list[bytes]


def make_commit(
    parent: Epoch, own: IdentityKeys, me: bytes, room_seed: bytes, operations: list[list[Any]],
    guests: list[Guest], noted: list[list[Any]], leaving: list[bytes],
    directory: dict[bytes, Contact], time: int, random: Random, trail: Trail,
) -> CommitMade:  # fmt: skip
    """Make a commit (REQ-EPOCH-14).

    Of the operations, `[SANCTION, member, role or None]` is one that is still to be made. `noted`
    and `leaving`: proofs that have been noted, and leave requests, as they came. `trail`: of the
    path that is kept.
    """
    fail_if(parent.policy[0] == DIRECT, "wrong-mode")  # 1
    fail_if(not 0 <= time < 1 << 40, "bad-input")
    fail_if(any(operation[0] == ADD for operation in operations), "bad-input")
    fail_if(len(operations) + len(guests) > 1_000, "too-large")  # REQ-LIMIT-11
    adds: list[list[Any]] = [[ADD, guest.package.signed, guest.role] for guest in guests]
    operations = [*operations, *adds]  # 2
    embedded: list[list[Any]] = unnoted(chosen_proofs, parent, me, noted, leaving, operations)  # 3
    operations = [
        [SANCTION, make_sanction(own, parent.room, parent.roster, parent.number, me, *each[1:])]
        if each[0] == SANCTION else each for each in operations
    ]  # fmt: skip
    committer = parent.roster.find(me)
    roster, policy = apply_operations(  # 4
        parent.roster, parent.policy, parent.suite, parent.room, parent.number,
        parent.transcript, committer, time, operations, embedded,
    )  # fmt: skip
    leaf, new_seed = random(32), random(32)  # 5
    version = kept_credential(committer.signed).version + 1
    entry = make_entry(own, parent.room, me, dh_public(leaf), sign_public(new_seed), version)
    roster = roster.replace(roster.find(me)._replace(signed=entry))  # 6
    ephemeral = random(32)  # 7
    fail_if(parent.number >= 2**32, "bad-form")  # 1.4
    commit = note("commit", build(
        "commit", parent.room, parent.number, parent.transcript, me, time, operations, embedded,
        entry, dh_public(ephemeral), state_hash(roster.encode(), policy),
    ))  # fmt: skip
    r = random(32)  # 8, REQ-EPOCH-02
    secret = epoch_secret(parent.keys.inits[me], r, commit)
    keys = key_schedule(secret, commit, ids_of(roster))
    signature = sign(room_seed, b"commit", commit, keys.confirmation)  # 9, REQ-EPOCH-13
    signed_commit = build("signed commit", commit, keys.confirmation, signature)  # 10
    sealed = seal_commit(parent.keys.handshakes[me], parent.room, parent.prefix, me,
                         signed_commit, random)  # fmt: skip
    resynced: dict[bytes, ResyncRequest] = {}
    for operation in operations:
        if operation[0] == RESYNC:
            request = read_resync_request(operation[1])
            resynced.pop(request.member, None)  # the last request of a member counts
            if roster.has(request.member):
                resynced[request.member] = request
    copies = {}
    for member in parent.roster.members:  # 11
        if member.id == me:
            continue
        slot = None
        if roster.has(member.id) and member.id not in resynced:
            leaf_key = kept_credential(member.signed).leaf_key
            slot = seal_slot(r, ephemeral, commit, member.id, leaf_key)
        copies[member.id] = build("commit copy", sealed, slot)
    rows = {member: row for member, row in directory.items() if member not in resynced}
    transcript = transcript_hash(parent.transcript, commit, keys.confirmation)
    order = order_of_commit(parent.roster, parent.time, committer, time, embedded)
    whole: Trail = [*trail[-255:], (transcript[:8], order)]
    welcome = make_welcome(commit, keys.confirmation, signature, committer.signed, roster, policy,
                           secret, rows, whole)  # 12, REQ-INV-05  # fmt: skip
    invitations = [
        seal_invitation(own, each.package, 0, welcome, random) for each in resynced.values()
    ]
    invitations += [seal_invitation(own, g.package, g.prekey, welcome, random) for g in guests]
    epoch = Epoch(parent.suite, parent.room, parent.number + 1, transcript, roster, policy, me,
                  keys, time)  # 13  # fmt: skip
    return CommitMade(epoch, secret, commit, keys.confirmation, signature, leaf, new_seed, sealed,
                      copies, invitations)  # fmt: skip


class Taken(NamedTuple):
    """What a commit is that has passed all checks."""

    epoch: Epoch  # without keys where this device is not in it
    committer: bytes
    order: Order
    operations: list[list[Any]]
    proofs: list[list[Any]]
    removes_me: bool


class Equivocated(NamedTuple):
    """A second commit of its author on its parent (REQ-EPOCH-29)."""

    committer: bytes


NO_KEYS = EpochKeys(b"", {}, {}, {}, b"")


def apply_commit(
    parent: Epoch, me: bytes, leaf: bytes, data: bytes, now: int,
    committed: dict[bytes, bytes] | None = None,
) -> Taken | Equivocated:  # fmt: skip
    """Steps 1 to 21 of REQ-EPOCH-15, with the parent that is kept.

    `committed`: the transcript hashes that commits on this parent gave, by who made them.
    """
    sealed_bytes, slot = parse(data, "commit copy")  # 1
    sealed = parse(sealed_bytes, "sealed commit")
    room, prefix, committer_id, _, _ = sealed
    fail_if(room != parent.room, "unknown-room")  # 2
    fail_if(parent.policy[0] == DIRECT, "wrong-mode")  # 3
    fail_if(committer_id == me, "own-message")  # 4
    fail_if(prefix != parent.prefix, "unknown-epoch")  # 5, held
    fail_if(leaf == b"", "replay")  # 6
    committer = parent.roster.find(committer_id)  # 7
    fail_if(committer_id not in parent.keys.handshakes, "replay")  # 8
    signed_commit = unseal_commit(parent.keys.handshakes[committer_id], sealed)  # 9
    commit, confirmation, signature = parse(signed_commit, "signed commit")
    credential = kept_credential(committer.signed)
    verify(credential.room_sign_key, signature, b"commit", commit, confirmation)  # 10
    claimed = tuple(parse(commit, "commit")[:4])  # 11
    true = (parent.room, parent.number, parent.transcript, committer_id)
    fail_if(claimed != true, "wrong-transcript")
    opened = transcript_hash(parent.transcript, commit, confirmation)
    if committer_id in (committed or {}):  # 12
        fail_if((committed or {})[committer_id] == opened, "replay")
        return Equivocated(committer_id)
    (_, _, _, _, time, operations, proofs, entry, ephemeral_key,
     its_state) = read_commit(commit)  # 13  # fmt: skip
    roster, policy = apply_operations(  # 14
        parent.roster, parent.policy, parent.suite, parent.room, parent.number,
        parent.transcript, committer, time, operations, proofs,
    )  # fmt: skip
    new = read_credential(entry, parent.room, committer_id, committer.identity)  # 15
    fail_if(new.version != credential.version + 1, "bad-entry")
    roster = roster.replace(roster.find(committer_id)._replace(signed=entry))  # 16
    fail_if(state_hash(roster.encode(), policy) != its_state, "bad-state-hash")
    fail_if(time > now + MAX_CLOCK_LEAD, "early-commit")  # 17, held
    fail_if(committer_id not in parent.keys.inits, "replay")  # 18, REQ-EPOCH-30
    order = order_of_commit(parent.roster, parent.time, committer, time, proofs)
    epoch = Epoch(parent.suite, parent.room, parent.number + 1, opened, roster, policy,
                  committer_id, NO_KEYS, time)  # fmt: skip
    taken = Taken(epoch, committer_id, order, operations, proofs, not roster.has(me))
    if taken.removes_me:
        return taken
    fail_if(roster.find(me).resynced != parent.roster.find(me).resynced, "room-closed")
    if slot is None:
        raise Refused("no-slot")  # 19, held
    r = open_slot(slot, leaf, commit, ephemeral_key, me)  # 20
    secret = epoch_secret(parent.keys.inits[committer_id], r, commit)  # 21
    keys = key_schedule(secret, commit, ids_of(roster))
    fail_if(not hmac.compare_digest(keys.confirmation, confirmation), "bad-confirmation")
    return taken._replace(epoch=epoch._replace(keys=keys))


def make_repair_request(
    owner: IdentityKeys, room: bytes, member: bytes, prefix: bytes, time: int
) -> bytes:
    """A signed repair request (REQ-EPOCH-22)."""
    body = note("body", build("repair request", room, member, prefix, time))
    return build("signed object", body, sign(owner.seed, b"repair request", body))


def check_repair_request(
    signed: bytes, room: bytes, roster: Roster, now: int
) -> tuple[Member, bytes]:
    """Who asks, and the prefix of the last epoch it knows (REQ-EPOCH-22)."""
    body, signature = parse(signed, "signed object")  # 1
    its_room, member, prefix, time = parse(body, "repair request")
    fail_if(its_room != room, "unknown-room")  # 2
    asking = roster.find(member)  # 3
    verify(asking.sign_key, signature, b"repair request", body)  # 4
    fail_if(now > time + REQUEST_LIFETIME, "expired")  # 5
    fail_if(time > now + MAX_CLOCK_LEAD, "early-commit")  # 6, held
    return asking, prefix


class Turn(NamedTuple):
    """The turn fields of a direct room (REQ-DIR-05)."""

    leaf_key: bytes
    ephemeral_key: bytes
    slot: bytes
    entry: bytes | None


def direct_commit(parent: Epoch, me: bytes, turn: Turn) -> bytes:
    """The direct commit of a turn (REQ-DIR-03). `me` is the committer."""
    fail_if(parent.number >= 2**32, "bad-form")  # 1.4
    return note("direct commit", build(
        "direct commit", parent.room, parent.number, parent.transcript, me,
        turn.leaf_key, turn.ephemeral_key, turn.entry,
    ))  # fmt: skip


def open_turn(parent: Epoch, me: bytes, roster: Roster, commit: bytes, r: bytes) -> Epoch:
    """The epoch that a direct commit opens. `me` is the committer."""
    secret = epoch_secret(parent.keys.inits[me], r, commit)
    keys = key_schedule(secret, commit, ids_of(roster))
    transcript = transcript_hash(parent.transcript, commit, keys.confirmation)
    return Epoch(parent.suite, parent.room, parent.number + 1, transcript, roster, parent.policy,
                 me, keys)  # fmt: skip


def begin_turn(
    parent: Epoch, own: IdentityKeys, me: bytes, peer_leaf_key: bytes, random: Random
) -> tuple[Epoch, Turn, bytes]:
    """Begin a turn (REQ-DIR-02): the epoch, the turn fields, the new leaf private key."""
    peer = next(member.id for member in parent.roster.members if member.id != me)
    fail_if(parent.opener != peer, "out-of-turn")  # 1, REQ-DIR-01
    leaf = random(32)  # 2
    roster, entry = parent.roster, None
    if parent.number == 0:  # REQ-DIR-10
        room_key = sign_public(random(32))
        entry = make_entry(own, parent.room, me, dh_public(leaf), room_key, 1)
        roster = roster.replace(roster.find(me)._replace(signed=entry))
    ephemeral = random(32)  # 3
    unsealed = Turn(dh_public(leaf), dh_public(ephemeral), bytes(48), entry)
    commit = direct_commit(parent, me, unsealed)
    r = random(32)  # 4
    slot = seal_slot(r, ephemeral, commit, peer, peer_leaf_key)
    epoch = open_turn(parent, me, roster, commit, r)  # 5
    return epoch, unsealed._replace(slot=slot), leaf


def accept_turn(
    parent: Epoch, me: bytes, leaf: bytes, sender: bytes, turn: Turn, prefix: bytes
) -> Epoch:
    """Accept a turn (REQ-DIR-04). `leaf`: the own leaf private key of this epoch."""
    known = parent.opener == me and sender != me and parent.roster.has(sender)
    fail_if(not known, "out-of-turn")  # 1
    check_dh_key(turn.leaf_key)  # 2
    fail_if((parent.number == 0) != (turn.entry is not None), "bad-entry")  # 3
    roster = parent.roster
    if turn.entry is not None:  # 4
        row = roster.find(sender)
        new = read_credential(turn.entry, parent.room, sender, row.identity)
        due = kept_credential(row.signed).version + 1
        fail_if(new.version != due or new.leaf_key != turn.leaf_key, "bad-entry")
        roster = roster.replace(row._replace(signed=turn.entry))
    commit = direct_commit(parent, sender, turn)  # 5
    r = open_slot(turn.slot, leaf, commit, turn.ephemeral_key, me)  # 6
    epoch = open_turn(parent, sender, roster, commit, r)  # 7
    fail_if(epoch.prefix != prefix, "wrong-transcript")
    return epoch  # 8


# --- A room as a device keeps it: chapters 8 to 11, 14 -------------------------------------------
#
# A `Room` is a value. What changes it returns another one, what refuses returns none: so refused or
# held input changes nothing (REQ-WIRE-19). Names, mailboxes and what evaporates are left out.

HELD = ("unknown-epoch", "early-commit", "no-slot")  # 1.5
GRACE = 259_200  # REQ-LIMIT-14, 20
NOTED_FOR, MAX_NOTED = 2_592_000, 1_000  # REQ-LIMIT-45
MAX_EPOCHS = 256  # REQ-LIMIT-15
MAX_ROOM_KEYS = 4_000  # REQ-LIMIT-19
MAX_INDEX = 2**32 - 1  # REQ-LIMIT-21
ERASED = b""


class Kept(NamedTuple):
    """What a device keeps of an epoch; of `epoch.keys` only what is not erased yet."""

    epoch: Epoch
    leaf: bytes  # its own private keys in this epoch
    room_seed: bytes
    chains: dict[bytes, Chain]  # of the others
    turn: list[Any] | None  # the turn fields that opened it
    superseded: int | None
    parent: bytes | None  # a prefix; none of the first epoch, and in a direct room
    order: Order | None  # of the commit that opened it; none of the first epoch
    committed: dict[bytes, bytes]  # transcript hashes that commits on it gave, by who made them
    mine: bool  # this device has opened it, or spoken in it


class Sending(NamedTuple):
    """The own chain: the key of the next message, and its index."""

    key: bytes
    next: int  # *index* in the text


class Room(NamedTuple):
    """What a device keeps of a room."""

    me: bytes
    epochs: dict[bytes, Kept]  # by prefix, in the order in which they came
    current: bytes  # a prefix
    sending: Sending | None  # none in a direct epoch that the peer opened
    last_spoken: list[Any] | None  # before the current epoch (11.6)
    leaving: dict[bytes, bytes]  # leave requests (9.7), by who asks, in the order they came
    removed: Order | None  # order of the commit that removed this device
    noted: dict[tuple[int, bytes], int]  # proofs (REQ-EPOCH-28), and when they were noted
    equivocated: list[bytes]  # by whom (REQ-EPOCH-29)
    joined: int | None  # when, by an invitation
    first: bytes  # prefix of the epoch in which it was founded or joined
    trail: Trail  # of the welcome by which it was joined
    healed: int  # own last commit, last turn of either side, or when it joined (REQ-EPOCH-16)
    sent: int  # messages since then

    @property
    def now_in(self) -> Kept:
        return self.epochs[self.current]

    @property
    def direct(self) -> bool:
        mode: int = self.now_in.epoch.policy[0]
        return mode == DIRECT


def line(room: Room, end: bytes) -> list[bytes]:
    """The kept epochs that lead to one, and it: from the oldest on (REQ-EPOCH-27)."""
    epochs: list[bytes] = []
    at: bytes | None = end
    while at is not None and at in room.epochs:
        epochs.insert(0, at)
        at = room.epochs[at].parent
    return epochs


def path_of(room: Room) -> list[bytes]:
    """The path, which ends in the current epoch."""
    return list(room.epochs) if room.direct else line(room, room.current)


def keep(
    epoch: Epoch, me: bytes, leaf: bytes, room_seed: bytes, turn: list[Any] | None = None,
    parent: bytes | None = None, order: Order | None = None,
) -> tuple[Kept, Sending | None]:  # fmt: skip
    """What a device keeps of an epoch that it makes the current one, and its own chain (14.1)."""
    sending: Sending | None = Sending(epoch.keys.chains[me], 0)
    chains = {m: Chain(key, 0, {}) for m, key in epoch.keys.chains.items() if m != me}
    keys = epoch.keys._replace(confirmation=ERASED, chains={})
    if epoch.policy[0] == DIRECT:  # REQ-DEL-04
        inits = {m: init for m, init in keys.inits.items() if m != epoch.opener}
        keys, room_seed = keys._replace(handshakes={}, inits=inits), ERASED
        if epoch.opener == me:
            chains = {}
        else:
            sending, leaf = None, ERASED  # REQ-INV-09
    kept = Kept(epoch._replace(keys=keys), leaf, room_seed, chains, turn, None, parent, order, {},
                epoch.opener == me)  # fmt: skip
    return kept, sending


def without_own(kept: Kept, me: bytes) -> Kept:
    """An epoch that is no longer current: without exporter and own init (REQ-DEL-02, step 2)."""
    inits = {m: init for m, init in kept.epoch.keys.inits.items() if m != me}
    keys = kept.epoch.keys._replace(exporter=ERASED, inits=inits)
    return kept._replace(epoch=kept.epoch._replace(keys=keys))


def leave_current(room: Room, now: int) -> Room:
    """Steps 1 and 2 of REQ-DEL-02: what is said, and erased, of the epoch that was current."""
    old = room.now_in
    if room.sending is not None and room.sending.next > 0:  # 1
        room = room._replace(last_spoken=[room.current, room.sending.next])
        old = old._replace(mine=True)
    since = now if old.superseded is None else old.superseded  # 2
    old = without_own(old._replace(superseded=since), room.me)
    return room._replace(epochs={**room.epochs, room.current: old}, sending=None)


def enter(room: Room, new: Kept, sending: Sending | None, now: int) -> Room:
    """Make an epoch the current one (REQ-DEL-02)."""
    prefix, direct = new.epoch.prefix, room.direct
    left = room.current if direct else new.parent
    room = leave_current(room, now)  # 1, 2
    old = room.now_in
    if direct:  # 3, and the init of step 2
        keys = old.epoch.keys._replace(inits={}, handshakes={})
        old = old._replace(epoch=old.epoch._replace(keys=keys), leaf=ERASED)
    epochs = {**room.epochs, room.current: old, prefix: new}
    for member in ids_of(epochs[left or prefix].epoch.roster):  # 4
        if not new.epoch.roster.has(member):
            for each, kept in epochs.items():
                chains = {m: chain for m, chain in kept.chains.items() if m != member}
                epochs[each] = kept._replace(chains=chains)
    room = room._replace(epochs=epochs, current=prefix, sending=sending)  # 5
    return forget(room)  # 6


def forget(room: Room) -> Room:
    """The limit of epochs (REQ-DEL-09), and leave requests of whom nothing is kept (14.2)."""
    epochs, path = dict(room.epochs), path_of(room)
    while len(epochs) > MAX_EPOCHS:
        losing = [prefix for prefix in epochs if prefix not in path]
        others = [prefix for prefix in epochs if prefix != room.current]
        del epochs[(losing or others)[0]]
    leaving = {m: request for m, request in room.leaving.items()
               if any(kept.epoch.roster.has(m) for kept in epochs.values())}  # fmt: skip
    return room._replace(epochs=epochs, leaving=leaving)


def first_epoch(
    me: bytes, kept: Kept, sending: Sending | None, now: int, trail: Trail | None = None
) -> Room:
    """A room that has just been founded or, with a trail, joined."""
    prefix = kept.epoch.prefix
    joined = None if trail is None else now
    return Room(me, {prefix: kept}, prefix, sending, None, {}, None, {}, [], joined, prefix,
                trail or [], now, 0)  # fmt: skip


def found(
    own: IdentityKeys, policy: Policy, guests: list[Guest], name: str, mailbox: Mailbox, now: int,
    random: Random,
) -> tuple[Room, Founded]:  # fmt: skip
    """Found a room (10.2) and enter it."""
    made = found_room(own, policy, guests, name, mailbox, now, random)
    me = made.epoch.opener
    return first_epoch(me, *keep(made.epoch, me, made.leaf, made.room_seed), now), made


def join(own: IdentityKeys, keys: KeyPackageKeys, data: bytes, now: int) -> Room:
    """Join a room (REQ-INV-06), with the keys of the package (REQ-INV-09)."""
    epoch, me, trail = join_room(own, keys, data, now)
    return first_epoch(me, *keep(epoch, me, keys.leaf, keys.room_seed), now, trail)


def own_trail(room: Room) -> Trail:
    """That of the welcome by which it joined, and then the epochs of its path (REQ-ENV-24)."""
    return room.trail + [(prefix, room.epochs[prefix].order) for prefix in path_of(room)
                         if prefix != room.first]  # fmt: skip


def move(
    room: Room, own: IdentityKeys, keys: KeyPackageKeys, data: bytes, now: int
) -> Room:
    """An invitation to a group that this device is in already (REQ-ENV-24)."""
    new = join(own, keys, data, now)
    there, epoch = room.now_in.epoch, new.now_in.epoch
    inviter = Identity(*parse(data, "invitation")[1:3])
    may_admit = any(
        row.identity == inviter and (row.role >= ADMIN or bool(there.policy[1]))
        for row in there.roster.members
    )
    recent = room.joined is not None and now - room.joined <= GRACE
    moves = (
        recent and may_admit and new.current not in room.epochs
        and trail_wins(new.trail, own_trail(room), epoch.time, there.time)
    )  # fmt: skip
    fail_if(room.direct or not moves, "already-member")  # held
    epochs = {}
    for prefix, kept in leave_current(room, now).epochs.items():
        its = kept.epoch.keys._replace(handshakes={}, inits={}, exporter=ERASED)
        since = now if kept.superseded is None else kept.superseded
        epochs[prefix] = kept._replace(epoch=kept.epoch._replace(keys=its), leaf=ERASED,
                                       room_seed=ERASED, superseded=since, mine=False)  # fmt: skip
    return forget(new._replace(epochs={**epochs, **new.epochs}, leaving=room.leaving,
                               noted=room.noted, equivocated=room.equivocated))  # fmt: skip


def peer_leaf_key(kept: Kept) -> bytes:
    """To what an answer is sealed: step 4 of REQ-DIR-02."""
    if kept.turn is not None:
        leaf_key: bytes = kept.turn[0]
        return leaf_key
    return kept_credential(kept.epoch.roster.find(kept.epoch.opener).signed).leaf_key


def send(
    room: Room, own: IdentityKeys, content: bytes, now: int, random: Random
) -> tuple[Room, SealedMessage]:
    """Send a content (REQ-MSG-06)."""
    fail_if(room.removed is not None, "room-closed")  # 1
    if room.direct and room.now_in.epoch.opener != room.me:  # 2
        parent = room.now_in
        fail_if(room.me not in parent.epoch.keys.inits, "out-of-turn")  # REQ-DIR-02, step 1
        opened, turn, leaf = begin_turn(parent.epoch, own, room.me, peer_leaf_key(parent), random)
        room = enter(room, *keep(opened, room.me, leaf, ERASED, list(turn)), now)  # 7
        room = room._replace(healed=now, sent=0)
    kept, epoch = room.now_in, room.now_in.epoch
    waiting = [m for m in epoch.roster.members if kept_credential(m.signed).awaits_refresh]
    if not room.direct:  # 3
        # REQ-EPOCH-29
        fail_if(any(epoch.roster.has(m) for m in room.equivocated), "equivocation")
        fail_if(blocking(room), "removal-pending")  # REQ-EPOCH-28
        fail_if(len(waiting) > 0, "refresh-awaited")  # REQ-MEM-09
    assert room.sending is not None  # it is this device's turn, or a group
    key, index = room.sending
    fail_if(room.direct and index >= 1_000, "out-of-turn")  # 4, REQ-DIR-06
    fail_if(index > MAX_INDEX, "chain-exhausted")  # 5
    next_key, message_key = step(key)
    header = [epoch.room, epoch.prefix, room.me, index, bytes(16), room.last_spoken,
              int(strayed(room)), kept.turn]  # fmt: skip
    seed = None if room.direct else kept.room_seed
    sealed = seal_message(header, epoch.context, message_key, content, random(16), seed)  # 6
    return room._replace(sending=Sending(next_key, index + 1), sent=room.sent + 1), sealed  # 7


def strayed(room: Room) -> bool:
    """Whether it has opened or spoken in an epoch that is not on its path (REQ-EPOCH-30)."""
    path = path_of(room)
    return any(kept.mine for prefix, kept in room.epochs.items() if prefix not in path)


def blocking(room: Room) -> bool:
    """Whether a noted proof would remove another member of the current epoch (REQ-EPOCH-28)."""
    for kind, proof in room.noted:
        removes = kind == LEAVES or read_sanction(proof).role is None
        if removes and proof_valid(room.now_in.epoch, kind, proof) not in (None, room.me):
            return True
    return False


def with_chain(room: Room, prefix: bytes, member: bytes, chain: Chain) -> Room:
    """The room with another chain of a member."""
    kept = room.epochs[prefix]
    kept = kept._replace(chains={**kept.chains, member: chain})
    return room._replace(epochs={**room.epochs, prefix: kept})


class Received(NamedTuple):
    """A message that has been accepted, and what the application is told (REQ-MSG-10)."""

    kind: str
    sender: bytes
    number: int
    place: int  # its index
    id: bytes
    content: bytes
    evaporation: tuple[int | None, int]  # after_view, lifetime; of the room where nothing is said
    missing: int
    lost: bool
    evicted: list[tuple[bytes, int]]


def receive_message(room: Room, data: bytes, now: int) -> tuple[Room, Received]:
    """Receive a message (REQ-MSG-07)."""
    head, body, _ = parse(data, "message")  # 1
    its_room, prefix, sender, index, _, last_spoken, flag, turn = parse(head, "header")
    current = room.now_in
    fail_if(its_room != current.epoch.room, "unknown-room")  # 2
    fail_if(sender == room.me, "own-message")  # 3
    begun = prefix not in room.epochs
    if begun:  # 4
        fail_if(gone_for_good(room), "room-closed")
        fail_if(not room.direct or turn is None, "unknown-epoch")  # held
        opened = accept_turn(current.epoch, room.me, current.leaf, sender, Turn(*turn), prefix)
        kept, sending = keep(opened, room.me, ERASED, ERASED, turn)
    else:
        kept, sending = room.epochs[prefix], room.sending
        fail_if(turn != kept.turn, "fork")  # 5, REQ-DIR-05
    epoch = kept.epoch
    row = epoch.roster.find(sender)  # 6
    fail_if(room.direct and sender != epoch.opener, "out-of-turn")  # 7
    fail_if(sender not in kept.chains, "unknown-member")  # 8
    before = kept.chains[sender]
    message_key, after = chain_at(before, index, now)  # 9
    signing_key = kept_credential(row.signed).room_sign_key
    content = open_message(data, epoch.context, message_key, epoch.policy[0], signing_key)  # 10
    kind, its = read_content(content)  # 11
    missing = max(0, index - before.next)
    dropped = missing > 0 and len(after.skipped) < len(before.skipped) + missing
    room, missing_before, gap = close_earlier(room, epoch, sender, last_spoken, flag, now)  # 12
    if begun:  # 13
        room = enter(room, kept, sending, now)._replace(healed=now, sent=0)
    room, evicted = keep_limit(with_chain(room, prefix, sender, after))
    if not room.direct and flag == 0:
        room = waive(room, sender, prefix)
    if kind == "leave":
        room = keep_leave_request(room, its[0])
    limits = (epoch.policy[2], epoch.policy[3])
    if kind in ("text", "data"):
        limits = stricter((its[1], its[2]), limits)  # REQ-EVAP-02
    return room, Received(kind, sender, epoch.number, index, message_id(head, body), content,
                          limits, missing + missing_before, dropped or gap, evicted)  # fmt: skip


def stay(epoch: Epoch, member: bytes) -> int | None:
    """When a member was last let in anew, as an epoch knows it (*resynced*)."""
    return epoch.roster.find(member).resynced if epoch.roster.has(member) else None


def earlier(room: Room, epoch: Epoch) -> list[bytes]:
    """The kept epochs that lead to one, from the oldest on (REQ-MSG-08)."""
    if room.direct:
        return [p for p, kept in room.epochs.items() if kept.epoch.number < epoch.number]
    return line(room, epoch.prefix)[:-1]


def close_earlier(
    room: Room, epoch: Epoch, sender: bytes, last_spoken: list[Any] | None, flag: int, now: int
) -> tuple[Room, int, bool]:
    """Judge *last spoken* (REQ-MSG-08); also: how many messages are missing, and a gap."""
    n, count = last_spoken if last_spoken is not None else (None, 0)
    missing, gap = 0, False
    fail_if(n == epoch.prefix, "bad-count")  # 1
    before_n: list[bytes] = []  # the epoch n, and those that lead to it
    if n in room.epochs:
        named = room.epochs[n].epoch
        before_n = [*earlier(room, named), n]
        after = named.number > epoch.number if room.direct else epoch.prefix in before_n
        fail_if(after, "bad-count")
        stood = named.roster.has(sender)
        fail_if(stood and stay(named, sender) != stay(epoch, sender), "bad-count")
    closing: list[tuple[bytes, int]] = []
    for prefix in reversed(earlier(room, epoch)):  # 2
        kept = room.epochs[prefix]
        chain = kept.chains.get(sender)
        stands = kept.epoch.roster.has(sender) and stay(kept.epoch, sender) == stay(epoch, sender)
        if chain is None or chain.key is None or not stands:
            continue
        if prefix in before_n:  # 2.1
            break
        if n is not None and n not in room.epochs:  # 2.2
            if flag == 1:
                break
            if chain.next != 0:
                continue
        closing.append((prefix, 0))  # 2.3
    if n in room.epochs and sender in room.epochs[n].chains:  # 3
        closing.append((n, count))
    for prefix, at in closing:
        chain = room.epochs[prefix].chains[sender]
        closed, lost = chain_close(chain, at, now)
        missing, gap = missing + closed.next - chain.next, gap or lost
        room = with_chain(room, prefix, sender, closed)
    return room, missing, gap


def waive(room: Room, sender: bytes, prefix: bytes) -> Room:
    """What a sender that has not strayed can commit no more (REQ-EPOCH-30)."""
    heard = room.epochs[prefix].epoch
    epochs = dict(room.epochs)
    for each in earlier(room, heard):
        kept = epochs[each]
        if kept.epoch.roster.has(sender) and stay(kept.epoch, sender) == stay(heard, sender):
            inits = {m: init for m, init in kept.epoch.keys.inits.items() if m != sender}
            keys = kept.epoch.keys._replace(inits=inits)
            epochs[each] = kept._replace(epoch=kept.epoch._replace(keys=keys))
    return room._replace(epochs=epochs)


def gone_for_good(room: Room) -> bool:
    """Removed, and no sibling can let it in again: 10.8, step 5, and REQ-MSG-07, step 4."""
    return room.removed is not None and all(k.leaf == ERASED for k in room.epochs.values())


def keep_limit(room: Room) -> tuple[Room, list[tuple[bytes, int]]]:
    """*keep limit* (REQ-CHAIN-10)."""
    held: dict[bytes, int] = {}
    for kept in room.epochs.values():
        for member, chain in kept.chains.items():
            held[member] = held.get(member, 0) + len(chain.skipped)
    excess = sum(held.values()) - MAX_ROOM_KEYS  # 1
    evicted = []
    while excess > 0:  # 2
        member = max(held, key=lambda m: (held[m], m))  # a
        drop = min(excess, held.pop(member))  # b
        evicted.append((member, drop))  # c
        excess -= drop
        for prefix, kept in room.epochs.items():
            if member in kept.chains:
                chain = kept.chains[member]
                lowest = sorted(chain.skipped)[:drop]
                drop -= len(lowest)
                rest = {i: key for i, key in chain.skipped.items() if i not in lowest}
                room = with_chain(room, prefix, member, chain._replace(skipped=rest))
    return room, evicted  # 3


def keep_leave_request(room: Room, signed: bytes) -> Room:
    """Keep a leave request, if it is valid now (9.7)."""
    epoch = room.now_in.epoch
    try:
        leaver = check_leave_request(signed, epoch.room, epoch.roster)
    except Refused:
        return room
    return room._replace(leaving={**room.leaving, leaver.id: signed})


def commit_own(
    room: Room, own: IdentityKeys, operations: list[list[Any]], guests: list[Guest],
    directory: dict[bytes, Contact], now: int, random: Random,
) -> tuple[Room, CommitMade]:  # fmt: skip
    """Commit (REQ-EPOCH-14). Sanctions among the operations are still to be made."""
    fail_if(room.removed is not None, "room-closed")  # 1
    fail_if(room.direct, "wrong-mode")
    fail_if(any(room.now_in.epoch.roster.has(m) for m in room.equivocated), "equivocation")
    fail_if(not 0 <= now < 1 << 40, "bad-input")
    fail_if(any(operation[0] == ADD for operation in operations), "bad-input")
    fail_if(len(operations) + len(guests) > 1_000, "too-large")
    parent = room.now_in
    noted = [list(proof) for proof in room.noted]
    trail: Trail = [(prefix, room.epochs[prefix].order) for prefix in path_of(room)]
    made = make_commit(
        parent.epoch, own, room.me, parent.room_seed, operations, guests, noted,
        list(room.leaving.values()), directory, now, random, trail,
    )  # 2 to 12  # fmt: skip
    _, _, _, _, time, done, proofs, _, _, _ = parse(made.commit, "commit")
    row = parent.epoch.roster.find(room.me)
    order = order_of_commit(parent.epoch.roster, parent.epoch.time, row, time, proofs)
    taken = Taken(made.epoch, room.me, order, done, proofs, False)
    room = record(room, room.current, taken, now)  # 13: steps 1 and 2 of REQ-EPOCH-27
    kept, sending = keep(made.epoch, room.me, made.leaf, made.room_seed, None, room.current, order)
    room = enter(room, kept, sending, now)
    return room._replace(healed=now, sent=0), made


def record(room: Room, at: bytes, taken: Taken, now: int) -> Room:
    """Steps 1 and 2 of REQ-EPOCH-27; `at`: the parent's prefix."""
    parent = room.epochs[at]
    inits = {m: init for m, init in parent.epoch.keys.inits.items() if m != taken.committer}
    keys = parent.epoch.keys._replace(inits=inits)  # 1: the puncture
    committed = {**parent.committed, taken.committer: taken.epoch.transcript}
    parent = parent._replace(epoch=parent.epoch._replace(keys=keys), committed=committed)
    noted = dict(room.noted)  # 2, REQ-EPOCH-28
    for operation in taken.operations:
        if operation[0] == SANCTION:
            noted.setdefault((SANCTIONED, operation[1]), now)
    for kind, proof in taken.proofs:
        noted.setdefault((kind, proof), now)
    noted = few_noted(room.now_in.epoch, noted)
    return room._replace(epochs={**room.epochs, at: parent}, noted=noted)


def few_noted(epoch: Epoch, noted: dict[tuple[int, bytes], int]) -> dict[tuple[int, bytes], int]:
    """What stays noted in a room with this current epoch (REQ-EPOCH-28, REQ-LIMIT-45)."""
    excess = len(noted) - MAX_NOTED
    if excess <= 0:
        return noted
    void = [proof for proof in noted if proof_valid(epoch, *proof) is None]
    kept = [proof for proof in noted if proof not in void[:excess]]
    while len(kept) > MAX_NOTED:
        authors = [author_of(proof) for proof in kept]
        most = max(authors, key=lambda author: (authors.count(author), author))
        del kept[authors.index(most)]
    return {proof: noted[proof] for proof in kept}


def author_of(proof: tuple[int, bytes]) -> bytes:
    """Who has signed a proof, as it says itself: the author of a sanction, or who leaves."""
    kind, signed = proof
    if kind == SANCTIONED:
        return read_sanction(signed).author
    member: bytes = parse(parse(signed, "signed object")[0], "leave request")[1]
    return member


def receive_commit(room: Room, data: bytes, now: int) -> tuple[Room, str, Taken | Equivocated]:
    """Process a commit copy (REQ-EPOCH-15): the room, and what it was."""
    sealed_bytes, _ = parse(data, "commit copy")  # 1
    sealed = parse(sealed_bytes, "sealed commit")
    its_room, prefix, committer = sealed[:3]
    fail_if(its_room != room.now_in.epoch.room, "unknown-room")  # 2
    fail_if(room.direct, "wrong-mode")  # 3, REQ-DIR-09
    fail_if(committer == room.me, "own-message")  # 4
    if prefix not in room.epochs:  # 5
        fail_if(gone_for_good(room), "room-closed")
        raise Refused("unknown-epoch")  # held
    parent = room.epochs[prefix]
    taken = apply_commit(parent.epoch, room.me, parent.leaf, data, now, parent.committed)  # 1 to 21
    if isinstance(taken, Equivocated):  # 12
        if committer not in room.equivocated:
            room = room._replace(equivocated=[*room.equivocated, committer])
        return room, "equivocated", taken
    twin = not taken.removes_me and taken.epoch.prefix in room.epochs  # 22
    fail_if(twin, "wrong-transcript")
    return take(room, prefix, taken, now)


def take(room: Room, at: bytes, taken: Taken, now: int) -> tuple[Room, str, Taken]:
    """Take a commit into the tree (REQ-EPOCH-27); `at`: the parent's prefix."""
    room = record(room, at, taken, now)  # 1, 2
    path = path_of(room)
    follows = room.removed if at == room.current else None
    if at in path[:-1]:
        follows = room.epochs[path[path.index(at) + 1]].order
    better = at in path and follows is not None and taken.order < follows
    leads = (at == room.current and room.removed is None) or better  # 3
    lost = path[path.index(at) + 1 :] if leads else []
    if any(room.epochs[prefix].epoch.opener == room.me for prefix in lost):
        room = room._replace(sent=256)  # a commit of its own has lost
    parent = room.epochs[at]
    if taken.removes_me:
        if leads:  # 5
            room = close_room(room, at, taken.order, now)
        return forget(room), "removed" if leads else "lost", taken  # 7
    kept, sending = keep(taken.epoch, room.me, parent.leaf, parent.room_seed, None, at, taken.order)
    if leads:  # 4
        return enter(room._replace(removed=None), kept, sending, now), "committed", taken
    chains = {m: chain for m, chain in kept.chains.items()
              if m in parent.chains or not parent.epoch.roster.has(m)}  # fmt: skip
    kept = without_own(kept._replace(superseded=now, chains=chains), room.me)  # 6
    room = room._replace(epochs={**room.epochs, taken.epoch.prefix: kept})
    return forget(room), "lost", taken


def close_room(room: Room, at: bytes, order: Order, now: int) -> Room:
    """This device has been removed by a commit on an epoch (REQ-DEL-05)."""
    return leave_current(room, now)._replace(current=at, removed=order)


def look(room: Room, now: int) -> Room:
    """The hourly look (REQ-DEL-06)."""
    epochs = {}
    for prefix, kept in room.epochs.items():
        if kept.superseded is not None and now - kept.superseded > GRACE:  # REQ-DEL-07
            if prefix != room.current:
                continue
            kept = bare(kept)  # noqa: PLW2901
        chains = {}
        for member, chain in kept.chains.items():  # REQ-DEL-08, REQ-CHAIN-12
            young = {i: key for i, key in chain.skipped.items() if now - key[1] <= GRACE}
            chains[member] = chain._replace(skipped=young)
        epochs[prefix] = kept._replace(chains=chains)
    noted = {proof: since for proof, since in room.noted.items() if now - since <= NOTED_FOR}
    return forget(room._replace(epochs=epochs, noted=noted))


def bare(kept: Kept) -> Kept:
    """An epoch without any key: its roster stays (REQ-DEL-07)."""
    keys = EpochKeys(ERASED, {}, {}, {}, ERASED)
    return kept._replace(epoch=kept.epoch._replace(keys=keys), leaf=ERASED, room_seed=ERASED,
                         chains={})  # fmt: skip


def export_from(room: Room, label: bytes, size: int) -> bytes:
    """A secret for the application, of the current epoch (REQ-EPOCH-17)."""
    exporter = room.now_in.epoch.keys.exporter
    fail_if(not 1 <= size <= 64, "bad-input")  # 1, local
    fail_if(room.removed is not None, "room-closed")  # 2, local
    return export(exporter, label, size)  # 3


# --- Chapter 22: what a relay is told, and what it does ------------------------------------------

CLIENT_FRAMES = ("prove", "make mailbox", "remove mailbox", "subscribe", "unsubscribe", "ack",
                 "credit")  # fmt: skip
RELAY_FRAMES = ("challenge", "delivery", "notice", "done")
CLIENT_FRAME_LIMIT, RELAY_FRAME_LIMIT = 8_192, 2_097_280
HOUR, WAITING_LIMIT, STOCK_LIMIT = 3_600, 1_000, 100  # REQ-LIMIT-29, 39
MOST_ENVELOPES, MOST_BYTES = 1_000, 16_777_216  # REQ-LIMIT-40
QUARTER = 91 * 86_400  # REQ-LIMIT-42


def read_frame(data: bytes, by_client: bool) -> tuple[str, list[Any]]:
    """*read frame*: what a frame is, and its fields (REQ-RELAY-15)."""
    taken, limit = (CLIENT_FRAMES, CLIENT_FRAME_LIMIT) if by_client else (
        RELAY_FRAMES, RELAY_FRAME_LIMIT)  # fmt: skip
    value = begin_parse(data, limit)  # 1
    names = [name for name in taken if FORMS[name].type == value[1]]
    fail_if(not names, "wrong-type")  # 2
    return names[0], parse(data, names[0])  # 3


def blob_names(content: bytes, token: bytes) -> tuple[bytes, bytes]:
    """The hash of a blob, and that of its token (REQ-RELAY-08)."""
    return H(b"blob", content), H(b"blob token", token)


def check_publish(
    given: bytes, packages: list[bytes], last_resort: bytes | None, now: int
) -> list[KeyPackage]:
    """*check publish* (REQ-RELAY-06)."""
    last = [] if last_resort is None else [(last_resort, True)]
    read = []
    for signed, as_last_resort in [*((each, False) for each in packages), *last]:
        package = read_key_package(signed)  # 1
        fail_if(fingerprint(package.identity) != given, "wrong-identity")  # 2
        fail_if(now > package.expiry, "expired")  # 3
        fail_if(package.last_resort != as_last_resort, "bad-form")  # 4
        read.append(package)
    return read


class Box:
    """A mailbox at a relay: what waits in it, and the ids it knows, each until an hour."""

    def __init__(self, capability_hash: bytes) -> None:
        self.capability_hash = capability_hash
        self.made = 0  # when its owner last made it
        self.waiting: dict[bytes, bytes] = {}
        self.known: dict[bytes, int] = {}


class Stock:
    """The key packages of one device at a relay."""

    def __init__(self) -> None:
        self.had: set[bytes] = set()
        self.packages: list[KeyPackage] = []
        self.last_resort: KeyPackage | None = None


class Relay:
    """What a relay remembers (22.3 to 22.5), without keys, rows and connections."""

    def __init__(self, retention: int) -> None:
        self.retention = retention  # hours, REQ-LIMIT-30, 41
        self.boxes: dict[bytes, Box] = {}
        self.stocks: dict[bytes, Stock] = {}
        self.blobs: dict[bytes, tuple[bytes, bytes, int]] = {}  # token hash, content, until

    def until(self, now: int) -> int:
        """The hour with which what is put now is forgotten (REQ-RELAY-11)."""
        return now // HOUR + self.retention

    def forget(self, now: int) -> None:
        """Whatever the hour that is now has ended."""
        hour, oldest = now // HOUR, now - 2 * QUARTER  # REQ-LIMIT-42: perhaps earlier
        self.boxes = {at: box for at, box in self.boxes.items() if box.made > oldest}
        for box in self.boxes.values():
            for name in [name for name, until in box.known.items() if until <= hour]:
                del box.known[name]
                box.waiting.pop(name, None)
        self.blobs = {name: blob for name, blob in self.blobs.items() if blob[2] > hour}

    def may_write(self, address: bytes, capability: bytes) -> Box:
        """Steps 1 and 2 of *put* and *recall* (12.9)."""
        fail_if(address not in self.boxes, "unknown-mailbox")
        box = self.boxes[address]
        fail_if(H(b"capability", capability) != box.capability_hash, "not-permitted")
        return box

    def put(
        self, address: bytes, capability: bytes, name: bytes, envelope: bytes, now: int
    ) -> None:
        """*put* (REQ-ENV-11)."""
        box = self.may_write(address, capability)  # 1, 2
        if name in box.known:  # 5
            return
        fail_if(len(box.waiting) >= WAITING_LIMIT, "mailbox-full")  # 6
        box.waiting[name], box.known[name] = envelope, self.until(now)  # 7

    def recall(self, address: bytes, capability: bytes, name: bytes, now: int) -> None:
        """*recall* (REQ-ENV-23)."""
        box = self.may_write(address, capability)  # 1, 2
        box.waiting.pop(name, None)  # 3
        box.known.setdefault(name, self.until(now))

    def make(self, address: bytes, capability_hash: bytes, now: int) -> None:
        """Make a mailbox; the hash that is given for one that is there is passed over (22.4)."""
        self.boxes.setdefault(address, Box(capability_hash)).made = now

    def fetch(self, address: bytes) -> dict[bytes, bytes]:
        """What waits, for who has proved the read key and subscribes."""
        fail_if(address not in self.boxes, "unknown-mailbox")
        return self.boxes[address].waiting

    def ack(self, address: bytes, names: list[bytes]) -> None:
        """REQ-ENV-21. The ids stay known."""
        if address in self.boxes:
            for name in names:
                self.boxes[address].waiting.pop(name, None)

    def publish(
        self, given: bytes, packages: list[bytes], last_resort: bytes | None, now: int
    ) -> None:
        """REQ-RELAY-06, 07."""
        stock = self.stocks.setdefault(given, Stock())
        read = check_publish(given, packages, last_resort, now)
        fresh = {each.hash: each for each in read
                 if not each.last_resort and each.hash not in stock.had}  # fmt: skip
        waiting = [each for each in stock.packages if now <= each.expiry]
        fail_if(len(waiting) + len(fresh) > STOCK_LIMIT, "too-many-requests")
        stock.had |= fresh.keys()
        stock.packages = [*waiting, *fresh.values()]
        for each in read:
            before = stock.last_resort
            if each.last_resort and (before is None or each.expiry > before.expiry):
                stock.last_resort = each

    def claim(self, given: bytes, now: int) -> bytes | None:
        """REQ-RELAY-07."""
        stock = self.stocks.setdefault(given, Stock())
        stock.packages = [each for each in stock.packages if now <= each.expiry]
        if stock.packages:
            return stock.packages.pop(0).signed
        last = stock.last_resort
        return last.signed if last is not None and now <= last.expiry else None

    def put_blob(self, token_hash: bytes, content: bytes, now: int) -> None:
        """REQ-RELAY-08."""
        name = H(b"blob", content)
        first, *_ = self.blobs.get(name, (token_hash,))
        self.blobs[name] = first, content, self.until(now)

    def blob(self, name: bytes) -> bytes:
        """The content of a blob."""
        fail_if(name not in self.blobs, "unknown-blob")
        return self.blobs[name][1]

    def delete_blob(self, name: bytes, token: bytes) -> None:
        """Erase a blob by its token."""
        fail_if(name not in self.blobs, "unknown-blob")
        fail_if(H(b"blob token", token) != self.blobs[name][0], "not-permitted")
        del self.blobs[name]


def canonical_json(value: Any, depth: int = 0) -> bytes:
    """JSON as 22.8 has it: RFC 8785, with integers alone."""
    if isinstance(value, dict):
        fail_if(depth >= 16 or not all(name.isascii() for name in value), "bad-form")
        members = [canonical_json(name) + b":" + canonical_json(value[name], depth + 1)
                   for name in sorted(value)]  # fmt: skip
        return b"{" + b",".join(members) + b"}"
    if isinstance(value, list):
        fail_if(depth >= 16, "bad-form")
        return b"[" + b",".join(canonical_json(item, depth + 1) for item in value) + b"]"
    fail_if(isinstance(value, float), "bad-form")
    fail_if(type(value) is int and abs(value) >= 1 << 53, "bad-form")
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Refused("bad-form") from None


def lowercase_hex(size: int) -> str:
    return f"[0-9a-f]{{{2 * size}}}"


STATEMENT_FIELDS = {  # a number: the least that it may be; a text: what it matches as a whole
    "type": "evanesce disclosure statement", "version": 1, "request": 1,
    "jurisdiction": "[A-Z][A-Z0-9-]{1,15}", "category": "[a-z][a-z0-9_]{0,63}", "disclosed": 0,
    "told": 0, "delayed_hours": 0, "gag_order": True, "handed_over": [], "envelopes": 0,
    "salt": lowercase_hex(16), "subject": lowercase_hex(32), "ledger": {},
    "key": lowercase_hex(32), "signature": lowercase_hex(64),
}  # fmt: skip
LEDGER_FIELDS = {"entry": 1, "head": lowercase_hex(32)}


def check_fields(value: Any, wanted: dict[str, Any]) -> None:
    """Exactly these fields, each as it must be (step 4 of REQ-RELAY-25)."""
    fail_if(type(value) is not dict or value.keys() != wanted.keys(), "bad-form")
    for name, its in wanted.items():
        field = value[name]
        if type(its) is int:
            fail_if(type(field) is not int or not its <= field <= 10**9, "bad-form")
        elif type(its) is str:
            fail_if(type(field) is not str or not re.fullmatch(its, field), "bad-form")
        else:
            fail_if(type(field) is not type(its), "bad-form")


def check_statement(data: bytes, address: bytes) -> dict[str, Any]:
    """*check statement* (REQ-RELAY-25)."""
    fail_if(len(data) > 16_384, "too-large")  # 1
    try:
        value = json.loads(data.decode())
    except (ValueError, RecursionError):
        raise Refused("bad-form") from None
    fail_if(canonical_json(value) != data, "non-canonical")  # 2
    fail_if(type(value) is not dict or value.get("type") != STATEMENT_FIELDS["type"],
            "bad-form")  # 3  # fmt: skip
    version = value.get("version")
    fail_if(type(version) is not int or version != 1, "wrong-version")
    check_fields(value, STATEMENT_FIELDS)  # 4
    check_fields(value["ledger"], LEDGER_FIELDS)
    names = value["handed_over"]
    fail_if(len(names) > 64, "bad-form")
    for name in names:
        fail_if(type(name) is not str or not re.fullmatch("[a-z][a-z_.]{0,63}", name), "bad-form")
    fail_if(value["delayed_hours"] != value["told"] - value["disclosed"], "bad-form")
    unsigned = canonical_json({name: value[name] for name in value if name != "signature"})
    key, signature = (bytes.fromhex(value[name]) for name in ("key", "signature"))
    verify(key, signature, b"disclosure statement", unsigned)  # 5
    subject = H(b"ledger address", bytes.fromhex(value["salt"]), address)
    fail_if(subject.hex() != value["subject"], "bad-form")  # 6
    return dict(value)


def sent_by_credit(events: list[list[Any]]) -> list[int]:
    """How many envelopes a relay has sent after each event (22.4): credit, or some that come."""
    envelopes = octets = sent = 0
    waiting: list[int] = []  # their lengths, the first to be sent first
    history = []
    for what, *given in events:
        if what == "credit":
            envelopes = min(envelopes + given[0], MOST_ENVELOPES)
            octets = min(octets + given[1], MOST_BYTES)
        else:
            size, times = given
            waiting += [size] * times
        while waiting and envelopes >= 1 and octets >= 1:
            envelopes -= 1
            octets -= waiting.pop(0)
            sent += 1
        history.append(sent)
    return history
