"""Hostile invitations, by anybody who has a card of the receiver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.hostile_counts import Counts, bound
from benchmarks.hostile_rooms import NOW, Prepared, Somebody, Stream, people

from evanesce.commit import Commit, SignedCommit
from evanesce.formats import WELCOME
from evanesce.invitation import Invitation, open_invitation, seal_invitation
from evanesce.limits import MAX_EPOCHS
from evanesce.membership import (
    Credential,
    Member,
    Mode,
    Policy,
    Role,
    Roster,
    make_entry,
    member_id,
    state_hash,
)
from evanesce.operations import Add
from evanesce.primitives import H, dh_keypair, sign_keypair
from evanesce.room import Room
from evanesce.wire import Value, decode, encode


def normal_invitation(size: int) -> Prepared:
    """Into a group of three."""
    return _founded(3, good=True)


def genesis(size: int) -> Prepared:
    """A stranger founds the largest room, and the confirmation in the invitation is wrong."""
    return _founded(max(3, size), good=False)


def _founded(members: int, *, good: bool) -> Prepared:
    founder, guest = people(0), people(1)
    guests = [people(n).invited for n in range(1, members)]
    _, invitations = Room.found(
        founder.owner, Policy(Mode.SIGNED), guests, "founder", founder.mailbox, NOW, Stream("found")
    )
    data = next(iter(invitations.values()))
    if not good:
        value = decode(open_invitation(guest.owner, guest.keys, Invitation.parse(data)),
                       limit=WELCOME.limit)  # fmt: skip
        value[8] = bytes(32)  # another epoch secret: the confirmation is not of it
        data = seal_invitation(founder.owner, guest.keys.package, 0, encode(value), Stream("seal"))
    allowed = bound(members=members, packages=members, size=len(data))
    return joining(guest, data), allowed, len(data)


def joining(guest: Somebody, data: bytes) -> Callable[[Counts], Any]:
    """What has an invitation taken."""
    return lambda counts: (Room.join(guest.owner, guest.keys, data, NOW), None)[1]


def largest_invitation(size: int) -> Prepared:
    """A stranger's room of the most members, and a commit in it that adds as many again.

    Who joins cannot check what a commit does, only that it leads to this roster: both are read.
    """
    founder, guest, random = people(0), people(1), Stream("large")
    room, transcript = bytes([7]) * 32, bytes([8]) * 32
    count = max(3, size)
    me = H(b"creator", room, founder.owner.identity.sign_key, founder.owner.identity.dh_key)
    (_, leaf_key), (old_sign, old_key) = dh_keypair(random), sign_keypair(random)
    before = make_entry(founder.owner, room, me, leaf_key, old_key, 0)
    entry = make_entry(founder.owner, room, me, leaf_key, old_key, 1)
    own = member_id(room, transcript, guest.keys.package.hash, 0)
    members = {me: Member(me, Role.OWNER, 0, founder.owner.identity, bytes(32), entry)}
    for n in range(1, count):
        package = people(n).keys.package
        key = own if n == 1 else member_id(room, transcript, package.hash, n)
        members[key] = Member(key, Role.MEMBER, n, package.identity, package.hash,
                              Credential.from_package(package))  # fmt: skip
    roster, policy = Roster(members, count), Policy(Mode.SIGNED)
    adds = [Add(people(n).keys.package) for n in range(1, count)]
    _, public = dh_keypair(random)
    commit = Commit.build(
        room, 5, transcript, me, NOW, adds, [], entry.signed, public,
        state_hash(roster.encode(), policy),
    )  # fmt: skip
    signed = SignedCommit.make(commit.data, bytes(32), old_sign)
    rows: list[Value] = [[m.id, "", people(n).mailbox.value()] for n, m in enumerate(roster)]
    trail: list[Value] = [[bytes(8), [3, 0, n, 2, 0]] for n in range(MAX_EPOCHS)]
    welcome: list[Value] = [
        1, WELCOME.type, commit.data, bytes(32), signed.signature, before.signed, roster.encode(),
        policy.value(), bytes(32), rows, trail,
    ]  # fmt: skip
    data = seal_invitation(founder.owner, guest.keys.package, 0, encode(welcome), random)
    allowed = bound(members=count, packages=2 * count, size=len(data))
    return joining(guest, data), allowed, len(data)
