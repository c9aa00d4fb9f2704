"""Transports that can recall, and the checks that find what is wrong with one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from evanesce import ArmoredTransport, FolderTransport, MemoryTransport, Reason, RemoteError
from evanesce.limits import RETENTION
from evanesce.mailbox import MailboxKeys
from evanesce.ports import ManualClock, Outgoing, Recall, Recalling
from evanesce.primitives import H
from evanesce.testing import TRANSPORT_CHECKS, Claims, check_transport
from evanesce.testing.transport import Connect
from evanesce.testing.unreliable import Unreliable
from evanesce.transport.shelf import on_the_hour
from tests.device.device_support import NOW, Pipe, Relay, Stream

CHECKS = [name for name in TRANSPORT_CHECKS if "recall" in name]
QUICK = Claims(grace=0.05, patience=0.3)
Transport = MemoryTransport | FolderTransport


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture(params=["memory", "folder"])
def transport(request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path) -> Transport:
    if request.param == "memory":
        return MemoryTransport(clock)
    return FolderTransport(tmp_path / "net", clock)


@pytest.fixture
async def keys(transport: Transport) -> MailboxKeys:
    made = MailboxKeys.generate(Stream("a mailbox"))
    await transport.open_mailbox(made.reader())
    return made


def item(keys: MailboxKeys, number: int = 0) -> Outgoing:
    return Outgoing(H(b"id", bytes([number]))[:16], keys.mailbox, b"envelope %d" % number)


def recall(sent: Outgoing) -> Recall:
    return Recall(sent.id, sent.mailbox)


async def envelopes(transport: Transport, keys: MailboxKeys) -> list[bytes]:
    """What lies there; a last one is put there first, since reading waits for something."""
    mark = item(keys, 255)
    assert await transport.send([mark]) == {}
    found = sorted(d.envelope for d in await transport.receive([keys.reader()]))
    await transport.ack([keys.mailbox.address + mark.id])
    return [envelope for envelope in found if envelope != mark.envelope]


def test_who_can_recall_has_the_method() -> None:
    """REQ-ENV-23."""
    assert len(CHECKS) == 4
    relay = Relay(ManualClock(NOW))
    assert isinstance(relay, Recalling)
    assert isinstance(FolderTransport("."), Recalling)
    assert isinstance(Unreliable(relay, 1), Recalling)
    assert not isinstance(ArmoredTransport(), Recalling)
    assert not isinstance(Pipe(relay), Recalling)
    assert not isinstance(Unreliable(ArmoredTransport(), 1), Recalling)


async def test_a_recalled_envelope_is_gone_and_does_not_come_back(
    transport: Transport, keys: MailboxKeys, clock: ManualClock, tmp_path: Path
) -> None:
    """REQ-ENV-23."""
    gone, kept = item(keys, 1), item(keys, 2)
    await transport.send([gone, kept])
    await transport.recall([recall(gone)])
    assert await envelopes(transport, keys) == [kept.envelope]
    clock.advance(RETENTION - 3_600)
    assert await transport.send([gone]) == {}, "it counts as taken"
    assert await envelopes(transport, keys) == [kept.envelope]
    stored = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert gone.envelope not in stored


async def test_the_id_is_noted_with_the_time_it_was_taken_or_else_of_the_recall(
    transport: Transport, keys: MailboxKeys, clock: ManualClock
) -> None:
    """REQ-ENV-23, REQ-ENV-11: and is forgotten with that."""
    taken, never = item(keys, 1), item(keys, 2)
    await transport.send([taken])
    clock.advance(RETENTION // 2)
    await transport.recall([recall(taken), recall(never)])
    clock.advance(RETENTION // 2 + 1)
    for one in (taken, never):
        assert await transport.send([one]) == {}
    assert await envelopes(transport, keys) == [taken.envelope], "that id is a new one by now"
    clock.advance(RETENTION // 2)
    assert await transport.send([never]) == {}
    assert never.envelope in await envelopes(transport, keys)


async def test_a_recall_is_refused_without_mailbox_or_capability(
    transport: Transport, keys: MailboxKeys
) -> None:
    """REQ-ENV-23."""
    sent = item(keys, 1)
    await transport.send([sent])
    stranger = MailboxKeys.generate(Stream("another mailbox")).mailbox
    forged = type(stranger)(keys.mailbox.address, keys.mailbox.envelope_key, bytes(16))
    for mailbox, reason in (
        (stranger, Reason.UNKNOWN_MAILBOX),
        (forged, Reason.NOT_PERMITTED),
    ):
        with pytest.raises(RemoteError) as caught:
            await transport.recall([Recall(sent.id, mailbox)])
        assert caught.value.reason is reason
    assert await envelopes(transport, keys) == [sent.envelope]
    await transport.recall([Recall(b"an id of no length", keys.mailbox)])
    assert await envelopes(transport, keys) == [sent.envelope]


async def test_in_a_folder_no_more_is_left_than_of_an_ack(tmp_path: Path) -> None:
    """REQ-ENV-23: an empty file with the hour of the envelope, or of the recall."""
    clock = ManualClock(NOW + 100)
    folder = FolderTransport(tmp_path, clock)
    keys = MailboxKeys.generate(Stream("a mailbox"))
    await folder.open_mailbox(keys.reader())
    taken, never = item(keys, 1), item(keys, 2)
    await folder.send([taken])
    clock.advance(7_200)
    await folder.recall([recall(taken), recall(never)])
    box = tmp_path / "mailboxes" / keys.mailbox.address.hex()
    left = {p.name: p.stat() for p in box.iterdir() if p.name != "capability"}
    assert set(left) == {f"{one.id.hex()}.spent" for one in (taken, never)}
    assert all(stat.st_size == 0 for stat in left.values())
    assert left[f"{taken.id.hex()}.spent"].st_mtime == NOW
    assert left[f"{never.id.hex()}.spent"].st_mtime == on_the_hour(clock.now())
    clock.advance(RETENTION + 3_600)
    await folder.sweep()
    assert {p.name for p in box.iterdir()} == {"capability"}


# --- checks that find nothing are worth nothing ---------------------------------------------------


class Deaf(MemoryTransport):
    """Says that it can, and does nothing."""

    async def recall(self, batch: Sequence[Recall]) -> None:
        pass


class Forgetful(MemoryTransport):
    """Erases the envelope, and takes it again."""

    async def recall(self, batch: Sequence[Recall]) -> None:
        await super().recall(batch)
        for one in batch:
            self._boxes[one.mailbox.address].known.pop(one.id, None)


class Overtaken(MemoryTransport):
    """Knows nothing of what has not come yet."""

    async def recall(self, batch: Sequence[Recall]) -> None:
        known = {key for box in self._boxes.values() for key in box.known}
        await super().recall([one for one in batch if one.id in known])


class Strict(MemoryTransport):
    """Refuses what is not there any more."""

    async def recall(self, batch: Sequence[Recall]) -> None:
        waiting = {key for box in self._boxes.values() for key in box.waiting}
        if any(one.id not in waiting for one in batch):
            raise RemoteError(Reason.BAD_INPUT, "no such envelope")
        await super().recall(batch)


class Open(MemoryTransport):
    """Lets anybody recall."""

    async def recall(self, batch: Sequence[Recall]) -> None:
        for one in batch:
            for box in self._boxes.values():
                box.waiting.pop(one.id, None)
                box.known.setdefault(one.id, 0)


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (Deaf, "recalled_envelopes_are_not_delivered"),
        (Forgetful, "recalled_envelopes_are_not_delivered"),
        (Overtaken, "recalled_before_it_was_put_is_not_taken"),
        (Strict, "recall_after_ack_and_of_the_unknown_is_fine"),
        (Open, "recall_by_whoever_has_no_capability_is_refused"),
    ],
)
async def test_the_checks_find_a_transport_that_recalls_wrongly(
    kind: type[MemoryTransport], check: str
) -> None:
    """REQ-ENV-23."""

    @asynccontextmanager
    async def make() -> AsyncIterator[Connect]:
        network = kind()
        yield lambda: network

    with pytest.raises((AssertionError, RemoteError)):
        await check_transport(make, QUICK, only=check)
