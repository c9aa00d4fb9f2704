"""envelope.json (chapter 12)."""

import hashlib
from collections.abc import Iterator

from spec.cases.common import (
    COUNTING,
    SMALL_DH,
    SMALL_SIGN,
    Json,
    Stream,
    case,
    changed_byte,
    little,
    mailbox_json,
    mailbox_keys,
    mailbox_of,
    operation,
    un,
)

from spec import reference as ref


@operation("mailbox")
def _mailbox(i: Json) -> Json:
    return mailbox_json(mailbox_keys(i).public)


@operation("envelope size")
def _envelope_size(i: Json) -> Json:
    size = ref.envelope_size(i["least"])
    return {"size": size, "capacity": ref.capacity(size)}


@operation("pad")
def _pad(i: Json) -> Json:
    return {"padded": ref.pad(un(i["data"]), i["size"]).hex()}


@operation("unpad")
def _unpad(i: Json) -> Json:
    return {"data": ref.unpad(un(i["padded"])).hex()}


@operation("seal envelope")
def _seal_envelope(i: Json) -> Json:
    payload = un(i["payload"]) * i["times"]
    data = ref.seal_envelope(mailbox_of(i["mailbox"]), payload, lambda _: un(i["ephemeral"]))
    digest = hashlib.sha256(data).hexdigest()
    whole = data.hex() if len(data) < 3_000 else None
    return {"size": len(data), "sha256": digest, "envelope": whole}


@operation("open envelope")
def _open_envelope(i: Json) -> Json:
    return {"payload": ref.open_envelope(mailbox_keys(i["keys"]), un(i["envelope"])).hex()}


@operation("check mailbox proof")
def _check_mailbox_proof(i: Json) -> Json:
    ref.check_mailbox_proof(
        un(i["address"]), un(i["read_key"]), un(i["challenge"]), un(i["proof"])
    )
    return {}


def envelope_cases() -> Iterator[Json]:
    for least in (1, 511, 512, 513, 1_024, 1_025, 2_048, 2_049, 4_096, 4_097, 8_192, 8_193, 16_384,
                  16_385, 17_408, 17_409, 20_000, 32_768, 32_769, 65_535, 65_536, 65_537, 66_200,
                  100_000, 131_072, 131_073, 262_145, 1_000_000, 1_048_576, 1_048_577, 2_031_617,
                  2_097_152):  # fmt: skip
        yield case(f"envelope-size-{least}", "ENV-05", "size and capacity", "envelope size",
                   {"least": least})  # fmt: skip
    for name, data, size, reason in (("one", b"a", 2, None), ("five", b"hello", 12, None),
                                     ("empty", b"", 1, None), ("zeros", bytes(3), 8, None),
                                     ("eighty", b"\x80", 4, None)):  # fmt: skip
        yield case(f"envelope-pad-{name}", "ENV-06", name, "pad",
                   {"data": data.hex(), "size": size}, reason)  # fmt: skip
    for name, data, reason in (
        ("none-after", b"a\x80", None), ("zeros-after", b"a\x80\0\0", None),
        ("only", b"\x80", None),
        ("eighty-inside", b"\x80\x80\0", None), ("zeros-inside", b"\0\0\x80\0", None),
        ("empty", b"", "bad-padding"), ("all-zeros", bytes(16), "bad-padding"),
        ("wrong-byte", b"a\x81\0", "bad-padding"), ("no-padding", b"hello", "bad-padding"),
        ("trailing-one", b"a\x80\0\x01", "bad-padding"),
    ):  # fmt: skip
        yield case(f"envelope-unpad-{name}", "ENV-06", name, "unpad",
                   {"padded": data.hex()}, reason)  # fmt: skip
    keys = ref.MailboxKeys(b"\x07" * 32, b"\x08" * 32, b"\x09" * 16)
    mailbox = keys.public
    keys_of = {"read_seed": keys.read_seed.hex(), "envelope_private": keys.envelope_private.hex(),
               "capability": keys.capability.hex()}  # fmt: skip
    yield case("envelope-mailbox", "ENV-01", "the mailbox of 12.10", "mailbox", keys_of)
    for name, payload, times in (
        ("example", b"hello", 1), ("empty", b"", 1), ("455", b"\xab", 455), ("456", b"\xab", 456),
        ("967", b"\xcd", 967), ("968", b"\xcd", 968), ("16327", b"a", 16_327),
        ("16328", b"a", 16_328),
        ("65479", b"a", 65_479), ("65480", b"a", 65_480), ("67525", b"a", 67_525),
        ("67526", b"a", 67_526), ("largest", b"a", 2_097_093),
    ):  # fmt: skip
        yield case(f"envelope-seal-{name}", "ENV-03 ENV-05 ENV-06", "payload: so many times",
                   "seal envelope", {"mailbox": mailbox_json(mailbox), "payload": payload.hex(),
                                     "times": times, "ephemeral": "0a" * 32})  # fmt: skip
    yield case("envelope-seal-too-large", "ENV-03 LIMIT-07", "one byte more than fits",
               "seal envelope", {"mailbox": mailbox_json(mailbox), "payload": "61",
                                 "times": 2_097_094, "ephemeral": "0a" * 32},
               "too-large")  # fmt: skip
    yield case("envelope-seal-bad-key", "ENV-03 PRIM-04", "an envelope key of small order",
               "seal envelope", {
                   "mailbox": mailbox_json(mailbox._replace(envelope_key=SMALL_DH)),
                   "payload": "61", "times": 1, "ephemeral": "0a" * 32}, "bad-key")  # fmt: skip
    ephemeral = b"\x0a" * 32
    public = ref.dh_public(ephemeral)
    good = ref.seal_envelope(mailbox, b"hello", lambda _: ephemeral)
    key = ref.envelope_key(ref.DH(ephemeral, mailbox.envelope_key), mailbox, public)

    def sealed(padded: bytes, ephemeral_key: bytes = public) -> bytes:
        return ref.build("envelope", ephemeral_key, ref.encrypt(key, padded))

    other_size = sealed(ref.pad(b"hello", 457))
    for name, data, reason in (
        ("good", good, None),
        ("larger-than-needed", sealed(ref.pad(b"hello", 968)), None),
        ("empty-payload", ref.seal_envelope(mailbox, b"", lambda _: ephemeral), None),
        ("changed", changed_byte(good), "bad-ciphertext"),
        ("other-ephemeral", good[:5] + little(9) + good[37:], "bad-ciphertext"),
        ("ephemeral-small", good[:5] + SMALL_DH + good[37:], "bad-key"),
        ("ephemeral-not-canonical", good[:5] + little(ref.P) + good[37:], "bad-key"),
        ("size-513", other_size, "bad-form"),
        ("size-before-key", other_size[:5] + SMALL_DH + other_size[37:], "bad-form"),
        ("no-padding", sealed(b"a" * 456), "bad-padding"),
        ("all-zeros", sealed(bytes(456)), "bad-padding"),
        ("truncated", good[:-1], "truncated"),
        ("trailing", good + b"\0", "trailing-bytes"),
        ("other-type", b"\x94\x01\x10" + good[3:], "wrong-type"),
        ("version-2", b"\x94\x02" + good[2:], "wrong-version"),
        ("empty", b"", "truncated"),
        ("sealed-16", ref.encode([1, 18, public, bytes(16)]), "bad-form"),
    ):
        yield case(f"envelope-open-{name}", "ENV-04 ENV-06", name, "open envelope",
                   {"keys": keys_of, "envelope": data.hex()}, reason)  # fmt: skip
    elsewhere = {**keys_of, "envelope_private": "0b" * 32}
    yield case("envelope-open-other-mailbox", "ENV-04", "another mailbox", "open envelope",
               {"keys": elsewhere, "envelope": good.hex()}, "bad-ciphertext")  # fmt: skip
    moved = {**keys_of, "read_seed": "0b" * 32}
    yield case("envelope-open-other-address", "ENV-04", "the same envelope key at another address",
               "open envelope", {"keys": moved, "envelope": good.hex()},
               "bad-ciphertext")  # fmt: skip
    challenge = Stream("envelope-proof")(32)
    read_key = ref.sign_public(keys.read_seed)
    proof = ref.sign(keys.read_seed, b"read mailbox", mailbox.address, challenge)
    small = ref.H(b"mailbox", SMALL_SIGN)
    for name, address, key_of, asked, answer, reason in (
        ("good", mailbox.address, read_key, challenge, proof, None),
        ("other-key", mailbox.address, ref.sign_public(COUNTING), challenge, proof,
         "not-permitted"),
        ("other-challenge", mailbox.address, read_key, bytes(32), proof, "bad-signature"),
        ("changed", mailbox.address, read_key, challenge, changed_byte(proof, 0), "bad-signature"),
        ("small-key", small, SMALL_SIGN, challenge, proof, "bad-key"),
    ):
        yield case(f"envelope-proof-{name}", "ENV-10", name, "check mailbox proof", {
            "address": address.hex(), "read_key": key_of.hex(), "challenge": asked.hex(),
            "proof": answer.hex()}, reason)  # fmt: skip
