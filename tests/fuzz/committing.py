"""Targets: commits and invitations, changed by a member and then confirmed, signed and sealed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from evanesce import formats
from evanesce.commit import SignedCommit
from evanesce.epoch import EpochKeys, epoch_secret, seal_slot
from evanesce.errors import EvanesceError
from evanesce.identity import IdentityKeys
from evanesce.invitation import Invitation, open_invitation, seal_invitation
from evanesce.kept_epoch import Epoch
from evanesce.keypackage import KeyPackageKeys
from evanesce.membership import Mode, Policy, Role, Roster, make_entry, state_hash
from evanesce.operations import apply_operations, operation_from_value, with_committer
from evanesce.primitives import KDF, SUITE_1, dh_public, encrypt, sign
from evanesce.room import Room
from evanesce.wire import Form, decode, encode
from tests.fuzz.choices import Choices
from tests.fuzz.decoders import operation, some_proofs
from tests.fuzz.oracle import Fault, Refused, judged
from tests.fuzz.scenes import GROUPS, NOW, Scene, Stream, scene
from tests.room.room_support import Person

_PRIVATE = bytes([8]) + bytes(range(30)) + b"\x44"
_R = bytes(range(32))
_FOREIGN = bytes(32)


def apply(data: bytes) -> Any:
    """`Room.apply`."""
    choices = Choices(data)
    made = scene(choices.of(GROUPS))
    built = copy(made, made.room, choices)
    now = made.world.now + choices.of((0, 1, -1_000, 300_000))
    return made.watched.deliver(lambda room: room.apply(built, now))


def copy(made: Scene, room: Room, choices: Choices) -> bytes:
    """A copy of a commit for this room's owner, on the current epoch or an earlier one."""
    state = room.state
    member = choices.of(made.others)
    open_to = [epoch for epoch in reversed(state.epochs.values()) if member in epoch.handshakes]
    parent = choices.of(open_to) if open_to else state.epoch
    value, roster = _commit(made, room, parent, member, choices)
    value = made.ring.vary_value(value, choices)
    commit = value if isinstance(value, bytes) else encode(value)
    return _sealed(made, room, parent, member, commit, roster, choices)


def _commit(
    made: Scene, room: Room, parent: Epoch, member: bytes, choices: Choices
) -> tuple[Any, Roster]:
    """The items of a commit that should be taken if its author may do it, and what it leads to."""
    world = made.world
    person = next(world.people[n] for n, r in world.rooms.items() if r.own_id == member)
    room_key = person_key(made, parent, member)
    public = dh_public(_PRIVATE)
    proofs = some_proofs(made, choices)
    author = parent.roster.members.get(member) or next(iter(parent.roster))
    values = [operation(made, room, author, choices) for _ in range(choices.number(4))]
    values = made.ring.vary_value(values, choices)
    roster, policy, entry = parent.roster, parent.policy, b"?"
    if member in roster:
        credential = make_entry(person.keys, room.id, member, public, room_key,
                                roster[member].credential.version + 1)  # fmt: skip
        entry = credential.signed
        try:
            outcome = apply_operations(
                roster, policy, SUITE_1, room.id, parent.number, parent.transcript, roster[member],
                world.now, [operation_from_value(value) for value in _taken(values)], proofs,
            )  # fmt: skip
            roster, policy = with_committer(outcome, member, credential), outcome.policy
        except EvanesceError:
            pass  # it will be refused for that
    made_state = state_hash(roster.encode(), policy)
    return [
        1, formats.COMMIT.type, room.id, parent.number, parent.transcript, member, world.now,
        values, [proof.value() for proof in proofs], entry, public, made_state,
    ], roster  # fmt: skip


def _taken(values: Any) -> list[Any]:
    """Operations as their form reads them."""
    form = Form("operations", 1, 1 << 20, (formats.COMMIT.fields[5],))
    read: list[Any] = form.parse(encode([1, 1, values]))[0]
    return read


def person_key(made: Scene, parent: Epoch, member: bytes) -> bytes:
    """A room signature key that the member may take next: its present one."""
    if member in parent.roster:
        return parent.roster[member].credential.room_sign_key
    return next(iter(made.signing))


def _sealed(
    made: Scene,
    room: Room,
    parent: Epoch,
    member: bytes,
    commit: bytes,
    roster: Roster,
    choices: Choices,
) -> bytes:
    """Confirm, sign and seal a commit, whatever it is, and put the receiver's slot beside it."""
    state = room.state
    init = parent.inits.get(member)
    secret = epoch_secret(_FOREIGN if init is None else init.reveal(), _R, commit)
    confirmation = EpochKeys.derive(secret, commit, roster.members).confirmation
    if choices.rarely(16):
        confirmation = choices.of(made.ring.pool)
    key = person_key(made, parent, member)
    signing = made.signing.get(key) or next(iter(made.signing.values()))
    if choices.rarely(16):
        signing = choices.of(list(made.signing.values()))
    signed = encode([1, formats.SIGNED_COMMIT.type, commit, confirmation,
                     sign(signing, b"commit", commit, confirmation)])  # fmt: skip
    if choices.rarely():
        signed = made.ring.vary(signed, choices)
    handshake = parent.handshakes.get(member)
    prefix = parent.prefix if not choices.rarely(16) else choices.of(list(state.epochs))
    salt = bytes(16)
    key = KDF(_FOREIGN if handshake is None else handshake.reveal(), b"seal commit", room.id,
              prefix, member, salt)  # fmt: skip
    sealed = encode([1, formats.SEALED_COMMIT.type, room.id, prefix, member, salt,
                     encrypt(key, signed)])  # fmt: skip
    if choices.rarely(16):
        sealed = made.ring.vary(sealed, choices)
    leaf_key = parent.roster[state.own].credential.leaf_key
    slot: bytes | None = None
    if not choices.rarely(16):
        slot = seal_slot(_R, _PRIVATE, commit, dh_public(_PRIVATE), state.own, leaf_key)
    whole = encode([1, formats.COMMIT_COPY.type, sealed, slot])
    return made.ring.vary(whole, choices) if choices.rarely() else whole


# --- invitations ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Guest:
    """Somebody who is invited: to a group that is founded, to one that exists, to a 1:1 room."""

    owner: IdentityKeys
    keys: KeyPackageKeys
    inviter: IdentityKeys
    signing: bytes  # of the one who commits
    welcome: bytes
    now: int


@cache
def guests() -> tuple[Guest, ...]:
    """One of each kind."""
    return (_founded(Mode.SIGNED), _founded(Mode.DIRECT), _added(resync=False),
            _added(resync=True), _founded(Mode.SIGNED, last_resort=True))  # fmt: skip


def _founded(mode: Mode, *, last_resort: bool = False) -> Guest:
    ann, bob, cid = Person("ann"), Person("bob"), Person("cid")
    guest = bob.invited(Role.MEMBER, last_resort=last_resort)
    invited = [guest] if mode is Mode.DIRECT else [cid.invited(), guest]
    founder, made = Room.found(
        ann.keys, Policy(mode), invited, "ann", ann.mailbox.mailbox, NOW, ann.random
    )
    keys = bob.packages[guest.package.hash]
    signing = founder.state.epoch.room_sign
    welcome = open_invitation(bob.keys, keys, Invitation.parse(list(made.values())[-1]))
    return Guest(bob.keys, keys, ann.keys, bytes(64) if signing is None else signing.reveal(),
                 welcome, NOW)  # fmt: skip


def _added(*, resync: bool) -> Guest:
    """By a commit of the attacker in the scene where it is the owner."""
    made = scene("owner")
    world = made.world
    room = Room.restore(world["mal"].records())
    signing = room.state.epoch.room_sign
    assert signing is not None
    mal, random = world.people["mal"].keys, Stream("adding")
    if resync:
        name, operations = "dan", [operation_from_value([4, made.requests[0]])]
        invited = []
        keys = world.people["dan"].packages[made.packages[2].hash]
    else:
        name, operations = "fay", []
        invited = [world.people["fay"].invited(now=world.now)]
        keys = world.people["fay"].packages[invited[0].package.hash]
    commit = room.commit(mal, operations, invited, world.now, random)
    owner = world.people[name].keys
    (sealed,) = commit.invitations.values()
    welcome = open_invitation(owner, keys, Invitation.parse(sealed))
    return Guest(owner, keys, mal, signing.reveal(), welcome, world.now)


def join(data: bytes) -> Any:
    """`Room.join`."""
    choices = Choices(data)
    guest = choices.of(guests())
    built = invitation(guest, choices)
    now = guest.now + choices.of((0, 1, -1_000, 300_000))
    answer = judged(lambda: Room.join(guest.owner, guest.keys, built, now))
    if not isinstance(answer, Refused):
        room, read = answer
        if Room.restore(room.records()).digest() != room.digest():
            raise Fault("a room that was joined cannot be stored")
        if not isinstance(read, Invitation) or read.package_hash != guest.keys.package.hash:
            raise Fault("joined by an invitation to somebody else")
    return answer


def invitation(guest: Guest, choices: Choices) -> bytes:
    """An invitation around a changed welcome, made to fit again where that is possible."""
    ring = scene("owner").ring
    value = decode(guest.welcome, limit=1 << 22)
    if choices.number(2):
        value = _fitting(value, guest, choices)
    value = ring.vary_value(value, choices)
    welcome = value if isinstance(value, bytes) else encode(value)
    index = None if guest.keys.package.last_resort else choices.number(4)
    sealed = seal_invitation(guest.inviter, guest.keys.package, index, welcome, Stream("seal"))
    return ring.vary(sealed, choices) if choices.rarely() else sealed


def _fitting(value: list[Any], guest: Guest, choices: Choices) -> list[Any]:
    """A welcome with another commit, roster or policy, confirmed and signed to fit."""
    ring = scene("owner").ring
    commit, confirmation, signature, _, roster, policy, secret = value[2:9]
    roster = ring.vary(roster, choices)
    policy = ring.vary_value(policy, choices)
    items = decode(commit, limit=1 << 22)
    items = ring.vary_value(items, choices)
    try:
        rules = Policy.from_value(policy)
        items[-1] = state_hash(roster, rules)
        members = [row[0] for row in decode(roster, limit=1 << 22)[3]]
        commit = encode(items)
        confirmation = EpochKeys.derive(secret, commit, members).confirmation
    except (EvanesceError, TypeError, ValueError, IndexError, AttributeError):
        return value  # nothing fits what this has become
    if signature is not None:
        signature = SignedCommit.make(commit, confirmation, guest.signing).signature
    return [*value[:2], commit, confirmation, signature, value[5], roster, policy, *value[8:]]


