"""What is put into a relay, recalled, and given: the words in which `Relay` is spoken to."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Cursor", "Given", "Posted", "Recalled", "Waiting"]


@dataclass(frozen=True, slots=True)
class Posted:
    """An item of a put (22.2): address 32, capability 16, id 16 bytes, envelope."""

    address: bytes
    capability: bytes = field(repr=False)
    id: bytes = field(repr=False)
    envelope: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Recalled:
    """An item of a recall."""

    address: bytes
    capability: bytes = field(repr=False)
    id: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in a mailbox. A notice is told apart from an envelope."""

    id: bytes = field(repr=False)
    data: bytes = field(repr=False)
    is_notice: bool


@dataclass(slots=True)
class Given:
    """What a reader of a mailbox is given, and whether more waits that was not read."""

    items: list[Waiting] = field(default_factory=list)
    more: bool = False


class Cursor:
    """How far one reader of one mailbox has been given what waits. Holds numbers only."""

    __slots__ = ("begun", "envelopes", "notices")

    def __init__(self) -> None:
        self.begun = False
        # By hour of expiry, the first place that has not been given.
        self.envelopes: dict[int, int] = {}
        self.notices: dict[int, int] = {}

    def expire(self, hour: int) -> None:
        """Forget the hours up to this one."""
        for numbers in (self.envelopes, self.notices):
            for over in [number for number in numbers if number <= hour]:
                del numbers[over]
