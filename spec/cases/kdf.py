"""kdf.json, hash.json, aead.json: derivation, hash, encryption (chapter 3)."""

from collections.abc import Iterator
from typing import Any

from nacl import bindings as sodium
from spec.cases.common import (
    COUNTING,
    Json,
    Stream,
    case,
    difference,
    operation,
    tagged,
    un,
    untagged,
)

from spec import reference as ref


@operation("kdf")
def _kdf(i: Json) -> Json:
    ref.note("message", ref.encode([un(i["label"]), *untagged(i["parts"])]))
    output = ref.KDF(un(i["key"]), un(i["label"]), *untagged(i["parts"]), size=i["size"])
    return {"output": output.hex()}


@operation("hash")
def _hash(i: Json) -> Json:
    ref.note("message", ref.encode([un(i["label"]), *untagged(i["parts"])]))
    return {"output": ref.H(un(i["label"]), *untagged(i["parts"])).hex()}


@operation("encrypt")
def _encrypt(i: Json) -> Json:
    return {"ciphertext": ref.encrypt(un(i["key"]), un(i["plaintext"])).hex()}


@operation("decrypt")
def _decrypt(i: Json) -> Json:
    return {"plaintext": ref.decrypt(un(i["key"]), un(i["ciphertext"])).hex()}


PART_LISTS: list[tuple[str, str, list[Any]]] = [
    ("none", "no parts", []),
    ("small", "the integer 7: the example of 3.2", [7]),
    ("bin", "one bin", [b"\x01\x02"]),
    ("empty-bin", "the empty bin is not nil", [b""]),
    ("nil", "nil is not the empty bin", [None]),
    ("split-a", "two bins are not their concatenation", [b"ab", b"c"]),
    ("split-b", "the same bytes, split elsewhere", [b"a", b"bc"]),
    ("split-c", "the same bytes in one part", [b"abc"]),
    ("text", "text is not bin", ["abc"]),
    ("nested", "an array as a part is not its items", [[b"ab", b"c"]]),
    ("policy", "a policy as an array", [[1, True, None, 259_200]]),
    ("true", "true is not 1", [True]),
    ("one", "1 is not true", [1]),
    ("wide", "integers at the borders of their forms",
     [127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**64 - 1]),
    ("long-bin", "a bin with two bytes of length", [bytes(256)]),
    ("sixteen", "more parts than fit the short form of an array", [bytes([n]) for n in range(16)]),
]  # fmt: skip


def kdf_cases() -> Iterator[Json]:
    for name, comment, parts in PART_LISTS:
        for size in (16, 32, 48, 64) if name == "small" else (32,):
            yield case(f"kdf-{name}-{size}", "PRIM-01 WIRE-11", comment, "kdf", {
                "key": COUNTING.hex(), "label": b"chain".hex(), "parts": tagged(parts),
                "size": size})  # fmt: skip
    for size in (1, 31, 33, 63):
        yield case(f"kdf-size-{size}", "PRIM-01", "the size is a parameter, not a truncation",
                   "kdf", {"key": COUNTING.hex(), "label": b"chain".hex(), "parts": [7],
                           "size": size})  # fmt: skip
    for label in ("chain", "salt", "message", "invitation", "slot", "envelope", "epoch", "confirm",
                  "confirmation", "chains", "chain of", "handshakes", "handshake of", "inits",
                  "init of", "exporter", "export", "commit salt", "seal commit",
                  "safety number"):  # fmt: skip
        name = f"kdf-label-{label.replace(' ', '-')}"
        yield case(name, "PRIM-01 PRIM-13", "one label of chapter 2, with a random key", "kdf", {
            "key": Stream(name)(32).hex(), "label": label.encode().hex(),
            "parts": tagged([Stream(name + "/part")(32)]), "size": 32})  # fmt: skip
    for size in (0, 31, 33):
        key = bytes(range(size))
        yield case(f"kdf-key-{size}", "PRIM-16", "a key of a wrong length is a local error",
                   "kdf", {
            "key": key.hex(), "label": b"chain".hex(), "parts": [], "size": 32},
            "bad-input", parent="kdf-none-32",
            mutation=f"key: {difference(COUNTING, key)}")  # fmt: skip


def hash_cases() -> Iterator[Json]:
    for name, comment, parts in PART_LISTS:
        yield case(f"hash-{name}", "PRIM-02 WIRE-11", comment, "hash",
                   {"label": b"chain".hex(), "parts": tagged(parts)})  # fmt: skip
    for label in ("fingerprint", "key package", "invitation transcript", "mailbox", "capability",
                  "envelope transcript", "slot transcript", "commit", "transcript", "state",
                  "context", "member", "creator", "creator admission", "header", "ciphertext",
                  "message id"):  # fmt: skip
        name = f"hash-label-{label.replace(' ', '-')}"
        yield case(name, "PRIM-02", "one label of chapter 2, with a random part", "hash",
                   {"label": label.encode().hex(),
                   "parts": tagged([Stream(name)(32)])})  # fmt: skip


def aead_cases() -> Iterator[Json]:
    example = b"Evanesce: one key, one message."
    for name, text in (("example", example), ("empty", b""), ("block", bytes(64)),
                       ("long", bytes(1_000))):  # fmt: skip
        key = COUNTING if name == "example" else Stream(f"aead-{name}")(32)
        yield case(f"aead-encrypt-{name}", "PRIM-11", "zero nonce, no associated data", "encrypt",
                   {"key": key.hex(), "plaintext": text.hex()})  # fmt: skip
        yield case(f"aead-decrypt-{name}", "PRIM-11", "the same, decrypted", "decrypt",
                   {"key": key.hex(), "ciphertext": ref.encrypt(key, text).hex()})  # fmt: skip
    sealed = ref.encrypt(COUNTING, example)
    changed = {
        "first-byte": bytes([sealed[0] ^ 1]) + sealed[1:],
        "last-byte": sealed[:-1] + bytes([sealed[-1] ^ 0x80]),
        "shortened": sealed[:-1],
        "lengthened": sealed + b"\0",
        "tag-only": sealed[-16:],
        "fifteen-bytes": sealed[:15],
        "nothing": b"",
    }
    for name, data in changed.items():
        yield case(f"aead-{name}", "PRIM-11", "does not authenticate", "decrypt",
                   {"key": COUNTING.hex(), "ciphertext": data.hex()}, "bad-ciphertext",
                   parent="aead-decrypt-example",
                   mutation=f"ciphertext: {difference(sealed, data)}")  # fmt: skip
    yield case("aead-other-key", "PRIM-11", "does not authenticate", "decrypt",
               {"key": bytes(32).hex(), "ciphertext": sealed.hex()}, "bad-ciphertext",
               parent="aead-decrypt-example", mutation="the key is 32 zero bytes")  # fmt: skip
    nonce = bytes(11) + b"\1"
    for name, what, made in (
        ("nonce", "encrypted with the last byte of the nonce set to 1",
         sodium.crypto_aead_chacha20poly1305_ietf_encrypt(example, None, nonce, COUNTING)),
        ("associated-data", "encrypted with the associated data 00",
         sodium.crypto_aead_chacha20poly1305_ietf_encrypt(example, b"\0", bytes(12), COUNTING)),
    ):  # fmt: skip
        yield case(f"aead-other-{name}", "PRIM-11", "does not authenticate", "decrypt",
                   {"key": COUNTING.hex(), "ciphertext": made.hex()}, "bad-ciphertext",
                   parent="aead-decrypt-example", mutation=what)  # fmt: skip
