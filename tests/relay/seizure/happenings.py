"""What happens in a world: mailboxes, and what devices ask of a relay."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Box:
    """A mailbox. `room` is None for a contact mailbox: it shares a room with none."""

    number: int
    owner: int
    room: int | None
    address: bytes
    capability: bytes


@dataclass(frozen=True, slots=True)
class Make:
    """A member makes a mailbox, or renews it."""

    box: int


@dataclass(frozen=True, slots=True)
class Remove:
    """A member gives a mailbox up."""

    box: int


@dataclass(frozen=True, slots=True)
class Put:
    """One request: copies of one message, all of one size, or a single one. (box, id) each."""

    message: int
    size: int
    copies: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class Read:
    """A member fetches all that waits in a mailbox, and acks it."""

    box: int


@dataclass(frozen=True, slots=True)
class Publish:
    """A person publishes key packages."""

    person: int
    count: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody claims a key package of a person."""

    person: int


@dataclass(frozen=True, slots=True)
class PutBlob:
    """A roster or a chunk of a file."""

    blob: int
    size: int


@dataclass(frozen=True, slots=True)
class GetBlob:
    """Somebody fetches a blob."""

    blob: int


@dataclass(frozen=True, slots=True)
class Tick:
    """The relay does its housekeeping."""


Event = Make | Remove | Put | Read | Publish | Claim | PutBlob | GetBlob | Tick


@dataclass(slots=True)
class World:
    """Events (second, event) in order; all mailboxes; seconds after which to seize."""

    boxes: list[Box] = field(default_factory=list)
    events: list[tuple[int, Event]] = field(default_factory=list)
    seizures: list[int] = field(default_factory=list)
    rooms: int = 0
