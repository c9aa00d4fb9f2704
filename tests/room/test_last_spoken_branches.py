"""What a message says of where its sender spoke last, over branches (spec 11.6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from evanesce.content import Evaporation, Said
from evanesce.errors import Reason
from evanesce.founding import Invited
from evanesce.limits import EPOCH_GRACE, FORK_BUCKET
from evanesce.membership import Role
from evanesce.message import STRAYED, Header, ParsedMessage, seal_message
from evanesce.operations import Resync
from evanesce.resync import ResyncRequest
from evanesce.room import Room
from evanesce.speech import Received, Sent
from evanesce.state import Epoch
from tests.room.room_support import (
    NOW,
    Stream,
    World,
    make_at,
    opened_by,
    refused,
    restart,
    state_of,
)

HOUR: Final = FORK_BUCKET


class Branches:
    """dan reads and cid speaks. The root, a losing branch of two epochs, and the path of two.

        root - lost - deeper
             \\ won - last
    """

    def __init__(self, *, spoke: str = "") -> None:
        """`spoke`: where cid speaks, once a letter: r, l, d, w."""
        world = World("ann", "bob", "cid", "dan", "eve", roles={"bob": Role.ADMIN})
        world.now = NOW + 9 * HOUR
        self.world, self.said = world, dict[str, list[Sent]]()
        self.records = world["dan"].records()  # of who has taken nothing yet
        self.made = {"w": make_at(world, "bob", NOW), "l": make_at(world, "ann", NOW + HOUR)}
        world.apply("eve", self.made["l"])
        self.made["d"] = make_at(world, "eve", NOW)
        for _ in range(spoke.count("r")):
            self._say("r")
        for branch in "ldw":
            if branch in spoke or branch == "w":
                if branch == "d" and "l" not in spoke:
                    world.apply("cid", self.made["l"])
                world.apply("cid", self.made[branch])
                for _ in range(spoke.count(branch)):
                    self._say(branch)
        self.made["z"] = make_at(world, "bob", NOW + HOUR)
        world.apply("cid", self.made["z"])
        self.last = world.send("cid", "in the last epoch")

    def _say(self, branch: str) -> None:
        self.said.setdefault(branch, []).append(self.world.send("cid", f"in {branch}"))

    def reader(self, *taken: str) -> Room:
        """A reader that has taken these commits, in this order."""
        self.world.rooms["dan"] = Room.restore(self.records)
        for branch in taken:
            self.world.apply("dan", self.made[branch])
        return restart(self.world, "dan")

    def epoch(self, branch: str) -> Epoch:
        state = state_of(self.world["dan"])
        if branch == "r":
            return state.epochs[opened_by(self.made["w"], self.world["dan"]).parent or b""]
        return opened_by(self.made[branch], self.world["dan"])

    def closed(self) -> set[str]:
        """The epochs in which the reader has closed the chain of cid, of those that it keeps."""
        cid = self.world["cid"].own_id
        there = [branch for branch in "rwldz" if branch == "r" or self._has(branch)]
        return {b for b in there if cid in self.epoch(b).chains
                and self.epoch(b).chains[cid].key is None}  # fmt: skip

    def _has(self, branch: str) -> bool:
        try:
            opened_by(self.made[branch], self.world["dan"])
        except KeyError:
            return False
        return True


def header_of(sent: Sent) -> Header:
    return ParsedMessage.parse(sent.message).header


# --- what a sender says --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoke", "named", "count"),
    [("", None, 0), ("r", "r", 1), ("rr", "r", 2), ("rl", "l", 1), ("l", "l", 1), ("rlld", "d", 1),
     ("ll", "l", 2), ("rlw", "w", 1), ("ww", "w", 2), ("d", "d", 1)],
)  # fmt: skip
def test_a_message_names_where_its_sender_spoke_last_on_whatever_branch(
    spoke: str, named: str | None, count: int
) -> None:
    here = Branches(spoke=spoke)
    here.reader("w", "l", "d", "z")
    last = header_of(here.last).last_spoken
    assert last == (None if named is None else (here.epoch(named).prefix, count))
    assert header_of(here.last).flags == (STRAYED if set(spoke) & {"l", "d"} else 0)


# --- what a reader closes by it ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoke", "closed", "missing"),
    [
        # Nowhere: all that leads here ends at 0. Branches that nobody names stay open.
        ("", {"r", "w"}, 0),
        ("w", {"w"}, 1),  # those before the named one were settled by messages in it
        ("r", {"r", "w"}, 1),  # between it and here nothing was said
        ("rrr", {"r", "w"}, 3),
        ("l", {"l", "w"}, 1),  # over from a losing one: the root was settled there
        ("rl", {"l", "w"}, 1),
        ("ld", {"d", "w"}, 1),
        ("dd", {"d", "w"}, 2),
        ("lw", {"w"}, 1),
    ],
)
def test_a_message_closes_the_named_chain_and_what_leads_here_and_not_there(
    spoke: str, closed: set[str], missing: int
) -> None:
    here = Branches(spoke=spoke)
    here.reader("w", "l", "d", "z")
    got = here.world.receive("dan", here.last)
    assert here.closed() == closed
    assert got.missing == missing
    assert not got.lost
    restart(here.world, "dan")
    assert here.closed() == closed


@pytest.mark.parametrize("spoke", ["", "r", "rrl", "rlldw", "rd", "ww", "lldd"])
@pytest.mark.parametrize("schedule", ["wldz", "ldwz", "lwzd"])
def test_whatever_was_said_before_can_still_be_read_afterwards(spoke: str, schedule: str) -> None:
    here = Branches(spoke=spoke)
    here.reader(*schedule)
    here.world.receive("dan", here.last)
    for branch in reversed(here.said):
        for number, sent in reversed(list(enumerate(here.said[branch]))):
            got = here.world.receive("dan", sent)
            assert (got.index, got.prefix) == (number, here.epoch(branch).prefix)
            with refused(Reason.REPLAY, here.world["dan"]):
                here.world.receive("dan", sent)


@pytest.mark.parametrize("spoke", ["l", "ll", "rl", "rrld"])
def test_who_does_not_know_the_losing_branch_yet_closes_nothing_by_what_is_said_of_it(
    spoke: str,
) -> None:
    """The flag tells that it is one to come, and no epoch of long ago."""
    here = Branches(spoke=spoke)
    here.reader("w", "z")
    got = here.world.receive("dan", here.last)
    assert here.closed() == set()
    assert got.missing == 0
    for branch in "ld":
        here.world.apply("dan", here.made[branch])
    for branch, messages in here.said.items():
        for sent in messages:
            assert here.world.body("dan", sent) == f"in {branch}"


# --- what it is refused for ----------------------------------------------------------------------


def forged(
    here: Branches, last: tuple[bytes, int] | None, *, branch: str = "z", flags: int = 0,
    index: int | None = None,
) -> bytes:  # fmt: skip
    """A message of cid in an epoch that the reader keeps, which says so of where it spoke last.

    It is sealed as cid could: with its chain as the reader has it, and its signature key.
    """
    world, epoch = here.world, here.epoch(branch)
    cid = world["cid"].own_id
    chain = epoch.chains[cid]
    number = chain.index if index is None else index
    key, _ = chain.at(number, world.now)
    keys = [e.room_sign for e in state_of(world["cid"]).epochs.values() if e.prefix == epoch.prefix]
    assert keys[0] is not None
    header = Header(world["cid"].id, epoch.prefix, cid, number, bytes(16), last, flags)
    content = Said("forged", world.now, Evaporation()).encode()
    sealed = seal_message(
        header, epoch.context, key, content, Stream("f")(16), keys[0].reveal()
    )
    return sealed.message


def receive(here: Branches, data: bytes) -> Received:
    return here.world["dan"].receive(data, here.world.now)


CLAIMS: Final[dict[str, tuple[Callable[[Branches], Any], str]]] = {
    "its own epoch": (lambda h: (h.epoch("z").prefix, 1), "z"),
    "a child": (lambda h: (h.epoch("z").prefix, 1), "w"),
    "a grandchild": (lambda h: (h.epoch("z").prefix, 1), "r"),
    "a losing child": (lambda h: (h.epoch("l").prefix, 1), "r"),
    "a losing child of a losing one": (lambda h: (h.epoch("d").prefix, 1), "l"),
}


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("flags", [0, STRAYED])
def test_nobody_spoke_before_in_an_epoch_that_is_not_earlier(claim: str, flags: int) -> None:
    here = Branches(spoke="ld")
    here.reader("w", "l", "d", "z")
    last, branch = CLAIMS[claim]
    with refused(Reason.BAD_COUNT, here.world["dan"]):
        receive(here, forged(here, last(here), branch=branch, flags=flags))


def test_a_count_is_not_less_than_what_was_read_there() -> None:
    here = Branches(spoke="rrll")
    here.reader("w", "l", "z")
    for sent in (*here.said["r"], here.said["l"][1]):
        here.world.receive("dan", sent)
    for count in (0, 1):
        with refused(Reason.BAD_COUNT, here.world["dan"]):
            receive(here, forged(here, (here.epoch("l").prefix, count)))
    assert receive(here, forged(here, (here.epoch("l").prefix, 2))).missing == 0
    assert here.closed() == {"r", "l", "w"}
    # A chain that is closed already stays as it is, whatever is said of it later.
    before = dict(here.epoch("r").chains)
    for last in ((here.epoch("r").prefix, 1), None):
        receive(here, forged(here, last))
    assert here.epoch("r").chains == before


def test_who_was_heard_in_an_epoch_did_not_say_nothing_there() -> None:
    here = Branches(spoke="rr")
    here.reader("w", "z")
    for sent in here.said["r"]:
        here.world.receive("dan", sent)
    for last in (None, (here.epoch("r").prefix, 0), (here.epoch("r").prefix, 1)):
        with refused(Reason.BAD_COUNT, here.world["dan"]):
            receive(here, forged(here, last))
    assert receive(here, forged(here, (here.epoch("r").prefix, 3))).missing == 1


def test_between_the_named_epoch_and_this_one_it_said_nothing() -> None:
    here = Branches(spoke="rw")
    here.reader("w", "l", "z")
    here.world.receive("dan", here.said["w"][0])
    for last in ((here.epoch("r").prefix, 1), (here.epoch("l").prefix, 0)):
        with refused(Reason.BAD_COUNT, here.world["dan"]):
            receive(here, forged(here, last))


@pytest.mark.parametrize("flags", [0, STRAYED])
def test_an_unknown_epoch_is_one_of_long_ago_unless_the_sender_has_strayed(flags: int) -> None:
    here = Branches()
    here.reader("w", "l", "z")
    receive(here, forged(here, (b"?" * 8, 3), flags=flags))
    assert here.closed() == (set() if flags else {"r", "w"})


def test_of_an_unknown_epoch_only_what_was_never_heard_ends_at_0() -> None:
    here = Branches(spoke="rw")
    here.reader("w", "z")
    here.world.receive("dan", here.said["w"][0])
    before = here.epoch("w").chains[here.world["cid"].own_id]
    receive(here, forged(here, (b"?" * 8, 3)))
    assert here.closed() == {"r"}
    assert here.epoch("w").chains[here.world["cid"].own_id] is before, "passed over"


def test_a_chain_of_a_losing_epoch_is_closed_with_a_gap_like_any() -> None:
    here = Branches()
    here.reader("w", "l", "z")
    got = receive(here, forged(here, (here.epoch("l").prefix, 1_001)))
    assert got.lost
    chain = here.epoch("l").chains[here.world["cid"].own_id]
    assert (chain.key, len(chain.skipped)) == (None, 0)
    other = Branches()
    other.reader("w", "l", "z")
    got = receive(other, forged(other, (other.epoch("l").prefix, 1_000)))
    assert (got.lost, got.missing) == (False, 1_000)


def test_who_was_removed_there_has_no_chain_to_close() -> None:
    """A losing epoch whose chain of the sender has been erased."""
    here = Branches(spoke="l")
    here.reader("w", "l", "z")
    cid = here.world["cid"].own_id
    state = state_of(here.world["dan"])
    state.drop_chain(here.epoch("l"), cid)
    got = here.world.receive("dan", here.last)
    assert got.missing == 0
    assert cid not in here.epoch("l").chains


# --- after a removal, and after a resync ---------------------------------------------------------


def test_what_was_sent_before_a_removal_that_has_lost_is_remembered() -> None:
    """REQ-DEL-05: with the sending chain its count would go, too."""
    world = World("ann", "bob", "cid", "dan", roles={"bob": Role.ADMIN})
    world.now = NOW + 9 * HOUR
    first, second = world.send("dan", "one"), world.send("dan", "two")
    root = state_of(world["dan"]).current
    removal = make_at(world, "ann", NOW + HOUR, world.removal("dan"))
    better = make_at(world, "cid", NOW)
    for made in (removal, better):
        world.apply("dan", made)
    third = world.send("dan", "three")
    assert header_of(third).last_spoken == (root, 2)
    world.apply("bob", better)
    assert world.receive("bob", third).missing == 2
    assert [world.body("bob", sent) for sent in (second, first)] == ["two", "one"]


def let_in_anew(world: World, by: str, who: str) -> None:
    person = world.people[who]
    package = person.package(now=world.now).package
    request = ResyncRequest.make(person.keys, world[who].id, world[who].own_id, world.now, package)
    made = world.make(by, Resync(request))
    for name in world.rooms:
        if name not in {by, who}:
            world.apply(name, made)
    guest = Invited(request.package, 0)
    world.rooms[who] = person.join(made.invitations[world[who].own_id], guest, world.now)


def test_before_it_was_let_in_anew_a_member_did_not_speak_last() -> None:
    here = Branches(spoke="w")
    here.reader("w", "l", "z")
    world = here.world
    for name in ("ann", "eve"):
        for branch in ("w", "z"):
            world.apply(name, here.made[branch])
    old = here.epoch("w").prefix
    let_in_anew(world, "bob", "cid")
    sent = world.send("cid", "as before")
    assert header_of(sent).last_spoken is None
    assert header_of(sent).flags == 0
    state = state_of(world["dan"])
    epoch, cid = state.epoch, world["cid"].own_id
    key, _ = epoch.chains[cid].at(0, world.now)
    private = state_of(world["cid"]).epoch.room_sign
    assert private is not None
    for prefix, reason in ((old, Reason.BAD_COUNT), (epoch.prefix, Reason.BAD_COUNT)):
        header = Header(world["cid"].id, epoch.prefix, cid, 0, bytes(16), (prefix, 1), 0)
        content = Said("forged", world.now, Evaporation()).encode()
        sealed = seal_message(
            header, epoch.context, key, content, Stream("g")(16), private.reveal()
        )
        with refused(reason, world["dan"]):
            world["dan"].receive(sealed.message, world.now)
    got = world.receive("dan", sent)
    assert (got.missing, here.closed()) == (0, set()), "what it said before may be on its way"
    assert world.body("dan", here.said["w"][0]) == "in w"


def test_what_it_did_before_it_was_let_in_anew_it_does_not_waive() -> None:
    """REQ-EPOCH-30: else a commit of its former self, which others have taken, would be lost."""
    here = Branches()
    here.reader("w", "z")
    world, cid = here.world, here.world["cid"].own_id
    for name in ("ann", "eve"):
        for branch in ("w", "z"):
            world.apply(name, here.made[branch])
    let_in_anew(world, "bob", "cid")
    world.receive("dan", world.send("cid"))
    own = world.make("cid")
    world.apply("dan", own)
    world.receive("dan", world.send("cid"))
    inits = {e.number: cid in e.inits for e in state_of(world["dan"]).epochs.values()}
    assert inits == {0: True, 1: True, 2: True, 3: False, 4: True}


def test_who_keeps_the_losing_epoch_no_more_has_not_strayed_any_more() -> None:
    here = Branches(spoke="l")
    world = here.world
    assert header_of(world.send("cid")).flags == STRAYED
    world["cid"].expire(world.now + EPOCH_GRACE)
    assert header_of(world.send("cid")).flags == STRAYED
    world["cid"].expire(world.now + EPOCH_GRACE + 1)
    assert header_of(world.send("cid")).flags == 0
