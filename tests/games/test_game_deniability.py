"""Deniability: whoever is invited to a direct room could have made all of it.

A distinguisher gets a conversation and all private keys of its receiver, and says whether the
sender took part or a simulator made it. It opens and checks everything that can be, compares the
structure, and counts bits in what should look random. It must do no better than chance.

**Shown:** the invitation and the messages of a direct room, over several turns, can be simulated
from the receiver's keys, the sender's public identity, and one entry that the sender has signed for
a room of that id with anybody. The structure is the same, every check passes, a real device joins
and reads, and a classifier over all bits that ought to be random is at chance. That two families of
such distributions are the same is an argument about the code, not something a test can show.

**Not shown, and not so:** that the sender took part in *some* room of that id is on record, by its
entry. Where both members' entries are known, both were in it. Groups are signed: a message there is
evidence, which the last test demonstrates. Deniable rooms are not in this version.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any, Final

import pytest

from evanesce.content import Evaporation
from evanesce.identity import IdentityKeys
from evanesce.keypackage import KeyPackageKeys
from evanesce.membership import Mode, Policy
from evanesce.room import Room
from spec import reference as ref
from tests.games.ledger import Break
from tests.games.simulator import SCRIPT, Receiver, Transcript, as_reference, simulate
from tests.games.world import NOW, Stream, World

LEARNT: Final = 40
JUDGED: Final = 40


@dataclass
class Conversation:
    """What the distinguisher is given."""

    receiver: Receiver
    transcript: Transcript
    keys: IdentityKeys
    package: KeyPackageKeys


class Pair(World):
    """Ann, and somebody she founds a direct room with; every pair has keys of its own."""

    def __init__(self, seed: str) -> None:
        self.seed = seed
        super().__init__(f"ann {seed}", f"bob {seed}", policy=Policy(Mode.DIRECT), joined=False)


def real(seed: str) -> Conversation:
    """Ann and Bob have really spoken."""
    pair = Pair(seed)
    ann, bob = pair.devices.values()
    (package,) = bob.packages.values()
    receiver = as_reference(bob.keys, package)
    pair.hear_all()
    messages = []
    for number, speaker in enumerate(SCRIPT):
        name = ann.name if speaker == "creator" else bob.name
        message = pair.say(name, Evaporation(None, 259_200), f"message {number}")
        assert message is not None
        messages.append(message.data)
        pair.hear_all()
    (invitation,) = pair.tape.invitations
    return Conversation(
        receiver, Transcript(invitation, messages, bob.random.drawn), bob.keys, package
    )


def simulated(seed: str) -> Conversation:
    """Ann has founded a room with somebody else; Bob makes up one with himself."""
    pair, elsewhere = Pair(seed), Pair(f"{seed} elsewhere")
    bob = pair.devices[f"bob {seed}"]
    ann = elsewhere.devices[f"ann {seed} elsewhere"]
    (package,) = bob.packages.values()
    receiver = as_reference(bob.keys, package)
    room = ann.there
    entry = room.roster[room.own_id].credential.signed
    mailbox = ref.Mailbox(*ann.mailbox.mailbox.value())
    sender = ref.Identity(ann.keys.identity.sign_key, ann.keys.identity.dh_key)
    transcript = simulate(receiver, sender, room.id, entry, mailbox, NOW, Stream(f"sim {seed}"))
    return Conversation(receiver, transcript, bob.keys, package)


def judged(given: Conversation) -> tuple[Any, bytes]:
    """Open and check everything: what the structure is, and all that should look random."""
    receiver, transcript = given.receiver, given.transcript
    invitation = ref.parse(transcript.invitation, "invitation")
    welcome = ref.parse(
        ref.open_invitation(receiver.keys, receiver.package, transcript.invitation), "welcome"
    )
    commit, confirmation, signature, credential, roster_bytes, policy, secret, rows, trail = welcome
    genesis = ref.parse(commit, "genesis")
    roster = ref.Roster(*_rows(roster_bytes))
    keys = ref.key_schedule(secret, commit, ref.ids_of(roster))
    room, creator = genesis[1], ref.ids_of(roster)[0]
    body, _ = ref.parse(genesis[6], "signed object")
    structure: list[Any] = [
        len(transcript.invitation), signature is None, credential, policy, len(rows), trail,
        keys.confirmation == confirmation, ref.parse(body, "member entry")[0] == room,
        ref.state_hash(roster_bytes, policy) == genesis[8],
    ]  # fmt: skip
    noise = [invitation[5], room, secret, confirmation]
    transcript_hash = ref.transcript_hash(ref.NO_TRANSCRIPT, commit, confirmation)
    epoch = ref.Epoch(1, room, 0, transcript_hash, roster, policy, creator, keys)
    chain = keys.chains[creator]
    for data in transcript.messages:
        head, ciphertext, authenticator = ref.parse(data, "message")
        fields = ref.parse(head, "header")
        turn = fields[7]
        if turn is not None and fields[1] != epoch.prefix:
            structure.append(("turn", turn[3] is None))
            noise += [turn[0], turn[1], turn[2]]
            epoch = _follow(transcript, epoch, fields)
            chain = epoch.keys.chains[epoch.opener]
        chain, message_key = ref.step(chain)
        key, com = ref.message_keys(message_key, ref.H(b"header", head, epoch.context))
        structure.append((len(data), fields[3], fields[5] is None, fields[6], len(authenticator),
                          com == authenticator,
                          ref.unpad(ref.decrypt(key, ciphertext))))  # fmt: skip
        noise += [fields[4], authenticator[:32], ciphertext[:64]]
    return structure, b"".join(noise)


def _rows(data: bytes) -> tuple[int, list[ref.Member]]:
    number, rows = ref.parse(data, "roster")
    return number, [ref.Member(*row) for row in rows]


def _follow(transcript: Transcript, parent: ref.Epoch, fields: list[Any]) -> ref.Epoch:
    """The epoch of a turn: the receiver knows its own r, and opens the other's slots."""
    sender, turn = fields[2], ref.Turn(*fields[7])
    commit = ref.direct_commit(parent, sender, turn)
    roster = parent.roster
    if turn.entry is not None:
        roster = roster.replace(roster.find(sender)._replace(signed=turn.entry))
    guest = ref.ids_of(roster)[1]
    for drawn in transcript.drawn:
        if len(drawn) != 32:
            continue
        r = drawn
        if sender != guest:
            try:
                r = ref.open_slot(turn.slot, drawn, commit, turn.ephemeral_key, guest)
            except ref.Refused:
                continue
        epoch = ref.open_turn(parent, sender, roster, commit, r)
        if epoch.prefix == fields[1]:
            return epoch
    raise Break("a turn that the receiver cannot explain")


def tell_apart() -> None:
    """Learn from some conversations whose origin is known, and judge others."""
    known = [(real(f"r{n}"), simulated(f"s{n}")) for n in range(LEARNT)]
    shapes: set[str] = set()
    views: list[list[bytes]] = [[], []]
    for pair in known:
        for side, conversation in enumerate(pair):
            structure, noise = judged(conversation)
            shapes.add(repr(structure))
            views[side].append(noise)
    if len(shapes) != 1:
        raise Break(f"a simulated conversation has another structure: {sorted(shapes)[:2]}")
    learnt = [frequencies(side) for side in views]
    right = 0
    for n in range(JUDGED):
        for side, conversation in enumerate((real(f"x{n}"), simulated(f"y{n}"))):
            _, noise = judged(conversation)
            scores = [score(noise, frequency) for frequency in learnt]
            right += (scores[1] > scores[0]) == bool(side)
    # Of 2 * JUDGED guesses, half are right by chance: four standard deviations either way.
    if abs(right - JUDGED) > 4 * (2 * JUDGED * 0.25) ** 0.5:
        raise Break(f"{right} of {2 * JUDGED} conversations were told apart by their bits")


def bits(data: bytes) -> list[int]:
    return [byte >> n & 1 for byte in data for n in range(8)]


def frequencies(samples: list[bytes]) -> list[float]:
    """How often each bit is set, for a naive Bayes classifier."""
    columns = zip(*(bits(sample) for sample in samples), strict=True)
    return [(sum(column) + 1) / (len(samples) + 2) for column in columns]


def score(data: bytes, frequency: list[float]) -> float:
    return sum(log(p if bit else 1 - p) for bit, p in zip(bits(data), frequency, strict=True))


def test_real_and_simulated_conversations_are_not_told_apart() -> None:
    tell_apart()


def test_a_device_believes_what_it_could_have_made_itself() -> None:
    """The real code joins a simulated room, and reads what the sender never said in it."""
    made = simulated("believed")
    room, _ = Room.join(made.keys, made.package, made.transcript.invitation, NOW)
    for number in (0, 1):
        received = room.receive(made.transcript.messages[number], NOW)
        assert getattr(received.content, "body", None) == f"message {number}"


def test_groups_are_not_deniable() -> None:
    """In a signed room a message, with what a reader derives, proves who wrote it."""
    world = World("ann", "bob", "cid")
    message = world.say("ann")
    assert message is not None
    epoch = world.room("bob").state.epoch
    ann = epoch.roster[world.room("ann").own_id]
    key, _ = epoch.chains[ann.id].at(0, NOW)
    head, body, signature = ref.parse(message.data, "message")
    _, com = ref.message_keys(key, ref.H(b"header", head, epoch.context))
    world.commit("ann")  # her entry, signed by her identity, says that the key is hers
    proof = ref.H(b"ciphertext", body)
    ref.verify(ann.credential.room_sign_key, signature, b"message", head, com, proof)
    with pytest.raises(ref.Refused):
        ref.verify(ann.credential.room_sign_key, signature, b"message", head, bytes(32), proof)
    ref.read_credential(ann.credential.signed, world.room("bob").id, ann.id,
                        ref.Identity(ann.identity.sign_key, ann.identity.dh_key))  # fmt: skip
