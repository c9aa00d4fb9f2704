"""Our transports pass the checks that others are offered, and the checks find what is wrong."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from evanesce import MemoryTransport, Reason
from evanesce.mailbox import MailboxReader
from evanesce.ports import Delivery, Outgoing, Transport
from evanesce.testing import TRANSPORT_CHECKS, Claims, check_transport
from evanesce.testing.transport import Connect, Make
from tests.transport.networks import ARMORED, folder, memory, messenger, short_messages

QUICK = Claims(grace=0.05, patience=0.3)


@pytest.mark.parametrize("check", TRANSPORT_CHECKS)
@pytest.mark.parametrize(
    ("make", "claims"),
    [
        (memory, Claims()),
        (folder, Claims()),
        (messenger, ARMORED),
    ],
)
async def test_a_transport_passes(make: Make, claims: Claims, check: str) -> None:
    await check_transport(make, claims, only=check)


async def test_text_that_is_cut_into_parts_passes_too() -> None:
    for check in ("delivers_what_was_sent", "concurrent_use_loses_nothing"):
        await check_transport(short_messages, ARMORED, only=check)


async def test_all_checks_are_run_unless_one_is_named() -> None:
    made = 0

    @asynccontextmanager
    async def counted() -> AsyncIterator[Connect]:
        nonlocal made
        made += 1
        async with memory() as connect:
            yield connect

    await check_transport(counted, QUICK, examples=3)
    assert made >= len(TRANSPORT_CHECKS) - 1 + 3 - 1
    with pytest.raises(ValueError, match="no check"):
        await check_transport(counted, QUICK, only="no such check")


# --- a check that finds nothing is worth nothing --------------------------------------------------


class Forgetful(MemoryTransport):
    """Forgets what it has delivered, acked or not."""

    async def receive(self, readers: Sequence[MailboxReader]) -> list[Delivery]:
        found = await super().receive(readers)
        await super().ack([delivery.id for delivery in found])
        return found


class Lossy(MemoryTransport):
    """Loses each tenth envelope."""

    count = 0

    async def send(self, batch: Sequence[Outgoing]) -> dict[bytes, Reason]:
        kept = []
        for item in batch:
            self.count += 1
            if self.count % 10:
                kept.append(item)
        return await super().send(kept)


class Elephant(MemoryTransport):
    """Never forgets."""

    async def ack(self, ids: Sequence[bytes]) -> None:
        pass


class Twice(MemoryTransport):
    """Takes each putting for a new one."""

    async def send(self, batch: Sequence[Outgoing]) -> dict[bytes, Reason]:
        for item in batch:
            self._boxes[item.mailbox.address].known.clear()
            waiting = self._boxes[item.mailbox.address].waiting
            while item.id in waiting:
                waiting[bytes(16 - len(waiting)) + item.id] = waiting.pop(item.id)
        return await super().send(batch)


class Mixed(MemoryTransport):
    """Delivers from all mailboxes to whoever asks."""

    def _waiting(self, addresses: Sequence[bytes]) -> list[Delivery]:
        return super()._waiting(list(self._boxes))


class Single(MemoryTransport):
    """Looks only into the first of several mailboxes."""

    async def receive(self, readers: Sequence[MailboxReader]) -> list[Delivery]:
        return await super().receive(readers[:1])


class Impatient(MemoryTransport):
    """Does not wait."""

    async def receive(self, readers: Sequence[MailboxReader]) -> list[Delivery]:
        await asyncio.sleep(0.01)
        return [Delivery(b"", readers[0].mailbox.address, b"nothing new")]


class Hoarder(MemoryTransport):
    """Keeps what is in a mailbox that is closed."""

    async def close_mailbox(self, reader: MailboxReader) -> None:
        self._prove(reader)


class Eager(MemoryTransport):
    """A mailbox that is opened again is emptied."""

    async def open_mailbox(self, reader: MailboxReader) -> None:
        self._boxes.pop(reader.mailbox.address, None)
        await super().open_mailbox(reader)


class Careless(MemoryTransport):
    """Takes what was received by a call that is then cancelled for delivered."""

    async def receive(self, readers: Sequence[MailboxReader]) -> list[Delivery]:
        found = await super().receive(readers)
        taken = {delivery.id: delivery for delivery in found}
        await super().ack(list(taken))
        await asyncio.sleep(0)  # cancelled here, they are gone
        for delivery in found:
            box = self._boxes[delivery.address]
            box.waiting[delivery.id[32:]] = self._clock.now(), delivery.envelope
        return found


class Open(MemoryTransport):
    """Lets everybody write."""

    def _put(self, item: Outgoing) -> Reason | None:
        reason = super()._put(item)
        return None if reason is Reason.NOT_PERMITTED else reason


class Trusting(MemoryTransport):
    """Lets everybody read."""

    def _prove(self, reader: MailboxReader) -> None:
        pass


class Roomy(MemoryTransport):
    """Refuses nothing for want of room."""

    def _put(self, item: Outgoing) -> Reason | None:
        reason = super()._put(item)
        return None if reason in {Reason.MAILBOX_FULL, Reason.TOO_LARGE} else reason


class Silent(MemoryTransport):
    """Says nothing of a mailbox that does not exist."""

    def _put(self, item: Outgoing) -> Reason | None:
        reason = super()._put(item)
        return None if reason is Reason.UNKNOWN_MAILBOX else reason


class Generous(MemoryTransport):
    """Hands a package out again, when two ask at the same moment or it is published again."""

    async def claim(self, fingerprint: bytes) -> bytes | None:
        packages = self._packages[fingerprint]
        self._published.clear()
        first = packages[0] if packages else self._last_resort.get(fingerprint)
        await asyncio.sleep(0)
        if packages:
            packages.popleft()
        return first


class Stale(MemoryTransport):
    """Keeps the first last-resort package, and hands it out once."""

    async def claim(self, fingerprint: bytes) -> bytes | None:
        packages = self._packages[fingerprint]
        return packages.popleft() if packages else self._last_resort.pop(fingerprint, None)


class Cutting(MemoryTransport):
    """Delivers no more than 16 KiB of an envelope."""

    def _waiting(self, addresses: Sequence[bytes]) -> list[Delivery]:
        return [Delivery(d.id, d.address, d.envelope[:16_384]) for d in super()._waiting(addresses)]


HISTORY = "any_history_loses_nothing_and_brings_nothing_back"


@pytest.mark.parametrize(
    ("kind", "checks"),
    [
        (Forgetful, ["unacked_is_delivered_again", HISTORY]),
        (Lossy, ["concurrent_use_loses_nothing", "cancelling_a_receive_loses_nothing", HISTORY]),
        (Elephant, ["ack_forgets", HISTORY]),
        (Twice, ["the_same_id_put_twice_is_once", HISTORY]),
        (Mixed, ["mailboxes_are_kept_apart", HISTORY]),
        (Single, ["several_mailboxes_are_received_from_at_once", HISTORY]),
        (Impatient, ["receiving_waits_for_what_comes"]),
        (Hoarder, ["closing_a_mailbox_empties_it"]),
        (Eager, ["opening_a_mailbox_again_keeps_what_waits", HISTORY]),
        (Careless, ["cancelling_a_receive_loses_nothing"]),
        (Open, ["refuses_a_writer_without_the_capability"]),
        (Trusting, ["refuses_a_reader_without_the_read_key"]),
        (Roomy, ["refuses_what_is_too_large", "refuses_what_is_too_much"]),
        (Silent, ["refuses_what_is_for_no_mailbox"]),
        (Generous, ["packages_are_claimed_once_by_many_at_once",
                    "a_package_published_again_is_not_claimed_again"]),
        (Stale, ["the_last_resort_serves_when_no_other_is_left"]),
        (Cutting, ["delivers_what_was_sent"]),
    ],
)  # fmt: skip
async def test_a_transport_that_does_wrong_is_found(
    kind: Callable[[], Transport], checks: list[str]
) -> None:
    @asynccontextmanager
    async def network() -> AsyncIterator[Connect]:
        transport = kind()
        yield lambda: transport

    for check in checks:
        with pytest.raises(AssertionError) as caught:
            await check_transport(network, QUICK, only=check)
        assert any(check in note for note in caught.value.__notes__)


async def test_a_transport_without_a_directory_has_to_say_so() -> None:
    with pytest.raises(AssertionError, match="directory=False"):
        await check_transport(messenger, only="each_package_is_claimed_once")


async def test_without_hypothesis_the_error_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ModuleNotFoundError, match="pip install hypothesis"):
        await check_transport(memory, only=HISTORY)
