"""Random schedules for the abstract model: what a network, clocks and an insider may do."""

from __future__ import annotations

import random
from collections import defaultdict

from tests.convergence.model import (
    LAST,
    Add,
    Commit,
    Invitation,
    Item,
    Leave,
    Member,
    Message,
    Op,
    Refused,
    Resync,
    Roster,
    Rules,
    SetRole,
    removes,
    valid,
)
from tests.convergence.model_device import Device

NEVER = {"bad-count", "waived", "beyond-count", "bad-state-hash", "not-entitled", "bad-proof"}


class Schedule:
    """One world of three to five members and those who join, from a seed."""

    def __init__(self, seed: int, rules: Rules, *, evil: bool = False, joins: bool = True) -> None:
        self.draw = random.Random(seed)
        self.rules, self.joins = rules, joins
        self.time, self.count = 100, 0
        names = [f"p{place}" for place in range(self.draw.choice([3, 4, 5]))]
        members = tuple(
            Member(f"{name}@0", 2 if place == 0 else self.draw.choice([0, 0, 1, 2]), place)
            for place, name in enumerate(names)
        )
        genesis = Commit(
            "g", None, 0, members[0].id, self.time, (), (), Roster(len(names), members),
            (LAST, 0, 0, 0),
        )  # fmt: skip
        self.commits = {"g": genesis}
        self.devices: dict[str, Device] = {}
        for name in names:
            self.devices[name] = Device(name, rules)
            self.devices[name].join(genesis, f"{name}@0")
        self.skew = {name: self.draw.randint(-2, 2) for name in names}
        self.evil = names[-1] if evil else None
        self.boxes: defaultdict[str, list[Item]] = defaultdict(list)
        self.messages: dict[str, tuple[Message, list[str]]] = {}
        self.tainted: set[str] = set()  # let in anew or again: they cannot read all of before
        self.faults: set[str] = set()

    # --- acting --------------------------------------------------------------------------------

    def name(self, letter: str) -> str:
        self.count += 1
        return f"{letter}{self.count}"

    def commit(self, device: Device, ops: tuple[Op, ...] = ()) -> None:
        if device.equivocators:
            return
        clock = self.time + self.skew.get(device.person, 0)
        if device.person == self.evil:
            clock = self.draw.choice([clock, self.time - 50, device.tip.time, clock + 3])
        try:
            made, invitations = device.commit(self.name("c"), clock, ops)
        except Refused:
            return
        self.commits[made.id] = made
        assert made.context is not None
        for member in made.context.members:
            if member.id != device.me:
                self.boxes[member.id.split("@")[0]].append(made)
        for invitation in invitations:
            self.boxes[invitation.person].append(invitation)

    def say(self, device: Device) -> None:
        if device.must_commit or device.blocked():
            self.commit(device)
        try:
            message = device.send(self.name("m"))
        except Refused:
            return
        roster = device.tip.roster
        for proof in device.seen:
            if removes(proof) and proof.member != device.me and valid(proof, roster):
                self.faults.add("content after a removal was seen")
        to = [member.id for member in roster.members if member.id != device.me]
        self.messages[message.id] = (message, to)
        for member in to:
            self.boxes[member.split("@")[0]].append(message)

    def resync(self, by: Device, asker: Device) -> None:
        if by.tip.roster.get(asker.me) is None or by is asker:
            return
        leaf = self.name("leaf")
        asker.asked = {leaf}
        self.tainted.add(asker.person)
        self.commit(by, (Resync(asker.me, self.count, leaf),))

    def act(self, device: Device) -> None:
        me = device.tip.roster.get(device.me)
        others = [m for m in device.tip.roster.members if m.id != device.me]
        if device.removed is not None or me is None or not others:
            return
        other, chance = self.draw.choice(others), self.draw.random()
        above = other.role < me.role or other.role == me.role == 2
        if chance < 0.3:
            self.commit(device)
        elif chance < 0.5 and above:
            self.commit(device, (device.sanction(other.id),))
        elif chance < 0.6 and me.role == 2 and other.role > 0:
            self.commit(device, (device.sanction(other.id, other.role - 1),))
        elif chance < 0.7 and me.role > 0:
            up = me.role == 2 and other.role < 2
            self.commit(device, (SetRole(other.id, other.role + 1) if up else
                                 SetRole(me.id, me.role - 1),))  # fmt: skip
        elif chance < 0.85 and self.joins:
            gone = [n for n, d in self.devices.items() if d.removed is not None or not d.epochs]
            fresh = self.name("x")
            person = self.draw.choice(gone) if gone and self.draw.random() < 0.5 else fresh
            self.devices.setdefault(person, Device(person, self.rules))
            self.commit(device, (Add(person, f"{person}@{self.name('i')}"),))
        elif chance < 0.93 and self.joins:
            asker = self.devices[other.id.split("@")[0]]
            if asker.me == other.id and asker.removed is None:
                self.resync(device, asker)
        elif me.role < 2 or self.draw.random() < 0.3:
            for each in others:
                hearer = self.devices[each.id.split("@")[0]]
                if hearer.epochs:
                    hearer.leaves.setdefault(device.me, Leave(device.me))

    def deliver(self, name: str) -> bool:
        box = self.boxes[name]
        if not box:
            return False
        item = box.pop(self.draw.randrange(len(box)))
        early = isinstance(item, Commit) and item.time > self.time + self.skew.get(name, 0)
        device = self.devices[name]
        if early or (not device.epochs and not isinstance(item, Invitation)):
            box.append(item)
            return False
        if device.receive(item) == "ok" and self.draw.random() < 0.1:
            box.append(item)
        return True

    # --- the whole -----------------------------------------------------------------------------

    def run(self, steps: int) -> set[str]:
        """Play, let delivery resume, let it come to rest; what did not hold."""
        for _ in range(steps):
            chance = self.draw.random()
            if chance < 0.1:
                self.time += self.draw.choice([0, 1, 1, 2])
            device = self.draw.choice([d for d in self.devices.values() if d.epochs])
            if chance < 0.25:
                self.act(device)
            elif chance < 0.45:
                self.say(device)
            else:
                self.deliver(self.draw.choice(list(self.devices)))
        self.drain()
        for _ in range(60):
            self.time += 1
            if not self.upkeep() and not self.bring_back():
                break
        self.check()
        return self.faults

    def drain(self) -> None:
        def waits(name: str) -> bool:
            joined = self.devices[name].epochs
            return any(joined or isinstance(item, Invitation) for item in self.boxes[name])

        while names := [name for name in self.devices if waits(name)]:
            if not any(self.deliver(self.draw.choice(names)) for _ in range(30)):
                self.time += 1

    @property
    def active(self) -> list[Device]:
        return [d for d in self.devices.values() if d.epochs and d.removed is None]

    def upkeep(self) -> bool:
        """The first who has something to commit does so; whether there was one."""
        for device in sorted(self.active, key=_rank):
            roster = device.tip.roster
            ops: list[Op] = []
            for lost in device.lost_own:
                for op in lost.ops:
                    if isinstance(op, Add) and not any(
                        m.id.split("@")[0] == op.person for m in roster.members
                    ):
                        ops.append(Add(op.person, f"{op.person}@{self.name('i')}"))
                        self.tainted.add(op.person)
            device.lost_own = []
            due = [p for p in device.pending() if p.member != device.me and device.survives([p])]
            if ops or due or device.must_commit:
                self.commit(device, tuple(ops))
                self.drain()
                return True
        return False

    def tip(self) -> str:
        """Where the path ends in the tree of all commits."""
        children: defaultdict[str | None, list[Commit]] = defaultdict(list)
        for commit in self.commits.values():
            children[commit.parent].append(commit)
        at = "g"
        while children[at]:
            at = min(children[at], key=lambda commit: commit.order).id
        return at

    def bring_back(self) -> bool:
        tip = self.tip()
        for device in self.active:
            if device.current == tip:
                self.say(device)
        self.drain()
        tip = self.tip()
        here = [d for d in self.active if d.current == tip]
        for device in self.active:
            others = [d for d in here if d.tip.roster.get(device.me) and d.me != device.me]
            if device.current != tip and others:
                if not device.held:
                    self.faults.add("cannot follow and does not know it")
                self.resync(others[0], device)
                self.drain()
                return True
        return False

    def check(self) -> None:
        tip = self.tip()
        roster = self.commits[tip].roster
        if any(device.equivocators for device in self.devices.values()):
            self.faults.add("an honest member is convicted")
        for device in self.active:
            if device.current != tip and roster.get(device.me) is not None:
                self.faults.add("split")
        for member in roster.members:
            found = self.devices[member.id.split("@")[0]]
            if found.me != member.id or found.removed is not None or not found.epochs:
                self.faults.add("a place with nobody behind it")
        for device in self.devices.values():
            for _, reason in device.log:
                if reason in NEVER:
                    self.faults.add(f"honest input refused: {reason}")
        for message, to in self.messages.values():
            for member_id in to:
                self._read(message, member_id)

    def _read(self, message: Message, member_id: str) -> None:
        device = self.devices[member_id.split("@", maxsplit=1)[0]]
        if message.id in device.read or device.person in self.tainted or not device.epochs:
            return
        if device.removed is not None or device.me != member_id:
            return
        if any(removes(p) and p.member == message.sender for p in device.seen):
            return
        for kept in device.epochs.values():  # taken along by a removal
            before = kept.commit.context
            if before is not None and before.get(message.sender) and not kept.commit.roster.get(
                message.sender
            ):
                return
        self.faults.add("unreadable")


def _rank(device: Device) -> tuple[int, int]:
    seat = device.tip.roster.get(device.me)
    assert seat is not None
    return (-seat.role, seat.seniority)
