"""A transport over any messenger, with people who copy and paste.

What a device sends becomes blocks of text (see `armor` for their form). They go to a callback, or
wait in `outbox`; somebody pastes them into a conversation, and whoever reads it feeds what it says
to a transport of their own, other text and all. In a group everybody can post in, and feed from,
the group's own conversation: each takes what is for their mailboxes.

The messenger sees sizes, times, who posts to whom, and the beginning of each mailbox's address; so
do all who read the conversation later. Nobody refuses anything for want of a capability, and
nothing is known about mailboxes of others. Who can post before a block is read can get it ignored,
by posting another under its id first; what is in an envelope authenticates itself.

What was posted cannot be recalled (this transport is not `Recalling`): a message that is burned
stays in the messenger, sealed, until somebody deletes it there.

All is kept in memory. What was taken to be sent is lost if the program ends before the text has
gone into the messenger: a callback that stores or posts it, and raises `OSError` when it cannot, is
better than `outbox` where that matters. What was fed and not yet received is fed again from the
messenger. After 72 hours what is fed is forgotten, and so are the ids known as delivered: a block
pasted after that is delivered anew, and its device rejects it.
"""

from __future__ import annotations

import asyncio
import inspect
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from ..errors import LocalError, Reason, RemoteError
from ..limits import MAILBOX_ENVELOPES, MAX_ENVELOPE, RETENTION
from ..mailbox import MailboxReader
from ..ports import Clock, Delivery, Outgoing, SystemClock
from .armor import LEAST_LIMIT, Damage, Part, blocks, part_name, read, short, squeeze

__all__ = ["ArmoredTransport"]

UNFINISHED = 32  # envelopes of which some parts are missing; past it the oldest are forgotten
_LONGEST_REST = 2 * MAX_ENVELOPE  # characters of a block that was cut


@dataclass(slots=True)
class _Pieces:
    since: int
    size: int = 0
    parts: dict[int, bytes] = field(default_factory=dict, repr=False)


class ArmoredTransport:
    """Envelopes as text. Implements `Transport`.

    `post`, a function or coroutine function, is given each block; without it they wait in `outbox`.
    `limit` is what a message of the messenger holds, in characters (160 or more; None: anything).
    """

    def __init__(
        self,
        post: Callable[[str], Awaitable[None] | None] | None = None,
        *,
        limit: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        if limit is not None and limit < LEAST_LIMIT:
            raise LocalError(Reason.BAD_INPUT, f"a message must hold {LEAST_LIMIT} characters")
        self._post = post
        self._limit = limit
        self._clock = clock or SystemClock()
        self._texts: list[str] = []
        self._sent: dict[tuple[bytes, bytes], int] = {}  # addresses and ids that became text
        self._own: dict[bytes, bytes] = {}  # beginnings of the addresses that are read here
        self._unfinished: dict[tuple[bytes, bytes, int], _Pieces] = {}
        self._waiting: dict[tuple[bytes, bytes], tuple[int, bytes]] = {}
        self._known: dict[tuple[bytes, bytes], int] = {}  # whole envelopes, with their time
        self._rest = ""  # a block that ended before its end, last in what was fed
        self._fed = asyncio.Event()

    # --- sending ---------------------------------------------------------------------------------

    async def send(self, batch: Sequence[Outgoing]) -> dict[bytes, Reason]:
        """Make text of envelopes; return the ids that were refused, with the reason."""
        self._forget()
        refused: dict[bytes, Reason] = {}
        for item in batch:
            key = item.mailbox.address, item.id
            if len(item.id) != 16 or len(item.mailbox.address) != 32:
                refused[item.id] = Reason.BAD_INPUT
            elif len(item.envelope) > MAX_ENVELOPE:
                refused[item.id] = Reason.TOO_LARGE
            elif key not in self._sent:
                for text in blocks(item.mailbox.address, item.id, item.envelope, self._limit):
                    await self._give(text)
                self._sent[key] = self._clock.now()
        return refused

    async def _give(self, text: str) -> None:
        if self._post is None:
            self._texts.append(text)
            return
        posted = self._post(text)
        if inspect.isawaitable(posted):
            await posted

    def outbox(self) -> list[str]:
        """Take out the blocks to be pasted, oldest first."""
        texts, self._texts = self._texts, []
        return texts

    # --- what is pasted --------------------------------------------------------------------------

    def feed(self, text: str) -> int:
        """Read pasted text; return how many envelopes have become whole by it.

        Everything that can be read is taken. If a block cannot, and this part was not fed whole
        here or before, raise `RemoteError`, which names it: bad-form (damaged), truncated (it ends
        early; the other half may be fed next), wrong-version, too-large, mailbox-full.
        """
        self._forget()
        # A block that a messenger has cut goes on where the last text stopped.
        continued = bool(self._rest)
        found = list(read(self._rest + squeeze(text)))
        self._rest = ""
        whole = 0
        damaged: list[Damage] = []
        for n, item in enumerate(found):
            if isinstance(item, Part):
                try:
                    whole += self._take(item)
                except RemoteError as error:
                    damaged.append(Damage("", error, None))
                continue
            last = n == len(found) - 1
            if last and item.error.reason is Reason.TRUNCATED and len(item.text) < _LONGEST_REST:
                self._rest = item.text
            if last or n > 0 or not continued:  # else it was told of when it was cut
                damaged.append(item)
        if whole:
            self._fed.set()
            self._fed = asyncio.Event()
        errors = [item.error for item in damaged if not self._has(item.place)]
        if errors:
            details = dict.fromkeys(error.detail for error in errors)
            raise RemoteError(errors[0].reason, "; ".join(details))
        return whole

    def _has(self, place: tuple[bytes, bytes, int] | None) -> bool:
        """Whether this part has been fed whole."""
        if place is None:
            return False
        to, envelope_id, number = place
        return (to, envelope_id) in self._known or any(
            key[:2] == (to, envelope_id) and number in pieces.parts
            for key, pieces in self._unfinished.items()
        )

    def _take(self, part: Part) -> bool:
        """Add a part; return whether it makes an envelope whole."""
        if (part.to, part.id) in self._known:
            return False
        now = self._clock.now()
        key = part.to, part.id, part.count
        pieces = self._unfinished.setdefault(key, _Pieces(now))
        if part.number not in pieces.parts:
            pieces.parts[part.number] = part.data
            pieces.size += len(part.data)
        if pieces.size > MAX_ENVELOPE:
            del self._unfinished[key]
            raise RemoteError(Reason.TOO_LARGE, "the parts of a block are longer than an envelope")
        if len(pieces.parts) < part.count:
            if len(self._unfinished) > UNFINISHED:
                del self._unfinished[next(iter(self._unfinished))]
            return False
        del self._unfinished[key]
        self._make_room(part.to)
        envelope = b"".join(pieces.parts[n] for n in range(1, part.count + 1))
        self._waiting[part.to, part.id] = now, envelope
        self._known[part.to, part.id] = now
        return True

    def _make_room(self, to: bytes) -> None:
        """A mailbox of one's own takes so many; all those of others together as many."""
        if to in self._own:
            if sum(key[0] == to for key in self._waiting) >= MAILBOX_ENVELOPES:
                raise RemoteError(Reason.MAILBOX_FULL, "receive what waits, and paste it again")
            return
        strange = [key for key in self._waiting if key[0] not in self._own]
        if len(strange) >= MAILBOX_ENVELOPES:
            del self._waiting[strange[0]]
            del self._known[strange[0]]

    def missing(self) -> list[RemoteError]:
        """What is still to be pasted: one error (truncated) for each part that has not come."""
        self._forget()
        return [
            RemoteError(Reason.TRUNCATED, f"{part_name(envelope_id, number, count)} is missing")
            for (_, envelope_id, count), pieces in self._unfinished.items()
            for number in range(1, count + 1)
            if number not in pieces.parts
        ]

    def _forget(self) -> None:
        """Erase what has been here for too long."""
        old = self._clock.now() - RETENTION
        self._sent = {key: since for key, since in self._sent.items() if since >= old}
        self._known = {key: since for key, since in self._known.items() if since >= old}
        self._waiting = {key: it for key, it in self._waiting.items() if it[0] >= old}
        self._unfinished = {key: it for key, it in self._unfinished.items() if it.since >= old}

    # --- receiving -------------------------------------------------------------------------------

    async def open_mailbox(self, reader: MailboxReader) -> None:
        """Know a mailbox as one's own; doing it twice is fine."""
        self._learn(reader)

    def _learn(self, reader: MailboxReader) -> bytes:
        challenge = secrets.token_bytes(32)
        reader.check(challenge, reader.prove(challenge))
        address = reader.mailbox.address
        self._own[short(address)] = address
        return address

    async def close_mailbox(self, reader: MailboxReader) -> None:
        """Forget a mailbox and all that waits for it."""
        to = short(self._learn(reader))
        del self._own[to]
        self._waiting = {key: it for key, it in self._waiting.items() if key[0] != to}
        self._unfinished = {key: it for key, it in self._unfinished.items() if key[0] != to}

    async def receive(self, readers: Sequence[MailboxReader]) -> list[Delivery]:
        """Wait until something is there for one of these mailboxes and return what is there."""
        addresses = {short(address): address for address in map(self._learn, readers)}
        while True:
            self._forget()
            fed = self._fed
            found = [Delivery(addresses[to] + key, addresses[to], envelope)
                     for (to, key), (_, envelope) in self._waiting.items()
                     if to in addresses]  # fmt: skip
            if found:
                return found
            await fed.wait()

    async def ack(self, ids: Sequence[bytes]) -> None:
        """Forget these deliveries: their receiver has stored them."""
        for delivery in ids:
            self._waiting.pop((short(delivery), delivery[32:]), None)
