"""Every test vector, run against the library.

An adapter for each `op` turns a case's `in` into its `out`; a refusal is compared by its reason.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from evanesce import (
    chain,
    envelope,
    epoch,
    formats,
    identity,
    invitation,
    membership,
    message,
    primitives,
    wire,
)
from evanesce.content import Announcement, Evaporation, Said, parse_content
from evanesce.errors import EvanesceError, RemoteError
from evanesce.group import apply_commit
from evanesce.identity import Identity, IdentityKeys
from evanesce.keypackage import Card, KeyPackage, KeyPackageKeys
from evanesce.limits import PACKAGE_LIFETIME, SIGNED_PREKEY_ROTATION
from evanesce.mailbox import Mailbox, MailboxKeys, MailboxReader
from evanesce.membership import Mode, Policy, Roster
from evanesce.primitives import SUITES, dh_public
from evanesce.room import Room
from evanesce.secret import Secret
from evanesce.state import Epoch, RoomState

Json = dict[str, Any]
Adapter = Callable[[Json], Json]
ADAPTERS: dict[str, Adapter] = {}


def vectors() -> Path:
    """The folder of the installed package, or that of the checkout."""
    installed = Path(str(files("evanesce") / "_vectors"))
    return installed if installed.is_dir() else Path(__file__).parents[2] / "vectors"


FOLDER = vectors() / "v1"
MANIFEST: Json = json.loads((FOLDER / "manifest.json").read_bytes())
FILES: dict[str, Json] = {
    path.name: json.loads(path.read_bytes())
    for path in sorted(FOLDER.glob("*.json"))
    if path.name != "manifest.json"
}
CASES: dict[str, Json] = {case["id"]: case for each in FILES.values() for case in each["cases"]}


def adapter(op: str) -> Callable[[Adapter], Adapter]:
    def register(function: Adapter) -> Adapter:
        ADAPTERS[op] = function
        return function

    return register


def un(text: str) -> bytes:
    return bytes.fromhex(text)


def un_maybe(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def tagged(value: Any) -> Any:
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


class Tape:
    """A random source that gives the same bytes to every call, or one byte string after another."""

    def __init__(self, *draws: bytes) -> None:
        self.data = b"".join(draws)

    def __call__(self, size: int) -> bytes:
        taken, self.data = self.data[:size], self.data[size:]
        assert len(taken) == size, "more was drawn than the vector gives"
        return taken


# --- Primitives and encoding ---------------------------------------------------------------------


@adapter("kdf")
def _kdf(i: Json) -> Json:
    parts = untagged(i["parts"])
    return {"output": primitives.KDF(un(i["key"]), un(i["label"]), *parts, size=i["size"]).hex()}


@adapter("hash")
def _hash(i: Json) -> Json:
    return {"output": primitives.H(un(i["label"]), *untagged(i["parts"])).hex()}


@adapter("encrypt")
def _encrypt(i: Json) -> Json:
    return {"ciphertext": primitives.encrypt(un(i["key"]), un(i["plaintext"])).hex()}


@adapter("decrypt")
def _decrypt(i: Json) -> Json:
    return {"plaintext": primitives.decrypt(un(i["key"]), un(i["ciphertext"])).hex()}


@adapter("decode")
def _decode(i: Json) -> Json:
    value = wire.decode(un(i["data"]), limit=i["limit"])
    assert wire.encode(value) == un(i["data"])
    return {"value": tagged(value)}


@adapter("decode long")
def _decode_long(i: Json) -> Json:
    data = b"".join(un(part) * times for part, times in i["data"])
    value = wire.decode(data, limit=i["limit"])
    assert wire.encode(value) == data
    kind = "bin" if isinstance(value, bytes) else "str" if isinstance(value, str) else "array"
    return {"type": kind, "size": len(value.encode() if isinstance(value, str) else value)}


FORMS = {form.name: form for form in vars(formats).values() if isinstance(form, wire.Form)}


@adapter("parse")
def _parse(i: Json) -> Json:
    return {"fields": tagged(FORMS[i["form"]].parse(un(i["data"])))}


@adapter("dh")
def _dh(i: Json) -> Json:
    return {"shared": primitives.dh(un(i["private"]), un(i["public"])).hex()}


@adapter("dh public")
def _dh_public(i: Json) -> Json:
    return {"public": dh_public(un(i["private"])).hex()}


@adapter("check dh key")
def _check_dh_key(i: Json) -> Json:
    primitives.check_dh_key(un(i["public"]))
    return {}


def signing(seed: str) -> tuple[bytes, bytes]:
    return primitives.sign_keypair(Tape(un(seed)))


@adapter("sign")
def _sign(i: Json) -> Json:
    private, public = signing(i["seed"])
    signature = primitives.sign(private, un(i["label"]), *untagged(i["parts"]))
    return {"public": public.hex(), "signature": signature.hex()}


@adapter("verify")
def _verify(i: Json) -> Json:
    parts = untagged(i["parts"])
    primitives.verify(un(i["public"]), un(i["signature"]), un(i["label"]), *parts)
    return {}


@adapter("verify bytes")
def _verify_bytes(i: Json) -> Json:
    primitives.verify_raw(un(i["public"]), un(i["signature"]), un(i["message"]))
    return {}


@adapter("check sign key")
def _check_sign_key(i: Json) -> Json:
    primitives.check_sign_key(un(i["public"]))
    return {}


# --- Identity ------------------------------------------------------------------------------------


def an_identity(i: Json) -> Identity:
    return Identity(un(i["sign_key"]), un(i["dh_key"]))


def identity_keys(i: Json) -> IdentityKeys:
    return IdentityKeys.generate(Tape(un(i["seed"]), un(i["dh_private"])))


@adapter("identity")
def _identity(i: Json) -> Json:
    public = identity_keys(i).identity
    return {"sign_key": public.sign_key.hex(), "dh_key": public.dh_key.hex()}


@adapter("fingerprint")
def _fingerprint(i: Json) -> Json:
    return {"fingerprint": an_identity(i).fingerprint.hex()}


@adapter("safety number")
def _safety_number(i: Json) -> Json:
    return {"number": identity.safety_number(an_identity(i["mine"]), an_identity(i["theirs"]))}


@adapter("check identity")
def _check_identity(i: Json) -> Json:
    an_identity(i).check()
    return {}


# --- Chains --------------------------------------------------------------------------------------


@adapter("chain step")
def _chain_step(i: Json) -> Json:
    sending = chain.SendingChain(Secret(un(i["chain_key"])))
    message_key = b""
    for _ in range(i["index"] + 1):
        message_key, sending = sending.next()
    return {"message_key": message_key.hex(), "next_chain_key": sending.key.reveal().hex()}


@adapter("message salt")
def _message_salt(i: Json) -> Json:
    salt = chain.message_salt(un(i["message_key"]), un(i["fresh"]), un(i["padded"]))
    return {"salt": salt.hex()}


@adapter("message keys")
def _message_keys(i: Json) -> Json:
    key, com = chain.message_keys(un(i["message_key"]), un(i["header_hash"]))
    return {"key": key.hex(), "com": com.hex()}


@adapter("chain receive")
def _chain_receive(i: Json) -> Json:
    receiving, outcomes = chain.ReceivingChain(Secret(un(i["chain_key"]))), []
    for now, (what, number) in enumerate(i["history"]):
        try:
            if what == "at":
                message_key, receiving = receiving.at(number, now)
                outcomes.append(message_key.hex())
            else:
                receiving, gap = receiving.close(number, now)
                outcomes.append("gap" if gap else "closed")
        except RemoteError as error:
            outcomes.append(str(error.reason))
    skipped = sorted(receiving.skipped)
    return {"outcomes": outcomes, "index": receiving.index, "closed": receiving.key is None,
            "skipped": len(skipped), "lowest": skipped[:3], "highest": skipped[-3:]}  # fmt: skip


# --- Epochs --------------------------------------------------------------------------------------


@adapter("epoch secret")
def _epoch_secret(i: Json) -> Json:
    commit = un(i["commit"])
    secret = epoch.epoch_secret(un(i["init"]), un(i["r"]), commit)
    return {"commit_hash": epoch.commit_hash(commit).hex(), "secret": secret.hex()}


@adapter("key schedule")
def _key_schedule(i: Json) -> Json:
    members = [un(member) for member in i["members"]]
    keys = epoch.EpochKeys.derive(un(i["secret"]), un(i["commit"]), members)
    return {
        "confirmation": keys.confirmation.hex(),
        "chains": [keys.chains[member].reveal().hex() for member in members],
        "handshakes": [keys.handshakes[member].reveal().hex() for member in members],
        "inits": [keys.inits[member].reveal().hex() for member in members],
        "exporter": keys.exporter.reveal().hex(),
    }


@adapter("transcript hash")
def _transcript_hash(i: Json) -> Json:
    result = epoch.transcript_hash(un(i["parent"]), un(i["commit"]), un(i["confirmation"]))
    return {"transcript": result.hex(), "prefix": epoch.prefix_of(result).hex()}


@adapter("state hash")
def _state_hash(i: Json) -> Json:
    policy = Policy.from_value(i["policy"])
    return {"state": membership.state_hash(un(i["roster"]), policy).hex()}


@adapter("context")
def _context(i: Json) -> Json:
    policy = Policy.from_value(i["policy"])
    context = membership.context_hash(
        SUITES[i["suite"]], un(i["room"]), policy, un(i["roster"]), un(i["transcript"])
    )
    return {"context": context.hex()}


@adapter("seal slot")
def _seal_slot(i: Json) -> Json:
    ephemeral = un(i["ephemeral"])
    public = dh_public(ephemeral)
    slot = epoch.seal_slot(
        un(i["r"]), ephemeral, un(i["commit"]), public, un(i["member"]), un(i["leaf_key"])
    )
    return {"ephemeral_key": public.hex(), "slot": slot.hex()}


@adapter("open slot")
def _open_slot(i: Json) -> Json:
    leaf, public = un(i["leaf"]), un(i["ephemeral_key"])
    r = epoch.open_slot(
        un(i["slot"]), leaf, un(i["commit"]), public, un(i["member"]), dh_public(leaf)
    )
    return {"r": r.hex()}


@adapter("seal commit")
def _seal_commit(i: Json) -> Json:
    place = un(i["room"]), un(i["prefix"]), un(i["committer"])
    sealed = epoch.seal_commit(
        un(i["handshake"]), *place, un(i["signed_commit"]), Tape(un(i["fresh"]))
    )
    return {"sealed_commit": sealed.hex()}


@adapter("open commit")
def _open_commit(i: Json) -> Json:
    sealed = epoch.SealedCommit.parse(un(i["sealed_commit"]))
    return {"signed_commit": sealed.open(un(i["handshake"])).hex()}


@adapter("member id")
def _member_id(i: Json) -> Json:
    parts = un(i["room"]), un(i["transcript"]), un(i["package_hash"])
    return {"id": membership.member_id(*parts, i["index"]).hex()}


@adapter("creator id")
def _creator_id(i: Json) -> Json:
    return {"id": membership.creator_id(un(i["room"]), an_identity(i["identity"])).hex()}


# --- Mailboxes and envelopes ---------------------------------------------------------------------


def mailbox_of(i: Json) -> Mailbox:
    return Mailbox(un(i["address"]), un(i["envelope_key"]), un(i["capability"]))


def mailbox_keys(i: Json) -> MailboxKeys:
    draws = un(i["read_seed"]), un(i["envelope_private"]), un(i["capability"])
    return MailboxKeys.generate(Tape(*draws))


@adapter("mailbox")
def _mailbox(i: Json) -> Json:
    mailbox = mailbox_keys(i).mailbox
    return {"address": mailbox.address.hex(), "envelope_key": mailbox.envelope_key.hex(),
            "capability": mailbox.capability.hex()}  # fmt: skip


@adapter("envelope size")
def _envelope_size(i: Json) -> Json:
    size = envelope.envelope_size(i["least"])
    return {"size": size, "capacity": envelope.room_for(size)}


@adapter("pad")
def _pad(i: Json) -> Json:
    return {"padded": envelope.pad(un(i["data"]), i["size"]).hex()}


@adapter("unpad")
def _unpad(i: Json) -> Json:
    return {"data": envelope.unpad(un(i["padded"])).hex()}


@adapter("seal envelope")
def _seal_envelope(i: Json) -> Json:
    payload = un(i["payload"]) * i["times"]
    data = envelope.seal_envelope(mailbox_of(i["mailbox"]), payload, Tape(un(i["ephemeral"])))
    digest = hashlib.sha256(data).hexdigest()
    whole = data.hex() if len(data) < 3_000 else None
    return {"size": len(data), "sha256": digest, "envelope": whole}


@adapter("open envelope")
def _open_envelope(i: Json) -> Json:
    return {"payload": envelope.open_envelope(mailbox_keys(i["keys"]), un(i["envelope"])).hex()}


@adapter("check mailbox proof")
def _check_mailbox_proof(i: Json) -> Json:
    mailbox = Mailbox(un(i["address"]), bytes(32), bytes(16))
    reader = MailboxReader(mailbox, un(i["read_key"]), lambda _: b"")
    reader.check(un(i["challenge"]), un(i["proof"]))
    return {}


# --- Messages ------------------------------------------------------------------------------------


def header_of(value: list[Any]) -> message.Header:
    room, prefix, sender, index, salt, last, flags, turn = value
    spoken = None if last is None else (last[0], last[1])
    fields = None if turn is None else message.TurnFields(*turn)
    return message.Header(room, prefix, sender, index, salt, spoken, flags, fields)


@adapter("seal message")
def _seal_message(i: Json) -> Json:
    private = None if i["room_seed"] is None else signing(i["room_seed"])[0]
    keys = un(i["context"]), un(i["message_key"]), un(i["content"]), un(i["fresh"])
    made = message.seal_message(header_of(untagged(i["header"])), *keys, private)
    return {"message": made.message.hex(), "id": made.id.hex(),
            "key": made.key.hex()}  # fmt: skip


@adapter("open message")
def _open_message(i: Json) -> Json:
    parsed = message.ParsedMessage.parse(un(i["message"]))
    mode, key = Mode(i["mode"]), un(i["room_sign_key"])
    opened = message.open_message(parsed, un(i["context"]), un(i["message_key"]), mode, key)
    return {"content": opened.content.hex()}


@adapter("message id")
def _message_id(i: Json) -> Json:
    return {"id": message.message_id(un(i["header"]), un(i["body"])).hex()}


@adapter("ciphertext size")
def _ciphertext_size(i: Json) -> Json:
    padded = message._padded_size(i["header"], i["authenticator"], i["content"])
    return {"size": padded + primitives.TAG_BYTES}


# --- Key packages and invitations ----------------------------------------------------------------


@adapter("make key package")
def _make_key_package(i: Json) -> Json:
    draws = [un(i["signed_prekey"]), *map(un, i["prekeys"]), un(i["leaf"]), un(i["room_seed"])]
    last_resort = i["last_resort"]
    made = i["expiry"] - (SIGNED_PREKEY_ROTATION if last_resort else PACKAGE_LIFETIME)
    keys = KeyPackageKeys.generate(
        identity_keys(i["owner"]), mailbox_of(i["contact"]), made, Tape(*draws),
        last_resort=last_resort,
    )  # fmt: skip
    return {"signed": keys.package.signed.hex(), "hash": keys.package.hash.hex()}


@adapter("read key package")
def _read_key_package(i: Json) -> Json:
    package = KeyPackage.parse(un(i["signed"]))
    owner, contact = package.identity, package.contact
    return {
        "suite": package.suite.number,
        "identity": {"sign_key": owner.sign_key.hex(), "dh_key": owner.dh_key.hex()},
        "signed_prekey": package.signed_prekey.hex(),
        "prekeys": [prekey.hex() for prekey in package.one_time_prekeys],
        "leaf_key": package.leaf_key.hex(),
        "room_sign_key": package.room_sign_key.hex(),
        "contact": {
            "address": contact.address.hex(),
            "envelope_key": contact.envelope_key.hex(),
            "capability": contact.capability.hex(),
        },
        "expiry": package.expiry,
        "last_resort": package.last_resort,
        "hash": package.hash.hex(),
    }


@adapter("choose prekey")
def _choose_prekey(i: Json) -> Json:
    prekey = KeyPackage.parse(un(i["signed"])).prekey(i["index"])
    return {"prekey": None if prekey is None else prekey.hex()}


@adapter("read card")
def _read_card(i: Json) -> Json:
    card = Card.decode(un(i["card"]))
    return {"name": card.name, "hash": card.package.hash.hex()}


def package_keys(i: Json) -> KeyPackageKeys:
    prekeys = tuple(None if prekey is None else Secret(un(prekey)) for prekey in i["prekeys"])
    room_private, _ = signing(i["room_seed"])
    return KeyPackageKeys(
        KeyPackage.parse(un(i["signed"])), Secret(un(i["signed_prekey"])), prekeys,
        Secret(un(i["leaf"])), Secret(room_private),
    )  # fmt: skip


@adapter("seal invitation")
def _seal_invitation(i: Json) -> Json:
    sealed = invitation.seal_invitation(
        identity_keys(i["inviter"]), KeyPackage.parse(un(i["package"])), i["index"],
        un(i["welcome"]), Tape(un(i["ephemeral"])),
    )  # fmt: skip
    return {"invitation": sealed.hex()}


@adapter("open invitation")
def _open_invitation(i: Json) -> Json:
    parsed = invitation.Invitation.parse(un(i["invitation"]))
    keys = package_keys(i["package"])
    return {"welcome": invitation.open_invitation(identity_keys(i["owner"]), keys, parsed).hex()}


# --- Evaporation ---------------------------------------------------------------------------------


@adapter("stricter")
def _stricter(i: Json) -> Json:
    both = Evaporation(*i["message"]).strictest(Evaporation(*i["room"]))
    return {"after_view": both.after_view, "lifetime": both.lifetime}


@adapter("deadline")
def _deadline(i: Json) -> Json:
    rules = Evaporation(i["after_view"], i["lifetime"])
    if i["viewed"] is None:
        return {"deadline": rules.deadline(i["sent"], i["received"])}
    return {"deadline": rules.deadline_viewed(i["sent"], i["received"], i["viewed"])}


@adapter("check policy")
def _check_policy(i: Json) -> Json:
    Policy.from_value(i["policy"])
    return {}


@adapter("read content")
def _read_content(i: Json) -> Json:
    content = parse_content(un(i["content"]))
    if isinstance(content, Said):
        rules = content.evaporation
        fields: list[Any] = [content.sent, rules.after_view, rules.lifetime, content.quote]
        name = "text" if isinstance(content.body, str) else "data"
        return {"type": name, "fields": tagged([*fields, content.body])}
    if isinstance(content, Announcement):
        return {
            "type": "announcement",
            "fields": tagged([content.name, list(content.mailbox.value())]),
        }
    return {"type": "leave", "fields": tagged([content.request])}


@adapter("export")
def _export(i: Json) -> Json:
    owner = IdentityKeys.generate(Tape(bytes(32), bytes([1]) * 32))
    room, _ = Room.found(
        owner, Policy(Mode.SIGNED), [], "", mailbox_of(NO_MAILBOX), 0, Tape(bytes(range(128)))
    )
    room.state.epoch.exporter = Secret(un(i["exporter"]))
    return {"secret": room.export(un(i["label"]), i["size"]).hex()}


NO_MAILBOX = {"address": "", "envelope_key": "", "capability": ""}


# --- Rooms ---------------------------------------------------------------------------------------


def place_of(state: RoomState) -> Json:
    now = state.epoch
    return {"number": now.number, "transcript": now.transcript.hex(),
            "context": now.context.hex()}  # fmt: skip


@adapter("join room")
def _join_room(i: Json) -> Json:
    keys = package_keys(i["package"])
    room, _ = Room.join(identity_keys(i["owner"]), keys, un(i["invitation"]), i["now"])
    return {"me": room.own_id.hex(), **place_of(room.state)}


@adapter("apply commit")
def _apply_commit(i: Json) -> Json:
    suite, room, me = SUITES[1], un(i["room"]), un(i["me"])
    roster = Roster.parse(un(i["roster"]), room)
    keys = epoch.EpochKeys(
        b"",
        {member: Secret(bytes(32)) for member in roster.members},
        {m: Secret(un(key)) for m, key in zip(roster.members, i["handshakes"], strict=True)},
        {m: Secret(un(key)) for m, key in zip(roster.members, i["inits"], strict=True)},
        Secret(bytes(32)),
    )
    parent, sending = Epoch.open(
        keys, suite, room, me,
        number=i["number"], transcript=un(i["transcript"]), roster=roster,
        policy=Policy.from_value(i["policy"]), opener=un(i["opener"]), time=i["now"],
        leaf=un(i["leaf"]), room_sign=None,
    )  # fmt: skip
    state = RoomState(room, suite, me, parent.prefix, {}, None, {}, i["now"])
    state.enter(parent, sending, i["now"])
    before = Room(state).digest()
    try:
        applied = apply_commit(state, un(i["copy"]), i["now"])
    except EvanesceError:
        assert Room(state).digest() == before
        raise
    if applied.removed_self:
        return {"removed": True}
    return {"removed": False, **place_of(state)}


# --- The cases -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    case = CASES[name]
    try:
        out, reason = ADAPTERS[case["op"]](case["in"]), None
    except EvanesceError as error:
        out, reason = None, str(error.reason)
    assert (out, reason) == (case["out"], case["reason"])
    assert case["result"] == ("valid" if reason is None else "invalid")


@pytest.mark.parametrize("name", MANIFEST["files"])
def test_a_file_is_what_the_manifest_says(name: str) -> None:
    data, listed = (FOLDER / name).read_bytes(), MANIFEST["files"][name]
    assert listed["sha256"] == hashlib.sha256(data).hexdigest()
    assert listed["bytes"] == len(data)
    assert listed["cases"] == len(FILES[name]["cases"])
    assert FILES[name]["file"] == name
    assert FILES[name]["suite"] == 1


def test_every_case_of_every_file_is_run_once() -> None:
    assert MANIFEST["files"].keys() == FILES.keys()
    assert len(CASES) == sum(listed["cases"] for listed in MANIFEST["files"].values())


def test_every_adapter_has_both_a_case_and_a_use() -> None:
    assert {case["op"] for case in CASES.values()} == ADAPTERS.keys()
