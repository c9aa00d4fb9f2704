"""A room: the one kind of conversation, for two members or a thousand (spec 10 and 11).

`Room` is the core's public face and does no I/O: the clock (`now`, seconds since 1970 UTC) and the
random source are passed in. Every method either does all it says or raises and changes nothing.
What has changed since the last look is in `changes`, record by record, for a store to keep in one
transaction with whatever the change belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .applying import CommitApplied, apply_commit
from .content import Content, Leave
from .errors import LocalError, Reason, RemoteError
from .founding import Invited, found_room, join_room
from .group import CommitMade, make_commit
from .identity import Identity, IdentityKeys
from .invitation import Invitation
from .keypackage import KeyPackageKeys
from .limits import REFRESH_AFTER, REFRESH_MESSAGES
from .mailbox import Mailbox
from .membership import Member, Mode, Policy, Roster
from .moving import carry_over, has_lost, move, moves
from .operations import Wish
from .pending import blocks, is_valid, pending
from .primitives import KDF, MAX_KDF_OUTPUT, H, Random
from .proofs import Proof, ProofKind, check_leave_request, leave_request
from .speech import Received, Sent, receive_message, send_message
from .state import Contact, RoomState
from .turn import peer_of

__all__ = ["Room"]


def _came_back(member: Member) -> bool:
    """Whether a member was let in anew, and still has the package that let it in."""
    return member.resynced is not None and member.credential.is_package


class Room:
    """One room as one member's device sees it."""

    def __init__(self, state: RoomState) -> None:
        self._state = state

    # --- beginning -------------------------------------------------------------------------------

    @classmethod
    def found(
        cls,
        owner: IdentityKeys,
        policy: Policy,
        invited: Sequence[Invited],
        name: str,
        mailbox: Mailbox,
        now: int,
        random: Random,
    ) -> tuple[Room, dict[bytes, bytes]]:
        """Found a room; return it and an invitation for each invited member. See `found_room`."""
        state, invitations = found_room(owner, policy, invited, name, mailbox, now, random)
        return cls(state), invitations

    @classmethod
    def join(
        cls, owner: IdentityKeys, keys: KeyPackageKeys, data: bytes, now: int
    ) -> tuple[Room, Invitation]:
        """Join the room of an invitation; see `join_room`. The caller erases the used prekey."""
        state, invitation = join_room(owner, keys, data, now)
        return cls(state), invitation

    def moves(self, old: Room, inviter: Identity, now: int) -> bool:
        """Whether this room, just joined, takes the place of `old`, the same room (REQ-ENV-24)."""
        return moves(old.state, self._state, inviter, now)

    def has_lost(self, old: Room) -> bool:
        """Whether this room, just joined, is of a branch that has lost to that of `old`."""
        return has_lost(old.state, self._state)

    def take_over(self, old: Room, *, moved: bool) -> None:
        """Keep of the same room what stays noted; if `moved`, also what opens its messages."""
        if moved:
            move(self._state, old.state)
        else:
            carry_over(self._state, old.state)

    # --- what it is ------------------------------------------------------------------------------

    def __repr__(self) -> str:
        state = self._state
        return f"<Room {state.id[:4].hex()} {state.mode.name.lower()}, {len(self.roster)} members>"

    @property
    def state(self) -> RoomState:
        """The state itself, keys included: for tools that examine it, not for applications."""
        return self._state

    @property
    def id(self) -> bytes:
        """32 bytes, the same for every member."""
        return self._state.id

    @property
    def own_id(self) -> bytes:
        """This device's member id, 32 bytes."""
        return self._state.own

    @property
    def epoch(self) -> int:
        """The number of the current epoch."""
        return self._state.epoch.number

    @property
    def transcript(self) -> bytes:
        """The hash of the room's whole history, 32 bytes: equal for all who share it."""
        return self._state.epoch.transcript

    @property
    def policy(self) -> Policy:
        """The room's rules."""
        return self._state.epoch.policy

    @property
    def direct(self) -> bool:
        """Whether this is a 1:1 room."""
        return self._state.mode is Mode.DIRECT

    @property
    def roster(self) -> Roster:
        """The members of the current epoch."""
        return self._state.epoch.roster

    def known_member(self, member: bytes) -> Member | None:
        """A member of this or an earlier epoch that is still kept."""
        for epoch in reversed(self._state.epochs.values()):
            if member in epoch.roster:
                return epoch.roster[member]
        return None

    @property
    def directory(self) -> Mapping[bytes, Contact]:
        """What members have announced of themselves: names and mailboxes."""
        return self._state.directory

    @property
    def peer(self) -> Member:
        """The other member of a direct room. Raise `LocalError` (wrong-mode) in a group."""
        if not self.direct:
            raise LocalError(Reason.WRONG_MODE, "a group has no single peer")
        return self.roster[peer_of(self._state)]

    @property
    def closed(self) -> bool:
        """Whether this device has been removed: it can still read late messages, and no more."""
        return self._state.removed

    @property
    def may_ask(self) -> bool:
        """Whether this device may ask to be let in anew: it has not given up its place itself.

        One that has been removed may, too: for others that removal may have lost (spec 10.9).
        """
        return not self.closed or self._state.removal is not None

    @property
    def has_spoken(self) -> bool:
        """Whether this device has sent anything in this room."""
        sending = self._state.sending
        return self._state.last_spoken is not None or (sending is not None and sending.index > 0)

    @property
    def founded(self) -> int:
        """When the current epoch was opened: for a room just joined, its opener's time."""
        return self._state.epoch.time

    @property
    def answered(self) -> bool:
        """Whether both sides of a direct room have spoken."""
        return self._state.epoch.number > 0

    @property
    def opened_by_last_resort(self) -> bool:
        """Whether a direct room began through a last-resort package that may not be erased yet."""
        return self._state.weak_until is not None

    def refresh_due(self, now: int) -> bool:
        """Whether this device should commit before its next send (REQ-EPOCH-16).

        In a direct room nobody can refresh alone: then it means that an answer is overdue.
        """
        state = self._state
        if state.removed:
            return False
        return (
            self.first_refresh_due
            or self.came_back
            or now - state.refreshed >= REFRESH_AFTER
            or state.sent_since_refresh >= REFRESH_MESSAGES
        )

    @property
    def first_refresh_due(self) -> bool:
        """Whether this device came by a last-resort package, or a resync, and it is its turn.

        Several refresh one after the other, by seniority: two commits on one epoch would be a fork
        (REQ-EPOCH-21). Who came by a last-resort package goes first, since all wait for that.
        """
        if self.direct or self._state.removed:
            return False
        waiting = [member.id for member in self.roster if member.credential.awaits_refresh]
        if not waiting:
            waiting = [member.id for member in self.roster if _came_back(member)]
        return bool(waiting) and waiting[0] == self.own_id

    @property
    def came_back(self) -> bool:
        """Whether this device was let in anew and has not committed since (REQ-EPOCH-25)."""
        return not self._state.removed and _came_back(self._state.me)

    def export(self, label: bytes, size: int = 32) -> bytes:
        """A secret of the current epoch for the application's own use, bound to `label`.

        Raise `LocalError`: bad-input (`size` is not 1 to 64 bytes), room-closed (REQ-EPOCH-17).
        """
        if not 1 <= size <= MAX_KDF_OUTPUT:
            raise LocalError(Reason.BAD_INPUT, "a size is 1 to 64 bytes")
        self._state.require_active()
        exporter = self._state.epoch.exporter
        if exporter is None:
            raise LocalError(Reason.ROOM_CLOSED, "no current epoch")
        return KDF(exporter.reveal(), b"export", label, size=size)

    # --- messages --------------------------------------------------------------------------------

    def send(self, owner: IdentityKeys, content: Content, now: int, random: Random) -> Sent:
        """Seal a content for all other members; see `send_message`."""
        return send_message(self._state, owner, content.encode(), now, random)

    def receive(self, data: bytes, now: int) -> Received:
        """Check and open another member's message; see `receive_message`."""
        received = receive_message(self._state, data, now)
        if isinstance(received.content, Leave):
            self._note_leave(received)
        return received

    def _note_leave(self, received: Received) -> None:
        """Keep a leave request that this room's member has signed for itself."""
        request = received.content
        assert isinstance(request, Leave)
        try:
            leaver = check_leave_request(request.request, self.id, self.roster)
        except RemoteError:
            return
        self._state.leaving[leaver.id] = request.request
        self._state.changed.add(b"state")

    def announce(self, member: bytes, contact: Contact) -> bool:
        """Keep what a member announced, unless newer is known; return whether it is kept."""
        known = self._state.directory.get(member)
        if member not in self.roster or (known is not None and known.said > contact.said):
            return False
        self._state.directory[member] = contact
        self._state.changed.add(b"directory")
        return True

    # --- membership ------------------------------------------------------------------------------

    def commit(
        self,
        owner: IdentityKeys,
        operations: Sequence[Wish],
        invited: Sequence[Invited],
        now: int,
        random: Random,
    ) -> CommitMade:
        """Open the next epoch of a group; see `make_commit`."""
        return make_commit(self._state, owner, operations, invited, now, random)

    def apply(self, data: bytes, now: int) -> CommitApplied:
        """Apply another member's commit; see `apply_commit`."""
        return apply_commit(self._state, data, now)

    def leave_request(self, owner: IdentityKeys) -> Leave:
        """A content that asks the others to remove this device."""
        self._state.require_active()
        return Leave(leave_request(owner, self.id, self._state.me))

    @property
    def leaving(self) -> tuple[bytes, ...]:
        """Members that have asked to leave and are still in the roster."""
        state = self._state
        asked = (Proof(ProofKind.LEAVE, signed) for signed in state.leaving.values())
        return tuple(proof.member for proof in asked if is_valid(state, proof))

    @property
    def pending(self) -> tuple[Proof, ...]:
        """What lost commits did to members: the next commit does it again (REQ-EPOCH-28)."""
        return pending(self._state)

    @property
    def blocked(self) -> bool:
        """Whether nothing can be sent before somebody has committed what is pending, or at all."""
        return self.equivocator is not None or blocks(self._state)

    @property
    def equivocator(self) -> bytes | None:
        """The member that has signed two commits on one epoch: nothing more is sent here."""
        return self._state.convicted

    def abandon(self, now: int) -> None:
        """Give up one's place: erase what a removal would (REQ-DEL-05), without anybody's doing."""
        self._state.require_active()
        self._state.close(now)

    # --- keeping ---------------------------------------------------------------------------------

    def expire(self, now: int) -> None:
        """Erase what has had its time. Call at least hourly, and after a start (REQ-DEL-06)."""
        self._state.expire(now)

    def changes(self) -> dict[bytes, bytes | None]:
        """The records changed since the last call, by name; None means: delete it."""
        changed, self._state.changed = self._state.changed, set()
        return {name: self._state.record(name) for name in sorted(changed)}

    def records(self) -> dict[bytes, bytes]:
        """Every record of this room. They hold its keys: store them encrypted."""
        names = self._state.record_names()
        return {name: data for name in names if (data := self._state.record(name)) is not None}

    @classmethod
    def restore(cls, records: Mapping[bytes, bytes]) -> Room:
        """Undo `records`. Raise `StorageError` (bad-store)."""
        return cls(RoomState.load(records))

    def digest(self) -> bytes:
        """32 bytes that change whenever any part of the state does."""
        return H(b"room digest", [[name, data] for name, data in sorted(self.records().items())])
