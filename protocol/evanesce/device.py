"""A device: the engine, run over a store and a transport (spec 17)."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from . import actions, burning, faces, resyncing, viewing
from .actions import Guest
from .application import OnCommit
from .checks import check_commit, check_direct, check_group
from .content import Said
from .conversation import Conversation
from .errors import LocalError, Reason
from .events import MessageArrived, MessageEvaporated, MessageHandle, Person
from .identity import Identity
from .inbox import Kept
from .keypackage import Card
from .ledger import Report, SentMessage
from .membership import Mode, Policy, Role
from .operations import Wish
from .overview import Overview
from .pinning import Pinning
from .ports import Clock, Store, SystemClock, Transaction, Transport
from .primitives import Random
from .room import Room
from .worker import TICK

__all__ = ["TICK", "Device"]


class Device(Pinning, Overview):
    """One device with its rooms.

    ``async with Device.open(store, transport, name="Mina") as mina: …``
    """

    @classmethod
    def open(
        cls,
        store: Store,
        transport: Transport,
        *,
        name: str | None = None,
        clock: Clock | None = None,
        random: Random = secrets.token_bytes,
        on_commit: OnCommit | None = None,
    ) -> Device:
        """Open the device in `store`, or make a new one there called `name` (1 to 256 bytes).

        `on_commit(tx, events)` is called for each delivery, inside its transaction and before that
        is committed, with what is then told: so an application can file its own record of an
        arrived message with it or not at all, under names that begin with ``b"app/"``. What it
        raises undoes all of the delivery, is told as `ApplicationFailed`, and the delivery is tried
        again. `clock` and `random` are for tests.

        Entering the context raises `LocalError` for a new device without a name (bad-input) or with
        one too long (too-large), `StorageError` (bad-store) for a store that cannot be read. A room
        is read when it is first used: should its records be damaged, that is what raises it then.
        """
        return cls(store, transport, name, clock or SystemClock(), random, on_commit)

    # --- who and what ----------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """What this device calls itself."""
        return self.engine.name

    @property
    def identity(self) -> Identity:
        """This device's public identity."""
        return self.engine.owner.identity

    @property
    def rooms(self) -> tuple[Conversation, ...]:
        """Every room on this device."""
        return tuple(self.conversation(room) for room in self.engine.rooms)

    def conversation(self, room: bytes) -> Conversation:
        """The handle on the room with this id."""
        return Conversation(self, room)

    def room(self, room: bytes) -> Room:
        """The core's room behind a conversation. Raise `LocalError` (unknown-room)."""
        found = self.engine.rooms.get(room)
        if found is None:
            raise LocalError(Reason.UNKNOWN_ROOM, "no such room on this device")
        return found

    def people(self, room: bytes) -> tuple[Person, ...]:
        """The members of a room."""
        found = self.room(room)
        return tuple(faces.person(found, member) for member in found.roster)

    def is_stale(self, room: bytes) -> bool:
        """See `Conversation.stale`."""
        return self.engine.is_stale(self.room(room).id)

    async def card(self, *, one_time: bool = False) -> Card:
        """A card to hand around. With `one_time`, for one named peer: it admits with full secrecy.

        An ordinary card carries the last-resort package, and its users claim a one-time one.
        """

        def make(tx: Transaction, now: int) -> Card:
            engine = self.engine
            if one_time:
                shelved = engine.make_package(tx, now, last_resort=False, publish=False)
            else:
                shelved = engine.last_resort() or engine.make_package(
                    tx, now, last_resort=True, publish=True
                )
            return Card(engine.name, shelved.keys.package)

        return await self._run(make)

    # --- rooms -----------------------------------------------------------------------------------

    async def direct(self, card: Card) -> Conversation:
        """The 1:1 room with the owner of `card`; begun now if there is none, or only a stale one.

        Nothing is sent before the first message. Raise `LocalError`: expired, no-package,
        already-member (one's own card), identity-changed. `OSError` when a directory cannot be
        reached.
        """
        serving = self._serving(card)
        if serving is not None:
            return self.conversation(serving)
        await self.keep(lambda tx, now: check_direct(self.engine, tx, card, now,
                                                     self._courier.claims))  # fmt: skip
        (claimed,) = await self._claim([card])

        def begin(tx: Transaction, now: int) -> bytes:
            begun = self._serving(card)
            if begun is not None:  # meanwhile, by another call or by the peer
                return begun
            guest = Guest.of(card, now, claimed, Role.MEMBER)
            return actions.begin_direct(self.engine, tx, guest, now).id

        return self.conversation(await self._run(begin))

    def _serving(self, card: Card) -> bytes | None:
        """The 1:1 room with the owner of a card, unless nothing can be said there any more."""
        engine = self.engine
        serving = engine.direct.get(card.identity)
        if serving is None or serving not in engine.rooms or engine.is_stale(serving):
            return None
        return serving

    async def create_room(
        self, members: Iterable[Card], *, policy: Policy | None = None
    ) -> Conversation:
        """Found a group with the owners of these cards, and invite them.

        Raise `LocalError`: expired, no-package, already-member, too-many-members, bad-policy,
        wrong-mode, identity-changed. `OSError` when a directory cannot be reached.
        """
        cards = list(members)
        rules = policy or Policy(Mode.SIGNED)
        await self.keep(lambda tx, now: check_group(self.engine, tx, rules, cards, now,
                                                    self._courier.claims))  # fmt: skip
        claims = await self._claim(cards)

        def found(tx: Transaction, now: int) -> bytes:
            guests = [
                Guest.of(card, now, claimed, Role.MEMBER)
                for card, claimed in zip(cards, claims, strict=True)
            ]
            return actions.found_group(self.engine, tx, rules, guests, now).id

        return self.conversation(await self._run(found))

    async def _claim(self, cards: Sequence[Card]) -> list[bytes | None]:
        """A fresh one-time package for each card that carries a last-resort one."""
        claimed: list[bytes | None] = []
        for card in cards:
            wanted = self._courier.claims(card)
            claimed.append(await self._courier.claim(card) if wanted else None)
        return claimed

    async def say(
        self,
        room: bytes,
        body: str | bytes,
        after_view: int | None,
        lifetime: int | None,
        quote: bytes | None,
    ) -> SentMessage:
        """Send to a room; see `Conversation.send`."""

        def speak(tx: Transaction, now: int) -> SentMessage:
            found = self.room(room)
            evaporation = actions.evaporation_in(found, after_view, lifetime)
            quoted = bytes(quote) if isinstance(quote, SentMessage) else quote
            said = Said(body, now, evaporation, quoted)
            key = actions.speak(self.engine, tx, found, said, now)
            return SentMessage.of(self.engine.ledger.report(tx, key))

        return await self._run(speak)

    async def commit(
        self, room: bytes, operations: Sequence[Wish], guests: Sequence[tuple[Card, Role]]
    ) -> int:
        """Commit to a group; return the number of the new epoch. See `Conversation`."""
        if guests:
            await self.keep(lambda tx, now: check_commit(
                self.engine, tx, self.room(room), operations, guests, now, self._courier.claims
            ))  # fmt: skip
        claims = await self._claim([card for card, _ in guests])

        def make(tx: Transaction, now: int) -> int:
            chosen = [
                Guest.of(card, now, claimed, role)
                for (card, role), claimed in zip(guests, claims, strict=True)
            ]
            found = self.room(room)
            actions.commit(self.engine, tx, found, operations, chosen, now)
            return found.epoch

        return await self._run(make)

    async def ask_resync(self, room: bytes, members: Sequence[bytes]) -> int:
        """Ask to be let into a group anew; see `Conversation.ask_resync`."""
        return await self._run(
            lambda tx, now: resyncing.ask(self.engine, tx, self.room(room), members, now)
        )

    async def abandon(self, room: bytes) -> None:
        """Give up one's place in a group; see `Conversation.abandon`."""
        await self._run(lambda tx, now: actions.abandon(self.engine, tx, self.room(room), now))

    def resync_requests(self, room: bytes) -> tuple[Person, ...]:
        """The members that ask to be let in anew; see `Conversation.resync_requests`."""
        found = self.room(room)
        return tuple(
            faces.person(found, found.roster[member])
            for key, member in self.engine.resyncs
            if key == room and member in found.roster
        )

    async def resync(self, room: bytes, members: Sequence[bytes]) -> int:
        """Let members into a group anew; see `Conversation.resync`."""

        def make(tx: Transaction, now: int) -> int:
            found = self.room(room)
            if not members:
                raise LocalError(Reason.BAD_INPUT, "nobody is named")
            operations = [resyncing.operation_for(self.engine, found, each) for each in members]
            actions.commit(self.engine, tx, found, operations, [], now)
            return found.epoch

        return await self._run(make)

    async def leave(self, room: bytes) -> None:
        """Ask to be removed from a group; see `Conversation.leave`."""
        await self._run(lambda tx, now: actions.leave(self.engine, tx, self.room(room), now))

    async def burn(self, room: bytes, messages: Sequence[bytes]) -> None:
        """Recall messages of one's own; see `Conversation.burn`."""
        await self._run(
            lambda tx, now: burning.burn(self.engine, tx, self.room(room), messages, now)
        )

    async def burnable(self, room: bytes) -> list[bytes]:
        """See `Conversation.burnable`."""
        return await self.keep(lambda tx, _: burning.burnable(self.engine, tx, self.room(room)))

    def receipts(self, room: bytes) -> bool:
        """See `Conversation.receipts`."""
        return self.engine.receipts.are_on(self.room(room).id)

    async def set_receipts(self, room: bytes, *, on: bool) -> None:
        """See `Conversation.set_receipts`."""
        await self.keep(lambda tx, _: self.engine.receipts.turn(tx, self.room(room).id, on=on))

    # --- what became of it -----------------------------------------------------------------------

    async def report(self, message: bytes) -> Report:
        """What became of a message, by its id, for each who should get it.

        Kept for 72 h after the last change. Raise `LocalError` (unknown-message).
        """
        return await self.keep(lambda tx, now: self.engine.ledger.report(tx, message))

    async def report_commit(self, room: bytes, epoch: int) -> Report:
        """The same of the commit of this device that opened an epoch; kept for 30 days."""
        return await self.keep(
            lambda tx, now: self.engine.ledger.report_commit(tx, room, epoch)
        )

    async def retry(self, message: bytes) -> int:
        """Send again, as the same bytes, what the transport has refused and may take now.

        `message` is the id of a message, or that of a commit's report. Return for how many
        recipients. Raise `LocalError` (unknown-message).
        """

        def again(tx: Transaction, now: int) -> int:
            self.engine.ledger.report(tx, message)
            queued = self.engine.outbox.again(tx, message)
            self.engine.ledger.note(tx, message, {each.member: each for each in queued}, now)
            return len(queued)

        return await self._run(again)

    # --- messages --------------------------------------------------------------------------------

    def message(self, message: bytes) -> MessageHandle:
        """The handle on a kept message, by its id."""
        return MessageHandle(message, self._view)

    async def inbox(self, room: Conversation | None = None) -> list[MessageArrived]:
        """The messages that have not evaporated, as they came: after a restart, or for a list.

        One's own are among them, until their time is over.
        """

        def look(tx: Transaction, now: int) -> list[MessageArrived]:
            return [
                self._as_arrived(kept)
                for kept in self.engine.inbox.all(tx, now)
                if room is None or kept.room == room.id
            ]

        return await self.keep(look)

    def _as_arrived(self, kept: Kept) -> MessageArrived:
        """A kept message as it was told when it came."""
        room = self.room(kept.room)
        member = room.known_member(kept.sender)
        if member is None:  # long removed, from a room that has had many commits since
            sender = Person(kept.sender[:4].hex(), kept.sender, Identity(b"", b""), Role.MEMBER)
        else:
            sender = faces.person(room, member)
        return MessageArrived(self.conversation(kept.room), sender, self.message(kept.id),
                              kept.sent, kept.quote)  # fmt: skip

    @asynccontextmanager
    async def _view(self, message: bytes) -> AsyncIterator[str | bytes]:
        """Open a message: the viewed mark is committed before the content is given out."""
        whose, body = await self.keep(lambda tx, now: viewing.view(self.engine, tx, message, now))
        self._opened[message] = whose
        try:
            yield body
        finally:
            self._opened.pop(message, None)
            closed = False
            if self._open:  # else what has been viewed is erased when the device is opened again
                closed = await self.keep(lambda tx, now: self.engine.inbox.close(tx, message))
            if closed:
                self._events.put_nowait(MessageEvaporated(message))
            self._look.set()
