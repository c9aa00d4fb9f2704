"""What an insider does with the tree of epochs: nobody innocent is convicted, no room is stuck."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evanesce import epoch, kept_epoch
from evanesce.epoch import SealedCommit, seal_commit
from evanesce.errors import Reason
from evanesce.formats import COMMIT_COPY
from evanesce.limits import MAX_FORMER, MAX_NOTED
from evanesce.membership import Role, Roster, make_entry
from evanesce.operations import Remove
from evanesce.pending import note
from evanesce.primitives import dh_keypair, sign_keypair
from evanesce.proofs import Proof, ProofKind, sign_sanction
from evanesce.room import Room
from evanesce.secret import Secret
from evanesce.state import Contact
from evanesce.wire import decode, encode
from tests.room.room_support import NOW, Stream, World, refused, state_of

HOUR = 3_600
LIMIT = 1 << 24


def test_a_commit_resealed_for_another_parent_convicts_nobody() -> None:
    """REQ-EPOCH-15: one key signs on the lost parent and on the winning one; an insider reseals."""
    world = World("ann", "bob", "mal")
    parent = state_of(world["mal"]).epoch
    lost, won = world.make("bob"), world.make("ann")
    for name in ("mal", "ann"):
        world.apply(name, lost)
    for name in ("bob", "mal"):
        world.apply(name, won)
    world.now += 10
    later, bob = world.make("bob"), world["bob"].own_id
    handshakes = state_of(world["mal"]).epoch.handshakes
    sealed = SealedCommit.parse(COMMIT_COPY.parse(later.copies[world["mal"].own_id])[0])
    signed = sealed.open(handshakes[bob].reveal())
    room, key = world["mal"].id, parent.handshakes[bob].reveal()
    forged = seal_commit(key, room, parent.prefix, bob, signed, Stream("mal"))
    with refused(Reason.WRONG_TRANSCRIPT, world["ann"]):
        world["ann"].apply(COMMIT_COPY.build(forged, None), world.now)
    assert world["ann"].equivocator is None
    world.spread(later)
    world.check_agreement()
    world.check_talk()


def test_a_second_epoch_of_one_prefix_is_refused_in_any_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who has ground two commits of one prefix replaces no epoch by another of it."""
    world = World("ann", "bob", "xen", "yan")
    one, other = world.make("xen"), world.make("yan")
    ground = {world["xen"].transcript, world["yan"].transcript}
    real = epoch.prefix_of

    def colliding(transcript: bytes) -> bytes:
        return b"COLLIDED" if transcript in ground else real(transcript)

    for module in (epoch, kept_epoch):
        monkeypatch.setattr(module, "prefix_of", colliding, raising=False)
    for name, first, second in (("bob", one, other), ("ann", other, one)):
        world.apply(name, first)
        with refused(Reason.WRONG_TRANSCRIPT, world[name]):
            world.apply(name, second)
        world.make(name)  # its current epoch has all that it needs


def format_2(records: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """A room as format 2 would have kept it."""
    made = {}
    for name, data in records.items():
        value = decode(data, limit=LIMIT)
        if name == b"state":
            value = [2, *value[1:13]]
        elif name.startswith(b"epoch/"):
            *head, members = decode(value[3], limit=LIMIT)
            value[3] = encode([*head, [[*row[:6], *row[8:]] for row in members]])
            value = [*value[:15], None]
        made[name] = encode(value)
    return made


def test_a_sibling_on_a_superseded_epoch_of_format_2_stays_beside_the_path() -> None:
    world = World("ann", "bob", "mal")
    world.apply("bob", world.make("ann"))  # mal has not got it
    for name, room in list(world.rooms.items()):
        world.rooms[name] = Room.restore(format_2(room.records()))
    before = {name: world[name].transcript for name in ("ann", "bob")}
    world.now += 2 * HOUR
    made = world.make("mal")
    for name in ("ann", "bob"):
        assert not world.apply(name, made).leads
        assert world[name].transcript == before[name]
    world.check_talk("ann", "bob")


def test_a_sanction_noted_on_a_false_branch_is_not_pending_on_the_true_one() -> None:
    """REQ-EPOCH-28: an inviter lied about who an id is; the note was signed by that other one."""
    world = World("ann", "bob", "mal", "carl", outsiders=("vic", "sock"),
                  roles={"mal": Role.ADMIN, "carl": Role.OWNER})  # fmt: skip
    carl, bob = world["carl"].own_id, world["bob"].own_id
    mal, sock = world.people["mal"], world.people["sock"].keys
    false = Room.restore(world["mal"].records())
    branch = state_of(false).epoch
    leaf, leaf_key = dh_keypair(Stream("leaf"))
    sign, sign_key = sign_keypair(Stream("sign"))
    members = dict(branch.roster.members)
    entry = make_entry(sock, false.id, carl, leaf_key, sign_key, 0)
    members[carl] = replace(members[carl], identity=sock.identity, credential=entry)
    branch.roster = Roster(members, branch.roster.next_seniority)
    world.now += 5
    guest = world.people["vic"].invited(now=world.now)
    made = false.commit(mal.keys, [], [guest], world.now, mal.random)
    vic = world.people["vic"].join(next(iter(made.invitations.values())), guest, world.now)
    by_sock = Room.restore(false.records())
    state = state_of(by_sock)
    state.own, state.epoch.room_sign, state.epoch.leaf = carl, Secret(sign), Secret(leaf)
    removal = Remove(bob, members[bob].admission)
    lie = by_sock.commit(sock, [removal], [], world.now, Stream("removal"))
    vic.apply(lie.copies[vic.own_id], world.now)
    assert len(state_of(vic).noted) == 1
    world.now += 5
    again = world.people["vic"].invited(now=world.now)
    true = world.make("ann", invite=[again])
    world.spread(true)
    world.join("vic", true, again)
    assert world["vic"].moves(vic, world.people["ann"].keys.identity, world.now)
    world["vic"].take_over(vic, moved=True)
    assert not world["vic"].pending
    assert not world["vic"].blocked
    world.commit("vic")
    world.check_agreement()
    world.check_talk()


def test_who_has_been_removed_does_not_silence_the_room_by_equivocating() -> None:
    world = World("ann", "bob", "mal")
    kept = world["mal"].records()
    world.commit("ann", world.removal("mal"))
    world.now += 48 * HOUR
    world.commit("bob")
    world.commit("ann")
    mal = world.people["mal"]
    told = []
    for _ in range(2):
        made = Room.restore(kept).commit(mal.keys, [], [], NOW + 2 * HOUR, mal.random)
        told.append(world["bob"].apply(made.copies[world["bob"].own_id], world.now).equivocation)
    assert told == [False, True]
    assert world["bob"].equivocator is None
    world.check_talk("ann", "bob")


def test_a_flood_of_its_own_statements_does_not_push_out_the_removal_of_an_insider() -> None:
    """REQ-EPOCH-28: what is noted is bounded, and its records can be read again."""
    world = World("ann", "bob", "mal", "yan", roles={"mal": Role.OWNER, "yan": Role.ADMIN})
    ann, mal, yan = (world.member(name) for name in ("ann", "mal", "yan"))

    def statement(by: str, of: bytes, admission: bytes, role: Role | None, made: int) -> Proof:
        author = world[by].own_id
        signed = sign_sanction(world.people[by].keys, world["bob"].id, of, admission, author,
                               role, made, None).signed  # fmt: skip
        return Proof(ProofKind.SANCTION, signed)

    state = state_of(world["bob"])
    removal = statement("ann", mal.id, mal.admission, None, 0)
    flood = [statement("mal", yan.id, yan.admission, Role.MEMBER, made)
             for made in range(MAX_NOTED + 50)]  # fmt: skip
    note(state, [], [removal], world.now)
    note(state, [], flood, world.now)
    assert len(state.noted) == MAX_NOTED
    assert removal in state.noted
    assert ann.id in world["bob"].roster
    again = Room.restore(world["bob"].records())
    assert again.digest() == world["bob"].digest()
    assert again.pending == world["bob"].pending
    assert removal in again.pending


def test_former_members_in_the_directory_are_bounded() -> None:
    world = World("ann", "bob")
    state = state_of(world["bob"])
    for number in range(MAX_FORMER + 50):
        state.directory[number.to_bytes(32, "big")] = Contact("x" * 256)
    world.commit("ann")
    former = [member for member in state.directory if member not in world["bob"].roster]
    assert len(former) == MAX_FORMER
    assert former[0] == (50).to_bytes(32, "big")  # the oldest have gone
    assert Room.restore(world["bob"].records()).digest() == world["bob"].digest()
    world.check_talk()
