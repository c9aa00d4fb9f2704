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
    difference,
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


@operation("dispatch")
def _dispatch(i: Json) -> Json:
    return {"type": ref.dispatch_type(un(i["payload"]), i["contact"])}


def envelope_cases() -> Iterator[Json]:
    for least in (1, 511, 512, 513, 1_024, 1_025, 2_048, 2_049, 4_096, 4_097, 8_192, 8_193, 16_384,
                  16_385, 17_408, 17_409, 20_000, 32_768, 32_769, 65_535, 65_536, 65_537, 66_200,
                  100_000, 131_072, 131_073, 262_145, 1_000_000, 1_048_576, 1_048_577, 2_031_617,
                  2_097_152):  # fmt: skip
        yield case(f"envelope-size-{least}", "ENV-05", "size and capacity", "envelope size",
                   {"least": least})  # fmt: skip
    for name, data, size in (("one", b"a", 2), ("five", b"hello", 12), ("empty", b"", 1),
                             ("zeros", bytes(3), 8), ("eighty", b"\x80", 4)):  # fmt: skip
        yield case(f"envelope-pad-{name}", "ENV-06", name, "pad",
                   {"data": data.hex(), "size": size})  # fmt: skip
    for name, data, of in (
        ("none-after", b"a\x80", None), ("zeros-after", b"a\x80\0\0", None),
        ("only", b"\x80", None),
        ("eighty-inside", b"\x80\x80\0", None), ("zeros-inside", b"\0\0\x80\0", None),
        ("empty", b"", "only"), ("all-zeros", bytes(16), "zeros-inside"),
        ("wrong-byte", b"a\x81\0\0", "zeros-after"), ("no-padding", b"hello", "none-after"),
        ("trailing-one", b"a\x80\0\x01", "zeros-after"),
    ):  # fmt: skip
        unpadded = {"only": b"\x80", "zeros-inside": b"\0\0\x80\0", "zeros-after": b"a\x80\0\0",
                    "none-after": b"a\x80"}  # fmt: skip
        yield case(f"envelope-unpad-{name}", "ENV-06", name, "unpad",
                   {"padded": data.hex()}, "bad-padding" if of else None,
                   parent=of and f"envelope-unpad-{of}",
                   mutation=of and difference(unpadded[of], data))  # fmt: skip
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
        largest = name == "largest"
        yield case(f"envelope-seal-{name}",
                   "ENV-03 ENV-05 ENV-06 PRIM-18" + (" LIMIT-07" if largest else ""),
                   "payload: so many times", "seal envelope", {
                       "mailbox": mailbox_json(mailbox), "payload": payload.hex(), "times": times,
                       "ephemeral": "0a" * 32},
                   features="large" if largest else "")  # fmt: skip
    yield case("envelope-seal-too-large", "ENV-03 LIMIT-07", "one byte more than fits",
               "seal envelope", {"mailbox": mailbox_json(mailbox), "payload": "61",
                                 "times": 2_097_094, "ephemeral": "0a" * 32},
               "too-large", parent="envelope-seal-largest", mutation="one more byte of payload",
               features="large")  # fmt: skip
    for name, bad, what in (
        ("bad-key", SMALL_DH, "the envelope key is of small order"),
        ("not-canonical", little(ref.P + 9), "u of the envelope key is p + 9"),
    ):
        yield case(f"envelope-seal-{name}", "ENV-03 PRIM-03 PRIM-04", "an envelope key to refuse",
                   "seal envelope", {
                       "mailbox": mailbox_json(mailbox._replace(envelope_key=bad)),
                       "payload": b"hello".hex(), "times": 1, "ephemeral": "0a" * 32}, "bad-key",
                   parent="envelope-seal-example", mutation=what)  # fmt: skip
    ephemeral = b"\x0a" * 32
    public = ref.dh_public(ephemeral)
    good = ref.seal_envelope(mailbox, b"hello", lambda _: ephemeral)
    key = ref.envelope_key(ref.DH(ephemeral, mailbox.envelope_key), mailbox, public)

    def sealed(padded: bytes, ephemeral_key: bytes = public) -> bytes:
        return ref.build("envelope", ephemeral_key, ref.encrypt(key, padded))

    other_size = sealed(ref.pad(b"hello", 457))
    for name, data in (
        ("good", good),
        ("larger-than-needed", sealed(ref.pad(b"hello", 968))),
        ("empty-payload", ref.seal_envelope(mailbox, b"", lambda _: ephemeral)),
    ):
        yield case(f"envelope-open-{name}", "ENV-04 ENV-06 PRIM-18", name, "open envelope",
                   {"keys": keys_of, "envelope": data.hex()})  # fmt: skip
    for name, data, refused, change in (
        ("changed", changed_byte(good), "bad-ciphertext", "the last byte of the tag changed"),
        ("other-ephemeral", good[:5] + little(9) + good[37:], "bad-ciphertext",
         "another ephemeral key"),
        ("ephemeral-small", good[:5] + SMALL_DH + good[37:], "bad-key",
         "the ephemeral key is of small order"),
        ("ephemeral-not-canonical", good[:5] + little(ref.P) + good[37:], "bad-key",
         "u of the ephemeral key is p"),
        ("size-513", other_size, "bad-form", "one more byte of padding"),
        ("size-before-key", other_size[:5] + SMALL_DH + other_size[37:], "bad-form",
         "one more byte of padding, and the ephemeral key is of small order"),
        ("key-before-tag", changed_byte(good)[:5] + SMALL_DH + changed_byte(good)[37:], "bad-key",
         "the ephemeral key is of small order, and the last byte of the tag changed"),
        ("parse-before-size", good[:-1], "truncated", "the last byte left out"),
        ("no-padding", sealed(b"a" * 456), "bad-padding",
         "456 times the byte 61 in the place of the padded payload"),
        ("all-zeros", sealed(bytes(456)), "bad-padding",
         "456 zero bytes in the place of the padded payload"),
        ("truncated", good[:-40], "truncated", "the last 40 bytes left out"),
        ("trailing", good + b"\0", "trailing-bytes", "a zero byte put in at the end"),
        ("other-type", b"\x94\x01\x10" + good[3:], "wrong-type",
         "the type is 16, that of a message"),
        ("version-2", b"\x94\x02" + good[2:], "wrong-version", "the version is 2"),
        ("empty", b"", "truncated", "no bytes at all"),
        ("sealed-16", ref.encode([1, 18, public, bytes(16)]), "bad-form",
         "16 zero bytes in the place of the ciphertext"),
        ("ephemeral-31", ref.encode([1, 18, public[:31], bytes(473)]), "bad-form",
         "the last byte of the ephemeral key left out, and 473 zero bytes as ciphertext"),
    ):
        two = {"size-before-key": "two faults: the size, then the key",
               "key-before-tag": "two faults: the key, then the tag",
               "parse-before-size": "two faults: the encoding, then the size"}  # fmt: skip
        yield case(f"envelope-open-{name}", "ENV-04 ENV-06", two.get(name, name), "open envelope",
                   {"keys": keys_of, "envelope": data.hex()}, refused,
                   parent="envelope-open-good", mutation=change)  # fmt: skip
    for name, place, what in (
        ("other-mailbox", "envelope_private", "opened with another envelope key"),
        ("other-address", "read_seed", "opened at another address with the same envelope key"),
    ):
        yield case(f"envelope-open-{name}", "ENV-04 PRIM-18", what, "open envelope",
                   {"keys": {**keys_of, place: "0b" * 32}, "envelope": good.hex()},
                   "bad-ciphertext", parent="envelope-open-good", mutation=what)  # fmt: skip
    challenge = Stream("envelope-proof")(32)
    read_key = ref.sign_public(keys.read_seed)
    proof = ref.sign(keys.read_seed, b"read mailbox", mailbox.address, challenge)
    small = ref.H(b"mailbox", SMALL_SIGN)
    proofs: list[tuple[str, bytes, bytes, bytes, bytes, str | None, str | None]] = [
        ("good", mailbox.address, read_key, challenge, proof, None, None),
        ("other-key", mailbox.address, ref.sign_public(COUNTING), challenge, proof,
         "not-permitted", "the read key of another seed"),
        ("key-before-check", mailbox.address, SMALL_SIGN, challenge, proof, "not-permitted",
         "the read key is of small order, and not that of the address"),
        ("other-challenge", mailbox.address, read_key, bytes(32), proof, "bad-signature",
         "the challenge is 32 zero bytes"),
        ("changed", mailbox.address, read_key, challenge, changed_byte(proof, 0), "bad-signature",
         "the first byte of the proof changed"),
        ("small-key", small, SMALL_SIGN, challenge, proof, "bad-key",
         "the read key is of small order, and the address that of this key"),
    ]
    for name, address, key_of, asked, answer, reason, mutation in proofs:
        comment = "two faults: the address, then the key" if "before" in name else name
        yield case(f"envelope-proof-{name}", "ENV-10", comment, "check mailbox proof", {
            "address": address.hex(), "read_key": key_of.hex(), "challenge": asked.hex(),
            "proof": answer.hex()}, reason, features="relay",
            parent="envelope-proof-good" if mutation else None,
            mutation=mutation)  # fmt: skip
    yield from dispatch_cases()


NOT_OBJECTS = [  # after which there is no type: a name, the payload, the refusal, what was changed
    ("empty", "", "truncated", "no byte is left"),
    ("two-bytes", "9201", "truncated", "it ends before the type"),
    ("short-array", "930115", "truncated", "an item is missing, and the type is 21"),
    ("half-an-item", "930115c402ab", "truncated", "the last item is cut off, and the type is 21"),
    ("bytes-after", "920115c0", "trailing-bytes", "a byte follows, and the type is 21"),
    ("type-long", "9201cc10", "non-canonical", "the type is in two bytes"),
    ("version-long", "92cc0110", "non-canonical", "the version is in two bytes"),
    ("map", "82011001c0", "forbidden-type", "a map instead of an array"),
    ("too-deep", "930115" + "91" * 5, "too-deep", "arrays too deep, and the type is 21"),
    ("nil", "c0", "bad-form", "nil instead of an array"),
    ("bin", "c403920110", "bad-form", "the object stands in a bin"),
    ("no-items", "90", "bad-form", "an array of nothing"),
    ("one-item", "9101", "bad-form", "the version alone"),
    ("version-2", "920210", "wrong-version", "version 2"),
    ("version-0", "920010", "wrong-version", "version 0"),
    ("version-true", "92c310", "wrong-version", "true for the version"),
    ("type-nil", "9201c0", "bad-form", "nil for the type"),
    ("type-bin", "9201c40110", "bad-form", "a bin for the type"),
    ("type-true", "9201c3", "bad-form", "true for the type"),
    ("type-128", "9201cc80", "wrong-type", "type 128"),
    ("array-16", "dc00100110" + "c0" * 14, "wrong-type", "16 items: the third byte is no type"),
]


def dispatch_cases() -> Iterator[Json]:
    """A payload is looked at no further than its type: what follows is for other algorithms."""
    taken = {True: (1, 5, 12, 16, 17), False: (1, 12, 16)}
    names = {form.type: name for name, form in ref.FORMS.items()}
    numbers = sorted({*names, 0, 21, 31, 38, 127})

    def dispatched(
        name: str, payload: str, contact: bool, reason: str | None, comment: str, mutation: str,
        spec: str = "ENV-07",
    ) -> Json:  # fmt: skip
        place = "contact" if contact else "room"
        return case(f"envelope-dispatch-{place}-{name}", spec, comment, "dispatch",
                    {"payload": payload, "contact": contact}, reason,
                    parent=None if reason is None else f"envelope-dispatch-{place}-16",
                    mutation=None if reason is None else mutation)  # fmt: skip

    for contact, where in ((True, "the contact mailbox"), (False, "the mailbox of a room")):
        for number in numbers:
            called = names.get(number, f"no object, type {number}")
            form = ref.FORMS.get(called)
            payload = ref.encode([1, number, *[None] * (2 if form is None else len(form.fields))])
            yield dispatched(str(number), payload.hex(), contact,
                             None if number in taken[contact] else "wrong-type",
                             f"{called} in {where}", f"the type is {number}")  # fmt: skip
        for name, payload_hex, reason, mutation in NOT_OBJECTS:
            yield dispatched(name, payload_hex, contact, reason,
                             f"not an object of this protocol, in {where}", mutation,
                             "ENV-07 WIRE-14")  # fmt: skip
        for name, payload_hex in (("no-fields", "920110"), ("cut-off", "930110"),
                                  ("bytes-after", "920110c0"), ("fixarray-15", "9f0110")):
            yield dispatched(f"message-{name}", payload_hex, contact, None,
                             "the type of a message is found before it is parsed", "")  # fmt: skip
