"""Hostile envelopes that a whole device takes: what is useless, and what has to wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from benchmarks.hostile_counts import MOST, Counts, Reads, bound
from benchmarks.hostile_rooms import NOW, Prepared, Somebody, Stream, people

from evanesce.arrivals import arrive, retry_waiting
from evanesce.content import Evaporation, Said
from evanesce.engine import Engine
from evanesce.envelope import seal_envelope
from evanesce.faces import Faces
from evanesce.formats import HEADER, MESSAGE
from evanesce.founding import Invited
from evanesce.keypackage import KeyPackage
from evanesce.limits import MAX_ENVELOPE, MAX_WAITING, MAX_WAITING_BYTES
from evanesce.membership import Mode, Policy
from evanesce.ports import Delivery, Transaction
from evanesce.primitives import H
from evanesce.room import Room
from evanesce.store.memory import MemoryStore
from evanesce.wire import Value, decode, encode


class _Shown:
    """What an application would be shown: the ids themselves."""

    def __getattr__(self, name: str) -> Callable[[bytes], Any]:
        return lambda key: None if name == "opened" else key


_FACES: Final = cast(Faces, _Shown())


class _Device:
    """A device in one group of the attacker's, over a store in memory."""

    def __init__(self) -> None:
        self.random = Stream("device")
        self.store = MemoryStore()
        founder = people(0)
        with self.store.transaction() as tx:
            self.engine = Engine.load(tx, "victim", NOW, self.random)
            package = self.engine.make_package(tx, NOW, last_resort=False, publish=False)
            self.mine, (invitation,) = self._found(founder, package.keys.package)
            arrive(self.engine, tx, _FACES, self.delivery(None, invitation), NOW)
        assert self.mine.id in self.engine.rooms

    def _found(self, founder: Somebody, package: KeyPackage) -> tuple[Room, list[bytes]]:
        room, invitations = Room.found(
            founder.owner, Policy(Mode.SIGNED), [Invited(package, 0)], "founder", founder.mailbox,
            NOW, Stream("group"),
        )  # fmt: skip
        return room, list(invitations.values())

    def delivery(self, room: bytes | None, payload: bytes) -> Delivery:
        """An envelope to the contact mailbox, or to that of the room."""
        (own,) = (m.keys for m in self.engine.mailboxes.values() if m.room == room)
        envelope = seal_envelope(own.mailbox, payload, self.random)
        return Delivery(H(b"delivery", envelope)[:16], own.mailbox.address, envelope)

    def take(self, counts: Counts, room: bytes | None, payload: bytes) -> None:
        """Process a delivery."""
        delivery = self.delivery(room, payload)
        with self.store.transaction() as inner, self.engine.rooms.within(inner):
            arrive(self.engine, cast(Transaction, Reads(inner, counts)), _FACES, delivery, NOW)

    def hold(self, count: int, length: int) -> int:
        """Let so many messages of an epoch that is not known wait; return the bytes of all."""
        for number in range(count):
            self.take(Counts(), self.mine.id, self.unknown(number, length))
        with self.store.transaction() as tx:
            waiting = [len(data) for _, data in tx.scan(b"waiting/")]
        assert len(waiting) == count
        return sum(waiting)

    def unknown(self, number: int, length: int) -> bytes:
        """A message that cannot be judged yet: anybody who knows the room's mailbox can make it."""
        sent = self.mine.send(people(0).owner, Said("", NOW, Evaporation()), NOW, Stream("held"))
        value = decode(MESSAGE.parse(sent.message)[0], limit=HEADER.limit)
        value[3] = number.to_bytes(8, "big")
        return MESSAGE.build(encode(value), bytes(length), bytes(64))


def _waits(count: int) -> tuple[int, int]:
    """How many wait at a device, and how long each is: all that a mailbox's place may hold."""
    waiting = min(count, MAX_WAITING)
    return waiting, MAX_WAITING_BYTES // MAX_WAITING - 700


def normal_held(size: int) -> Prepared:
    """The first that waits."""
    device = _Device()
    payload = device.unknown(0, _waits(size)[1])
    allowed = bound(size=2 * len(payload), waiting=4, held=4_096)
    return (lambda counts: device.take(counts, device.mine.id, payload)), allowed, len(payload)


def small_items(size: int) -> Prepared:
    """The largest envelope, of the smallest items: all are looked at before it is refused."""
    device = _Device()
    items: list[Value] = [0] * (MAX_ENVELOPE * min(size, MOST) // MOST - 1_024)
    payload = encode([1, 99, items])
    allowed = bound(size=len(payload), waiting=4, held=4_096)
    return (lambda counts: device.take(counts, None, payload)), allowed, len(payload)


def one_more(size: int) -> Prepared:
    """One more, where all but one place is taken."""
    device = _Device()
    count, length = _waits(size)
    device.hold(count - 1, length)
    payload = device.unknown(count, length)
    allowed = bound(size=2 * len(payload), waiting=4, held=4_096)
    return (lambda counts: device.take(counts, device.mine.id, payload)), allowed, len(payload)


def retried(size: int) -> Prepared:
    """All that waits is looked at, as it is once a minute, and goes on waiting: nothing is read."""
    device = _Device()
    count, length = _waits(size)
    held = device.hold(count, length)

    def again(counts: Counts) -> None:
        with device.store.transaction() as inner, device.engine.rooms.within(inner):
            tx = cast(Transaction, Reads(inner, counts))
            retry_waiting(device.engine, tx, _FACES, NOW, 0)

    allowed = bound(size=0, waiting=4, held=4_096)
    return again, allowed, held


def late_first(size: int) -> Prepared:
    """So many commits wait for the one before them, each for the one before it; then that comes."""
    device = _Device()
    count = min(size, MAX_WAITING)
    copies: list[bytes] = []
    for number in range(count + 1):
        made = device.mine.commit(people(0).owner, [], [], NOW, Stream(f"commit {number}"))
        copies += made.copies.values()
    first, *others = copies
    for copy in others:
        device.take(Counts(), device.mine.id, copy)
    length = sum(map(len, others))
    held = 4 * length + 16_384 * (count + 1)  # and each time the room's few small records
    allowed = bound(size=4 * length, waiting=16 * (count + 1), held=held,
                    members=2 * (count + 1), fixed=16 * (count + 1))  # fmt: skip
    return (lambda counts: device.take(counts, device.mine.id, first)), allowed, length
