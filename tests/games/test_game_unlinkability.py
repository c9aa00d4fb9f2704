"""Unlinkability of envelopes: at rest, nothing ties the copies of one message together.

Two rooms speak. Each message is sealed to each recipient's mailbox, and all envelopes are shuffled.
The adversary sees bytes and mailbox addresses. It is to say of two envelopes whether they hold the
same message, beyond what their sizes, which are steps, say of themselves; and of two mailboxes
whether one device made them. It looks for keys and strings in common, for sizes that tell, and for
anything in which pairs that belong together differ from pairs that do not.

Times, batches and connections are not part of this game: `tests/relay/seizure` looks at what a
relay's files tell, and 16.2 says what a live observer sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import sqrt

from evanesce.content import Evaporation
from evanesce.envelope import open_envelope, seal_envelope
from evanesce.mailbox import MailboxKeys
from spec import reference as ref
from tests.games.ledger import Break
from tests.games.world import Stream, World

STEPS = (512, 1_024, 2_048, 4_096, 8_192, 16_384)
SHARED = 6  # bytes in common that two random envelopes of this size do not have by chance
WORDS = ("yes", "no", "perhaps", "a longer text " * 15, "one much longer " * 30)


@dataclass(frozen=True)
class Envelope:
    """What the adversary sees, and what it does not: which message it is."""

    address: bytes
    data: bytes
    message: bytes


@dataclass
class Reader:
    """A device with a mailbox in each of two rooms."""

    name: str
    mailboxes: list[MailboxKeys]


def at_rest() -> tuple[list[Envelope], list[Reader]]:
    """Two rooms of the same four devices, each message in an envelope for each reader."""
    names = ("ann", "bob", "cid", "dan")
    readers = {name: Reader(name, []) for name in names}
    random = {name: Stream(f"device of {name}") for name in names}  # one source for both rooms
    envelopes = []
    for number in range(2):
        world = World(*names, seed=f"room {number} ")
        for name in names:
            readers[name].mailboxes.append(MailboxKeys.generate(random[name]))
        for turn in range(10):
            sender = names[turn % 4]
            message = world.say(sender, Evaporation(), WORDS[turn % len(WORDS)] + str(turn))
            assert message is not None
            for name in names:
                if name != sender:
                    keys = readers[name].mailboxes[number]
                    sealed = seal_envelope(keys.mailbox, message.data, random[sender])
                    assert open_envelope(keys, sealed) == message.data
                    envelopes.append(Envelope(keys.mailbox.address, sealed, message.id))
            world.hear_all()
    envelopes.sort(key=lambda envelope: ref.H(b"shuffle", envelope.data))
    return envelopes, list(readers.values())


def strings(data: bytes) -> Iterator[bytes]:
    return (data[n : n + SHARED] for n in range(4, len(data) - SHARED))


def link_envelopes() -> None:
    """Everything that can be in common, but for the size step."""
    envelopes, _ = at_rest()
    sizes = {len(envelope.data) for envelope in envelopes}
    if not sizes <= set(STEPS):
        raise Break(f"sizes tell messages apart: {sorted(sizes)}")
    seen: dict[bytes, bytes] = {}
    for envelope in envelopes:
        for part in set(strings(envelope.data)):
            if seen.get(part, envelope.data) != envelope.data:
                raise Break("two envelopes have a string in common")
            seen[part] = envelope.data
    by_pairs(envelopes)


def by_pairs(envelopes: list[Envelope]) -> None:
    """Whether copies of one message are nearer to each other than to others of their size."""
    same: list[float] = []
    other: list[float] = []
    for one, two in combinations(envelopes, 2):
        if len(one.data) == len(two.data) and one.address != two.address:
            near = distance(one.data, two.data)
            (same if one.message == two.message else other).append(near)
    assert len(same) > 30, "enough copies"
    assert len(other) > 300, "enough strangers"
    auc = sum((a < b) + 0.5 * (a == b) for a in same for b in other) / (len(same) * len(other))
    # The chance that a pair of copies is nearer than one of strangers: 0.5 is guessing.
    if abs(auc - 0.5) > 4 * sqrt(1 / (12 * len(same))):
        raise Break(f"copies of one message are told from others: {auc:.2f}")


def distance(one: bytes, two: bytes) -> float:
    """In how many bits two envelopes differ, as a deviation from what is due by their size."""
    differ = (int.from_bytes(one, "big") ^ int.from_bytes(two, "big")).bit_count()
    return (differ - 4 * len(one)) / sqrt(2 * len(one))


def link_mailboxes() -> None:
    """No two mailboxes have anything in common, whoever made them."""
    _, readers = at_rest()
    seen: set[bytes] = set()
    for keys in (keys for reader in readers for keys in reader.mailboxes):
        for value in (*keys.mailbox.value(), keys.read_key):
            if value in seen:
                raise Break("two mailboxes have a value in common")
            seen.add(value)


def test_copies_of_a_message_are_not_linked() -> None:
    link_envelopes()


def test_mailboxes_of_a_device_are_not_linked() -> None:
    link_mailboxes()
