"""Sessions at the edges of what a device keeps: 256 epochs, 72 hours after a removal."""

from collections.abc import Iterator

from spec.cases.common import Json
from spec.cases.session_play import AFTER, Play

from spec import reference as ref


def cases() -> Iterator[Json]:
    yield from many_epochs()
    yield from removed_together()
    yield from later_epoch()
    yield from refused_when_removed()


def many_epochs() -> Iterator[Json]:
    """A device keeps 256 epochs: when one more is entered, the first one goes."""
    play = Play("256-epochs")
    play.begin("ann", "bob")
    first = play.say("ann", "in epoch 0")
    play.apply(play.commit("ann"), "bob")
    second, other = play.say("ann", "in epoch 1"), play.say("ann", "in epoch 1 too")
    for _ in range(254):
        play.apply(play.commit("ann"), "bob")
    play.hear("bob", first)  # of 256 epochs it is the first
    play.apply(play.commit("ann"), "bob")
    play.refuse("bob", first, "unknown-epoch")
    play.hear("bob", other, missing=1)
    play.apply(play.commit("ann"), "bob")
    play.refuse("bob", second, "unknown-epoch")
    play.hear("bob", play.say("ann", "in epoch 257"))
    yield play.case("bob", "DEL-09 LIMIT-15 MSG-07", "The 257th epoch takes the first one's place")


def removed_together() -> Iterator[Json]:
    """A device that is removed along with another goes on reading it, for 72 h."""
    play = Play("removed-together")
    play.begin("ann", "bob", "cid")
    late = [play.say("cid", f"late {n}") for n in range(3)]
    of_ann = [play.say("ann", f"before {n}") for n in range(2)]
    made = play.commit("ann", [play.removal(who) for who in ("bob", "cid")])
    play.hear("bob", late[0])
    play.leaves(made, "bob")
    play.hear("bob", late[2], missing=1)
    play.hear("bob", of_ann[0])
    play.wait(AFTER)
    play.look("bob")
    play.hear("bob", late[1])
    play.export("bob", reason="room-closed")
    play.hear("bob", of_ann[1])
    yield play.case("bob", "DEL-05 DEL-07 MSG-07", "Two are removed by one commit")


def later_epoch() -> Iterator[Json]:
    """*last spoken* names an epoch that comes later than that of the message."""
    play = Play("later-last-spoken")
    play.begin("ann", "bob")
    before = play.room("bob")
    play.apply(play.commit("ann"), "bob")
    after = play.room("bob").current
    for count in (0, 1):
        play.refuse("ann", play.forge("bob", {5: [after, count]}, room=before), "bad-count")
    play.hear("ann", play.say("bob", "an honest word"))
    yield play.case("ann", "MSG-08", "Nobody has spoken in an epoch that is yet to come")


def refused_when_removed() -> Iterator[Json]:
    """Which of two faults a removed device tells."""
    play = Play("removed-faults")
    play.begin("ann", "bob", "cid")
    own = play.commit("cid")
    late = play.say("ann", "late")
    gone = play.row("cid", "ann")
    made = play.commit("ann", [[ref.SANCTION, gone.id, None]])
    before = play.room("cid")
    del play.rooms["cid"], play.steps["cid"], play.results["cid"]
    play.join("cid")
    play.leaves(made, "cid")
    play.refuse("cid", ref.build("commit copy", own.sealed, None), "own-message")
    play.step("cid", "export", "bad-input", label=b"call".hex(), size=0)
    play.may_not_commit("cid", "room-closed", [[ref.ADD, play.row("bob", "ann").signed, 0]])
    play.may_not_say("cid", "room-closed")
    play.hear("cid", late)
    assert before.me == play.id("cid")
    yield play.case("cid", "EPOCH-14 EPOCH-15 EPOCH-17 DEL-05",
                    "Removed, and asked for what would be refused in any case")  # fmt: skip
