"""Ed25519: known answers, and where libraries disagree (spec 03.4).

The curve arithmetic here is libsodium's, through `crypto_core_ed25519_*`; the equations are written
out in the tests.
"""

import hashlib
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings as sodium

from evanesce.errors import LocalError, Reason, RemoteError
from evanesce.primitives import check_sign_key, sign, sign_keypair, verify, verify_raw
from evanesce.wire import Value, encode

P: Final = 2**255 - 19
L: Final = 2**252 + 27742317777372353535851937790883648493
SEED: Final = bytes(range(32))
MESSAGE: Final = b"a message"

IDENTITY: Final = (1).to_bytes(32, "little")
ORDER_2: Final = (P - 1).to_bytes(32, "little")
ORDER_4: Final = bytes(32)
ORDER_8: Final = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")


def negated(point: bytes) -> bytes:
    return point[:31] + bytes([point[31] ^ 0x80])


# --- Arithmetic ----------------------------------------------------------------------------------


def add(a: bytes, b: bytes) -> bytes:
    return sodium.crypto_core_ed25519_add(a, b)


def times_8(point: bytes) -> bytes:
    for _ in range(3):
        point = add(point, point)
    return point


def scalar(number: int) -> bytes:
    return (number % L).to_bytes(32, "little")


def base(number: int) -> bytes:
    """`number` times the base point."""
    return sodium.crypto_scalarmult_ed25519_base_noclamp(scalar(number))


def multiple(number: int, point: bytes) -> bytes:
    """`number` times a point of order L."""
    return sodium.crypto_scalarmult_ed25519_noclamp(scalar(number), point)


def number_of(data: bytes) -> int:
    return int.from_bytes(data, "little")


def challenge(r: bytes, a: bytes, message: bytes) -> int:
    return number_of(hashlib.sha512(r + a + message).digest()) % L


class Signer:
    """An honest key, opened up so that dishonest signatures can be made with it."""

    def __init__(self) -> None:
        self.private, self.public = sign_keypair(lambda _: SEED)
        clamped = bytearray(hashlib.sha512(SEED).digest()[:32])
        clamped[0] &= 248
        clamped[31] = clamped[31] & 127 | 64
        self.exponent = number_of(bytes(clamped)) % L
        assert base(self.exponent) == self.public

    def signature(self, message: bytes, nonce: int, *, extra: bytes | None = None) -> bytes:
        """R = nonce·B (+ extra) and the S that fits."""
        r = base(nonce) if nonce else IDENTITY
        if extra is not None:
            r = add(r, extra)
        return r + self.response(r, message, nonce)

    def response(self, r: bytes, message: bytes, nonce: int) -> bytes:
        return scalar(nonce + challenge(r, self.public, message) * self.exponent)


SIGNER: Final = Signer()
TORSION: Final = {
    "identity": IDENTITY,
    "order 2": ORDER_2,
    "order 4": ORDER_4,
    "order 4, negative": negated(ORDER_4),
    "order 8": ORDER_8,
    "order 8, negative": negated(ORDER_8),
    "order 8, plus order 2": add(ORDER_8, ORDER_2),
    "order 8, negative, plus order 2": add(negated(ORDER_8), ORDER_2),
}
# Other ways to write points of small order: x = 0 with the sign bit, and y = p, p + 1.
NON_CANONICAL_SMALL: Final = {
    "identity, negative zero": negated(IDENTITY),
    "order 2, negative zero": negated(ORDER_2),
    "y = p": P.to_bytes(32, "little"),
    "y = p, negative": negated(P.to_bytes(32, "little")),
    "y = p + 1": (P + 1).to_bytes(32, "little"),
    "y = p + 1, negative": negated((P + 1).to_bytes(32, "little")),
}
SMALL: Final = TORSION | NON_CANONICAL_SMALL


def refusal(public: bytes, signature: bytes, message: bytes = MESSAGE) -> Reason:
    with pytest.raises(RemoteError) as caught:
        verify_raw(public, signature, message)
    return caught.value.reason


def key_refused(public: bytes) -> bool:
    try:
        check_sign_key(public)
    except RemoteError as error:
        return error.reason is Reason.BAD_KEY
    return False


def test_the_table_of_small_points_is_complete() -> None:
    assert len(set(TORSION.values())) == 8
    for point in TORSION.values():
        assert times_8(point) == IDENTITY
    assert not set(TORSION.values()) & set(NON_CANONICAL_SMALL.values())


# --- RFC 8032 ------------------------------------------------------------------------------------

RFC_8032: Final = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701c"
        "f9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0"
        "f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f76098"
        "4dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_keys_and_signatures_of_rfc_8032(
    seed: str, public: str, message: str, signature: str
) -> None:
    private, own = sign_keypair(lambda _: bytes.fromhex(seed))
    assert own.hex() == public
    assert private.hex() == seed + public
    check_sign_key(own)
    verify_raw(own, bytes.fromhex(signature), bytes.fromhex(message))
    assert refusal(own, bytes.fromhex(signature), b"other") is Reason.BAD_SIGNATURE


def test_a_key_pair_comes_from_the_random_source_that_is_passed_in() -> None:
    asked: list[int] = []

    def random(size: int) -> bytes:
        asked.append(size)
        return SEED

    assert sign_keypair(random) == (SIGNER.private, SIGNER.public)
    assert asked == [32]


# --- Labelled messages (REQ-PRIM-07) -------------------------------------------------------------


def test_a_signature_covers_the_context_the_label_and_the_parts() -> None:
    signature = sign(SIGNER.private, b"commit", b"\1", 7)
    # ["Evanesce 1", "commit", h'01', 7], by hand.
    message = bytes.fromhex("94c40a") + b"Evanesce 1" + bytes.fromhex("c406") + b"commit"
    message += bytes.fromhex("c4010107")
    assert sodium.crypto_sign(message, SIGNER.private) == signature + message
    assert sodium.crypto_sign_open(signature + message, SIGNER.public) == message
    verify(SIGNER.public, signature, b"commit", b"\1", 7)


def test_a_signature_holds_for_its_own_label_and_parts_only() -> None:
    signature = sign(SIGNER.private, b"commit", b"\1", 7)
    others: list[tuple[bytes, list[Value]]] = [
        (b"commit", [b"\1", 8]),
        (b"commit", [b"\1"]),
        (b"commit", [b"\1", 7, None]),
        (b"commit", [1, 7]),
        (b"commit", [[b"\1", 7]]),
        (b"commis", [b"\1", 7]),
        (b"", [b"commit", b"\1", 7]),
    ]
    for label, parts in others:
        with pytest.raises(RemoteError) as caught:
            verify(SIGNER.public, signature, label, *parts)
        assert caught.value.reason is Reason.BAD_SIGNATURE


@given(
    st.binary(min_size=32, max_size=32),
    st.binary(max_size=20),
    st.lists(st.binary(max_size=40) | st.integers(0, 2**64 - 1), max_size=3),
)
def test_what_is_signed_verifies(seed: bytes, label: bytes, parts: list[Value]) -> None:
    private, public = sign_keypair(lambda _: seed)
    check_sign_key(public)
    signature = sign(private, label, *parts)
    assert len(signature) == 64
    assert signature == sign(private, label, *parts)
    verify(public, signature, label, *parts)
    verify_raw(public, signature, encode([b"Evanesce 1", label, *parts]))


def test_a_change_of_any_byte_of_a_signature_or_key_is_refused() -> None:
    signature = sodium.crypto_sign(MESSAGE, SIGNER.private)[:64]
    verify_raw(SIGNER.public, signature, MESSAGE)
    for at in range(64):
        for mask in (0x01, 0x80):
            changed = bytearray(signature)
            changed[at] ^= mask
            assert refusal(SIGNER.public, bytes(changed)) is Reason.BAD_SIGNATURE
    for at in range(32):
        key = bytearray(SIGNER.public)
        key[at] ^= 1
        assert refusal(bytes(key), signature) is Reason.BAD_SIGNATURE


@pytest.mark.parametrize("size", [0, 32, 63, 65, 128])
def test_a_signature_of_another_length_is_refused(size: int) -> None:
    signature = sodium.crypto_sign(MESSAGE, SIGNER.private)[:64]
    assert refusal(SIGNER.public, (signature * 2)[:size]) is Reason.BAD_SIGNATURE


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_public_key_of_another_length_is_refused(size: int) -> None:
    signature = sodium.crypto_sign(MESSAGE, SIGNER.private)[:64]
    key = (SIGNER.public * 2)[:size]
    assert refusal(key, signature) is Reason.BAD_SIGNATURE
    assert key_refused(key)


@pytest.mark.parametrize("size", [0, 32, 63, 65])
def test_an_own_key_of_a_wrong_length_is_a_local_error(size: int) -> None:
    """REQ-PRIM-16: libsodium would read past its end."""
    with pytest.raises(LocalError) as caught:
        sign(bytes(size), b"commit")
    assert caught.value.reason is Reason.BAD_INPUT
    with pytest.raises(LocalError) as caught:
        sign_keypair(lambda _: bytes(size if size != 32 else 31))
    assert caught.value.reason is Reason.BAD_INPUT


# --- S (REQ-PRIM-08) -----------------------------------------------------------------------------


def test_a_response_of_the_order_or_more_is_refused() -> None:
    signature = SIGNER.signature(MESSAGE, 12345)
    verify_raw(SIGNER.public, signature, MESSAGE)
    r, s = signature[:32], number_of(signature[32:])
    assert s < L
    for k in range(1, 16):
        if s + k * L < 2**256:
            other = r + (s + k * L).to_bytes(32, "little")
            assert refusal(SIGNER.public, other) is Reason.BAD_SIGNATURE
    for wrong in (L, L + 1, 2**252 + 2**251, 2**253, 2**255, 2**256 - 1):
        assert refusal(SIGNER.public, r + wrong.to_bytes(32, "little")) is Reason.BAD_SIGNATURE


def test_a_response_just_below_the_order_is_accepted() -> None:
    """S = L - 1: pick S, then the nonce that fits is unknown, so pick it with a key of exponent 1.

    With A = B and R = r·B, S = r + h. Search r until S is in the topmost thousandth.
    """
    public = base(1)
    for nonce in range(1, 20_000):
        r = base(nonce)
        s = (nonce + challenge(r, public, MESSAGE)) % L
        if s > L - L // 1000:
            break
    else:
        pytest.fail("no response near the order found")
    verify_raw(public, r + scalar(s), MESSAGE)
    assert refusal(public, r + (s + L).to_bytes(32, "little")) is Reason.BAD_SIGNATURE


# --- A and R (REQ-PRIM-06, REQ-PRIM-09) ----------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_a_key_of_small_order_is_refused_in_every_encoding(name: str) -> None:
    """With A of small order and S·B = R, the cofactored equation holds for every message."""
    key = SMALL[name]
    assert key_refused(key)
    for nonce in range(1, 20):  # for one in eight of them it holds without the cofactor too
        assert refusal(key, base(nonce) + scalar(nonce)) is Reason.BAD_SIGNATURE


@pytest.mark.parametrize("name", SMALL)
def test_a_commitment_of_small_order_is_refused_in_every_encoding(name: str) -> None:
    r = SMALL[name]
    signature = r + SIGNER.response(r, MESSAGE, 0)
    assert refusal(SIGNER.public, signature) is Reason.BAD_SIGNATURE


def test_the_identity_as_commitment_satisfies_the_equation_and_is_refused_all_the_same() -> None:
    signature = SIGNER.signature(MESSAGE, 0)
    assert signature[:32] == IDENTITY
    h = challenge(IDENTITY, SIGNER.public, MESSAGE)
    assert base(number_of(signature[32:])) == multiple(h, SIGNER.public)
    assert refusal(SIGNER.public, signature) is Reason.BAD_SIGNATURE


@pytest.mark.parametrize("excess", range(19))
def test_an_encoding_that_is_not_reduced_is_refused_as_key_and_as_commitment(excess: int) -> None:
    for point in (
        (P + excess).to_bytes(32, "little"),
        negated((P + excess).to_bytes(32, "little")),
    ):
        assert key_refused(point)
        assert refusal(point, base(7) + scalar(7)) is Reason.BAD_SIGNATURE
        signature = point + SIGNER.response(point, MESSAGE, 0)
        assert refusal(SIGNER.public, signature) is Reason.BAD_SIGNATURE


def test_bytes_that_are_no_point_are_refused_as_a_key() -> None:
    outside = [y for y in range(2, 40) if not on_curve(y)]
    assert len(outside) > 5
    for y in outside:
        assert key_refused(y.to_bytes(32, "little"))


def on_curve(y: int) -> bool:
    """Whether x² = (y² − 1) / (d·y² + 1) has a solution."""
    d = -121665 * pow(121666, -1, P) % P
    square = (y * y - 1) * pow(d * y * y + 1, -1, P) % P
    return square == 0 or pow(square, (P - 1) // 2, P) == 1


@pytest.mark.parametrize("name", [name for name in TORSION if name != "identity"])
def test_a_key_with_a_component_of_small_order_is_not_admitted(name: str) -> None:
    """REQ-PRIM-06. "order 2" is CVE-2025-69277, in PyNaCl before 1.6.2."""
    mixed = add(SIGNER.public, TORSION[name])
    assert mixed != SIGNER.public
    assert times_8(mixed) == times_8(SIGNER.public)
    check_sign_key(SIGNER.public)
    assert key_refused(mixed)


# --- The cofactor (REQ-PRIM-10) ------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in TORSION if name != "identity"])
@pytest.mark.parametrize("nonce", [1, 99, L - 5])
def test_a_signature_that_only_a_cofactored_verifier_accepts_is_refused(
    name: str, nonce: int
) -> None:
    signature = SIGNER.signature(MESSAGE, nonce, extra=TORSION[name])
    r, s = signature[:32], number_of(signature[32:])
    h = challenge(r, SIGNER.public, MESSAGE)
    left, right = base(s), add(r, multiple(h, SIGNER.public))
    assert times_8(left) == times_8(right)  # 8·S·B = 8·R + 8·h·A
    assert left != right  # S·B ≠ R + h·A
    assert refusal(SIGNER.public, signature) is Reason.BAD_SIGNATURE
    # The same without the component of small order is a good signature.
    verify_raw(SIGNER.public, SIGNER.signature(MESSAGE, nonce), MESSAGE)


# --- Twelve cases on which libraries disagree ----------------------------------------------------

# Data from https://github.com/novifinancial/ed25519-speccheck, cases.json at commit
# 65519336fda78a3d016e947df6d82848aca0c9da (Apache-2.0), of the paper "Taming the many EdDSAs"
# (Chalkias, Garillot, Nikolaenko, SSR 2020): message, public key, signature.
# Then: whether `verify_raw` accepts, whether `check_sign_key` does.
SPECCHECK: Final = [
    (  # 0
        "8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"
        "0000000000000000000000000000000000000000000000000000000000000000",
        False,
        False,
    ),
    (  # 1
        "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43"
        "a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
        False,
        False,
    ),
    (  # 2
        "aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"
        "8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e",
        False,
        False,
    ),
    (  # 3
        "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
        "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        "9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f"
        "87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009",
        True,
        False,
    ),
    (  # 4
        "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
        "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        "160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed512"
        "5ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09",
        False,
        False,
    ),
    (  # 5
        "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
        "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        "21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7"
        "e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405",
        False,
        False,
    ),
    (  # 6
        "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
        "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
        "e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e"
        "547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514",
        False,
        True,
    ),
    (  # 7
        "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
        "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
        "8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa1942"
        "7e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22",
        False,
        True,
    ),
    (  # 8
        "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
        "03be9678ac102edcd92b0210bb34d7428d12ffc5df5f37e359941266a4e35f0f",
        False,
        False,
    ),
    (  # 9
        "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
        "ca8c5b64cd208982aa38d4936621a4775aa233aa0505711d8fdcfdaa943d4908",
        False,
        False,
    ),
    (  # 10
        "e96b7021eb39c1a163b6da4e3093dcd3f21387da4cc4572be588fafae23c155b",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dc"
        "a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
        False,
        False,
    ),
    (  # 11
        "39a591f5321bbe07fd5a23dc2f39d025d74526615746727ceefd6e82ae65c06f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dc"
        "a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
        False,
        False,
    ),
]


@pytest.mark.parametrize("case", range(12))
def test_each_case_of_the_speccheck_set_has_the_outcome_of_the_specification(case: int) -> None:
    message, public, signature, accepted, admitted = SPECCHECK[case]
    key, data = bytes.fromhex(public), (bytes.fromhex(signature), bytes.fromhex(message))
    assert key_refused(key) is not admitted
    if accepted:
        verify_raw(key, *data)
    else:
        assert refusal(key, *data) is Reason.BAD_SIGNATURE
    assert not (accepted and admitted)
