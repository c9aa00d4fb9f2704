"""What the modules of cases share: operations, the cases themselves, keys made from names."""

import functools
import hashlib
from collections.abc import Callable
from typing import Any

from spec import reference as ref

Json = dict[str, Any]
Operation = Callable[[Json], Json]
OPERATIONS: dict[str, Operation] = {}
MISTAKES: list[str] = []  # cases that came out otherwise than they were meant


# The same keys and signatures come in many cases, and checking them is what takes the time.
ref.check_sign_key = functools.cache(ref.check_sign_key)
ref.verify_bytes = functools.cache(ref.verify_bytes)


class Stream:
    """Random bytes of a case: SHAKE-256 over its id, read on and on."""

    def __init__(self, name: str) -> None:
        self.hash = hashlib.shake_256(name.encode())
        self.at = 0

    def __call__(self, size: int) -> bytes:
        self.at += size
        return self.hash.digest(self.at)[-size:] if size else b""


def operation(name: str) -> Callable[[Operation], Operation]:
    """Register what computes a case's `out` from its `in`."""

    def register(function: Operation) -> Operation:
        OPERATIONS[name] = function
        return function

    return register


def un(text: str) -> bytes:
    return bytes.fromhex(text)


def un_maybe(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def tagged(value: Any) -> Any:
    """A value of chapter 4 as JSON: bin and str tagged, integers past 2^53 − 1 as decimal."""
    if isinstance(value, bytes):
        return {"bin": value.hex()}
    if isinstance(value, str):
        return {"str": value}
    if isinstance(value, list | tuple):
        return [tagged(item) for item in value]
    if type(value) is int and value >= 1 << 53:
        return {"uint": str(value)}
    return value


def untagged(value: Any) -> Any:
    if isinstance(value, dict):
        ((kind, text),) = value.items()
        return un(text) if kind == "bin" else int(text) if kind == "uint" else text
    return [untagged(item) for item in value] if isinstance(value, list) else value


def traced(value: Any) -> Any:
    """An intermediate value as JSON: bytes as hexadecimal, whatever else as it is."""
    if isinstance(value, bytes):
        return value.hex()
    return [traced(item) for item in value] if isinstance(value, list | tuple) else value


def case(  # a case is computed from its inputs, and must come out as it was meant
    name: str,
    spec: str,
    comment: str,
    op: str,
    inputs: Json,
    reason: str | None = None,
    *,
    parent: str | None = None,
    mutation: str | None = None,
    features: str = "",
) -> Json:
    out, got = None, None
    ref.TRACE = []
    try:
        out = OPERATIONS[op](inputs)
    except ref.Refused as refused:
        got = refused.reason
    trace, ref.TRACE = ref.TRACE, None
    if got != reason:
        MISTAKES.append(f"{name}: meant {reason}, got {got}")
    return {
        "id": name,
        "spec": [f"REQ-{part}" for part in spec.split()],
        "features": features.split(),
        "comment": comment,
        "op": op,
        "parent": parent,
        "mutation": mutation,
        "in": inputs,
        "out": out,
        "trace": [[word, traced(value)] for word, value in trace],
        "result": "valid" if got is None else "invalid",
        "reason": got,
    }


COUNTING = bytes(range(32))


def little(number: int) -> bytes:
    return number.to_bytes(32, "little")


def an_identity(i: Json) -> ref.Identity:
    return ref.Identity(un(i["sign_key"]), un(i["dh_key"]))


def identity_json(identity: ref.Identity) -> Json:
    return {"sign_key": identity.sign_key.hex(), "dh_key": identity.dh_key.hex()}


def some_keys(name: str) -> ref.IdentityKeys:
    random = Stream(name)
    return ref.IdentityKeys(random(32), random(32))


def keys_json(keys: ref.IdentityKeys) -> Json:
    return {"seed": keys.seed.hex(), "dh_private": keys.dh_private.hex()}


def identity_keys(i: Json) -> ref.IdentityKeys:
    return ref.IdentityKeys(un(i["seed"]), un(i["dh_private"]))


def changed_byte(data: bytes, at: int = -1) -> bytes:
    mutable = bytearray(data)
    mutable[at] ^= 1
    return bytes(mutable)


def mailbox_of(i: Json) -> ref.Mailbox:
    return ref.Mailbox(un(i["address"]), un(i["envelope_key"]), un(i["capability"]))


def mailbox_json(mailbox: ref.Mailbox) -> Json:
    return {"address": mailbox.address.hex(), "envelope_key": mailbox.envelope_key.hex(),
            "capability": mailbox.capability.hex()}  # fmt: skip


def mailbox_keys(i: Json) -> ref.MailboxKeys:
    return ref.MailboxKeys(un(i["read_seed"]), un(i["envelope_private"]), un(i["capability"]))


EXPIRY = 1_702_592_000


def package_json(package: ref.KeyPackage) -> Json:
    return {
        "suite": package.suite, "identity": identity_json(package.identity),
        "signed_prekey": package.signed_prekey.hex(),
        "prekeys": [prekey.hex() for prekey in package.prekeys],
        "leaf_key": package.leaf_key.hex(), "room_sign_key": package.room_sign_key.hex(),
        "contact": mailbox_json(ref.Mailbox(*package.contact)), "expiry": package.expiry,
        "last_resort": package.last_resort, "hash": package.hash.hex(),
    }  # fmt: skip


def package_keys_json(keys: ref.KeyPackageKeys) -> Json:
    return {
        "signed": keys.package.signed.hex(), "signed_prekey": keys.signed_prekey.hex(),
        "prekeys": [None if prekey is None else prekey.hex() for prekey in keys.prekeys],
        "leaf": keys.leaf.hex(), "room_seed": keys.room_seed.hex(),
    }  # fmt: skip


def package_keys(i: Json) -> ref.KeyPackageKeys:
    return ref.KeyPackageKeys(
        ref.read_key_package(un(i["signed"])), un(i["signed_prekey"]),
        [un_maybe(prekey) for prekey in i["prekeys"]], un(i["leaf"]), un(i["room_seed"]),
    )  # fmt: skip


def some_package(
    name: str, last_resort: bool = False
) -> tuple[ref.IdentityKeys, ref.KeyPackageKeys]:
    random = Stream(name)
    owner = ref.IdentityKeys(random(32), random(32))
    contact = ref.MailboxKeys(random(32), random(32), random(16)).public
    return owner, ref.make_key_package(owner, list(contact), EXPIRY, last_resort, random)


NOW = 1_700_000_000
SMALL_SIGN, SMALL_DH = little(1), little(0)  # points of small order
