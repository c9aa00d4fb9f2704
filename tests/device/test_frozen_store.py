"""A device's store that an earlier version has made: it opens, and the device goes on from it.

``device-1.db`` is never made again. It is of a device in a 1:1 room and in a group of three, made
by the last version before rosters told when a member was let in anew (rooms of format 1).
"""

from __future__ import annotations

from pathlib import Path
from shutil import copy

from evanesce import Device, MemoryTransport, RawKey, SqliteStore
from evanesce.ports import ManualClock
from tests.device.device_support import NOW

FILE = Path(__file__).parents[1] / "store" / "frozen" / "device-1.db"
KEY = RawKey(bytes(range(32)))


async def test_a_device_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    path = Path(copy(FILE, tmp_path / "old.db"))
    clock = ManualClock(NOW + 60)
    for session in range(2):
        with SqliteStore(path, KEY) as store:
            async with Device.open(store, MemoryTransport(clock), clock=clock) as device:
                assert device.name == "Mina"
                talk, group = sorted(device.rooms, key=lambda room: not room.direct)
                assert [len(room.members) for room in (talk, group)] == [2, 3]
                assert not talk.stale
                assert not group.stale
                bodies = []
                for arrived in await device.inbox():
                    async with arrived.message.open() as body:
                        bodies.append(body)
                assert bodies[:3] == ["hello", "to be read after the upgrade", "also in the group"]
                assert group.epoch == session
                await group.refresh()
                await talk.send(f"after the upgrade {session}")
                assert group.resync_requests == ()
                assert not group.receipts
                assert device.pins == ()
