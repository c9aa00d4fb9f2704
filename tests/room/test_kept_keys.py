"""What a room keeps of the keys it works with, and what it knows of its members' mailboxes."""

from __future__ import annotations

import pytest

from evanesce.chain import ReceivingChain
from evanesce.epoch import EpochKeys
from evanesce.membership import Mode, Policy
from evanesce.primitives import KDF, dh_public
from evanesce.state import Contact, Epoch
from tests.room.room_support import World, secrets_of, state_of


def test_no_epoch_secret_and_no_root_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """REQ-DEL-01: of founding, joining, committing and turns, only what is derived is kept."""
    seen: list[bytes] = []
    derive = EpochKeys.derive.__func__  # type: ignore[attr-defined]  # of the class method

    def watched(cls: type[EpochKeys], secret: bytes, *rest: object) -> EpochKeys:
        seen.append(secret)
        made: EpochKeys = derive(cls, secret, *rest)
        return made

    monkeypatch.setattr(EpochKeys, "derive", classmethod(watched))
    group, direct = World("ann", "bob", "cid"), World("ann", "bob", policy=Policy(Mode.DIRECT))
    group.commit("bob")
    for speaker, reader in (("ann", "bob"), ("bob", "ann"), ("ann", "bob")):
        direct.receive(reader, direct.send(speaker))
    assert len(set(seen)) == 5, "founding, a commit, founding, and two turns"
    roots = [KDF(secret, label) for secret in seen
             for label in (b"confirm", b"chains", b"handshakes", b"inits")]  # fmt: skip
    for world in (group, direct):
        for room in world.rooms.values():
            kept = b"".join(room.records().values())
            assert not [secret for secret in (*seen, *roots) if secret in kept]
            assert all(secret in kept for secret in secrets_of(room).values()), "the search works"


def of_direct(epoch: Epoch) -> set[str]:
    """The kinds of keys that are kept of a direct epoch."""
    kinds = {
        "init": bool(epoch.inits), "handshake": bool(epoch.handshakes),
        "chain": any(isinstance(c, ReceivingChain) and c.key for c in epoch.chains.values()),
        "exporter": epoch.exporter is not None, "leaf": epoch.leaf is not None,
    }  # fmt: skip
    return {kind for kind, there in kinds.items() if there}


def test_of_a_direct_epoch_only_what_an_answer_needs_is_kept() -> None:
    """REQ-DEL-04, REQ-DEL-02: the one init is that of who did not open the epoch."""
    world = World("ann", "bob", policy=Policy(Mode.DIRECT))
    for opener, other in (("ann", "bob"), ("bob", "ann"), ("ann", "bob"), ("bob", "ann")):
        world.receive(other, world.send(opener))
        for name in ("ann", "bob"):
            epoch = state_of(world[name]).epoch
            assert set(epoch.inits) == {world[other].own_id}
            assert (state_of(world[name]).sending is not None) == (name == opener)
            expected = {"init", "exporter", "leaf" if name == opener else "chain"}
            assert of_direct(epoch) == expected, name
            for old in list(state_of(world[name]).epochs.values())[:-1]:
                assert of_direct(old) <= {"chain"}, "superseded"


def test_a_joiner_has_the_keys_of_its_package_in_a_group_only() -> None:
    """REQ-INV-09: in a direct room the leaf key of the package is not kept with the room."""
    for mode in (Mode.SIGNED, Mode.DIRECT):
        world = World("ann", "bob", policy=Policy(mode))
        (package,) = world.people["bob"].packages.values()
        epoch = state_of(world["bob"]).epoch
        if mode is Mode.SIGNED:
            assert epoch.leaf == package.leaf
            assert epoch.room_sign == package.room_sign
            continue
        assert package.leaf.reveal() not in secrets_of(world["bob"]).values()
        world.receive("ann", world.send("bob"))
        answered = state_of(world["bob"]).epoch
        assert answered.leaf is not None
        assert dh_public(answered.leaf.reveal()) != dh_public(package.leaf.reveal())
        assert package.leaf.reveal() not in b"".join(world["bob"].records().values())


def test_of_two_announcements_the_later_one_holds() -> None:
    """REQ-ENV-18: by epoch, then by index, whichever comes first; a welcome gives way to any."""
    world = World("ann", "bob", "cid")
    ann, bob = world["ann"].own_id, world["bob"]
    mailbox = world.people["ann"].mailbox.mailbox
    assert bob.directory[ann].said == (0, 0), "what the welcome said"
    first = Contact("of index 0", mailbox, (0, 0))
    assert bob.announce(ann, first)
    assert bob.directory[ann] == first
    for said, kept in (((2, 7), True), ((2, 6), False), ((1, 9), False), ((2, 8), True),
                       ((3, 0), True), ((2, 99), False)):  # fmt: skip
        before = bob.directory[ann]
        contact = Contact(f"of {said}", mailbox, said)
        assert bob.announce(ann, contact) == kept
        assert bob.directory[ann] == (contact if kept else before)
