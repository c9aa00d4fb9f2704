"""A device of the abstract model: the tree of epochs that it keeps, as 10.9 says."""

from __future__ import annotations

from collections.abc import Iterable

from tests.convergence.model import (
    Add,
    Chain,
    Commit,
    Invitation,
    Item,
    Kept,
    Leave,
    Message,
    Op,
    Order,
    Proof,
    Refused,
    Resync,
    Rules,
    Sanction,
    apply,
    order_of,
    removes,
    sponsored,
    valid,
)


def kept_epoch(commit: Commit, me: str, marked: bool = False) -> Kept:
    ids = {m.id for m in commit.roster.members}
    return Kept(commit, set(ids), {m: Chain() for m in ids if m != me}, marked=marked)


class Device:
    def __init__(self, person: str, rules: Rules) -> None:
        self.person, self.rules = person, rules
        self.me = ""
        self.epochs: dict[str, Kept] = {}
        self.current = ""
        self.removed: Commit | None = None
        self.noted: dict[Proof, None] = {}
        self.leaves: dict[str, Leave] = {}
        self.last: tuple[str, int] | None = None
        self.sent = 0
        self.held: list[Item] = []
        self.asked: set[str] = set()  # leaf tokens of its own resync requests
        self.equivocators: set[str] = set()
        self.trail_before: tuple[tuple[str, Order], ...] = ()
        self.first = ""
        self.must_commit = False
        self.log: list[tuple[str, str]] = []  # refused for good: (item, reason)
        self.read: set[str] = set()
        self.seen: dict[Proof, None] = {}  # never forgotten: for the checks alone
        self.lost_own: list[Commit] = []
        self.own: dict[str, Commit] = {}
        self.accepted: set[str] = set()  # invitations

    # -- the tree ---------------------------------------------------------------------------
    def above(self, epoch: str) -> list[str]:
        """The epoch and those kept that lead to it, the newest first."""
        out = []
        at: str | None = epoch
        while at is not None and at in self.epochs:
            out.append(at)
            at = self.epochs[at].commit.parent
        return out

    def path(self) -> list[str]:
        return self.above(self.current)[::-1]

    @property
    def strayed(self) -> bool:
        path = set(self.above(self.current))
        return any(k.marked for e, k in self.epochs.items() if e not in path)

    def trail(self) -> tuple[tuple[str, Order], ...]:
        here = tuple((e, self.epochs[e].commit.order) for e in self.path())
        return (*self.trail_before, *here[1:]) if self.trail_before else here

    @property
    def tip(self) -> Commit:
        return self.epochs[self.current].commit

    def join(self, commit: Commit, me: str) -> None:
        self.me, self.current, self.first = me, commit.id, commit.id
        self.epochs[commit.id] = kept_epoch(commit, me)

    def pending(self) -> list[Proof]:
        return [p for p in self.noted if valid(p, self.tip.roster)]

    def blocked(self) -> bool:
        return any(removes(p) and p.member != self.me for p in self.pending())

    def note(self, commit: Commit) -> None:
        for proof in (*commit.proofs, *(o for o in commit.ops if isinstance(o, Sanction))):
            self.noted.setdefault(proof)
            self.seen.setdefault(proof)

    # -- taking -----------------------------------------------------------------------------
    def follows(self, epoch: str) -> Commit | None:
        """What follows on an epoch of the path, or on the current one."""
        if epoch == self.current:
            return self.removed
        path = self.path()
        at = path.index(epoch) if epoch in path else -1
        return self.epochs[path[at + 1]].commit if at >= 0 else None

    def take(self, commit: Commit) -> None:
        parent = self.epochs[commit.parent or ""]
        parent.taken[commit.committer] = commit.id
        parent.inits.discard(commit.committer)
        self.note(commit)
        path = self.path()
        inside = commit.roster.get(self.me) is not None
        rival = self.follows(parent.commit.id)
        leads = parent.commit.id in path and (rival is None or commit.order < rival.order)
        if leads and inside:
            self.removed = None
            self.enter(commit)
        elif leads:
            self.removed = commit
            self.leave_behind(self.current)
            if self.current != parent.commit.id:
                self.current = parent.commit.id
        elif inside:
            kept = kept_epoch(commit, self.me)
            kept.inits.discard(self.me)
            shared = next((e for e in self.above(parent.commit.id) if e in path), None)
            if shared is not None:
                for member in self.epochs[shared].commit.roster.members:
                    if self.tip.roster.get(member.id) is None and member.id in kept.chains:
                        kept.chains[member.id].erase()
            self.epochs[commit.id] = kept

    def leave_behind(self, epoch: str) -> None:
        if self.sent:
            self.last = (epoch, self.sent)
        self.sent = 0
        self.epochs[epoch].inits.discard(self.me)

    def enter(self, commit: Commit, own: bool = False) -> None:
        before = set(self.path())
        self.leave_behind(self.current)
        self.epochs[commit.id] = kept_epoch(commit, self.me, marked=own)
        self.current = commit.id
        parent = self.epochs[commit.parent or ""].commit
        for member in parent.roster.members:
            if commit.roster.get(member.id) is None:
                for kept in self.epochs.values():
                    if member.id in kept.chains:
                        kept.chains[member.id].erase()
        for epoch in before - set(self.path()):
            if epoch in self.own:
                self.lost_own.append(self.own[epoch])
                self.must_commit = True

    # -- making -----------------------------------------------------------------------------
    def commit(
        self, ident: str, time: int, ops: Iterable[Op] = (), proofs: bool = True
    ) -> tuple[Commit, list[Invitation]]:
        if self.removed is not None:
            raise Refused("room-closed")
        tip, ops = self.tip, tuple(ops)
        named = {o.member for o in ops if not isinstance(o, Add)}
        chosen: list[Proof] = []
        gone: set[str] = set()
        wanted = [*self.pending(), *(p for p in self.leaves.values() if valid(p, tip.roster))]
        for proof in wanted if proofs else ():
            if proof.member == self.me or proof.member in named | gone or len(chosen) == 16:
                continue
            chosen.append(proof)
            if not self.survives(chosen):
                chosen.pop()
                continue
            left = apply(tip.roster, tip.number, self.me, (), tuple(chosen), "", self.rules)
            gone = {m.id for m in tip.roster.members if left.get(m.id) is None}
        roster = apply(tip.roster, tip.number, self.me, ops, tuple(chosen), ident, self.rules)
        order = order_of(tip, self.me, time, tuple(chosen), self.rules)
        made = Commit(
            ident, tip.id, tip.number + 1, self.me, time, ops, tuple(chosen), roster, order,
            tip.roster,
        )
        parent = self.epochs[tip.id]
        parent.taken[self.me] = ident
        parent.inits.discard(self.me)
        self.note(made)
        self.own[ident] = made
        self.enter(made, own=True)
        self.must_commit = False
        invitations = []
        for op in ops:
            if isinstance(op, Add) and roster.get(op.id):
                invitations.append(Invitation(made, op.person, op.id, "", self.trail()))
            elif isinstance(op, Resync) and roster.get(op.member):
                person = op.member.split("@")[0]
                invitations.append(Invitation(made, person, op.member, op.leaf, self.trail()))
        return made, invitations

    def survives(self, chosen: list[Proof]) -> bool:
        try:
            apply(self.tip.roster, self.tip.number, self.me, (), tuple(chosen), "", self.rules)
        except Refused:
            return False
        return True

    def sanction(self, member: str, role: int | None = None) -> Sanction:
        tip = self.tip
        target = tip.roster.get(member)
        if target is None:
            raise Refused("unknown-member")
        epoch = tip.number
        if self.rules.ranked_past_reach:
            epoch = max(epoch, target.ranked - 1)
        spared = sponsored(tip.roster, target) if role is None else frozenset()
        return Sanction(member, self.me, role, epoch, tip.roster.next, spared)

    def send(self, ident: str) -> Message:
        if self.removed is not None:
            raise Refused("room-closed")
        if self.equivocators:
            raise Refused("equivocation")
        if self.blocked():
            raise Refused("removal-pending")
        if self.must_commit:
            raise Refused("refresh-due")
        message = Message(ident, self.current, self.me, self.sent, self.last, self.strayed)
        self.sent += 1
        self.epochs[self.current].marked = True
        return message

    # -- receiving --------------------------------------------------------------------------
    def receive(self, item: Item) -> str:
        """`ok`, `held`, or the reason of a refusal; held input is tried again by itself."""
        try:
            grown = self._receive(item)
        except Refused as fault:
            if fault.held:
                if item not in self.held:
                    self.held.append(item)
                return "held"
            self.log.append((self._name(item), fault.reason))
            return fault.reason
        if grown:
            waiting, self.held = self.held, []
            for other in waiting:
                self.receive(other)
        return "ok"

    def _name(self, item: Item) -> str:
        return item.commit.id if isinstance(item, Invitation) else item.id

    def _unknown(self) -> Refused:
        if self.removed is not None and not self.rules.removed_hold:
            return Refused("room-closed")
        return Refused("unknown-epoch", held=True)

    def _receive(self, item: Item) -> bool:
        if isinstance(item, Commit):
            return self._commit(item)
        if isinstance(item, Message):
            self._message(item)
            return False
        return self._invitation(item)

    def _commit(self, commit: Commit) -> bool:
        if commit.committer == self.me:
            raise Refused("own-message")
        parent = self.epochs.get(commit.parent or "")
        if parent is None:
            raise self._unknown()
        if not parent.keys:
            raise Refused("replay")
        if parent.commit.roster.get(commit.committer) is None:
            raise Refused("unknown-member")
        if commit.committer in parent.taken:
            if parent.taken[commit.committer] == commit.id:
                raise Refused("replay")
            self.equivocators.add(commit.committer)
            return False
        proper = apply(
            parent.commit.roster, parent.commit.number, commit.committer, commit.ops, commit.proofs,
            commit.id, self.rules,
        )
        if proper != commit.roster:
            raise Refused("bad-state-hash")
        inside = commit.roster.get(self.me)
        if inside is not None:
            if any(isinstance(o, Resync) and o.member == self.me for o in commit.ops):
                raise Refused("room-closed")
            if commit.committer not in parent.inits:
                raise Refused("waived")
        self.take(commit)
        return True

    def _message(self, message: Message) -> None:
        if message.sender == self.me:
            raise Refused("own-message")
        kept = self.epochs.get(message.epoch)
        if kept is None:
            raise self._unknown()
        me, sender, e = self.me, message.sender, message.epoch
        seat = kept.commit.roster.get(sender)
        if seat is None:
            raise Refused("unknown-member")
        chain = kept.chains.get(sender)
        if chain is None or chain.erased:
            raise Refused("unknown-member")
        trial = Chain(chain.next, chain.closed, set(chain.skipped))
        trial.take(message.index)
        closing = self._closing(message, seat.resynced)
        for other, count in closing:
            other.check_close(count)
        chain.take(message.index)
        for other, count in closing:
            other.close(count)
        self.read.add(message.id)
        if not message.strayed:
            for epoch in self.above(e)[1:]:
                before = self.epochs[epoch].commit.roster.get(sender)
                same = before is not None and before.resynced == seat.resynced
                if same or not self.rules.waiver_stays_in_one_stay:
                    self.epochs[epoch].inits.discard(sender)
        assert me != sender

    def _closing(self, message: Message, stay: int) -> list[tuple[Chain, int]]:
        """REQ-MSG-08."""
        e, k = message.epoch, message.sender
        n = message.last[0] if message.last else None
        line = self.above(e)

        def stood(epoch: str) -> bool:
            seat = self.epochs[epoch].commit.roster.get(k)
            return seat is not None and seat.resynced == stay

        if n is not None and n in self.epochs:
            at = self.epochs[n].commit.roster.get(k)
            if n == e or e in self.above(n) or (at is not None and at.resynced != stay):
                raise Refused("bad-count")
        elif n == e:
            raise Refused("bad-count")
        out: list[tuple[Chain, int]] = []
        for epoch in line[1:]:
            chain = self.epochs[epoch].chains.get(k)
            if chain is None or chain.erased or chain.closed is not None or not stood(epoch):
                continue
            if n is not None and n in self.epochs and epoch in self.above(n):
                break
            if n is not None and n not in self.epochs:
                if message.strayed:
                    break
                if chain.next != 0:
                    continue
            out.append((chain, 0))
        if n is not None and n in self.epochs and message.last:
            last = self.epochs[n].chains.get(k)
            if last is not None:
                out.append((last, message.last[1]))
        return out

    # -- joining ----------------------------------------------------------------------------
    def _invitation(self, inv: Invitation) -> bool:
        if inv.commit.id + inv.id in self.accepted:
            return False
        grown = self._enter_by(inv)
        self.accepted.add(inv.commit.id + inv.id)
        return grown

    def _enter_by(self, inv: Invitation) -> bool:
        if inv.leaf:
            if inv.leaf not in self.asked:
                raise Refused("unknown-package")
            if self.rules.trail and loses(inv.trail, self.trail()):
                raise Refused("lost-invitation")
            self._start_anew(inv)
            self.asked.clear()
            self.must_commit = True
            return True
        if self.epochs and self.removed is None:
            if inv.id == self.me and inv.commit.id in self.epochs:
                raise Refused("already-member")
            if not self._moves(inv):
                raise Refused("already-member")
            old = dict(self.epochs)
            self._start_anew(inv)
            for epoch, kept in old.items():
                kept.keys, kept.inits, kept.marked = False, set(), False
                self.epochs.setdefault(epoch, kept)
            return True
        if self.epochs and self.rules.trail and loses(inv.trail, self.trail()):
            raise Refused("lost-invitation")
        self._start_anew(inv)
        return True

    def _start_anew(self, inv: Invitation) -> None:
        if not self.rules.notes_outlive_resync:
            self.noted = {}
        self.epochs, self.removed, self.last, self.sent = {}, None, None, 0
        self.own, self.lost_own = {}, []
        self.join(inv.commit, inv.id)
        self.trail_before = inv.trail
        if inv.leaf:
            self.must_commit = True

    def _moves(self, inv: Invitation) -> bool:
        if not self.rules.trail:
            return self.tip.roster.get(inv.commit.committer) is not None
        return better(inv.trail, self.trail())


def better(new: tuple[tuple[str, Order], ...], old: tuple[tuple[str, Order], ...]) -> bool:
    """Whether a trail wins over another: as in the tree, at the last epoch that they share."""
    return new != old and not loses(new, old)


def loses(new: tuple[tuple[str, Order], ...], old: tuple[tuple[str, Order], ...]) -> bool:
    """Whether what a trail says is known to have lost, or to be nothing new."""
    places = {epoch: at for at, (epoch, _) in enumerate(old)}
    for at in range(len(new) - 1, -1, -1):
        if new[at][0] in places:
            here = places[new[at][0]]
            if at == len(new) - 1:
                return here < len(old) - 1
            if here == len(old) - 1:
                return False
            return new[at + 1][1] >= old[here + 1][1]
    return False
