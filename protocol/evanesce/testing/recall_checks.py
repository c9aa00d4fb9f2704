"""What a transport owes its devices if it can recall (REQ-ENV-23), one function for each thing.

A transport says that it can by having the method: see `ports.Recalling`.
"""

from __future__ import annotations

from dataclasses import replace

from ..errors import Reason
from ..ports import Outgoing, Recall, Recalling, Transport
from .bench import Bench, refusal, require

__all__ = [
    "recall_after_ack_and_of_the_unknown_is_fine",
    "recall_by_whoever_has_no_capability_is_refused",
    "recalled_before_it_was_put_is_not_taken",
    "recalled_envelopes_are_not_delivered",
]


def _recall(item: Outgoing) -> Recall:
    return Recall(item.id, item.mailbox)


def _recalling(transport: Transport) -> Recalling | None:
    return transport if isinstance(transport, Recalling) else None


async def recalled_envelopes_are_not_delivered(bench: Bench) -> None:
    """What is recalled goes, all else stays, and putting it again changes nothing."""
    sender, receiver = bench.connect(), bench.connect()
    transport = _recalling(sender)
    if transport is None:
        return
    one, other = await bench.mailbox(receiver), await bench.mailbox(receiver)
    kept, gone, later = (bench.item(one) for _ in range(3))
    elsewhere = replace(bench.item(other), id=gone.id)
    await bench.send(sender, kept, gone, later, elsewhere)
    await transport.recall([_recall(gone), _recall(later)])
    await transport.recall([])
    for _ in range(2):
        found = await bench.take(receiver, [one, other], [kept, elsewhere])
        seen = {(delivery.address, delivery.envelope) for delivery in found}
        for item in (gone, later):
            require((item.mailbox.address, item.envelope) not in seen,
                    "a recalled envelope is delivered")  # fmt: skip
        await bench.send(sender, gone, kept)  # as whoever did not hear that it was taken
    await transport.recall([_recall(gone), _recall(gone)])
    await receiver.ack([delivery.id for delivery in found])
    again_there = bench.connect() if bench.claims.remembers else receiver
    for keys in (one, other):
        await again_there.open_mailbox(keys.reader())
        await bench.quiet(again_there, keys)


async def recalled_before_it_was_put_is_not_taken(bench: Bench) -> None:
    """A recall may overtake the envelope that it is for."""
    sender, receiver = bench.connect(), bench.connect()
    transport = _recalling(sender)
    if transport is None:
        return
    keys = await bench.mailbox(receiver)
    item, other = bench.item(keys), bench.item(keys)
    await transport.recall([_recall(item)])
    await bench.send(sender, item, other)
    found = await bench.take(receiver, [keys], [other], ack=True)
    require(item.envelope not in {delivery.envelope for delivery in found},
            "an envelope is taken that was recalled before")  # fmt: skip
    await bench.quiet(receiver, keys)


async def recall_after_ack_and_of_the_unknown_is_fine(bench: Bench) -> None:
    """Whoever recalls does not know what has been fetched, and is not told."""
    sender, receiver = bench.connect(), bench.connect()
    transport = _recalling(sender)
    if transport is None:
        return
    keys = await bench.mailbox(receiver)
    read, unread = bench.item(keys), bench.item(keys)
    await bench.send(sender, read)
    await bench.take(receiver, [keys], [read], ack=True)
    await bench.send(sender, unread)
    await transport.recall([_recall(read), _recall(bench.item(keys))])
    await bench.take(receiver, [keys], [unread], ack=True)
    await bench.quiet(receiver, keys)


async def recall_by_whoever_has_no_capability_is_refused(bench: Bench) -> None:
    """The id is known to those who watch the relay; the capability is not."""
    sender, receiver = bench.connect(), bench.connect()
    transport = _recalling(sender)
    if transport is None:
        return
    keys, nobody = await bench.mailbox(receiver), bench.keys()
    item = bench.item(keys)
    await bench.send(sender, item)
    if bench.claims.capability:
        forged = replace(keys.mailbox, capability=bench.dice.randbytes(16))
        reason = await refusal(transport.recall([Recall(item.id, forged)]))
        require(reason is Reason.NOT_PERMITTED, "recalled without the write capability")
    if bench.claims.unknown_mailbox:
        reason = await refusal(transport.recall([Recall(item.id, nobody.mailbox)]))
        require(reason is Reason.UNKNOWN_MAILBOX, "recalled from a mailbox that there is not")
    await bench.take(receiver, [keys], [item])
