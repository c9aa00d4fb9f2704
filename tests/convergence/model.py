"""The rules of 10.9 without cryptography: epochs are nodes, keys are tokens that one has or not.

`Rules` says which form of a rule is used: the one that holds, or the one that failed, so that each
counter-example stays a test. Nothing here imports the library.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

Order = tuple[tuple[int, int], int, int, int]
LAST = (9, 0)


@dataclass(frozen=True)
class Rules:
    """The rules as they stand; each switch turned off gives back a form that failed."""

    waiver_stays_in_one_stay: bool = True  # CE1
    spared: bool = True  # CE3: a sanction lists whom it spares
    ranked_past_reach: bool = True  # CE4
    authority: bool = True  # CE5
    notes_outlive_resync: bool = True  # CE6
    removed_hold: bool = True  # CE7
    trail: bool = True  # CE9


@dataclass(frozen=True, order=True)
class Member:
    id: str
    role: int
    seniority: int
    sponsor: int = 0
    ranked: int = 0
    resynced: int = -1
    leaf: str = ""


@dataclass(frozen=True)
class Roster:
    next: int
    members: tuple[Member, ...]

    def get(self, ident: str) -> Member | None:
        return next((m for m in self.members if m.id == ident), None)

    def without(self, gone: set[str]) -> Roster:
        return replace(self, members=tuple(m for m in self.members if m.id not in gone))

    def put(self, new: Member) -> Roster:
        return replace(self, members=tuple(new if m.id == new.id else m for m in self.members))

    def add(self, new: Member) -> Roster:
        return Roster(self.next + 1, (*self.members, new))


@dataclass(frozen=True)
class Sanction:
    member: str
    author: str
    role: int | None
    epoch: int
    next: int
    spared: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Leave:
    member: str


@dataclass(frozen=True)
class Add:
    person: str
    id: str
    role: int = 0


@dataclass(frozen=True)
class SetRole:
    member: str
    role: int


@dataclass(frozen=True)
class Resync:
    member: str
    time: int
    leaf: str


Proof = Sanction | Leave
Op = Sanction | Add | SetRole | Resync


@dataclass(frozen=True)
class Commit:
    id: str
    parent: str | None
    number: int
    committer: str
    time: int
    ops: tuple[Op, ...]
    proofs: tuple[Proof, ...]
    roster: Roster
    order: Order
    context: Roster | None = None  # the roster of the parent


@dataclass(frozen=True)
class Message:
    id: str
    epoch: str
    sender: str
    index: int
    last: tuple[str, int] | None
    strayed: bool


@dataclass(frozen=True)
class Invitation:
    commit: Commit
    person: str
    id: str
    leaf: str
    trail: tuple[tuple[str, Order], ...]


Item = Commit | Message | Invitation


class Refused(Exception):
    """What a device does not take, with its reason; `held` ones wait."""

    def __init__(self, reason: str, held: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.held = reason, held


def outranks(a: Member, b: Member) -> bool:
    return a.role > b.role or (a.role == b.role == 2 and a.seniority < b.seniority)


def check(proof: Proof, roster: Roster) -> Member:
    """REQ-MEM-06, REQ-MEM-14."""
    member = roster.get(proof.member)
    if member is None:
        raise Refused("unknown-member")
    if isinstance(proof, Leave):
        return member
    author = roster.get(proof.author)
    if author is None or author.role < 1 or not outranks(author, member):
        raise Refused("not-entitled")
    if proof.role is not None:
        if author.role < 2:
            raise Refused("not-entitled")
        if proof.role >= member.role:
            raise Refused("bad-proof")
        if member.ranked > proof.epoch + 1:
            raise Refused("replay")
    return member


def valid(proof: Proof, roster: Roster) -> bool:
    try:
        check(proof, roster)
    except Refused:
        return False
    return True


def removes(proof: Proof | Op) -> bool:
    return isinstance(proof, Leave) or (isinstance(proof, Sanction) and proof.role is None)


def with_role(member: Member, role: int, number: int, rules: Rules, reach: int = -1) -> Member:
    ranked = number
    if rules.ranked_past_reach:
        ranked = max(number, member.ranked if reach < 0 else reach + 2)
    return replace(member, role=role, ranked=ranked)


def strike(proof: Proof, result: Roster, number: int, rules: Rules) -> Roster:
    """What a proof or sanction does: REQ-MEM-07, steps 2.3 and 3.3."""
    member = result.get(proof.member)
    if member is None:
        raise Refused("unknown-member")
    if isinstance(proof, Sanction) and proof.role is not None:
        return result.put(with_role(member, proof.role, number, rules, proof.epoch))
    gone, seats = {member.id}, {member.seniority}
    if isinstance(proof, Sanction):
        for other in result.members:
            spared = other.id in proof.spared if rules.spared else other.seniority < proof.next
            if other.sponsor in seats and other.seniority > 0 and not spared:
                gone.add(other.id)
                seats.add(other.seniority)
    return result.without(gone)


def sponsored(roster: Roster, target: Member) -> frozenset[str]:
    seats, out = {target.seniority}, set()
    for other in roster.members:
        if other.sponsor in seats and other.seniority > 0 and other.id != target.id:
            seats.add(other.seniority)
            out.add(other.id)
    return frozenset(out)


def apply(
    parent: Roster, number: int, who: str, ops: tuple[Op, ...], proofs: tuple[Proof, ...],
    leaf: str, rules: Rules,
) -> Roster:
    """REQ-MEM-07: the roster that a commit on *parent* makes; *number* is the parent's."""
    committer = parent.get(who)
    if committer is None:
        raise Refused("unknown-member")
    result, opened = parent, number + 1
    for proof in proofs:
        check(proof, parent)
        if proof.member == who:
            raise Refused("bad-proof")
        result = strike(proof, result, opened, rules)
    for op in ops:
        if isinstance(op, Add):
            if op.role and committer.role < 2:
                raise Refused("not-entitled")
            if any(m.id.split("@")[0] == op.person for m in result.members):
                raise Refused("already-member")
            result = result.add(
                Member(op.id, op.role, result.next, committer.seniority, opened, -1, op.id)
            )
        elif isinstance(op, Sanction):
            check(op, parent)
            if op.author != who:
                raise Refused("bad-proof")
            result = strike(op, result, opened, rules)
        elif isinstance(op, SetRole):
            member, now = result.get(op.member), parent.get(op.member)
            if member is None or now is None:
                raise Refused("unknown-member")
            lower = op.member == who and op.role < now.role
            above = committer.role == 2 and outranks(committer, now) and op.role >= now.role
            if not lower and not above:
                raise Refused("not-entitled")
            if op.role != member.role:
                result = result.put(with_role(member, op.role, opened, rules))
        else:
            member = result.get(op.member)
            if member is None or op.member == who:
                raise Refused("unknown-member")
            if op.time <= member.resynced:
                raise Refused("replay")
            result = result.put(replace(member, resynced=op.time, leaf=op.leaf))
    own = result.get(who)
    if own is None:
        raise Refused("not-entitled")
    result = result.put(replace(own, leaf=leaf))
    if not any(m.role == 2 for m in result.members):
        first = min(result.members, key=lambda m: (-m.role, m.seniority))
        result = result.put(with_role(first, 2, opened, rules))
    return result


def order_of(
    parent: Commit, who: str, time: int, proofs: tuple[Proof, ...], rules: Rules
) -> Order:
    """REQ-EPOCH-20; one unit of time is one bucket."""
    seat = parent.roster.get(who)
    assert seat is not None
    authority = LAST
    if rules.authority:
        for proof in proofs:
            if isinstance(proof, Sanction) and proof.role is None:
                author = parent.roster.get(proof.author)
                assert author is not None
                authority = min(authority, (2 - author.role, author.seniority))
    return (authority, max(0, time - parent.time), 2 - seat.role, seat.seniority)


@dataclass
class Chain:
    next: int = 0
    closed: int | None = None
    skipped: set[int] = field(default_factory=set)
    erased: bool = False

    def take(self, index: int) -> None:
        if self.erased:
            raise Refused("unknown-member")
        if index < self.next or (self.closed is not None and index < self.closed):
            if index not in self.skipped:
                raise Refused("replay")
            self.skipped.discard(index)
            return
        if self.closed is not None:
            raise Refused("beyond-count")
        self.skipped |= set(range(self.next, index))
        self.next = index + 1

    def check_close(self, count: int) -> None:
        if not self.erased and self.closed is None and self.next > count:
            raise Refused("bad-count")

    def close(self, count: int) -> None:
        if not self.erased and self.closed is None:
            self.skipped |= set(range(self.next, count))
            self.closed = count

    def erase(self) -> None:
        self.erased, self.skipped = True, set()


@dataclass
class Kept:
    """One epoch of a device: what it knows of it and which tokens it still has."""

    commit: Commit
    inits: set[str]
    chains: dict[str, Chain]
    taken: dict[str, str] = field(default_factory=dict)
    keys: bool = True  # leaf, handshakes: commits on it can be opened
    marked: bool = False  # opened by this device, or spoken in
