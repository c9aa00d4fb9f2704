"""A conversation in a direct room, made by its receiver alone: the sender's keys are not needed.

Written with the formulas of `spec/reference.py`. What it has: all private keys of the receiver, the
sender's public identity, and one entry that the sender has signed for some room it founded with
anybody (7.7 says that such an entry is signed, and names no other side). What it makes: invitation,
messages of both sides over several turns, and it knows every key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from evanesce.identity import IdentityKeys
from evanesce.keypackage import KeyPackageKeys
from spec import reference as ref

POLICY: Final = [ref.DIRECT, False, None, 259_200]
SCRIPT: Final = ("creator", "creator", "guest", "creator", "guest", "guest")  # who speaks


@dataclass
class Receiver:
    """All keys of the one who is invited."""

    keys: ref.IdentityKeys
    package: ref.KeyPackageKeys


@dataclass
class Transcript:
    """All that a receiver can show of a conversation, beside its keys."""

    invitation: bytes
    messages: list[bytes]
    drawn: list[bytes]  # what the receiver's own device drew at random: leaf keys, and its r


def as_reference(keys: IdentityKeys, package: KeyPackageKeys) -> Receiver:
    """The receiver's keys in the words of the reference."""
    signed = package.package
    return Receiver(
        ref.IdentityKeys(keys.sign_private.reveal()[:32], keys.dh_private.reveal()),
        ref.KeyPackageKeys(
            ref.KeyPackage(
                signed.signed, 1, ref.Identity(signed.identity.sign_key, signed.identity.dh_key),
                signed.signed_prekey, list(signed.one_time_prekeys), signed.leaf_key,
                signed.room_sign_key, [*map(bytes, signed.contact.value())], signed.expiry, False,
            ),
            package.signed_prekey.reveal(),
            [None if key is None else key.reveal() for key in package.one_time_prekeys],
            package.leaf.reveal(), package.room_sign.reveal()[:32],
        ),
    )  # fmt: skip


def text(number: int, now: int) -> bytes:
    """The content of the nth message: the same in both worlds."""
    return ref.build("text", now, None, 259_200, None, f"message {number}")


def simulate(
    receiver: Receiver,
    sender: ref.Identity,
    room: bytes,
    entry: bytes,
    mailbox: ref.Mailbox,
    now: int,
    random: ref.Random,
    first: bytes | None = None,
) -> Transcript:
    """Make a conversation that the sender never had.

    `first` stands for dh1 where the receiver's keys are not at hand either.
    """
    package = receiver.package.package
    roster = ref.genesis_roster(1, room, now, POLICY, sender, entry, [(package, ref.MEMBER)])
    genesis = ref.build("genesis", 1, room, now, POLICY, *sender, entry,
                        [[package.signed, ref.MEMBER]],
                        ref.state_hash(roster.encode(), POLICY))  # fmt: skip
    secret = ref.epoch_secret(ref.ZEROS, random(32), genesis)
    keys = ref.key_schedule(secret, genesis, ref.ids_of(roster))
    creator, guest = ref.ids_of(roster)
    welcome = ref.make_welcome(genesis, keys.confirmation, None, None, roster, POLICY, secret,
                               {creator: ("ann", mailbox)}, [])  # fmt: skip
    invitation = seal_as(receiver, sender, welcome, random, first)
    transcript = ref.transcript_hash(ref.NO_TRANSCRIPT, genesis, keys.confirmation)
    epoch = ref.Epoch(1, room, 0, transcript, roster, POLICY, creator, keys)
    leaf = ref.kept_credential(entry).leaf_key
    drawn: list[bytes] = []

    def own(size: int) -> bytes:
        drawn.append(random(size))
        return drawn[-1]

    who = {"creator": creator, "guest": guest}
    messages = speak(receiver, epoch, who, leaf, now, {creator: random, guest: own})
    return Transcript(invitation, messages, drawn)


def seal_as(
    receiver: Receiver,
    sender: ref.Identity,
    welcome: bytes,
    random: ref.Random,
    first: bytes | None = None,
) -> bytes:
    """*seal invitation* in the sender's name: dh1 with the private key of the other end."""
    package = receiver.package.package
    ephemeral = random(32)
    secrets = [
        first or ref.DH(receiver.package.signed_prekey, sender.dh_key),
        ref.DH(ephemeral, package.identity.dh_key),
        ref.DH(ephemeral, package.signed_prekey),
        ref.DH(ephemeral, package.prekeys[0]),
    ]
    public = ref.dh_public(ephemeral)
    key = ref.invitation_key(secrets, sender, package, 0, public)
    return ref.build("invitation", 1, *sender, package.hash, 0, public,
                     ref.encrypt(key, welcome))  # fmt: skip


def speak(
    receiver: Receiver,
    epoch: ref.Epoch,
    who: dict[str, bytes],
    leaf: bytes,
    now: int,
    random: dict[bytes, ref.Random],
) -> list[bytes]:
    """All messages of the script, of both sides."""
    turn: ref.Turn | None = None
    chains = epoch.keys.chains
    spoken: dict[bytes, tuple[bytes, int] | None] = dict.fromkeys(who.values())
    last: dict[bytes, tuple[bytes, int] | None] = dict.fromkeys(who.values())
    key, index, messages = chains[who["creator"]], 0, []
    for number, speaker in enumerate(SCRIPT):
        me = who[speaker]
        if epoch.opener != me:
            epoch, turn, _ = ref.begin_turn(epoch, receiver.keys, me, leaf, random[me])
            leaf, key, index = turn.leaf_key, epoch.keys.chains[me], 0
            last[me] = spoken[me]
        key, message_key = ref.step(key)
        header: list[Any] = [epoch.room, epoch.prefix, me, index, bytes(16), last[me], 0,
                             None if turn is None else list(turn)]  # fmt: skip
        sealed = ref.seal_message(
            header, epoch.context, message_key, text(number, now), random[me](16), None
        )
        messages.append(sealed.message)
        index += 1
        spoken[me] = (epoch.prefix, index)
    return messages
