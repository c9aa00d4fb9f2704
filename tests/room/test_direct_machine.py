"""A direct room against a simple model, under any schedule.

Two sides speak when they like; messages are lost, delayed, repeated, reordered and damaged; either
device stops and starts again. The model counts: which epoch each side is in, who opened each, and
what of it the other side has read, skipped and closed. It says of every delivery whether it must be
read, or why it must be refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from evanesce.errors import HeldError, LocalError, Reason, RemoteError
from evanesce.founding import Invited
from evanesce.limits import EPOCH_GRACE, HOUR, MAX_JUMP, SKIPPED_LIFETIME
from evanesce.membership import Mode, Policy
from evanesce.room import Room
from evanesce.speech import Received, Sent
from tests.room.room_support import NOW, Person, refused, said, skip_messages, state_of

MOST_BURSTS = 3  # so that the room's limit of skipped keys is not reached: it is tested elsewhere


@dataclass
class Heard:
    """What a side has of one epoch of the other."""

    next: int = 0
    skipped: dict[int, int] = field(default_factory=dict)  # index: since when
    closed: bool = False


@dataclass
class Side:
    """One of the two."""

    person: Person
    room: Room
    epoch: int = 0
    left: dict[int, int] = field(default_factory=dict)  # when it left each epoch
    sent: dict[int, int] = field(default_factory=dict)  # messages, by own epoch
    heard: dict[int, Heard] = field(default_factory=dict)  # by epoch of the other, while kept
    read: set[tuple[int, int]] = field(default_factory=set)
    store: dict[bytes, bytes] = field(default_factory=dict)


@dataclass
class Message:
    """A sealed message; `last` is the own epoch before in which its sender spoke, and how often."""

    sent: Sent
    side: int
    epoch: int
    index: int
    text: str
    at: int
    last: tuple[int, int] | None


class DirectRoom(RuleBasedStateMachine):
    """Side 0 founded the room and opens the even epochs, side 1 the odd ones."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.messages: list[Message] = []
        self.bursts = 0
        self.transcripts: dict[int, bytes] = {}

    @initialize(last_resort=st.booleans())
    def found(self, last_resort: bool) -> None:
        ann, bob = Person("ann"), Person("bob")
        guest: Invited = bob.invited(last_resort=last_resort)
        room, invitations = Room.found(
            ann.keys, Policy(Mode.DIRECT), [guest], "ann", ann.mailbox.mailbox, NOW, ann.random
        )
        (invitation,) = invitations.values()
        self.sides = [Side(ann, room), Side(bob, bob.join(invitation, guest, NOW))]
        self.sides[1].heard[0] = Heard()
        for side in self.sides:
            self.save(side)

    # --- the model -------------------------------------------------------------------------------

    def expected(self, reader: Side, message: Message) -> Reason | None:
        """Why a delivery to the other side must be refused; None if it must be read."""
        assert message.epoch <= reader.epoch + 1, "who answers a turn has read one of its messages"
        if message.epoch == reader.epoch + 1:
            return None  # it opens the next epoch here
        heard = reader.heard.get(message.epoch)
        if heard is None:
            return self.forgotten(reader, message.epoch)
        if message.index < heard.next:
            return None if message.index in heard.skipped else Reason.REPLAY
        if heard.closed:
            return Reason.BEYOND_COUNT
        return Reason.JUMP_TOO_FAR if message.index - heard.next > MAX_JUMP else None

    def forgotten(self, reader: Side, epoch: int) -> Reason:
        """Why a message of an erased epoch is refused: its turn is taken for one on the current."""
        if epoch == 0:
            return Reason.UNKNOWN_EPOCH  # there is no turn in it
        if self.sides[reader.epoch % 2] is not reader:
            return Reason.OUT_OF_TURN
        return Reason.BAD_ENTRY if epoch == 1 else Reason.BAD_CIPHERTEXT

    def note(self, reader: Side, message: Message) -> tuple[int, bool]:
        """Enter a message that was read; return how many are shown missing, and whether lost."""
        if message.epoch == reader.epoch + 1:
            self.enter(reader)
            reader.heard[message.epoch] = Heard()
        heard = reader.heard[message.epoch]
        shown, lost = 0, False
        if message.index < heard.next:
            del heard.skipped[message.index]
        else:
            shown += self.skip(heard, message.index)
            heard.next = message.index + 1
        for epoch in sorted((e for e in reader.heard if e < message.epoch), reverse=True):
            named = message.last is not None and message.last[0] == epoch
            old = reader.heard[epoch]
            if not old.closed:
                count = message.last[1] if named and message.last else 0
                old.closed = True
                if count - old.next > MAX_JUMP:
                    lost = True
                else:
                    shown += self.skip(old, count)
                    old.next = count
            if named:
                break
        return shown, lost

    def skip(self, heard: Heard, index: int) -> int:
        before = len(heard.skipped)
        heard.skipped |= dict.fromkeys(range(heard.next, index), self.now)
        for n in sorted(heard.skipped)[: max(0, len(heard.skipped) - MAX_JUMP)]:
            del heard.skipped[n]
        return max(0, len(heard.skipped) - before)

    def enter(self, side: Side) -> None:
        side.left[side.epoch] = self.now
        side.epoch += 1

    # --- rules -----------------------------------------------------------------------------------

    @rule(number=st.integers(0, 1), count=st.integers(1, 3))
    def send(self, number: int, count: int) -> None:
        side = self.sides[number]
        for _ in range(count):
            text = f"message {len(self.messages)} of {number}"
            if side.epoch % 2 == number and side.sent.get(side.epoch, 0) >= MAX_JUMP:
                with refused(Reason.OUT_OF_TURN, side.room, error=LocalError):
                    self.say(side, text)
                return
            sent = self.say(side, text)
            if side.epoch % 2 != number:
                self.enter(side)
            index = side.sent.get(side.epoch, 0)
            side.sent[side.epoch] = index + 1
            before = [epoch for epoch in side.sent if epoch < side.epoch]
            last = (max(before), side.sent[max(before)]) if before else None
            self.messages.append(
                Message(sent, number, side.epoch, index, text, self.now, last)
            )

    def say(self, side: Side, text: str) -> Sent:
        return side.room.send(side.person.keys, said(text, self.now), self.now, side.person.random)

    @precondition(lambda self: self.bursts < MOST_BURSTS)
    @rule(number=st.integers(0, 1), count=st.sampled_from([300, 999, 1000, 1001]))
    def burst(self, number: int, count: int) -> None:
        """Many messages that are lost on the way."""
        side = self.sides[number]
        sent = side.sent.get(side.epoch, 0)
        if side.epoch % 2 != number or sent == 0:
            return
        self.bursts += 1
        count = min(count, MAX_JUMP - sent)
        skip_messages(side.room, count)
        side.sent[side.epoch] += count

    @precondition(lambda self: self.messages)
    @rule(back=st.integers(0, 30))
    def deliver(self, back: int) -> None:
        """Any message, old or new, for the first time or again."""
        self.hand(self.messages[-1 - back % len(self.messages)])

    @precondition(lambda self: self.messages)
    @rule()
    def deliver_newest(self) -> None:
        self.hand(self.messages[-1])

    @precondition(lambda self: self.messages)
    @rule(order=st.randoms(use_true_random=False))
    def deliver_all(self, order: Random) -> None:
        """Everything there is, shuffled."""
        for message in order.sample(self.messages, len(self.messages)):
            self.hand(message)

    def hand(self, message: Message) -> None:
        reader = self.sides[1 - message.side]
        why = self.expected(reader, message)
        if why is not None:
            held = why is Reason.UNKNOWN_EPOCH
            with refused(why, reader.room, error=HeldError if held else RemoteError):
                self.read(reader, message)
            return
        received = self.read(reader, message)
        name = (message.epoch, message.index)
        assert name not in reader.read, "read twice"
        reader.read.add(name)
        assert received.content == said(message.text, message.at)
        assert (received.epoch, received.index, received.id) == (*name, message.sent.id)
        assert (received.missing, received.lost) == self.note(reader, message)

    def read(self, reader: Side, message: Message) -> Received:
        return reader.room.receive(message.sent.message, self.now)

    @precondition(lambda self: self.messages)
    @rule(back=st.integers(0, 30))
    def drop(self, back: int) -> None:
        del self.messages[-1 - back % len(self.messages)]

    @precondition(lambda self: self.messages)
    @rule(back=st.integers(0, 10), place=st.integers(0, 10_000), bits=st.integers(1, 255))
    def damage(self, back: int, place: int, bits: int) -> None:
        """A byte changed on the way: refused, nothing changes, and the original is as before."""
        message = self.messages[-1 - back % len(self.messages)]
        room = self.sides[1 - message.side].room
        changed = bytearray(message.sent.message)
        changed[place % len(changed)] ^= bits
        before = room.digest()
        try:
            room.receive(bytes(changed), self.now)
        except RemoteError:
            assert room.digest() == before
        else:
            raise AssertionError("a damaged message was read")
        self.hand(message)

    @precondition(lambda self: self.messages)
    @rule(back=st.integers(0, 10))
    def reflect(self, back: int) -> None:
        message = self.messages[-1 - back % len(self.messages)]
        room = self.sides[message.side].room
        with refused(Reason.OWN_MESSAGE, room):
            room.receive(message.sent.message, self.now)

    @rule(number=st.integers(0, 1), stored=st.booleans())
    def restore(self, number: int, stored: bool) -> None:
        side = self.sides[number]
        self.save(side)
        before = side.room.digest()
        side.room = Room.restore(side.store if stored else side.room.records())
        assert side.room.digest() == before

    def save(self, side: Side) -> None:
        for name, data in side.room.changes().items():
            if data is None:
                side.store.pop(name, None)
            else:
                side.store[name] = data

    @rule(hours=st.sampled_from([1, 30, 73]))
    def wait(self, hours: int) -> None:
        """Time passes, and both erase what has had its time."""
        self.now += hours * HOUR
        for side in self.sides:
            side.room.expire(self.now)
            for epoch, left in side.left.items():
                if self.now - left > EPOCH_GRACE:
                    side.heard.pop(epoch, None)
            for heard in side.heard.values():
                heard.skipped = {
                    n: since
                    for n, since in heard.skipped.items()
                    if self.now - since <= SKIPPED_LIFETIME
                }

    # --- what always holds -----------------------------------------------------------------------

    @invariant()
    def the_sides_agree_on_history(self) -> None:
        first, second = self.sides
        assert abs(first.epoch - second.epoch) <= 1, "there are never two commits on one epoch"
        for side in self.sides:
            assert side.room.epoch == side.epoch
            known = self.transcripts.setdefault(side.epoch, side.room.transcript)
            assert side.room.transcript == known
        if first.epoch == second.epoch:
            assert first.room.roster == second.room.roster

    @invariant()
    def each_side_keeps_what_it_needs_and_no_more(self) -> None:
        """Of a direct epoch: the opener its leaf, the other the chain; one init, of who answers."""
        for number, side in enumerate(self.sides):
            state = state_of(side.room)
            for epoch in state.epochs.values():
                current, mine = epoch.number == side.epoch, epoch.number % 2 == number
                assert set(epoch.chains) == (set() if mine else {epoch.opener})
                assert epoch.handshakes == {}
                assert (epoch.leaf is not None) == (current and mine)
                assert set(epoch.inits) == (
                    {m.id for m in epoch.roster if m.id != epoch.opener} if current else set()
                )
                if not mine:
                    chain, heard = epoch.chains[epoch.opener], side.heard[epoch.number]
                    assert (chain.index, chain.key is None) == (heard.next, heard.closed)
                    assert {n: kept.since for n, kept in chain.skipped.items()} == heard.skipped
            assert (state.sending is not None) == (side.epoch % 2 == number)


def test_direct_room() -> None:
    run_state_machine_as_test(DirectRoom, settings=settings(settings(), stateful_step_count=60))
