"""What an attack finds out: contexts, recorded messages, opened commits; and how rosters follow.

Formulas of `spec/reference.py` only. Nothing is checked that an adversary need not check.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from spec import reference as ref

Scope = tuple[bytes, bytes]  # prefix of an epoch, member


class Context(NamedTuple):
    """What is public within an epoch: all that a message key is bound to."""

    room: bytes
    policy: list[Any]
    roster: ref.Roster
    transcript: bytes

    @property
    def hash(self) -> bytes:
        roster = self.roster.encode()
        return ref.context_hash(1, self.room, self.policy, roster, self.transcript)


@dataclass
class Sealed:
    """A recorded message."""

    id: bytes
    head: bytes
    header: list[Any]
    body: bytes
    tried: set[bytes] = field(default_factory=set)  # message keys
    text: str | None = None
    content: bytes | None = None

    @property
    def scope(self) -> Scope:
        return self.header[1], self.header[2]

    @property
    def index(self) -> int:
        return int(self.header[3])


@dataclass
class Change:
    """A commit or genesis that has been opened."""

    commit: bytes
    confirmation: bytes
    transcript: bytes  # of the parent
    committer: bytes
    slots: set[tuple[bytes, bytes]] = field(default_factory=set)  # member, slot
    fresh: set[bytes] = field(default_factory=set)  # what may be r
    secret: bytes | None = None

    @property
    def child(self) -> bytes:
        return ref.transcript_hash(self.transcript, self.commit, self.confirmation)


def peek_package(signed: bytes) -> ref.KeyPackage:
    """A key package as it says of itself, nothing checked."""
    body, _ = ref.parse(signed, "signed object")
    (suite, sign_key, dh_key, prekey, prekeys, leaf, room_key, contact, expiry, last) = ref.parse(
        body, "key package"
    )
    return ref.KeyPackage(signed, suite, ref.Identity(sign_key, dh_key), prekey, prekeys, leaf,
                          room_key, contact, expiry, last)  # fmt: skip


def members_after(
    roster: ref.Roster, policy: list[Any], fields: list[Any]
) -> tuple[ref.Roster, list[Any]]:
    """What a commit makes of roster and policy, nothing checked: its state hash will tell."""
    room, number, transcript, committer, _, operations, proofs, entry, _, _ = fields
    before, number = roster, number + 1
    for kind, proof in proofs:
        if kind == ref.SANCTIONED:
            roster = punished(roster, before, proof, number)
        else:
            body, _ = ref.parse(proof, "signed object")
            roster = roster.without(ref.parse(body, "leave request")[1])
    for place, operation in enumerate(operations):
        match operation:
            case [ref.ADD, signed, role]:
                package = peek_package(signed)
                member = ref.member_id(room, transcript, package.hash, place)
                roster = ref.admit(roster, member, role, package, 1, 0,
                                   before.find(committer).seniority, number)  # fmt: skip
            case [ref.SANCTION, signed]:
                roster = punished(roster, before, signed, number)
            case [ref.SET_ROLE, member, role]:
                roster = ref.with_role(roster, member, role, number)
            case [ref.SET_POLICY, changed]:
                policy = changed
            case [ref.RESYNC, request]:
                body, _ = ref.parse(request, "signed object")
                _, member, time, package_bytes = ref.parse(body, "resync request")
                row = roster.find(member)._replace(signed=package_bytes, resynced=time)
                roster = roster.replace(row)
    roster = ref.with_owner(roster, number)
    return roster.replace(roster.find(committer)._replace(signed=entry)), policy


def punished(
    roster: ref.Roster, before: ref.Roster, signed: bytes, number: int
) -> ref.Roster:
    """What a sanction makes of a roster."""
    sanction = ref.read_sanction(signed)
    return ref.punish(roster, before, before.find(sanction.member), sanction, number)


def items(value: Any) -> Iterator[tuple[bytes, tuple[int, ...]]]:
    """Every byte string in a value, with the numbers that stand beside it."""
    if isinstance(value, list):
        for at, item in enumerate(value):
            if isinstance(item, bytes):
                beside = [value[n] for n in (at - 1, at + 1) if 0 <= n < len(value)]
                yield item, tuple(n for n in beside if type(n) is int)
            yield from items(item)
