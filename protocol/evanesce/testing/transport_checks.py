"""What each transport owes its devices (spec 12.9, 17), one function for each thing."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import replace

from ..errors import Reason
from ..limits import MAILBOX_ENVELOPES
from ..mailbox import MailboxReader
from ..ports import Outgoing
from .bench import Bench, refusal, require

__all__ = [
    "ack_forgets",
    "cancelling_a_receive_loses_nothing",
    "closing_a_mailbox_empties_it",
    "concurrent_use_loses_nothing",
    "delivers_what_was_sent",
    "mailboxes_are_kept_apart",
    "opening_a_mailbox_again_keeps_what_waits",
    "receiving_waits_for_what_comes",
    "refuses_a_reader_without_the_read_key",
    "refuses_a_writer_without_the_capability",
    "refuses_what_is_for_no_mailbox",
    "refuses_what_is_too_large",
    "refuses_what_is_too_much",
    "several_mailboxes_are_received_from_at_once",
    "the_same_id_put_twice_is_once",
    "unacked_is_delivered_again",
]


async def delivers_what_was_sent(bench: Bench) -> None:
    """Every envelope arrives as it was, of any size."""
    sender, receiver = bench.connect(), bench.connect()
    keys = await bench.mailbox(receiver)
    sizes = [512, 513, 1_024, 16_384, bench.claims.largest]
    items = [bench.item(keys, size) for size in sizes if size <= bench.claims.largest]
    await bench.send(sender, *items)
    await bench.take(receiver, [keys], items)
    require(await sender.send([]) == {}, "an empty batch is refused")


async def opening_a_mailbox_again_keeps_what_waits(bench: Bench) -> None:
    """A device opens its mailboxes whenever it starts."""
    transport = bench.connect()
    keys = await bench.mailbox(transport)
    item = bench.item(keys)
    await bench.send(transport, item)
    await transport.open_mailbox(keys.reader())
    await bench.take(transport, [keys], [item])


async def the_same_id_put_twice_is_once(bench: Bench) -> None:
    """A sender that did not hear that an envelope was taken sends it again."""
    sender, receiver = bench.connect(), bench.connect()
    keys = await bench.mailbox(receiver)
    item, other = bench.item(keys), bench.item(keys)
    await bench.send(sender, item, item)
    await bench.send(sender, item, other)
    found = await bench.take(receiver, [keys], [item, other])
    counts = Counter(delivery.envelope for delivery in found)
    require(counts[item.envelope] == 1, "an id that was put twice is delivered as two")
    if bench.claims.remembers:
        await receiver.ack([delivery.id for delivery in found])
        await bench.send(sender, item)
        await bench.quiet(receiver, keys)


async def ack_forgets(bench: Bench) -> None:
    """What was acked does not come again; acking it again, or what never was, is fine."""
    sender, receiver = bench.connect(), bench.connect()
    keys = await bench.mailbox(receiver)
    items = [bench.item(keys) for _ in range(3)]
    await bench.send(sender, *items)
    found = await bench.take(receiver, [keys], items)
    first, *rest = found
    await receiver.ack([first.id, first.id])
    await receiver.ack([first.id])
    left = [item for item in items if item.envelope != first.envelope]
    again = await bench.take(receiver, [keys], left)
    require(first.id not in {delivery.id for delivery in again}, "what was acked comes again")
    await receiver.ack([delivery.id for delivery in rest])
    await receiver.ack([])
    await bench.quiet(receiver, keys)
    if bench.claims.remembers:
        again_there = bench.connect()
        await again_there.open_mailbox(keys.reader())
        await bench.quiet(again_there, keys)


async def unacked_is_delivered_again(bench: Bench) -> None:
    """A receiver that is killed before it has stored anything gets everything again."""
    sender, receiver = bench.connect(), bench.connect()
    keys = await bench.mailbox(receiver)
    items = [bench.item(keys) for _ in range(4)]
    await bench.send(sender, *items)
    found = await bench.take(receiver, [keys], items)
    again = await bench.take(receiver, [keys], items)
    require({d.id for d in found} == {d.id for d in again}, "a delivery has changed its id")
    await receiver.ack([found[0].id])
    restarted = bench.connect()
    await restarted.open_mailbox(keys.reader())
    left = [item for item in items if item.envelope != found[0].envelope]
    found_there = await bench.take(restarted, [keys], left, ack=True)
    if bench.claims.remembers:
        require(found[0].id not in {d.id for d in found_there}, "what was acked comes again")
        await bench.quiet(receiver, keys)


async def mailboxes_are_kept_apart(bench: Bench) -> None:
    """One mailbox does not see, ack or close what another has, also under the same id."""
    transport = bench.connect()
    one, other = await bench.mailbox(transport), await bench.mailbox(transport)
    mine = bench.item(one)
    theirs = replace(bench.item(other), id=mine.id)
    await bench.send(transport, mine, theirs)
    found = await bench.take(transport, [one], [mine])
    await transport.ack([delivery.id for delivery in found])
    await bench.quiet(transport, one)
    await bench.take(transport, [other], [theirs])
    await transport.close_mailbox(one.reader())
    await bench.take(transport, [other], [theirs])


async def several_mailboxes_are_received_from_at_once(bench: Bench) -> None:
    """A device reads all its mailboxes in one call."""
    sender, receiver = bench.connect(), bench.connect()
    several = [await bench.mailbox(receiver) for _ in range(5)]
    items = [bench.item(keys) for keys in several[:4]]
    await bench.send(sender, *items)
    await bench.take(receiver, several, items)


async def receiving_waits_for_what_comes(bench: Bench) -> None:
    """It does not return with nothing, and does return when something comes."""
    sender, receiver = bench.connect(), bench.connect()
    keys, other = await bench.mailbox(receiver), await bench.mailbox(receiver)
    waiting = asyncio.ensure_future(bench.take(receiver, [keys], [item := bench.item(keys)]))
    try:
        await bench.send(sender, bench.item(other))
        await asyncio.sleep(min(bench.claims.grace, 0.1))
        require(not waiting.done(), "received before anything was sent")
        await bench.send(sender, item)
        await waiting
    finally:
        waiting.cancel()


async def closing_a_mailbox_empties_it(bench: Bench) -> None:
    """A mailbox that is opened again is a new one; closing it twice is fine."""
    transport = bench.connect()
    keys, other = await bench.mailbox(transport), await bench.mailbox(transport)
    item, kept = bench.item(keys), bench.item(other)
    await bench.send(transport, item, kept)
    await transport.close_mailbox(keys.reader())
    await transport.close_mailbox(keys.reader())
    await transport.open_mailbox(keys.reader())
    await bench.quiet(transport, keys)
    await bench.take(transport, [other], [kept])
    await bench.send(transport, new := bench.item(keys))
    await bench.take(transport, [keys], [new])


async def concurrent_use_loses_nothing(bench: Bench) -> None:
    """Several senders and receivers, who ack what they get, at the same time."""
    setting_up = bench.connect()
    several = [await bench.mailbox(setting_up) for _ in range(3)]
    batches = [[bench.item(keys) for keys in several for _ in range(2)] for _ in range(12)]
    got: set[tuple[bytes, bytes]] = set()
    expected = {(item.mailbox.address, item.envelope) for batch in batches for item in batch}
    complete = asyncio.Event()

    async def receive(readers: list[MailboxReader]) -> None:
        transport = bench.connect()
        while True:
            deliveries = await bench.receive(transport, readers)
            got.update((delivery.address, delivery.envelope) for delivery in deliveries)
            await transport.ack([delivery.id for delivery in deliveries])
            if got >= expected:
                complete.set()
            await asyncio.sleep(0)

    async def send(mine: list[list[Outgoing]]) -> None:
        transport = bench.connect()
        for batch in mine:
            await bench.send(transport, *batch)

    readers = [keys.reader() for keys in several]
    receivers = [asyncio.ensure_future(receive(part)) for part in (readers[:2], readers[1:])]
    done = asyncio.ensure_future(complete.wait())
    try:
        await asyncio.gather(*(send(batches[n::3]) for n in range(3)))
        await asyncio.wait([*receivers, done], timeout=bench.claims.patience,
                           return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
        for receiver in receivers:
            if receiver.done():
                receiver.result()  # it has failed
        require(complete.is_set(), f"lost {len(expected - got)} of {len(expected)} envelopes")
    finally:
        for task in (*receivers, done):
            task.cancel()
        await asyncio.gather(*receivers, done, return_exceptions=True)


async def cancelling_a_receive_loses_nothing(bench: Bench) -> None:
    """A device stops waiting whenever its mailboxes change."""
    sender, receiver = bench.connect(), bench.connect()
    keys = await bench.mailbox(receiver)
    # After each number of steps: by chance the one that matters might never come.
    moments = [(before, after) for after in range(8) for before in range(4)]
    items = [bench.item(keys) for _ in moments]
    for item, (before, after) in zip(items, moments, strict=True):
        waiting = asyncio.ensure_future(bench.receive(receiver, [keys.reader()]))
        for _ in range(before):
            await asyncio.sleep(bench.dice.choice((0, 0, 0.001)))
        sending = asyncio.ensure_future(bench.send(sender, item))
        for _ in range(after):
            await asyncio.sleep(0)
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        await sending
    await bench.take(receiver, [keys], items)


# --- refusals, where they are claimed -------------------------------------------------------------


async def refuses_what_is_for_no_mailbox(bench: Bench) -> None:
    """Neither sent to nor read, before it was opened and after it was closed."""
    if not bench.claims.unknown_mailbox:
        return
    transport = bench.connect()
    keys, other = bench.keys(), await bench.mailbox(transport)
    for _ in range(2):
        item, good = bench.item(keys), bench.item(other)
        refused = await transport.send([item, good])
        require(refused == {item.id: Reason.UNKNOWN_MAILBOX},
                "an envelope for no mailbox is not refused as unknown-mailbox")  # fmt: skip
        async with asyncio.timeout(bench.claims.patience):
            reason = await refusal(transport.receive([keys.reader()]))
        require(reason is Reason.UNKNOWN_MAILBOX, "reading no mailbox is not refused")
        await transport.open_mailbox(keys.reader())
        await bench.quiet(transport, keys)
        await transport.close_mailbox(keys.reader())


async def refuses_a_writer_without_the_capability(bench: Bench) -> None:
    """Only that envelope of the batch, and nothing of it is delivered."""
    if not bench.claims.capability:
        return
    transport = bench.connect()
    keys = await bench.mailbox(transport)
    good, bad, short = (bench.item(keys) for _ in range(3))
    bad = replace(bad, mailbox=replace(keys.mailbox, capability=bench.dice.randbytes(16)))
    short = replace(short, mailbox=replace(keys.mailbox, capability=keys.mailbox.capability[:-1]))
    refused = await transport.send([bad, short])
    require(refused == {item.id: Reason.NOT_PERMITTED for item in (bad, short)},
            "a wrong capability is not refused as not-permitted")  # fmt: skip
    await bench.quiet(transport, keys)
    await bench.send(transport, good)
    await bench.take(transport, [keys], [good])


async def refuses_a_reader_without_the_read_key(bench: Bench) -> None:
    """To open, to read and to close."""
    if not bench.claims.proof:
        return
    transport = bench.connect()
    keys, other = await bench.mailbox(transport), await bench.mailbox(transport)
    item = bench.item(keys)
    await bench.send(transport, item)
    mine, theirs = keys.reader(), other.reader()
    old = mine.prove(bytes(32))
    for forged in (
        MailboxReader(mine.mailbox, mine.read_key, theirs.prove),
        MailboxReader(mine.mailbox, theirs.read_key, theirs.prove),
        MailboxReader(mine.mailbox, mine.read_key, lambda _: old),
    ):
        async with asyncio.timeout(bench.claims.patience):
            reasons = [
                await refusal(transport.receive([theirs, forged])),
                await refusal(transport.open_mailbox(forged)),
                await refusal(transport.close_mailbox(forged)),
            ]
        require(all(reasons), "a reader without the read key is let in")
    await bench.take(transport, [keys], [item])


async def refuses_what_is_too_large(bench: Bench) -> None:
    """Past the largest envelope there is."""
    transport = bench.connect()
    keys = await bench.mailbox(transport)
    item, good = bench.item(keys, bench.claims.largest + 1), bench.item(keys)
    refused = await transport.send([item, good])
    require(refused == {item.id: Reason.TOO_LARGE}, "too large an envelope is not refused")


async def refuses_what_is_too_much(bench: Bench) -> None:
    """A full mailbox takes nothing new, what it has counts as taken, and an ack makes room."""
    if not bench.claims.full:
        return
    sender, receiver = bench.connect(), bench.connect()
    keys, other = await bench.mailbox(receiver), await bench.mailbox(receiver)
    items = [bench.item(keys, 16) for _ in range(MAILBOX_ENVELOPES)]
    await bench.send(sender, *items)
    late, elsewhere = bench.item(keys, 16), bench.item(other)
    refused = await sender.send([late])
    require(refused == {late.id: Reason.MAILBOX_FULL}, "a full mailbox takes more")
    await bench.send(sender, items[0], elsewhere)
    found = await bench.take(receiver, [keys], items)
    await receiver.ack([found[0].id])
    await bench.send(sender, late)
    await bench.take(receiver, [keys], [late])
