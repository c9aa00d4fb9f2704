"""The folder transport: what lies in the folder, how long, and what else may lie there."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from evanesce import Reason
from evanesce.limits import DAY, HOUR, MAILBOX_ENVELOPES, PACKAGE_LIFETIME, RETENTION
from evanesce.mailbox import MailboxKeys
from evanesce.ports import KeyDirectory, ManualClock, Outgoing, Transport
from evanesce.primitives import H
from evanesce.testing import TRANSPORT_CHECKS, check_transport
from evanesce.transport import directory
from evanesce.transport.folder import FIRST_PAUSE, LONGEST_PAUSE, FolderTransport
from evanesce.transport.shelf import STRAY
from tests.conftest import Stream
from tests.transport.networks import folder

NOW = 1_700_000_000 - 1_700_000_000 % HOUR + 1_234


class Shared:
    """A folder with two mailboxes, and a clock."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.random = Stream("folder")
        self.clock = ManualClock(NOW)
        self.transport = FolderTransport(root, self.clock)
        self.keys = MailboxKeys.generate(self.random)
        self.other = MailboxKeys.generate(self.random)

    @property
    def box(self) -> Path:
        return self.root / "mailboxes" / self.keys.mailbox.address.hex()

    def item(self, envelope: bytes = b"envelope") -> Outgoing:
        return Outgoing(self.random(16), self.keys.mailbox, envelope)

    async def send(self, *envelopes: bytes) -> list[Outgoing]:
        items = [self.item(envelope) for envelope in envelopes]
        assert await self.transport.send(items) == {}
        return items

    async def waiting(self) -> list[bytes]:
        """What a receiver would get now, sorted: there is no order."""
        found = self.transport._look([self.keys.mailbox.address], must_exist=True)
        return sorted(delivery.envelope for delivery in found)

    def files(self) -> list[Path]:
        return sorted(path for path in self.box.iterdir() if path.name != "capability")

    def age_files(self, seconds: int) -> None:
        """Strays have the times of the file system, which does not know the test's clock."""
        for path in self.files():
            os.utime(path, (NOW - seconds, NOW - seconds), follow_symlinks=False)


@pytest.fixture
async def shared(tmp_path: Path) -> Shared:
    made = Shared(tmp_path / "shared")
    await made.transport.open_mailbox(made.keys.reader())
    await made.transport.open_mailbox(made.other.reader())
    return made


def test_it_is_a_transport_and_a_directory(tmp_path: Path) -> None:
    transport: Transport = FolderTransport(str(tmp_path))
    assert isinstance(transport, KeyDirectory)
    assert list(tmp_path.iterdir()) == [], "made, and nothing done yet"


# --- what lies there ------------------------------------------------------------------------------


async def test_names_and_times_tell_neither_order_nor_moment(shared: Shared) -> None:
    items = await shared.send(*(b"%d" % n for n in range(20)))
    shared.clock.advance(600)
    items += await shared.send(b"later")
    names = {path.name: path.stat() for path in shared.files()}
    assert set(names) == {item.id.hex() for item in items}
    assert {int(found.st_mtime) for found in names.values()} == {NOW - NOW % HOUR}
    assert {int(found.st_atime) for found in names.values()} <= {NOW - NOW % HOUR}
    assert len({found.st_mtime_ns for found in names.values()}) == 1
    for item in items:
        data = (shared.box / item.id.hex()).read_bytes()
        assert data[16:] == item.envelope, "the envelope, and nothing about its sender"


async def test_the_capability_is_kept_as_a_hash(shared: Shared) -> None:
    capability = shared.keys.mailbox.capability
    assert (shared.box / "capability").read_bytes() == H(b"capability", capability)
    for path in shared.root.rglob("*"):
        assert path.is_dir() or capability not in path.read_bytes()


async def test_an_acked_envelope_leaves_only_its_id(shared: Shared) -> None:
    (item,) = await shared.send(b"secret ciphertext")
    (delivery,) = await shared.transport.receive([shared.keys.reader()])
    await shared.transport.ack([delivery.id])
    (path,) = shared.files()
    assert path.name == f"{item.id.hex()}.spent"
    assert path.read_bytes() == b""
    assert int(path.stat().st_mtime) == NOW - NOW % HOUR
    assert await shared.transport.send([item]) == {}
    assert shared.files() == [path], "put again, it is not even written"
    assert await shared.waiting() == []


async def test_an_ack_of_what_is_not_there_leaves_no_trace(shared: Shared) -> None:
    address = shared.keys.mailbox.address
    await shared.transport.ack([address + bytes(16), address, b"", bytes(48), b"x" * 47])
    assert shared.files() == []
    item = replace(shared.item(), id=bytes(16))
    assert await shared.transport.send([item]) == {}
    assert await shared.waiting() == [b"envelope"]


async def test_an_interrupted_ack_is_an_ack(shared: Shared) -> None:
    """Killed after the mark and before the envelope was removed."""
    (item,) = await shared.send(b"marked")
    (shared.box / f"{item.id.hex()}.spent").touch()
    assert await shared.waiting() == []
    assert not (shared.box / item.id.hex()).exists(), "the next one to look erases it"
    assert await shared.transport.send([item]) == {}
    assert await shared.waiting() == []


async def test_a_mailbox_without_its_capability_is_none(shared: Shared) -> None:
    """Killed while it was opened or closed."""
    await shared.send(b"old")
    (shared.box / "capability").unlink()
    item = shared.item()
    assert await shared.transport.send([item]) == {item.id: Reason.UNKNOWN_MAILBOX}
    await shared.transport.close_mailbox(shared.keys.reader())
    assert not shared.box.exists()
    shared.box.mkdir()
    (shared.box / "capability").write_bytes(b"half of i")
    assert await shared.transport.send([item]) == {item.id: Reason.UNKNOWN_MAILBOX}
    await shared.transport.open_mailbox(shared.keys.reader())
    assert await shared.transport.send([item]) == {}


async def test_what_nobody_can_have_made_is_refused(shared: Shared) -> None:
    short = replace(shared.item(), id=b"short")
    path = replace(shared.item(), id=b"../../../escape!")  # 16 bytes, and hex by then
    nowhere = replace(shared.item(), mailbox=replace(shared.keys.mailbox, address=b""))
    up = replace(shared.item(), mailbox=replace(shared.keys.mailbox, address=b".."))
    assert await shared.transport.send([short, path, nowhere, up]) == {
        short.id: Reason.BAD_INPUT,
        nowhere.id: Reason.UNKNOWN_MAILBOX,
        up.id: Reason.UNKNOWN_MAILBOX,
    }
    with pytest.raises(ValueError, match="32 bytes"):
        await shared.transport.publish(b"me", [b"package"], None)
    with pytest.raises(ValueError, match="1,024"):
        await shared.transport.publish(bytes(32), [], bytes(1_025))
    assert await shared.transport.claim(b"me") is None


# --- how long -------------------------------------------------------------------------------------


async def test_nothing_is_kept_longer_than_the_retention(shared: Shared) -> None:
    await shared.send(b"kept")
    (acked,) = await shared.send(b"acked")
    (delivery,) = (d for d in await shared.transport.receive([shared.keys.reader()])
                   if d.envelope == b"acked")  # fmt: skip
    await shared.transport.ack([delivery.id])
    shared.clock.advance(RETENTION - HOUR)
    assert await shared.waiting() == [b"kept"]
    assert await shared.transport.send([acked]) == {}
    assert await shared.waiting() == [b"kept"], "its id is known as long"
    shared.clock.advance(HOUR)
    assert await shared.waiting() == []
    assert shared.files() == [], "the ids are forgotten too"


async def test_sending_makes_room_by_what_has_expired(shared: Shared) -> None:
    await shared.send(*(b"%d" % n for n in range(MAILBOX_ENVELOPES)))
    late = shared.item(b"late")
    assert await shared.transport.send([late]) == {late.id: Reason.MAILBOX_FULL}
    shared.clock.advance(RETENTION)
    assert await shared.transport.send([late]) == {}
    assert await shared.waiting() == [b"late"]
    assert len(shared.files()) == 1


async def test_what_a_clock_far_ahead_has_dated_still_expires(shared: Shared) -> None:
    ahead = FolderTransport(shared.root, ManualClock(NOW + 400 * DAY))
    item = shared.item(b"from the future")
    assert await ahead.send([item]) == {}
    assert await shared.waiting() == [b"from the future"]
    shared.clock.advance(RETENTION)
    assert await shared.waiting() == []


async def test_a_sweep_erases_also_where_nobody_looks(shared: Shared) -> None:
    me = bytes(32)
    await shared.send(b"old")
    await shared.transport.publish(me, [b"package"], b"last")
    (shared.root / "mailboxes" / "not a mailbox").mkdir()
    (shared.root / "mailboxes" / "a file").touch()
    await shared.transport.sweep()
    assert await shared.waiting() == [b"old"]
    shared.clock.advance(RETENTION)
    await shared.transport.sweep()
    assert shared.files() == []
    shared.clock.advance(PACKAGE_LIFETIME)
    await shared.transport.sweep()
    assert [p.name for p in (shared.root / "packages" / me.hex()).iterdir()] == ["last-resort"]
    assert (shared.root / "mailboxes" / "a file").exists()
    await FolderTransport(shared.root / "empty", shared.clock).sweep()


# --- what else lies there -------------------------------------------------------------------------


async def test_what_is_no_envelope_is_skipped_and_after_a_while_erased(
    shared: Shared, tmp_path: Path
) -> None:
    good, cut, flipped, copied = await shared.send(b"good", b"cut" * 99, b"flipped", b"copied")
    await shared.transport.open_mailbox(shared.other.reader())
    for item, last in ((cut, b""), (flipped, b"!")):
        path = shared.box / item.id.hex()
        path.write_bytes(path.read_bytes()[:-1] + last)
    other_id = shared.random(16).hex()
    (shared.box / copied.id.hex()).rename(shared.box / other_id)
    outside = tmp_path / "outside"
    outside.write_bytes(b"not for a mailbox")
    (shared.box / shared.random(16).hex()).symlink_to(outside)
    (shared.box / "notes.txt").write_text("somebody's")
    (shared.box / f"{shared.random(16).hex()}.new").write_bytes(b"half an envel")
    (shared.box / shared.random(16).hex()).touch()
    (shared.box / shared.random(16).hex()).write_bytes(bytes(3 * 1024 * 1024))
    (shared.box / ".spent").touch()
    os.mkfifo(shared.box / shared.random(16).hex())
    (shared.box / "folder").mkdir()
    (shared.box / shared.random(16).hex()).mkdir()
    files = shared.files()
    assert len(files) == 13
    for path in files:
        os.utime(path, (NOW, NOW), follow_symlinks=False)
    assert await shared.waiting() == [b"good"]
    assert shared.files() == files
    shared.age_files(STRAY + 1)
    assert await shared.waiting() == [b"good"]
    left = shared.files()
    pipes = [path for path in left if path.is_fifo() or path.is_symlink()]
    directories = [path for path in left if path.is_dir() and not path.is_symlink()]
    assert len(directories) == 2, "directories are left alone"
    assert {p.name for p in left} == {good.id.hex(), *(p.name for p in [*directories, *pipes])}
    assert outside.read_bytes() == b"not for a mailbox"
    shared.clock.advance(RETENTION)
    await shared.waiting()
    assert shared.files() == directories


async def test_a_link_in_the_place_of_a_mailbox_leads_nowhere(
    shared: Shared, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "capability").write_bytes(H(b"capability", shared.keys.mailbox.capability))
    (outside / "diary").write_text("private")
    os.utime(outside / "diary", (0, 0))
    for path in shared.box.iterdir():
        path.unlink()
    shared.box.rmdir()
    shared.box.symlink_to(outside)
    item = shared.item()
    assert await shared.transport.send([item]) == {item.id: Reason.UNKNOWN_MAILBOX}
    await shared.transport.sweep()
    await shared.transport.close_mailbox(shared.keys.reader())
    await shared.transport.ack([shared.keys.mailbox.address + item.id])
    with pytest.raises(OSError, match="directory"):
        await shared.transport.open_mailbox(shared.keys.reader())
    assert {path.name for path in outside.iterdir()} == {"capability", "diary"}


async def test_a_damaged_package_is_not_handed_out(shared: Shared) -> None:
    me = bytes(32)
    await shared.transport.publish(me, [b"one"], b"last")
    shelf = shared.root / "packages" / me.hex()
    (path,) = (p for p in shelf.iterdir() if re.fullmatch("[0-9a-f]{64}", p.name))
    path.write_bytes(path.read_bytes()[:-1])
    assert await shared.transport.claim(me) == b"last"
    (shelf / "last-resort").write_bytes(b"?")
    assert await shared.transport.claim(me) is None


# --- waiting --------------------------------------------------------------------------------------


async def test_waiting_looks_less_and_less_often(shared: Shared) -> None:
    pauses: list[float] = []
    transport: FolderTransport

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 9:
            await shared.send(b"at last")

    transport = FolderTransport(shared.root, shared.clock, sleep=sleep)
    readers = [shared.keys.reader(), shared.other.reader()]
    assert [d.envelope for d in await transport.receive(readers)] == [b"at last"]
    assert pauses[0] == FIRST_PAUSE
    assert pauses[-1] == LONGEST_PAUSE
    assert all(a <= b <= 2 * a for a, b in pairwise(pauses))
    await transport.receive(readers)
    assert len(pauses) == 9, "what is there is returned at once"


async def test_a_mailbox_that_closes_leaves_the_other_ones_of_a_receiver_alone(
    shared: Shared,
) -> None:
    async def sleep(_: float) -> None:
        await shared.transport.close_mailbox(shared.keys.reader())
        item = Outgoing(shared.random(16), shared.other.mailbox, b"other")
        assert await shared.transport.send([item]) == {}

    transport = FolderTransport(shared.root, shared.clock, sleep=sleep)
    readers = [shared.keys.reader(), shared.other.reader()]
    assert [d.envelope for d in await transport.receive(readers)] == [b"other"]


async def test_very_much_is_received_in_parts(shared: Shared) -> None:
    size = 2 * 1024 * 1024
    await shared.send(*(bytes([n]) * size for n in range(12)))
    got: set[int] = set()
    for _ in range(2):
        found = await shared.transport.receive([shared.keys.reader()])
        assert len(found) <= 9
        got |= {delivery.envelope[0] for delivery in found}
        await shared.transport.ack([delivery.id for delivery in found])
    assert got == set(range(12))


# --- several at once ------------------------------------------------------------------------------


async def test_threads_that_claim_at_once_never_get_the_same(shared: Shared) -> None:
    me = bytes(32)
    packages = [b"package %d" % n for n in range(60)]
    await shared.transport.publish(me, packages, None)
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda _: FolderTransport(shared.root, shared.clock)._claim(me),
                                range(80)))  # fmt: skip
    assert Counter(claimed) == Counter([*packages, *[None] * 20])


async def test_a_claim_that_was_killed_half_way_hands_out_nothing_twice(shared: Shared) -> None:
    me = bytes(32)
    await shared.transport.publish(me, [b"one"], None)
    shelf = shared.root / "packages" / me.hex()
    (path,) = shelf.iterdir()
    path.with_name(f"{path.name}.spent").touch()
    assert await shared.transport.claim(me) is None
    await shared.transport.publish(me, [b"one", b"two"], None)
    assert [await shared.transport.claim(me) for _ in range(2)] == [b"two", None]


# --- where the system has no handles on directories -----------------------------------------------


@pytest.fixture
def by_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "BY_HANDLE", False)


@pytest.mark.parametrize("check", TRANSPORT_CHECKS)
@pytest.mark.usefixtures("by_path")
async def test_it_passes_by_path_too(check: str) -> None:
    await check_transport(folder, only=check, examples=5)


@pytest.mark.usefixtures("by_path")
@pytest.mark.parametrize(
    "test",
    [
        test_what_is_no_envelope_is_skipped_and_after_a_while_erased,
        test_a_link_in_the_place_of_a_mailbox_leads_nowhere,
    ],
)
async def test_links_lead_nowhere_by_path_too(
    shared: Shared, tmp_path: Path, test: Callable[[Shared, Path], Awaitable[None]]
) -> None:
    await test(shared, tmp_path)


async def test_a_write_that_fails_leaves_nothing_and_is_told(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    item = shared.item()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            await shared.transport.send([item])
    assert shared.files() == []
    assert await shared.transport.send([item]) == {}
    assert await shared.waiting() == [b"envelope"]
