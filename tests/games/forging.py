"""What an insider or a carrier can put before others: forged messages, commits and welcomes.

An insider runs a modified client on a clone of its own device's state: everything it has, it may
use. Here the library's own formulas are right, since a forger would use the ones that its victims
use, also where they are weak.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from evanesce import epoch, founding, group, membership, operations
from evanesce.content import Evaporation, Said
from evanesce.errors import EvanesceError
from evanesce.formats import MESSAGE
from evanesce.group import CommitMade
from evanesce.membership import Credential, Member, Mode, Policy, Roster
from evanesce.message import Header, ParsedMessage, seal_message
from evanesce.proofs import Sanction
from evanesce.room import Room
from evanesce.secret import Secret
from tests.games.ledger import Break
from tests.games.world import NOW, Device, Stream, World


def words(text: str, now: int = NOW) -> Said:
    """A content."""
    return Said(text, now, Evaporation())


def clone_of(device: Device) -> Room:
    """A second copy of a device's room."""
    return Room.restore(device.there.records())


def room_sign(room: Room) -> bytes:
    """The private key that a device signs with now."""
    key = room.state.epoch.room_sign
    assert key is not None
    return key.reveal()


def forged_messages(
    room: Room, victim: bytes, genuine: bytes, now: int, stolen: bytes | None = None
) -> Iterator[tuple[str, bytes]]:
    """Messages in a victim's name by an insider with this room; `genuine` is one of the victim's.

    `stolen` is a room signature key that the victim had before.
    """
    current, parsed = room.state.epoch, ParsedMessage.parse(genuine)
    chain = current.chains[victim]
    content = words("never said", now).encode()
    random = Stream("forger")
    own = None if current.policy.mode is Mode.DIRECT else room_sign(room)
    for index in {parsed.header.number, chain.index, chain.index + 1}:
        try:
            key, _ = chain.at(index, now)
        except EvanesceError:
            continue
        header = Header(room.id, current.prefix, victim, index, bytes(16),
                        parsed.header.last_spoken, 0, parsed.header.turn)  # fmt: skip
        for name, signing in (("own key", own), ("no key", None), ("stolen key", stolen)):
            made = seal_message(header, current.context, key, content, random(16), signing)
            yield f"{name}, index {index}", made.message
            for authenticator in (bytes(64), parsed.authenticator):
                other = MESSAGE.build(made.header, made.ciphertext, authenticator)
                yield f"{name}, another authenticator, index {index}", other
    yield from tampered(genuine, room.own_id, victim)


def tampered(genuine: bytes, own: bytes, victim: bytes) -> Iterator[tuple[str, bytes]]:
    """Changes that a carrier can make without any key."""
    parsed = ParsedMessage.parse(genuine)
    head = parsed.header
    elsewhere = head.prefix[::-1]
    changed = {
        "salt": head._replace(salt=head.salt[::-1]),
        "flags": head._replace(flags=1 - head.flags),
        "last spoken": head._replace(last_spoken=None if head.last_spoken else (elsewhere, 1)),
        "index": head._replace(number=head.number + 1),
        "far index": head._replace(number=head.number + 900),
        "prefix": head._replace(prefix=elsewhere),
        "sender": head._replace(sender=own if head.sender == victim else victim),
        "room": head._replace(room=head.room[::-1]),
    }
    for name, header in changed.items():
        yield f"another {name}", MESSAGE.build(header.encode(), parsed.ciphertext,
                                                parsed.authenticator)  # fmt: skip
    flipped = bytes([parsed.ciphertext[0] ^ 1]) + parsed.ciphertext[1:]
    yield "a flipped bit", MESSAGE.build(parsed.header_bytes, flipped, parsed.authenticator)
    wrong = {parsed.authenticator[:32], parsed.authenticator[::-1]} - {parsed.authenticator}
    for authenticator in sorted(wrong):
        yield "a false authenticator", MESSAGE.build(parsed.header_bytes, parsed.ciphertext,
                                                     authenticator)  # fmt: skip


def must_refuse(world: World, name: str, what: str, act: Callable[[], Any]) -> None:
    """The device refuses it, and nothing of its state has changed."""
    room = world.room(name)
    before = room.digest()
    try:
        act()
    except EvanesceError:
        if room.digest() != before:
            raise Break(f"{name}: what was refused has changed the state: {what}") from None
        return
    raise Break(f"{name} accepted: {what}")


def must_refuse_message(world: World, name: str, what: str, data: bytes) -> None:
    """The same of a message that nobody has sent."""
    assert data not in {message.data for message in world.messages.values()}, what
    must_refuse(world, name, what, lambda: world.room(name).receive(data, world.now))


# --- commits -------------------------------------------------------------------------------------


def in_anothers_name(
    world: World, insider: str, victim: str, entry: Credential, *operations: Any
) -> CommitMade:
    """A commit in a victim's name, with an entry of the victim's own that never came to others.

    Everybody has the inits and handshake keys of all: only the signature stands in the way.
    """
    clone = clone_of(world.devices[insider])
    clone.state.own = world.room(victim).own_id
    with patch.object(group, "make_entry", lambda *_: entry):
        return clone.commit(world.devices[insider].keys, operations, [], world.now, Stream("name"))


def with_two_secrets(world: World, insider: str, deceived: str) -> CommitMade:
    """One commit, and for one member another r in its slot: it derives other keys."""
    clone, member = clone_of(world.devices[insider]), world.room(deceived).own_id
    original = epoch.seal_slot

    def seal_slot(r: bytes, *rest: Any) -> bytes:
        return original(r[::-1] if rest[3] == member else r, *rest)

    with patch.object(group, "seal_slot", seal_slot):
        return clone.commit(world.devices[insider].keys, [], [], world.now, Stream("two"))


def with_false_welcome(
    world: World,
    insider: str,
    guest: Any,
    lie: Callable[[Roster, Policy], tuple[Roster, Policy]],
    *,
    committed: bool,
) -> CommitMade:
    """A commit that admits, and a welcome that tells the joiner something else.

    Where the lie is `committed`, the state hash in the commit is that of the lie: then the others
    refuse the commit, and the joiner is alone with the insider.
    """
    clone = clone_of(world.devices[insider])
    original: Callable[..., bytes] = founding.make_welcome
    hash_state = membership.state_hash

    def make_welcome(*given: Any) -> bytes:
        roster, policy = lie(given[4], given[5])
        return original(*given[:4], roster, policy, *given[6:])

    def state_hash(roster: bytes, policy: Policy) -> bytes:
        whole = Roster.parse(roster, clone.id, verified=True)
        told, rules = lie(whole, policy) if committed else (whole, policy)
        return hash_state(told.encode(), rules)

    with (
        patch.object(group, "make_welcome", make_welcome),
        patch.object(group, "state_hash", state_hash),
    ):
        return clone.commit(
            world.devices[insider].keys, [], [guest], world.now, Stream("welcome")
        )


@contextmanager
def rights_of_anybody() -> Iterator[None]:
    """A client that lets its owner do everything."""

    def check(self: Sanction, room: bytes, roster: Roster, *, verified: bool = False) -> Member:
        return roster[self.member]

    with (
        patch.object(operations, "_check_entitled", lambda *_: None),
        patch.object(Sanction, "check", check),
    ):
        yield


def without_right(world: World, insider: str, *wishes: Any) -> CommitMade:
    """A commit with operations that its author is not entitled to."""
    clone = clone_of(world.devices[insider])
    with rights_of_anybody():
        return clone.commit(world.devices[insider].keys, wishes, [], world.now, Stream("right"))


def signed_with(room: Room, key: bytes) -> None:
    """Let a clone sign with another key."""
    room.state.epoch.room_sign = Secret(key)

