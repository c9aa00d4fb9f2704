"""Sessions in which members are let in anew, second part: with what else, and how often."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import Json, Stream
from spec.cases.session_play import AFTER, PEOPLE, Person, Play, person

from spec import reference as ref

CHANGE = "EPOCH-14 EPOCH-15 MEM-05 MEM-07 MEM-13"


def cases() -> Iterator[Json]:
    yield from both_at_once()
    yield from of_the_owner()
    yield from who_asked_to_leave()
    yield from then_removed()
    yield from second_time()
    yield from admitted_later()


def asks(
    play: Play, back: str, *, time: int | None = None, by: str | None = None,
    room: bytes | None = None,
) -> list[Any]:  # fmt: skip
    """The operation that lets somebody in anew, by the package of `back`."""
    who = back.partition(" ")[0]
    body = ref.build(
        "resync request", room or play.room(who).now_in.epoch.room, play.id(who),
        play.now if time is None else time, person(back).package.package.signed,
    )  # fmt: skip
    signature = ref.sign(person(by or who).keys.seed, b"resync request", body)
    return [ref.RESYNC, ref.build("signed object", body, signature)]


def third(who: str) -> str:
    """Somebody by one more package, for a second return."""
    name, first = f"{who} thrice", person(who)
    if name not in PEOPLE:
        contact, expiry = first.package.package.contact, first.package.package.expiry
        package = ref.make_key_package(first.keys, contact, expiry, False, Stream(name))
        PEOPLE[name] = Person(first.keys, package, first.mailbox)
    return name


def both_at_once() -> Iterator[Json]:
    """Two are let in anew and a third is added: the invitations stand in that order."""
    play = Play("resync-both")
    play.begin("ann", "bob", "cid", "eve")
    play.all_hear(play.say("cid", "before"), "ann", "eve")
    made = play.commit("ann", [asks(play, "cid again"), asks(play, "bob again")], ("dan",),
                       anew=("cid again", "bob again"))  # fmt: skip
    play.apply(made, "eve")
    play.join("bob again", "cid again", "dan")
    everybody = ("ann", "eve", "bob again", "cid again", "dan")
    for who in everybody:
        play.all_hear(play.say(who, "here"), *(other for other in everybody if other != who))
    play.export(*everybody)
    yield play.case("ann", f"{CHANGE} INV-02 INV-05", "Two are let in anew, and one is added")
    yield play.case("eve", CHANGE, "Two are let in anew, and one is added")
    for who in ("bob again", "cid again", "dan"):
        yield play.case(who, "INV-06 MEM-03 MEM-13", "Two are let in anew, and one is added")


def of_the_owner() -> Iterator[Json]:
    """A member lets the owner in anew, and it is the owner as before."""
    play = Play("resync-owner")
    play.begin("ann", "bob", "cid")
    play.all_hear(play.say("ann", "before"), "bob", "cid")
    play.apply(play.resync("bob", "ann again", [asks(play, "ann again")]), "cid")
    play.join("ann again")
    gone = play.row("cid", "ann again")
    made = play.commit("ann again", [[ref.SANCTION, gone.id, None]])
    play.apply(made, "bob")
    play.leaves(made, "cid")
    play.hear("bob", play.say("ann again", "it is still my room"))
    play.hear("ann again", play.say("bob", "so it is"))
    yield play.case("bob", CHANGE, "A member lets the owner in anew")
    yield play.case("ann again", "INV-06 EPOCH-14 MEM-05 MEM-13", "An owner comes back as owner")


def who_asked_to_leave() -> Iterator[Json]:
    """A leave request is left out of the commit that lets its member in anew; then it counts."""
    play = Play("resync-leaver")
    play.begin("ann", "bob", "cid")
    room = play.room("bob").now_in.epoch.room
    request = ref.make_leave_request(person("bob").keys, room, play.row("bob", "bob"))
    message = play.say("bob", ref.build("leave", request))
    for who in ("ann", "cid"):
        play.hear(who, message, "leave")
    play.apply(play.resync("ann", "bob again", [asks(play, "bob again")]), "cid")
    play.join("bob again")
    play.all_hear(play.say("bob again", "back"), "ann", "cid")
    play.restart("cid")
    late = play.say("ann", "late")
    made = play.commit("cid")
    play.apply(made, "ann")
    play.leaves(made, "bob again")
    play.may_not_say("bob again", "room-closed")
    play.hear("bob again", late)
    play.hear("ann", play.say("cid", "two are left"))
    play.hear("cid", play.say("ann", "so it is"), missing=1)
    spec = f"{CHANGE} MEM-06"
    yield play.case("ann", spec, "The leave request of one that is let in anew is left out")
    yield play.case("cid", spec, "The admission stays, and with it a leave request")
    yield play.case("bob again", "DEL-05 INV-06 MEM-06 MEM-13", "Back, and removed by request")


def then_removed() -> Iterator[Json]:
    """Let in anew and removed, in one commit: the device learns that it is out."""
    play = Play("resync-removed")
    play.begin("ann", "bob", "cid")
    gone, late = play.row("bob", "ann"), play.say("cid", "late")
    unheard = play.say("bob", "not heard in time")
    operations = [asks(play, "bob again"), [ref.SANCTION, gone.id, None]]
    made = play.commit("ann", operations)
    assert play.results["ann"][-1]["out"]["invitations"] == []
    play.apply(made, "cid")
    play.leaves(made, "bob")
    play.hear("bob", late)
    play.refuse("ann", unheard, "unknown-member")
    play.hear("cid", play.say("ann", "without bob"))
    play.hear("ann", play.say("cid", "two are left"), missing=1)
    yield play.case("ann", CHANGE, "A member is let in anew and removed")
    yield play.case("bob", "DEL-05 EPOCH-15 MEM-13", "A copy without slot, and no invitation")


def second_time() -> Iterator[Json]:
    """Bob is let in anew for a second time, before it has committed."""
    play = Play("resync-second")
    play.begin("ann", "bob", "cid")
    first = play.say("bob", "by the first keys")
    play.apply(play.resync("ann", "bob again", [asks(play, "bob again")]), "cid")
    play.join("bob again")
    second, lost = play.say("bob again", "by the second"), play.say("bob again", "late")
    play.all_hear(second, "ann", "cid")
    again = third("bob")
    play.may_not_commit("cid", "replay", [asks(play, again)])
    play.may_not_commit("cid", "replay", [asks(play, again, time=play.now - 1)])
    play.wait(1)
    play.apply(play.resync("cid", again, [asks(play, again)]), "ann")
    play.join(again)
    between = play.room("bob again").current
    play.refuse("ann", play.forge(again, {5: [between, 2]}), "bad-count")
    play.all_hear(play.say(again, "by the third"), "ann", "cid")
    for who in ("ann", "cid"):
        play.hear(who, first)
        play.hear(who, lost)
    play.apply(play.commit(again), "ann", "cid")
    play.refuse("ann", play.forge(again, {5: [between, 2]}), "bad-count")
    play.all_hear(play.say(again, "and on"), "ann", "cid")
    play.wait(AFTER)
    play.look("ann")
    play.hear(again, play.say("ann", "three days later"))
    play.all_hear(play.say("cid", "as always"), "ann", again)
    spec = f"{CHANGE} MSG-08"
    yield play.case("ann", spec, "A member is let in anew twice")
    yield play.case("cid", spec, "A member is let in anew twice")
    yield play.case(again, "INV-06 MEM-13 MSG-06", "A second return")


def admitted_later() -> Iterator[Json]:
    """*last spoken* of a member that was let in anew names an epoch in which it did not stand."""
    play = Play("resync-late-joiner")
    play.begin("ann", "bob")
    before = play.room("bob").current
    play.apply(play.commit("ann", guests=("dan",)), "bob")
    play.join("dan")
    said = [play.say("dan", f"before {n}") for n in range(2)]
    play.hear("bob", said[1], missing=1)
    stood = play.room("dan").current
    play.apply(play.resync("ann", "dan again", [asks(play, "dan again")]), "bob")
    play.join("dan again")
    play.refuse("bob", play.forge("dan again", {5: [stood, 2]}), "bad-count")
    play.hear("bob", play.forge("dan again", {5: [before, 7]}))
    play.hear("bob", said[0])
    play.hear("bob", play.say("ann", "and on"))
    yield play.case("bob", "MEM-13 MSG-08",
                    "An epoch in which the sender never stood settles nothing")  # fmt: skip
