"""The messages that lie on this device, with what becomes of each."""

from __future__ import annotations

from dataclasses import dataclass

from ..conversation import Conversation
from ..device import Device
from ..events import MessageArrived
from ..overview import Fate

__all__ = ["Lying", "lying", "one"]


@dataclass(frozen=True, slots=True)
class Lying:
    """A message that has not evaporated."""

    arrived: MessageArrived
    own: bool
    viewed: bool
    after_view: int | None
    deadline: int  # when it evaporates, as things stand

    @property
    def unread(self) -> bool:
        """Whether somebody else wrote it and it has not been viewed."""
        return not self.own and not self.viewed


async def lying(device: Device, room: Conversation | None = None) -> list[Lying]:
    """The messages that lie here, in the order they were written."""
    arrived = await device.inbox(room)
    fates = await device.fates(room)
    found = [(each, fates[each.message.id]) for each in arrived if each.message.id in fates]
    # A folder keeps no order; who says they wrote later than it came is not believed.
    found.sort(key=lambda item: min(item[1].sent, item[1].received))
    return [_lying(each, fate) for each, fate in found]


async def one(device: Device, arrived: MessageArrived) -> Lying:
    """One of them. Raise `LocalError` (evaporated)."""
    return _lying(arrived, await device.fate(arrived.message.id))


def _lying(arrived: MessageArrived, fate: Fate) -> Lying:
    viewed = fate.viewed is not None
    return Lying(arrived, fate.own, viewed, fate.after_view, fate.deadline)
