"""Evanesce, suite 1: the algorithms of the specification, transcribed to be read and run.

This file is for checking implementations and for making test vectors. It is slow, keeps secrets in
ordinary objects, and its own point arithmetic takes a time that depends on secrets: do not use it
for anything else. The comments name the requirements that a line transcribes.
"""

import hashlib
import hmac
from typing import Any, Callable, NamedTuple, Sequence, Union  # noqa: UP035  nothing else imported

from nacl import bindings as sodium

Value = Union[int, bytes, str, bool, None, Sequence["Value"]]
Random = Callable[[int], bytes]


class Refused(Exception):  # noqa: N818  the word of the specification
    """Input is refused; `reason` is one of the codes of chapter 2."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


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
        text = value.encode("utf-8")
        return encode_head(len(text), 0xA0, 32, ((0xD9, 1), (0xDA, 2), (0xDB, 4))) + text
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
ADD, REMOVE, SET_ROLE, SET_POLICY = 0, 1, 2, 3
OPERATIONS = {
    ADD: fields(a_uint(0), SIGNED, ROLE),
    REMOVE: fields(a_uint(1), ID, ID),
    SET_ROLE: fields(a_uint(2), ID, ROLE),
    SET_POLICY: fields(a_uint(3), POLICY),
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
MEMBER_ROW = fields(ID, ROLE, COUNT, KEY, KEY, ID, SIGNED)
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
                                          a_bin(32), an_array(0, 1_000, DIRECTORY_ROW))),
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
    "text": Form(32, CONTENT_LIMIT, (*TIMED, a_text(65_536))),
    "data": Form(33, CONTENT_LIMIT, (*TIMED, a_bin(0, 65_536))),
    "announcement": Form(34, CONTENT_LIMIT, (a_text(256), MAILBOX)),
    "leave": Form(35, CONTENT_LIMIT, (SIGNED,)),
}  # fmt: skip


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
    return sodium.crypto_sign(encode([b"Evanesce 1", label, *parts]), private)[:64]


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
    minus_a = ((P - a[0]) % P, a[1])
    computed = add(multiply(s, BASE), multiply(h, minus_a))
    fail_if(encode_point(computed) != r_bytes, "bad-signature")  # step 6, REQ-PRIM-10


def verify(public: bytes, signature: bytes, label: bytes, *parts: Value) -> None:
    """Check a signature over `encode(["Evanesce 1", label, *parts])` (REQ-PRIM-07)."""
    verify_bytes(public, signature, encode([b"Evanesce 1", label, *parts]))


def check_sign_key(public: bytes) -> None:
    """Of the subgroup of order L, canonical, and not the neutral element (REQ-PRIM-06)."""
    fail_if(len(public) != 32, "bad-key")
    point = decode_point(public)
    if point is None or point == NEUTRAL or multiply(L, point) != NEUTRAL:
        raise Refused("bad-key")


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
    except Exception:
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
    wide = KDF(fingerprint(identity), b"safety number", size=48)
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
    body = build(
        "key package", 1, *owner.public, dh_public(signed_prekey),
        [dh_public(private) for private in prekeys], dh_public(leaf), sign_public(room_seed),
        contact, expiry, last_resort,
    )  # fmt: skip
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
    transcript = H(
        b"invitation transcript", package.suite, *inviter, *package.identity, package.hash,
        package.signed_prekey, index, choose_prekey(package, index), ephemeral_key,
    )  # fmt: skip
    return KDF(ZEROS, b"invitation", *secrets, transcript)


def seal_invitation(
    own: IdentityKeys, package: KeyPackage, index: int | None, welcome: bytes, random: Random
) -> bytes:
    """*seal invitation* (REQ-INV-02)."""
    prekey = choose_prekey(package, index)  # 1
    ephemeral = random(32)  # 2
    secrets = [  # 3
        DH(own.dh_private, package.signed_prekey),
        DH(ephemeral, package.identity.dh_key),
        DH(ephemeral, package.signed_prekey),
    ]
    if prekey is not None:
        secrets.append(DH(ephemeral, prekey))
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
        DH(keys.signed_prekey, inviter.dh_key),
        DH(own.dh_private, ephemeral_key),
        DH(keys.signed_prekey, ephemeral_key),
    ]
    if prekey is not None:
        secrets.append(DH(prekey, ephemeral_key))
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
    return KDF(message_key, b"salt", fresh, padded, size=16)


def message_keys(message_key: bytes, header_hash: bytes) -> tuple[bytes, bytes]:
    """AEAD key and com (REQ-CHAIN-03)."""
    both = KDF(message_key, b"message", header_hash, size=64)
    return both[:32], both[32:]


class Chain(NamedTuple):
    """What a receiver keeps (8.3): key (None once closed), index, skipped keys with times."""

    key: bytes | None
    index: int
    skipped: dict[int, tuple[bytes, int]]


MAX_JUMP = 1_000  # REQ-CHAIN-08, 11


def chain_advance(chain: Chain, n: int, now: int) -> Chain:
    """*advance* (8.4); the index is left to the caller."""
    key, skipped = chain.key, dict(chain.skipped)
    for i in range(chain.index, n):  # 1
        key, message_key = step(key or b"")
        skipped[i] = (message_key, now)
    while len(skipped) > MAX_JUMP:  # 2
        del skipped[min(skipped)]
    return Chain(key, chain.index, skipped)


def chain_at(chain: Chain, n: int, now: int) -> tuple[bytes, Chain]:
    """*at* (REQ-CHAIN-05)."""
    if n < chain.index:  # 1
        fail_if(n not in chain.skipped, "replay")  # REQ-CHAIN-06
        rest = {i: kept for i, kept in chain.skipped.items() if i != n}
        return chain.skipped[n][0], chain._replace(skipped=rest)
    fail_if(chain.key is None, "beyond-count")  # 2, REQ-CHAIN-07
    fail_if(n - chain.index > MAX_JUMP, "jump-too-far")  # 3, REQ-CHAIN-08
    chain = chain_advance(chain, n, now)  # 4
    key, message_key = step(chain.key or b"")  # 5
    return message_key, Chain(key, n + 1, chain.skipped)


def chain_close(chain: Chain, count: int, now: int) -> tuple[Chain, bool]:
    """*close* (REQ-CHAIN-09): the chain, and whether there is a gap."""
    if chain.key is None:  # 1
        return chain, False
    fail_if(count < chain.index, "bad-count")  # 2
    if count - chain.index > MAX_JUMP:  # 3
        return chain._replace(key=None), True
    chain = chain_advance(chain, count, now)  # 4
    return Chain(None, count, chain.skipped), False
