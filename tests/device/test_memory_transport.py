"""The transport in memory behaves as a relay should."""

import asyncio

import pytest

from evanesce import MemoryTransport, Reason, RemoteError
from evanesce.limits import MAILBOX_ENVELOPES, MAX_ENVELOPE, RETENTION
from evanesce.mailbox import Mailbox, MailboxKeys, MailboxReader
from evanesce.ports import KeyDirectory, ManualClock, Outgoing, Transport
from tests.device.device_support import NOW, Stream


class Relay:
    """A relay with two mailboxes, and a clock."""

    def __init__(self) -> None:
        self.random = Stream("relay")
        self.clock = ManualClock(NOW)
        self.transport = MemoryTransport(self.clock)
        self.keys = MailboxKeys.generate(self.random)
        self.other = MailboxKeys.generate(self.random)
        self.mailbox = self.keys.mailbox

    def item(self, envelope: bytes = b"envelope", mailbox: Mailbox | None = None) -> Outgoing:
        return Outgoing(self.random(16), mailbox or self.mailbox, envelope)

    async def waiting(self) -> list[bytes]:
        """What a receiver would get now; nothing if it would have to wait."""
        receive = asyncio.ensure_future(self.transport.receive([self.keys.reader()]))
        for _ in range(5):
            await asyncio.sleep(0)
        if not receive.done():
            receive.cancel()
            return []
        return [delivery.envelope for delivery in receive.result()]


@pytest.fixture
async def relay() -> Relay:
    made = Relay()
    await made.transport.open_mailbox(made.keys.reader())
    await made.transport.open_mailbox(made.other.reader())
    return made


def test_it_is_a_transport_and_a_directory() -> None:
    transport: Transport = MemoryTransport()
    assert isinstance(transport, KeyDirectory)


async def test_an_envelope_waits_until_it_is_acked(relay: Relay) -> None:
    assert await relay.transport.send([relay.item(b"one"), relay.item(b"two")]) == {}
    assert await relay.waiting() == [b"one", b"two"]
    first, second = await relay.transport.receive([relay.keys.reader()])
    assert first.address == relay.mailbox.address
    await relay.transport.ack([first.id])
    assert await relay.waiting() == [b"two"]
    await relay.transport.ack([first.id, second.id])
    assert await relay.waiting() == []
    assert relay.transport.holdings() == []
    assert [seen.envelope for seen in relay.transport.seen] == [b"one", b"two"]


async def test_a_receiver_waits_for_what_comes(relay: Relay) -> None:
    receive = asyncio.ensure_future(relay.transport.receive([relay.keys.reader()]))
    await relay.transport.send([relay.item(mailbox=relay.other.mailbox)])
    await asyncio.sleep(0)
    assert not receive.done()
    await relay.transport.send([relay.item(b"mine")])
    assert [delivery.envelope for delivery in await receive] == [b"mine"]


async def test_writing_needs_the_capability(relay: Relay) -> None:
    """REQ-ENV-11."""
    good = relay.mailbox
    wrong = Mailbox(good.address, good.envelope_key, relay.other.mailbox.capability)
    short = Mailbox(good.address, good.envelope_key, good.capability[:-1])
    items = [relay.item(b"a", wrong), relay.item(b"b"), relay.item(b"c", short)]
    assert await relay.transport.send(items) == {
        items[0].id: Reason.NOT_PERMITTED,
        items[2].id: Reason.NOT_PERMITTED,
    }
    assert await relay.waiting() == [b"b"]


async def test_an_unknown_mailbox_takes_nothing(relay: Relay) -> None:
    item = relay.item(mailbox=MailboxKeys.generate(relay.random).mailbox)
    assert await relay.transport.send([item]) == {item.id: Reason.UNKNOWN_MAILBOX}
    assert relay.transport.seen == []


async def test_reading_needs_a_proof_by_the_read_key(relay: Relay) -> None:
    await relay.transport.send([relay.item()])
    mine, other = relay.keys.reader(), relay.other.reader()
    forged = MailboxReader(mine.mailbox, mine.read_key, other.prove)
    with pytest.raises(RemoteError) as caught:
        await relay.transport.receive([forged])
    assert caught.value.reason is Reason.BAD_SIGNATURE
    swapped = MailboxReader(mine.mailbox, other.read_key, other.prove)
    with pytest.raises(RemoteError) as caught:
        await relay.transport.receive([swapped])
    assert caught.value.reason is Reason.NOT_PERMITTED
    with pytest.raises(RemoteError):
        await relay.transport.receive([other, swapped])  # not even beside a rightful one


async def test_a_proof_is_for_one_challenge(relay: Relay) -> None:
    old = relay.keys.reader().prove(bytes(32))
    replayed = MailboxReader(relay.mailbox, relay.keys.read_key, lambda _: old)
    with pytest.raises(RemoteError) as caught:
        await relay.transport.receive([replayed])
    assert caught.value.reason is Reason.BAD_SIGNATURE


async def test_making_and_closing_a_mailbox_need_the_proof_too(relay: Relay) -> None:
    await relay.transport.send([relay.item(b"kept")])
    mine, other = relay.keys.reader(), relay.other.reader()
    forged = MailboxReader(mine.mailbox, mine.read_key, other.prove)
    with pytest.raises(RemoteError):
        await relay.transport.close_mailbox(forged)
    fresh = MailboxKeys.generate(relay.random)
    with pytest.raises(RemoteError):
        await relay.transport.open_mailbox(MailboxReader(fresh.mailbox, fresh.read_key,
                                                         other.prove))  # fmt: skip
    assert await relay.waiting() == [b"kept"]
    item = relay.item(mailbox=fresh.mailbox)
    assert await relay.transport.send([item]) == {item.id: Reason.UNKNOWN_MAILBOX}


async def test_reading_a_mailbox_that_was_never_made_is_refused(relay: Relay) -> None:
    with pytest.raises(RemoteError) as caught:
        await relay.transport.receive([MailboxKeys.generate(relay.random).reader()])
    assert caught.value.reason is Reason.UNKNOWN_MAILBOX


async def test_making_a_mailbox_twice_keeps_what_waits_in_it(relay: Relay) -> None:
    await relay.transport.send([relay.item(b"kept")])
    await relay.transport.open_mailbox(relay.keys.reader())
    assert await relay.waiting() == [b"kept"]


async def test_closing_a_mailbox_forgets_what_waits_in_it(relay: Relay) -> None:
    await relay.transport.send([relay.item()])
    await relay.transport.close_mailbox(relay.keys.reader())
    assert relay.transport.holdings() == []
    item = relay.item()
    assert await relay.transport.send([item]) == {item.id: Reason.UNKNOWN_MAILBOX}
    await relay.transport.close_mailbox(relay.keys.reader())


async def test_a_mailbox_that_closes_leaves_the_other_ones_of_a_receiver_alone(
    relay: Relay,
) -> None:
    readers = [relay.keys.reader(), relay.other.reader()]
    receive = asyncio.ensure_future(relay.transport.receive(readers))
    await asyncio.sleep(0)
    await relay.transport.close_mailbox(relay.keys.reader())
    await relay.transport.send([relay.item(b"other", relay.other.mailbox)])
    assert [delivery.envelope for delivery in await receive] == [b"other"]


async def test_putting_an_envelope_twice_is_putting_it_once(relay: Relay) -> None:
    """REQ-ENV-11."""
    item = relay.item(b"once")
    await relay.transport.send([item])
    await relay.transport.send([item, item])
    assert await relay.waiting() == [b"once"]
    (delivery,) = await relay.transport.receive([relay.keys.reader()])
    await relay.transport.ack([delivery.id])
    await relay.transport.send([item])  # the sender did not hear that it had been taken
    assert await relay.waiting() == []
    assert len(relay.transport.seen) == 1


async def test_an_ack_of_one_mailbox_does_nothing_in_another(relay: Relay) -> None:
    same = relay.random(16)
    await relay.transport.send([
        Outgoing(same, relay.mailbox, b"mine"), Outgoing(same, relay.other.mailbox, b"other"),
    ])  # fmt: skip
    (delivery,) = await relay.transport.receive([relay.other.reader()])
    await relay.transport.ack([delivery.id, b"no such delivery", b""])
    assert await relay.waiting() == [b"mine"]


async def test_a_mailbox_is_full_at_its_limit_and_takes_more_once_acked(relay: Relay) -> None:
    """REQ-ENV-11, REQ-LIMIT-29."""
    items = [relay.item(b"%d" % n) for n in range(MAILBOX_ENVELOPES)]
    assert await relay.transport.send(items) == {}
    late = relay.item(b"late")
    assert await relay.transport.send([late]) == {late.id: Reason.MAILBOX_FULL}
    assert await relay.transport.send([items[0]]) == {}, "what it has, it has taken"
    assert len(await relay.waiting()) == MAILBOX_ENVELOPES
    deliveries = await relay.transport.receive([relay.keys.reader()])
    await relay.transport.ack([deliveries[0].id])
    assert await relay.transport.send([late]) == {}
    assert (await relay.waiting())[-1] == b"late"


async def test_an_envelope_may_be_as_large_as_the_limit(relay: Relay) -> None:
    largest, larger = relay.item(bytes(MAX_ENVELOPE)), relay.item(bytes(MAX_ENVELOPE + 1))
    assert await relay.transport.send([largest, larger]) == {larger.id: Reason.TOO_LARGE}
    assert [len(envelope) for envelope in await relay.waiting()] == [MAX_ENVELOPE]


async def test_an_envelope_is_kept_for_the_retention_and_not_a_second_longer(
    relay: Relay,
) -> None:
    """REQ-ENV-21, REQ-LIMIT-30."""
    await relay.transport.send([relay.item(b"kept")])
    relay.clock.advance(RETENTION)
    assert await relay.waiting() == [b"kept"]
    assert len(relay.transport.holdings()) == 1
    relay.clock.advance(1)
    assert await relay.waiting() == []
    assert relay.transport.holdings() == []


async def test_what_has_expired_makes_room(relay: Relay) -> None:
    await relay.transport.send([relay.item() for _ in range(MAILBOX_ENVELOPES)])
    relay.clock.advance(RETENTION + 1)
    assert await relay.transport.send([relay.item(b"new")]) == {}
    assert await relay.waiting() == [b"new"]


async def test_each_one_time_package_is_claimed_once(relay: Relay) -> None:
    me, other = b"m" * 32, b"o" * 32
    await relay.transport.publish(me, [b"one", b"two"], None)
    await relay.transport.publish(other, [b"theirs"], None)
    await relay.transport.publish(me, [b"three"], None)
    claimed = [await relay.transport.claim(me) for _ in range(4)]
    assert claimed == [b"one", b"two", b"three", None]
    assert await relay.transport.claim(other) == b"theirs"
    assert await relay.transport.claim(other) is None
    assert await relay.transport.claim(b"n" * 32) is None


async def test_the_last_resort_package_serves_when_no_other_is_left(relay: Relay) -> None:
    me = b"m" * 32
    await relay.transport.publish(me, [b"one"], b"last")
    claimed = [await relay.transport.claim(me) for _ in range(3)]
    assert claimed == [b"one", b"last", b"last"]
    await relay.transport.publish(me, [b"two"], None)
    assert [await relay.transport.claim(me) for _ in range(2)] == [b"two", b"last"]
    await relay.transport.publish(me, [], b"another")
    assert [await relay.transport.claim(me) for _ in range(2)] == [b"another", b"another"]


async def test_a_package_that_is_published_twice_is_still_claimed_once(relay: Relay) -> None:
    """A device that did not hear that its packages were taken publishes them again."""
    me = b"m" * 32
    await relay.transport.publish(me, [b"one", b"two"], None)
    assert await relay.transport.claim(me) == b"one"
    await relay.transport.publish(me, [b"one", b"two"], None)
    assert await relay.transport.claim(me) == b"two"
    assert await relay.transport.claim(me) is None
