"""The transport over a relay, against a relay in a process of its own (spec 22)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from evanesce import Reason, RemoteError
from evanesce.testing import Claims, check_transport
from evanesce.testing.bench import Bench, refusal
from evanesce.testing.transport import TRANSPORT_CHECKS
from evanesce.transport.relay import RelayTransport
from tests.transport.relay_process import RelayProcess, relay_process, relayed


@pytest.fixture(scope="module")
def relay() -> Iterator[RelayProcess]:
    with relay_process() as process:
        yield process


@pytest.mark.parametrize("name", TRANSPORT_CHECKS)
async def test_a_relay_is_what_a_transport_has_to_be(relay: RelayProcess, name: str) -> None:
    seed = 1 + TRANSPORT_CHECKS.index(name)  # on one relay each check has mailboxes of its own
    claims = Claims(pushes=True)
    await check_transport(lambda: relayed(relay.url), claims, only=name, examples=8, seed=seed)


def _bench(transport: RelayTransport, seed: str) -> Bench:
    return Bench(lambda: transport, Claims(), seed)


async def test_blobs_are_put_fetched_and_deleted_by_their_token(relay: RelayProcess) -> None:
    async with RelayTransport(relay.url) as one, RelayTransport(relay.url) as other:
        content = bytes(range(256)) * 4_096
        assert len(content) == 1_048_576
        key, token = await one.put_blob(content)
        assert await other.blob(key) == content
        assert await refusal(other.delete_blob(key, bytes(16))) is Reason.NOT_PERMITTED
        assert await other.blob(key) == content
        await other.delete_blob(key, token)
        assert await refusal(one.blob(key)) is Reason.UNKNOWN_BLOB
        await one.delete_blob(key, token)  # as whoever did not hear that it is done
        for wrong in (b"", content + b"\0"):
            with pytest.raises(ValueError, match="blob"):
                await one.put_blob(wrong)


async def test_batches_of_any_size_are_sent_in_parts_that_a_relay_takes(
    relay: RelayProcess,
) -> None:
    async with RelayTransport(relay.url) as transport:
        bench = _bench(transport, "parts")
        keys = [await bench.mailbox(transport) for _ in range(2)]
        small = [bench.item(keys[0], 16) for _ in range(700)]
        large = [bench.item(keys[1], 1_500_000) for _ in range(6)]
        await bench.send(transport, *small, *large)
        await bench.take(transport, keys, [*small, *large], ack=True)
        await bench.quiet(transport, *keys)


async def test_many_mailboxes_are_read_over_one_connection(relay: RelayProcess) -> None:
    async with RelayTransport(relay.url) as sender, RelayTransport(relay.url) as receiver:
        bench = _bench(sender, "many")
        keys = [await bench.mailbox(receiver) for _ in range(150)]
        items = [bench.item(each) for each in keys]
        await bench.send(sender, *items)
        await bench.take(receiver, keys, items, ack=True)


async def test_two_receive_at_once_each_from_mailboxes_of_its_own(relay: RelayProcess) -> None:
    async with RelayTransport(relay.url) as transport:
        bench = _bench(transport, "two")
        one, other = await bench.mailbox(transport), await bench.mailbox(transport)
        first, second = bench.item(one), bench.item(other)
        both = [asyncio.ensure_future(bench.take(transport, [one], [first], ack=True)),
                asyncio.ensure_future(bench.take(transport, [other], [second], ack=True)),
                ]  # fmt: skip
        await asyncio.sleep(0.05)
        await bench.send(transport, second)
        await asyncio.wait_for(both[1], 5)
        assert not both[0].done()
        await bench.send(transport, first)
        await asyncio.wait_for(both[0], 5)


async def test_one_that_cannot_be_read_does_not_hold_up_the_others(relay: RelayProcess) -> None:
    async with RelayTransport(relay.url) as transport:
        bench = _bench(transport, "unreadable")
        good, none = await bench.mailbox(transport), bench.keys()
        item = bench.item(good)
        with pytest.raises(RemoteError) as refused:
            await transport.receive([good.reader(), none.reader()])
        assert refused.value.reason is Reason.UNKNOWN_MAILBOX
        await bench.send(transport, item)
        await bench.take(transport, [good], [item], ack=True)


async def test_what_a_relay_says_of_itself_can_be_asked_for(relay: RelayProcess) -> None:
    async with RelayTransport(relay.url + "/") as transport:
        assert transport.url == relay.url
        assert await transport.about()
    async with RelayTransport(relay.url + "/elsewhere") as transport:
        with pytest.raises(RemoteError):
            await transport.about()


async def test_a_recall_of_very_many_is_split(relay: RelayProcess) -> None:
    from evanesce.ports import Recall

    async with RelayTransport(relay.url) as transport:
        bench = _bench(transport, "recalls")
        keys, nobody = await bench.mailbox(transport), bench.keys()
        items = [bench.item(keys, 16) for _ in range(600)]
        await bench.send(transport, *items)
        kept, *gone = items
        recalls = [Recall(item.id, item.mailbox) for item in gone]
        await transport.recall(recalls)
        await bench.take(transport, [keys], [kept], ack=True)
        await bench.quiet(transport, keys)
        bad = Recall(bench.item(nobody).id, nobody.mailbox)
        assert await refusal(transport.recall([*recalls, bad])) is Reason.UNKNOWN_MAILBOX
