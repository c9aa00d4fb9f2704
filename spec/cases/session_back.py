"""Sessions of who is removed and comes back, of equivocation, and of the window (10.8, 10.9)."""

from collections.abc import Iterator

from spec.cases.common import NOW, Json
from spec.cases.session_play import AFTER, HOUR, Play, altered

from spec import reference as ref

BACK = "DEL-02 DEL-05 EPOCH-15 EPOCH-27 MSG-07"
TWICE = "EPOCH-15 EPOCH-29 MSG-06"


def cases() -> Iterator[Json]:
    yield from back_in()
    yield from removed_deep()
    yield from removed_twice()
    yield from too_late()
    yield from equivocation()
    yield from split()
    yield from resealed()
    yield from edge_of_window()
    yield from losing_epochs_go()


def back_in() -> Iterator[Json]:
    """Dan is removed at the root, and let in again by a sibling; what it held opens then."""
    play = Play("back-in")
    play.begin("ann", "bob", "cid", "dan")
    by_bob = play.commit("bob")
    said = [play.say("dan", f"root {n}") for n in range(2)]
    play.wait(HOUR)
    by_ann = play.commit("ann", [play.removal("dan")])
    following = play.commit("bob")
    in_bobs = play.say("bob", "one epoch on")
    play.leaves(by_ann, "dan")
    play.may_not_say("dan", "room-closed")
    play.may_not_commit("dan", "room-closed")
    play.export("dan", reason="room-closed")
    play.refuse("dan", following.copies["dan"], "unknown-epoch")
    play.refuse("dan", in_bobs, "unknown-epoch")
    play.restart("dan")
    play.apply(by_bob, "dan")
    play.refuse("dan", by_ann.copies["dan"], "replay")
    play.apply(following, "dan")
    play.hear("dan", in_bobs)
    back = play.say("dan", "it was not meant so")
    play.hear("bob", said[0])
    play.hear("bob", back, missing=1)  # it remembers what it has said at the root
    play.hear("bob", said[1])
    play.apply(play.commit("dan"), "bob")
    play.hear("dan", play.say("bob", "welcome"))
    yield play.case("dan", BACK, "A removal that loses lets its target in again")
    yield play.case("dan", BACK, "A removal that loses lets its target in again", restarts=True)
    yield play.case("bob", BACK, "Who comes back says how much it had said")


def removed_deep() -> Iterator[Json]:
    """Dan is two epochs on when a sibling of the first removes it, and another lets it in."""
    play = Play("removed-deep")
    play.begin("ann", "bob", "cid", "dan", "eve")
    root = play.say("dan", "root")
    by_bob = play.commit("bob")
    play.wait(HOUR)
    by_eve = play.commit("eve")
    play.apply(by_eve, "dan")
    one = play.say("dan", "one")
    second = play.commit("eve")
    play.apply(second, "dan")
    two = [play.say("dan", f"two {n}") for n in range(3)]
    late = play.say("eve", "two")
    by_ann = play.commit("ann", [play.removal("dan")])
    play.leaves(by_ann, "dan")
    play.hear("dan", late)
    third = play.commit("eve")
    play.loses(third, "eve", "dan")  # it still reads what comes there
    play.hear("dan", play.say("eve", "three"))
    by_cid = play.commit("cid")
    play.loses(by_cid, "cid", "dan")  # later than the removal: it stays removed
    play.hear("dan", play.say("cid", "aside"))
    play.may_not_say("dan", "room-closed")
    play.apply(by_bob, "dan")
    news = play.say("dan", "back, and not where I was")
    play.hear("bob", root)
    play.hear("bob", news)  # it names an epoch that bob does not know
    play.apply(by_bob, "eve")
    play.hear("eve", news, missing=3)
    play.hear("eve", two[2], missing=1)
    play.hear("eve", one, missing=1)
    play.hear("dan", play.say("bob", "so you are"))
    for who in ("dan", "eve"):
        yield play.case(who, BACK, "Removed by a sibling of an epoch that it has left")
    yield play.case("dan", BACK, "Removed by a sibling of an epoch that it has left",
                    restarts=True)  # fmt: skip


def removed_twice() -> Iterator[Json]:
    """Two commits on one epoch remove dan, and a third, between them in order, does not."""
    play = Play("removed-twice")
    play.found("ann", "bob", "cid", "dan", "eve", roles=(ref.ADMIN, ref.ADMIN, 0, 0))
    play.join("bob", "cid", "dan", "eve")
    late = [play.say("eve", f"late {n}") for n in range(2)]
    by_cid = play.commit("cid", [play.removal("dan")])
    by_bob = play.commit("bob")
    by_ann = play.commit("ann", [play.removal("dan")])
    play.leaves(by_cid, "dan")
    play.leaves(by_ann, "dan")
    play.loses(by_bob, "bob", "dan")
    play.hear("dan", play.say("bob", "you are out"))
    play.hear("dan", late[0])
    play.refuse("dan", play.say("ann", "among us"), "unknown-epoch")
    play.hear("dan", late[1])
    yield play.case("dan", BACK, "Removed by two commits, and kept in by one that loses")


def too_late() -> Iterator[Json]:
    """More than 72 h after its removal a device does not come back."""
    play = Play("back-too-late")
    play.begin("ann", "bob", "cid", "dan")
    by_bob, by_cid = play.commit("bob"), play.commit("cid")
    play.wait(HOUR)
    late = play.say("ann", "late")
    by_ann = play.commit("ann", [play.removal("dan")])
    play.leaves(by_ann, "dan")
    play.wait(AFTER)
    play.look("dan")
    play.refuse("dan", play.say("bob", "held for three days"), "unknown-epoch")
    play.hear("dan", late)
    play.wait(1)
    play.look("dan")
    play.refuse("dan", play.say("bob", "not held any more"), "room-closed")
    play.refuse("dan", by_bob.copies["dan"], "replay")
    play.refuse("dan", by_cid.copies["dan"], "replay")
    play.refuse("dan", late, "unknown-member")
    yield play.case("dan", f"{BACK} DEL-07", "72 h after its removal a device has nothing left",
                    last=False)  # fmt: skip
    yield play.case("dan", f"{BACK} DEL-07", "72 h after its removal a device has nothing left",
                    restarts=True, last=False)  # fmt: skip


def equivocation() -> Iterator[Json]:
    """Dan, and a clone of it, commit on one epoch."""
    play = Play("two-commits")
    play.begin("ann", "bob", "cid", "dan")
    state = play.room("dan")
    clones = [play.aside("dan", state) for _ in range(2)]
    made = play.commit("dan")
    play.apply(made, "ann", "bob")
    play.hear("bob", play.say("dan", "in the first"))
    play.convict("dan", clones[0].copies["bob"], "bob")
    play.may_not_say("bob", "equivocation")
    play.may_not_commit("bob", "equivocation")
    play.may_not_commit("bob", "equivocation", [play.removal("dan")])
    play.convict("dan", clones[0].copies["bob"], "bob")  # told again, and nothing changes
    play.convict("dan", ref.build("commit copy", clones[1].sealed, None), "bob")
    play.refuse("bob", made.copies["bob"], "replay")
    play.restart("bob")
    play.may_not_say("bob", "equivocation")
    play.export("ann", "bob")
    play.all_hear(play.say("ann", "what comes is received"), "bob", "dan")
    following = play.commit("ann", [play.removal("dan")])
    play.apply(following, "bob")
    play.hear("ann", play.say("bob", "it has gone, and harms nobody"))
    play.hear("bob", play.say("ann", "as before"))
    play.convict("dan", clones[0].copies["bob"], "bob")
    play.apply(play.commit("bob"), "ann")
    play.hear("bob", play.say("ann", "and on"))
    comment = "A second commit of one author on one epoch"
    yield play.case("bob", TWICE, comment)
    yield play.case("bob", TWICE, comment, restarts=True)


def split() -> Iterator[Json]:
    """Ann takes the one commit and bob the other, and each convicts the author by the second."""
    play = Play("split")
    play.begin("ann", "bob", "cid", "dan")
    state = play.room("dan")
    one = play.aside("dan", state, time=play.now - 60)
    two = play.aside("dan", state)
    play.apply(one, "ann")
    play.apply(two, "bob")
    heard = play.say("ann", "in one")
    play.refuse("bob", heard, "unknown-epoch")
    play.convict("dan", two.copies["ann"], "ann")
    play.convict("dan", one.copies["bob"], "bob")
    for who in ("ann", "bob"):
        play.may_not_say(who, "equivocation")
    better = play.commit("cid")  # which leads for both, and heals nothing
    play.apply(better, "ann", "bob")
    for who in ("ann", "bob"):
        play.may_not_say(who, "equivocation")
        play.hear(who, play.say("cid", "we share an epoch"), missing=1 if who == "bob" else 0)
    yield play.case("ann", TWICE, "Two commits of one author, the other one first elsewhere")
    yield play.case("bob", TWICE, "Two commits of one author, the other one first elsewhere")


def resealed() -> Iterator[Json]:
    """Cid commits at the root and loses, and commits again; dan seals each for the other parent."""
    play = Play("sealed-anew")
    play.begin("ann", "bob", "cid", "dan", "eve")
    root = play.room("dan").current
    by_cid, by_bob = play.commit("cid"), play.commit("bob")
    said = play.say("cid", "where I have led nobody")
    play.apply(by_bob, "ann", "dan", "cid", "eve")
    leading = play.room("dan").current
    play.loses(by_cid, "cid", "dan", "ann")  # and not eve
    second = play.commit("cid")
    play.apply(second, "dan")
    for who in ("ann", "eve"):
        for made, at in ((second, root), (by_cid, leading)):
            data = play.resealed("dan", made, "cid", who, at)
            play.refuse(who, data, "wrong-transcript")
            play.refuse(who, altered(data, "commit copy", {1: None}), "wrong-transcript")
    play.all_hear(play.say("ann", "cid has done nothing wrong"), "dan", "eve")
    play.loses(by_cid, "cid", "eve")
    play.apply(second, "ann", "eve")
    for who in ("ann", "eve"):
        for made, at in ((second, root), (by_cid, leading)):
            data = play.resealed("dan", made, "cid", who, at)
            play.refuse(who, data, "wrong-transcript")
        play.hear(who, said)
        play.all_hear(play.say(who, "nor since"), "cid", missing=int(who == "ann"))
        play.hear(who, play.say("cid", f"so it is, {who}"), missing=int(who == "eve"))
    comment = "A commit on one parent, sealed anew for another, convicts nobody"
    yield play.case("ann", TWICE, comment)
    yield play.case("eve", TWICE, comment)
    yield play.case("ann", TWICE, comment, restarts=True)


def edge_of_window() -> Iterator[Json]:
    """A sibling comes 72 h after its parent was superseded, and one second later."""
    for seconds in (AFTER, AFTER + 1):
        play = Play(f"window-{seconds}")
        play.begin("ann", "bob", "cid")
        by_bob = play.commit("bob")
        said = play.say("bob", "three days ago")
        play.wait(HOUR)
        by_cid = play.commit("cid")
        play.apply(by_cid, "ann")
        play.wait(seconds)
        play.look("ann")
        if seconds == AFTER:
            play.refuse("ann", said, "unknown-epoch")
            play.apply(by_bob, "ann")
            play.hear("ann", said)
            play.hear("ann", play.say("cid", "undone after three days"))
        else:
            play.refuse("ann", by_bob.copies["ann"], "unknown-epoch")
            play.refuse("ann", said, "unknown-epoch")
            play.hear("ann", play.say("cid", "not to be undone"))
        yield play.case("ann", "EPOCH-31 DEL-07 EPOCH-15 LIMIT-14", "A better sibling comes "
                        + ("at the end of the window" if seconds == AFTER else "too late"),
                        )  # fmt: skip
    play = Play("never-too-old")
    play.begin("ann", "bob", "cid")
    by_bob = play.commit("bob")
    play.wait(10 * AFTER)
    play.look("ann")
    play.hear("ann", play.say("cid", "a month later"))
    play.apply(by_bob, "ann")
    play.hear("ann", play.say("bob", "a month ago"))
    assert play.now > NOW
    yield play.case("ann", "EPOCH-31 DEL-07 EPOCH-15", "A commit on the current epoch is not old")


def losing_epochs_go() -> Iterator[Json]:
    """Of more than 256 epochs losing ones go first, in the order in which they came."""
    play = Play("256-with-losing")
    play.begin("ann", "bob", "cid")
    root = [play.say("cid", f"root {n}") for n in range(2)]
    by_cid, _ = play.commit("cid"), play.commit("bob")
    in_cids = [play.say("cid", f"aside {n}") for n in range(2)]
    play.apply(play.commit("ann"), "bob", "cid")
    one = play.say("ann", "one")
    for _ in range(252):
        play.apply(play.commit("ann"), "bob")
    # Bob keeps 254 epochs of the path, and the one that it has opened itself: 255.
    play.loses(by_cid, "cid", "bob")
    play.hear("bob", in_cids[0], missing=2)
    play.apply(play.commit("ann"), "bob")  # the first losing one goes: its own
    play.hear("bob", in_cids[1])
    play.apply(play.commit("ann"), "bob")  # and the second
    play.refuse("bob", in_cids[1], "unknown-epoch")
    play.refuse("bob", by_cid.copies["bob"], "replay")
    play.hear("bob", root[0])
    play.apply(play.commit("ann"), "bob")  # no losing one is left
    play.refuse("bob", root[1], "unknown-epoch")
    play.refuse("bob", by_cid.copies["bob"], "unknown-epoch")
    play.hear("bob", one)
    play.hear("bob", play.say("ann", "the last"))
    yield play.case("bob", "DEL-09 EPOCH-31 LIMIT-15", "Losing epochs go before those of the path")
