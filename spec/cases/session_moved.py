"""Sessions in which an invitation moves a device that is in the room already (REQ-ENV-24)."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import Json, little
from spec.cases.session_play import AFTER, HOUR, Play, person

from spec import reference as ref

MOVES = "ENV-24 INV-06 EPOCH-27 MSG-07"
MAY_ADD: list[Any] = [1, True, None, 259_200]


def cases() -> Iterator[Json]:
    yield from moved()
    yield from other_order()
    yield from same_place()
    yield from what_it_keeps()
    yield from another_identity()
    yield from not_by_a_stranger()
    yield from not_by_who_is_out()
    yield from only_for_72_hours()
    yield from readmitted()


def begun(
    name: str, policy: list[Any] | None = None
) -> tuple[Play, bytes, dict[str, ref.Room]]:
    """Ann admits eve in the second hour, and loses to bob, who has committed in the first.

    Then she can admit it again. The invitation is the first one; the rooms are those of ann and cid
    in the epoch that has lost.
    """
    play = Play(name)
    play.begin("ann", "bob", "cid", policy=policy)
    by_bob = play.commit("bob")
    play.wait(HOUR)
    by_ann = play.commit("ann", guests=("eve",))
    first = play.invitations["eve"]
    play.apply(by_ann, "cid")
    there = {who: play.room(who) for who in ("ann", "cid")}
    play.apply(by_bob, "ann", "cid")
    play.loses(by_ann, "ann", "bob")
    play.prekeys["eve"] = 1
    return play, first, there


def moved() -> Iterator[Json]:
    """Eve joins what has lost, and is brought over."""
    play, first, there = begun("moved")
    play.join("eve", invitation=first)
    said = [play.say("eve", f"is anybody here? {n}") for n in range(2)]
    play.refuse("eve", play.say("ann", "not yet"), "unknown-epoch")
    made = play.commit("ann", guests=("eve",))
    play.apply(made, "bob", "cid")
    aside, sibling = play.forge("cid", room=there["cid"]), play.aside("cid", there["cid"])
    play.join("eve", came="moved")
    play.refuse("eve", play.invitations["eve"], "wrong-type")
    play.join("eve", reason="already-member")  # it keeps this epoch
    play.join("eve", reason="already-member", invitation=first)
    news = play.say("eve", "here you are")
    play.all_hear(news, "ann", "bob", "cid")
    play.all_hear(play.say("ann", "welcome"), "bob", "cid", missing=1)
    play.hear("ann", said[1], missing=1)
    play.hear("bob", said[0])
    play.hear("eve", aside)
    play.refuse("eve", sibling.copies["eve"], "replay")
    play.refuse("eve", said[0], "unknown-member")  # of its own former self
    play.apply(play.commit("eve"), "ann", "bob", "cid")
    for who in ("bob", "cid", "eve"):
        play.all_hear(play.say(who, "all here"), *play.others(who))
    comment = "A member whose admission has lost is invited anew"
    yield play.case("eve", MOVES, comment)
    yield play.case("eve", MOVES, comment, restarts=True)
    yield play.case("bob", "EPOCH-27 MSG-08", "A joiner comes over from a losing epoch")


def other_order() -> Iterator[Json]:
    """The invitation to what has lost comes last, and does nothing."""
    play, first, _ = begun("moved-back")
    play.apply(play.commit("ann", guests=("eve",)), "bob", "cid")
    play.join("eve")
    play.hear("eve", play.say("bob", "welcome"))
    play.join("eve", reason="already-member", invitation=first)
    news = play.say("eve", "I stay")
    play.all_hear(news, "ann", "bob", "cid")
    play.hear("eve", play.say("ann", "as you should"))
    yield play.case("eve", MOVES, "An invitation to a losing epoch comes late")


def same_place() -> Iterator[Json]:
    """Two admit eve by the same package on the same epoch: it has the same id in both."""
    play = Play("moved-same-id")
    play.begin("ann", "bob", "cid", policy=MAY_ADD)
    by_bob = play.commit("bob", guests=("eve",))
    first = play.invitations["eve"]
    play.prekeys["eve"] = 1
    by_ann = play.commit("ann", guests=("eve",))
    play.apply(by_bob, "cid")
    play.join("eve", invitation=first)
    me = play.id("eve")
    play.join("eve", came="moved")
    assert play.id("eve") == me
    play.apply(by_ann, "bob", "cid")
    play.all_hear(play.say("eve", "one of you has won"), "ann", "bob", "cid")
    play.hear("eve", play.say("bob", "it was not me"))
    yield play.case("eve", MOVES, "Admitted twice at the same place of two siblings")


def what_it_keeps() -> Iterator[Json]:
    """What it has noted in the epochs that lost holds after the move."""
    play, first, there = begun("moved-noted", MAY_ADD)
    play.join("eve", invitation=first)
    made = play.aside("ann", there["ann"], [play.removal("cid")])
    play.apply(made, "eve")
    made = play.commit("bob", guests=("eve",))
    play.apply(made, "ann", "cid")
    play.join("eve", came="moved")
    play.may_not_say("eve", "removal-pending")
    play.may_not_commit("eve", "not-entitled", [play.removal("cid")])
    gone = play.commit("eve")
    play.apply(gone, "ann", "bob")
    play.leaves(gone, "cid")
    play.all_hear(play.say("eve", "cid was removed where I was"), "ann", "bob")
    play.hear("eve", play.say("bob", "I see"))
    yield play.case("eve", f"{MOVES} EPOCH-28", "A removal that was noted before the move")
    play, first, there = begun("moved-equivocation", MAY_ADD)
    play.join("eve", invitation=first)
    one, two = (play.aside("cid", there["cid"]) for _ in range(2))
    play.apply(one, "eve")
    play.convict("cid", two.copies["eve"], "eve")
    made = play.commit("bob", guests=("eve",))
    play.apply(made, "ann", "cid")
    play.join("eve", came="moved")
    play.may_not_say("eve", "equivocation")
    play.may_not_commit("eve", "equivocation")
    play.hear("eve", play.say("bob", "welcome"))
    yield play.case("eve", f"{MOVES} EPOCH-29", "An equivocation that was noted before the move")


def another_identity() -> Iterator[Json]:
    """Ann invites eve where cid's id is that of somebody else, who removes dan there."""
    play = Play("moved-from-lies")
    play.found("ann", "bob", "cid", "dan", roles=(0, ref.ADMIN, 0), policy=MAY_ADD)
    play.join("bob", "cid", "dan")
    honest = play.room("ann")
    play.apply(play.commit("bob"), "ann", "cid", "dan")
    play.wait(HOUR)
    lies = with_impostor(honest, play.id("cid"), person("gus").keys)
    play.aside("ann", lies, guests=("eve",))
    play.join("eve")
    epoch = play.room("eve").now_in.epoch
    dan = epoch.roster.find(play.id("dan"))
    removes = ref.sign_sanction(person("gus").keys, epoch.room, dan.id, dan.admission,
                                play.id("cid"), None, epoch.number, [])  # fmt: skip
    assert play.clone is not None
    proofs = {(ref.SANCTIONED, removes): play.now}
    made = play.aside("ann", play.clone._replace(noted=proofs))
    play.apply(made, "eve")
    assert not play.room("eve").now_in.epoch.roster.has(dan.id)
    play.prekeys["eve"] = 1
    play.apply(play.commit("bob", guests=("eve",)), "ann", "cid", "dan")
    play.join("eve", came="moved")
    play.all_hear(play.say("eve", "nobody has removed dan"), "ann", "bob", "cid", "dan")
    play.apply(play.commit("eve"), "ann", "bob", "cid", "dan")  # and embeds nothing
    for who in ("bob", "dan"):
        play.hear("eve", play.say(who, "welcome"))
    comment = "What was noted is by another than who has that id where the device is now"
    yield play.case("eve", f"{MOVES} EPOCH-28 MEM-14", comment)
    yield play.case("eve", f"{MOVES} EPOCH-28 MEM-14", comment, restarts=True)


def with_impostor(room: ref.Room, member: bytes, impostor: ref.IdentityKeys) -> ref.Room:
    """A room as somebody can make others believe in it: one id is that of another identity."""
    kept = room.now_in
    row = kept.epoch.roster.find(member)
    entry = ref.make_entry(impostor, kept.epoch.room, member, ref.dh_public(little(9)),
                           ref.sign_public(little(9)), 1)  # fmt: skip
    row = row._replace(sign_key=impostor.public.sign_key, dh_key=impostor.public.dh_key,
                       signed=entry)  # fmt: skip
    epoch = kept.epoch._replace(roster=kept.epoch.roster.replace(row))
    return room._replace(epochs={**room.epochs, room.current: kept._replace(epoch=epoch)})


def not_by_a_stranger() -> Iterator[Json]:
    """Who invites has to be somebody whom the device knows, and who may admit where it is."""
    play, first, there = begun("moved-by-stranger", MAY_ADD)
    play.join("eve", invitation=first)
    play.apply(play.commit("bob", guests=("dan",)), "ann", "cid")
    play.join("dan")
    play.apply(play.commit("dan", guests=("eve",)), "ann", "bob", "cid")
    play.join("eve", reason="already-member")
    made = play.aside("cid", there["cid"])
    play.apply(made, "eve")
    yield play.case("eve", MOVES, "A stranger invites: the invitation waits")
    play, first, there = begun("moved-by-member")
    play.join("eve", invitation=first)
    play.apply(play.commit("ann", [[ref.SET_POLICY, MAY_ADD]]), "bob", "cid")
    play.apply(play.commit("bob", guests=("eve",)), "ann", "cid")
    second = play.invitations["eve"]
    play.join("eve", reason="already-member", invitation=second)
    made = play.aside("cid", there["cid"])
    play.apply(made, "eve")
    yield play.case("eve", MOVES, "A member invites that may not admit where the device is")


def not_by_who_is_out() -> Iterator[Json]:
    """Who has been removed where the device is invites it elsewhere."""
    play, first, there = begun("moved-by-removed", MAY_ADD)
    play.join("eve", invitation=first)
    made = play.aside("ann", there["ann"], [play.removal("bob")])
    play.apply(made, "eve")
    play.apply(play.commit("bob", guests=("eve",)), "ann", "cid")
    play.join("eve", reason="already-member")
    play.hear("eve", play.forge("cid", room=there["cid"]))
    yield play.case("eve", MOVES, "One invites who has been removed where the device is")


def only_for_72_hours() -> Iterator[Json]:
    """A device is moved 72 h after it has joined, and not one second later."""
    for seconds in (AFTER, AFTER + 1):
        play, first, there = begun(f"moved-after-{seconds}")
        play.join("eve", invitation=first)
        play.wait(seconds)
        play.look("eve")
        play.apply(play.commit("ann", guests=("eve",)), "bob", "cid")
        if seconds == AFTER:
            play.join("eve", came="moved")
            play.hear("eve", play.say("bob", "welcome"))
        else:
            play.join("eve", reason="already-member")
            play.hear("eve", play.forge("cid", room=there["cid"]))
        yield play.case("eve", MOVES, "Invited anew "
                        + ("at the end of 72 h" if seconds == AFTER else "after more than 72 h"),
                        )  # fmt: skip


def readmitted() -> Iterator[Json]:
    """Removed and admitted again, before it has learnt of the first: it waits."""
    play = Play("moved-readmitted")
    play.begin("ann", "bob", "eve")
    play.prekeys["eve"] = 1
    late = play.say("bob", "before")
    play.apply(play.commit("ann"), "bob", "eve")
    made = play.commit("ann", [play.removal("eve")])
    play.apply(made, "bob")
    play.apply(play.commit("ann", guests=("eve",)), "bob")
    play.join("eve", reason="already-member")
    play.hear("eve", late)
    play.leaves(made, "eve")
    yield play.case("eve", MOVES, "An invitation to where its own path goes on", last=False)
