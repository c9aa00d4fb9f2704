"""What a thief of a sender's keys can do with what was sent before, and after a refresh."""

from __future__ import annotations

from itertools import product

import pytest

from evanesce.chain import step
from evanesce.commit import SignedCommit
from evanesce.epoch import EpochKeys, SealedCommit, epoch_secret, open_slot
from evanesce.errors import HeldError, Reason, RemoteError
from evanesce.formats import COMMIT, COMMIT_COPY, MESSAGE
from evanesce.membership import Mode
from evanesce.message import ParsedMessage, open_message, seal_message
from evanesce.room import Room
from tests.room.room_support import NOW, World, refused, said, secrets_of, state_of
from tests.room.test_messages import MODES, pair


@pytest.mark.parametrize("mode", MODES)
def test_a_thief_of_the_sender_puts_no_other_words_into_a_message_on_its_way(mode: Mode) -> None:
    """It has ann's signature key, but neither the chain key nor the commitment of what was sent."""
    world = pair(mode)
    waiting = world.send("ann", "what I meant")
    world.receive("bob", world.send("ann", "later"))  # bob keeps a key for what has not come
    loot = secrets_of(world["ann"])
    state = state_of(world["ann"])
    signing = None if mode is Mode.DIRECT else state.epoch.room_sign
    private = None if signing is None else signing.reveal()
    parsed = ParsedMessage.parse(waiting.message)
    reason = Reason.BAD_COMMITMENT if mode is Mode.DIRECT else Reason.BAD_SIGNATURE
    assert len(loot) >= 3
    for key in loot.values():
        for message_key in (key[:32], step(key[:32])[1]):
            forged = seal_message(
                parsed.header, state.epoch.context, message_key,
                said("what I never meant").encode(), bytes(16), private,
            )  # fmt: skip
            with refused(reason, world["bob"]):
                world["bob"].receive(forged.message, NOW)
            # Nor can it sign the message as it is: the commitment under the signature is gone.
            resigned = ParsedMessage.parse(forged.message).authenticator
            with refused(reason, world["bob"]):
                world["bob"].receive(
                    MESSAGE.build(parsed.header_bytes, parsed.ciphertext, resigned), NOW
                )
    assert world.body("bob", waiting) == "what I meant"


def opened(copy: bytes, handshake: bytes) -> SignedCommit:
    """What is sealed in a commit copy, as a member of its parent can read it."""
    sealed, _ = COMMIT_COPY.parse(copy)
    return SignedCommit.parse(SealedCommit.parse(sealed).open(handshake))


def test_one_refresh_shuts_a_thief_out_of_every_sender_and_of_later_commits() -> None:
    """Whoever copied bob's device reads all, until bob has committed once; then nobody, also not
    by the slot that a later commit has for bob."""
    names = ("ann", "bob", "cid", "dan")
    world = World(*names)
    for name in names:
        world.deliver(world.send(name))
    thief = Room.restore(world["bob"].records())
    loot = [key[:32] for key in secrets_of(thief).values()]
    stolen_leaf = state_of(thief).epoch.leaf
    assert stolen_leaf is not None
    for name in ("ann", "cid", "dan"):
        sent = world.send(name, "not healed yet")
        assert thief.receive(sent.message, NOW).content == said("not healed yet")
        world.deliver(sent)

    healing = world.make("bob")
    handshake = state_of(thief).epoch.handshakes[world["bob"].own_id].reveal()
    signed = opened(healing.copies[world["ann"].own_id], handshake)
    for init, r in product(loot, [*loot, bytes(32)]):
        guess = EpochKeys.derive(epoch_secret(init, r, signed.commit), signed.commit, ())
        assert guess.confirmation != signed.confirmation
    world.spread(healing)
    for by in ("ann", "cid"):
        for name in names:
            sent = world.send(name, "healed")
            if name != "bob":  # its own name the thief's copy does not even look at
                with refused(Reason.UNKNOWN_EPOCH, thief, error=HeldError):
                    thief.receive(sent.message, NOW)
            context = state_of(world[name]).epoch.context
            sign_key = world.member(name).credential.room_sign_key
            parsed = ParsedMessage.parse(sent.message)
            for key in loot:
                for message_key in (key, step(key)[1]):
                    with pytest.raises(RemoteError) as caught:
                        open_message(parsed, context, message_key, Mode.SIGNED, sign_key)
                    assert caught.value.reason is Reason.BAD_SIGNATURE
            world.deliver(sent)
        # The next commit has a slot for bob's device, and it is for the new leaf key.
        parent, leaf = state_of(world["bob"]).epoch, state_of(world["bob"]).epoch.leaf
        handshake = parent.handshakes[world[by].own_id].reveal()
        bob = world.member("bob")
        made = world.make(by)
        copy = made.copies[bob.id]
        with refused(Reason.UNKNOWN_EPOCH, thief, error=HeldError):
            thief.apply(copy, NOW)
        commit = opened(copy, handshake).commit
        (*_, ephemeral, _) = COMMIT.parse(commit)
        _, slot = COMMIT_COPY.parse(copy)
        assert slot is not None
        assert leaf is not None
        for key in loot:
            with pytest.raises(RemoteError) as caught:
                open_slot(slot, key, commit, ephemeral, bob.id, bob.credential.leaf_key)
            assert caught.value.reason is Reason.BAD_CIPHERTEXT
        assert stolen_leaf.reveal() in loot
        assert len(open_slot(slot, leaf.reveal(), commit, ephemeral, bob.id,
                             bob.credential.leaf_key)) == 32  # fmt: skip
        world.spread(made)
    world.check_agreement()
