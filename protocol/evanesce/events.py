"""What a device tells its application, one small class for each thing (spec 17)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import Reason
from .identity import Identity
from .membership import Policy, Role

if TYPE_CHECKING:
    from .conversation import Conversation

__all__ = ["ApplicationFailed", "ChangesLost", "DeliveryFailed", "Disclosed", "Equivocated",
           "Event", "FallenBehind", "IdentityChanged", "MessageArrived", "MessageBurned",
           "MessageEvaporated", "MessageHandle", "MessageViewed", "MessagesMissing", "Person",
           "RefreshDue", "Rejected", "RemovedFromRoom", "ResyncAsked", "RolledBack", "RoomChanged",
           "RoomJoined", "RoomReplaced", "StoreFailed"]  # fmt: skip


@dataclass(frozen=True, slots=True, repr=False)
class Person:
    """A member as the application sees it. The name is what that device calls itself."""

    name: str
    member: bytes  # member id, 32 bytes
    identity: Identity
    role: Role

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<Person {self.name!r} {self.member[:4].hex()} {self.role.name.lower()}>"


@dataclass(frozen=True, slots=True)
class MessageHandle:
    """A message that lies sealed on this device until it is viewed.

    ``async with handle.open() as content`` marks it viewed, then gives the text or data; leaving
    the block erases the message if its policy says so. Raise `LocalError` (evaporated) once gone.
    """

    id: bytes  # 16 bytes
    _open: Callable[[bytes], AbstractAsyncContextManager[str | bytes]] = field(
        repr=False, compare=False
    )

    def open(self) -> AbstractAsyncContextManager[str | bytes]:
        """View the message."""
        return self._open(self.id)


@dataclass(frozen=True, slots=True)
class MessageArrived:
    """A message has been verified and stored, sealed; the transport has forgotten it."""

    room: Conversation
    sender: Person
    message: MessageHandle
    sent: int
    quote: bytes | None  # id of the message it quotes


@dataclass(frozen=True, slots=True)
class MessageEvaporated:
    """A message's key and ciphertext have been erased here, viewed or not."""

    message: bytes


@dataclass(frozen=True, slots=True)
class MessageViewed:
    """A member says that it has viewed a message of this device's. Only where receipts are on."""

    room: Conversation
    by: Person
    message: bytes  # id


@dataclass(frozen=True, slots=True)
class MessageBurned:
    """Its author has recalled a message: it has been erased here, viewed or not, open or not.

    Whoever shows it stops showing it.
    """

    room: Conversation
    by: Person
    message: bytes  # id


@dataclass(frozen=True, slots=True)
class MessagesMissing:
    """Messages of `sender` are known to exist and have not come; with `lost`, some never will."""

    room: Conversation
    sender: Person
    count: int
    lost: bool


@dataclass(frozen=True, slots=True)
class RoomJoined:
    """This device has been admitted to a room."""

    room: Conversation
    inviter: Person
    anew: bool = False  # it has asked for a resync, which `inviter` has granted


@dataclass(frozen=True, slots=True)
class RoomChanged:
    """A commit has changed a room: members, roles or policy, or (all empty) keys only."""

    room: Conversation
    by: Person
    added: tuple[Person, ...]
    removed: tuple[Person, ...]
    roles: tuple[Person, ...]  # with their new roles
    policy: Policy | None
    resynced: tuple[Person, ...] = ()  # let in anew, at their own request
    lost: tuple[Person, ...] = ()  # whose commits have lost to this one (spec 10.9)


@dataclass(frozen=True, slots=True)
class ChangesLost:
    """A commit of this device has lost, and these changes could not be committed again.

    Removals and demotions hold: any member commits them. `kept` are those of whom that cannot be
    said, since this device has lost the right to remove or demote them.
    """

    room: Conversation
    added: tuple[Identity, ...] = ()  # whom it had admitted
    roles: tuple[Person, ...] = ()  # whose roles it had changed
    resynced: tuple[Person, ...] = ()  # whom it had let in anew: they have to ask anew
    policy: Policy | None = None
    kept: tuple[Person, ...] = ()  # whom it had removed or demoted


@dataclass(frozen=True, slots=True)
class Equivocated:
    """A member has signed two commits on one epoch, and so split the room on purpose (spec 10.9).

    Nothing is sent there any more. `founder` is to found it anew, without `by`.
    """

    room: Conversation
    by: Person
    founder: Person


@dataclass(frozen=True, slots=True)
class RemovedFromRoom:
    """This device has been removed from a room; nothing sent there from now on can be read."""

    room: Conversation
    by: Person


@dataclass(frozen=True, slots=True)
class RoomReplaced:
    """The other side of a 1:1 room has begun a new one; the old one is only read from now on."""

    old: Conversation
    new: Conversation


@dataclass(frozen=True, slots=True)
class RefreshDue:
    """A 1:1 room waits long for an answer: until then a theft of keys is not healed."""

    room: Conversation


@dataclass(frozen=True, slots=True)
class FallenBehind:
    """Messages of a group wait for a commit that nobody has sent again for an hour (spec 10.12).

    `Conversation.ask_resync` asks the others to let this device in anew. `ahead` is the member to
    ask; None if the others are to follow this device, and will ask (REQ-EPOCH-31).
    """

    room: Conversation
    ahead: Person | None = None


@dataclass(frozen=True, slots=True)
class ResyncAsked:
    """A member has lost its place in a group, and asks to be let in anew (spec 10.13).

    Show who it is; `Conversation.resync` grants it. Whoever has stolen its identity asks so too.
    """

    room: Conversation
    by: Person


@dataclass(frozen=True, slots=True)
class Rejected:
    """Something arrived that was refused, and changed nothing."""

    reason: Reason
    detail: str
    room: bytes | None  # room id, where it could be told


@dataclass(frozen=True, slots=True)
class DeliveryFailed:
    """Copies of a message or commit will not be sent any more, unless `Device.retry` is called.

    The transport has refused them for good, they have waited too long (expired), or who they were
    for has been removed before it could be reached (unknown-member).
    """

    reason: Reason
    room: bytes | None
    message: bytes | None = None  # id of the message; None for a commit
    epoch: int | None = None  # which the commit has opened; None for a message
    members: tuple[bytes, ...] = ()  # whose copies
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """The store has refused a write, or to scrub, while nobody was asking. It is tried again."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class ApplicationFailed:
    """The application's `on_commit` has raised this. What it was called for is tried again."""

    error: Exception = field(repr=False)


@dataclass(frozen=True, slots=True)
class IdentityChanged:
    """Another identity is offered for a person than the one that is pinned (spec 6.6).

    Until it is accepted or refused, nothing can be sent where either of the two is a member.
    """

    person: str
    pinned: Identity
    offered: Identity


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The store is an older copy that was put back: these rooms are stale (spec 17).

    What comes there is read, and nothing can be sent. `Device.direct` begins a 1:1 room anew;
    `Conversation.ask_resync` asks the others of a group to let this device in anew.
    """

    rooms: tuple[Conversation, ...]


@dataclass(frozen=True, slots=True)
class Disclosed:
    """The relay says that it had to disclose what it holds of a mailbox of this device (spec 22.8).

    `room` is whose mailbox it is; None for the contact mailbox, and for one of no room any more.
    `statement` is signed JSON, at most 16,384 bytes, that nobody has looked at yet: it is read by
    `evanesce.relay.disclosure.statement.parse_statement`, and says whether it `concerns` the
    mailbox of this `address` (32 bytes).
    """

    room: Conversation | None
    address: bytes = field(repr=False)
    statement: bytes = field(repr=False)


Event = (
    MessageArrived
    | MessageEvaporated
    | MessageViewed
    | MessageBurned
    | MessagesMissing
    | RoomJoined
    | RoomChanged
    | ChangesLost
    | Equivocated
    | RemovedFromRoom
    | RoomReplaced
    | RefreshDue
    | FallenBehind
    | ResyncAsked
    | Rejected
    | DeliveryFailed
    | StoreFailed
    | ApplicationFailed
    | IdentityChanged
    | RolledBack
    | Disclosed
)
