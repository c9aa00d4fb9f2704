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


def cached(function: Callable[..., None]) -> Callable[..., None]:
    """Cached, and without notes: a trace must not tell what was computed before."""
    kept = functools.cache(function)
    return lambda *given: ref.unnoted(kept, *given)


# The same keys and signatures come in many cases, and checking them is what takes the time.
check_sign_key_noted, verify_bytes_noted = ref.check_sign_key, ref.verify_bytes
ref.check_sign_key = cached(ref.check_sign_key)
ref.verify_bytes = cached(ref.verify_bytes)


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


def operations_json(operations: list[Any]) -> list[Any]:
    """Operations of a commit that is to be made: sanctions as what is meant (20.5)."""
    return [
        {"sanction": {"member": each[1].hex(), "role": each[2]}}
        if each[0] == ref.SANCTION else tagged(each) for each in operations
    ]  # fmt: skip


def operations_of(value: list[Any]) -> list[Any]:
    return [
        [ref.SANCTION, un(each["sanction"]["member"]), each["sanction"]["role"]]
        if isinstance(each, dict) else untagged(each) for each in value
    ]  # fmt: skip


def proofs_json(proofs: list[list[Any]]) -> list[Any]:
    """Proofs with their kinds."""
    return [[kind, proof.hex()] for kind, proof in proofs]


def proofs_of(value: list[Any]) -> list[list[Any]]:
    return [[kind, un(proof)] for kind, proof in value]


LONGEST_TRACED = 384  # bytes of one value
MOST_OF_A_NAME = 4  # values of one name


def trace_json(noted: list[tuple[str, Any]]) -> list[Any]:
    """What a case shows of its trace: no value twice, none that is long, few of one name."""
    shown: list[Any] = []
    for name, value in noted:
        pair = [name, value.hex() if isinstance(value, bytes) else value]
        long = isinstance(value, bytes) and len(value) > LONGEST_TRACED
        many = sum(1 for other, _ in shown if other == name) >= MOST_OF_A_NAME
        if not long and not many and pair not in shown:
            shown.append(pair)
    return shown


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
    if reason is not None and not (parent and mutation):
        MISTAKES.append(f"{name}: an invalid case without parent and mutation")
    if reason is None and (parent or mutation):
        MISTAKES.append(f"{name}: a valid case with parent or mutation")
    return {
        "id": name,
        "spec": [f"REQ-{part}" for part in dict.fromkeys(spec.split())],
        "features": features.split(),
        "comment": comment,
        "op": op,
        "parent": parent,
        "mutation": mutation,
        "in": inputs,
        "out": out,
        "trace": trace_json(trace or []),
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


def shown(data: bytes) -> str:
    return data.hex() if len(data) <= 8 else f"{len(data)} bytes"


def difference(before: bytes, after: bytes) -> str:
    """In words, how the bytes of a case differ from those of its parent."""
    same = next((n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b),
                min(len(before), len(after)))  # fmt: skip
    tail = 0
    while tail < min(len(before), len(after)) - same and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    old, new = before[same : len(before) - tail], after[same : len(after) - tail]
    if not old and not new:
        return "the same bytes"
    if not new:
        where = "at the end" if tail == 0 else f"from byte {same} on"
        return f"{shown(old)} left out {where}"
    if not old:
        return f"{shown(new)} put in {'at the end' if tail == 0 else f'before byte {same}'}"
    return f"{shown(old)} from byte {same} on changed to {shown(new)}"


def parent_mistakes(cases: list[Json]) -> list[str]:
    """Parents that are not a valid case of the same operation."""
    by_id = {each["id"]: each for each in cases}
    found = []
    for each in cases:
        if each["parent"] is None:
            continue
        parent = by_id.get(each["parent"])
        if parent is None:
            found.append(f"{each['id']}: no case {each['parent']} to be made from")
        elif parent["result"] != "valid" or parent["op"] != each["op"]:
            found.append(f"{each['id']}: {each['parent']} is not a valid case of its operation")
    return found


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
    """What a device has: reading it is no part of the case."""
    return ref.KeyPackageKeys(
        ref.unnoted(ref.read_key_package, un(i["signed"])), un(i["signed_prekey"]),
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
