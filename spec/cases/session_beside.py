"""Sessions about who is heard and who is out when commits lose (10.9, 14.2)."""

from collections.abc import Iterator

from spec.cases.common import Json
from spec.cases.session_play import Play

from spec import reference as ref

PATH = "EPOCH-27 EPOCH-28 MSG-07"
ROLES = (ref.ADMIN, ref.MEMBER, ref.MEMBER)


def cases() -> Iterator[Json]:
    yield from removed_by_what_lost()
    yield from removed_before()
    yield from admitted_by_what_lost()


def removed_by_what_lost() -> Iterator[Json]:
    """A commit that removes dan does not lead when it comes: he stays until it is made again."""
    play = Play("removed-aside")
    play.found("ann", "bob", "cid", "dan", roles=ROLES)
    play.join("bob", "cid", "dan")
    by_bob, by_ann = play.commit("bob", [play.removal("dan")]), play.commit("ann")
    play.apply(by_ann, "dan", "cid")
    play.loses(by_bob, "bob", "dan", "ann")
    play.apply(by_ann, "bob")
    play.all_hear(play.say("dan", "I am still here"), "ann", "bob")  # his own end blocks others
    play.hear("dan", play.say("cid", "you are"))  # who has not seen it yet
    again = play.commit("ann")
    play.apply(again, "bob", "cid")
    play.leaves(again, "dan")
    comment = "A removal that does not lead removes nobody yet"
    yield play.case("dan", PATH, comment)
    yield play.case("dan", PATH, comment, restarts=True)


def removed_before() -> Iterator[Json]:
    """Dan is out; then comes a sibling, from before his removal, in which he has spoken."""
    play = Play("removed-heard-aside")
    play.begin("ann", "bob", "cid", "dan")
    by_cid, by_ann = play.commit("cid"), play.commit("ann", [play.removal("dan")])
    play.apply(by_cid, "dan")
    said, more = play.say("dan", "with cid"), play.say("cid", "with dan")
    play.apply(by_ann, "bob")
    play.loses(by_cid, "cid", "bob")
    play.refuse("bob", said, "unknown-member")
    play.hear("bob", more)
    play.apply(by_ann, "cid")
    play.hear("bob", play.say("cid", "without dan"))
    yield play.case("bob", PATH, "A removed member is not heard beside the path")


def admitted_by_what_lost() -> Iterator[Json]:
    """Eve is in an epoch that leads for a while; what she said there is read afterwards, too."""
    play = Play("admitted-aside")
    play.begin("ann", "bob", "cid", policy=[1, True, None, 259_200])
    by_ann, by_bob = play.commit("ann"), play.commit("bob", guests=("eve",))
    play.apply(by_bob, "cid")
    play.join("eve")
    said = [play.say("eve", f"hello {n}") for n in range(3)]
    play.hear("cid", said[1], missing=1)
    play.apply(by_ann, "cid")
    play.hear("cid", said[2])
    play.hear("cid", said[0])
    play.hear("cid", play.say("ann", "who is eve?"))
    yield play.case("cid", f"{PATH} DEL-02", "Whom a losing commit has admitted is heard")
