"""Operations of chapter 3: derivation, hashing, keys, signatures, AEAD."""

from __future__ import annotations

from ... import primitives
from .registry import Json, operation
from .values import signing_keys, un, untagged


@operation("kdf")
def _kdf(i: Json) -> Json:
    parts = untagged(i["parts"])
    return {"output": primitives.KDF(un(i["key"]), un(i["label"]), *parts, size=i["size"]).hex()}


@operation("hash")
def _hash(i: Json) -> Json:
    return {"output": primitives.H(un(i["label"]), *untagged(i["parts"])).hex()}


@operation("encrypt")
def _encrypt(i: Json) -> Json:
    return {"ciphertext": primitives.encrypt(un(i["key"]), un(i["plaintext"])).hex()}


@operation("decrypt")
def _decrypt(i: Json) -> Json:
    return {"plaintext": primitives.decrypt(un(i["key"]), un(i["ciphertext"])).hex()}


@operation("dh")
def _dh(i: Json) -> Json:
    return {"shared": primitives.dh(un(i["private"]), un(i["public"])).hex()}


@operation("dh public")
def _dh_public(i: Json) -> Json:
    return {"public": primitives.dh_public(un(i["private"])).hex()}


@operation("check dh key")
def _check_dh_key(i: Json) -> Json:
    primitives.check_dh_key(un(i["public"]))
    return {}


@operation("sign")
def _sign(i: Json) -> Json:
    private, public = signing_keys(i["seed"])
    signature = primitives.sign(private, un(i["label"]), *untagged(i["parts"]))
    return {"public": public.hex(), "signature": signature.hex()}


@operation("verify")
def _verify(i: Json) -> Json:
    parts = untagged(i["parts"])
    primitives.verify(un(i["public"]), un(i["signature"]), un(i["label"]), *parts)
    return {}


@operation("verify bytes")
def _verify_bytes(i: Json) -> Json:
    primitives.verify_raw(un(i["public"]), un(i["signature"]), un(i["message"]))
    return {}


@operation("check sign key")
def _check_sign_key(i: Json) -> Json:
    primitives.check_sign_key(un(i["public"]))
    return {}
