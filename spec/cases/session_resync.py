"""Sessions in which a member is let in anew, and in which receipts and recalls arrive."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import Json
from spec.cases.session_play import Commit, Play, person

from spec import reference as ref

RESYNC = "MEM-13 EPOCH-14 EPOCH-15 MSG-08 DEL-02"


def cases() -> Iterator[Json]:
    yield from let_in_anew()
    yield from goes_back_on_its_word()
    yield from granted_twice()
    yield from let_in_and_added()
    yield from told()


def asks(play: Play, who: str) -> list[Any]:
    """The operation that lets somebody in anew, by its next package."""
    room, one = play.room(who), person(f"{who} again")
    body = ref.build("resync request", room.now_in.epoch.room, room.me, play.now,
                     one.package.package.signed)  # fmt: skip
    signature = ref.sign(person(who).keys.seed, b"resync request", body)
    return [ref.RESYNC, ref.build("signed object", body, signature)]


def grant(play: Play, who: str, of: str, *more: list[Any], guests: tuple[str, ...] = ()) -> Commit:
    """Somebody lets another in anew, who comes back as `… again`: a device with nothing left."""
    made = play.resync(who, f"{of} again", [asks(play, of), *more], guests)
    play.join(f"{of} again")
    return made


def let_in_anew() -> Iterator[Json]:
    """Cid has lost its place. Its late messages still open, and its new ones count anew."""
    play = Play("resync")
    play.begin("ann", "bob", "cid")
    play.all_hear(play.say("cid", "before"), "ann", "bob")
    late, later = play.say("cid", "late"), play.say("cid", "never heard again")
    play.wait(60)
    made = grant(play, "ann", "cid")
    play.apply(made, "bob")
    play.refuse("bob", made.copies["bob"], "replay")
    play.all_hear(play.say("ann", "welcome back"), "bob", "cid again")
    play.all_hear(play.say("cid again", "here I am"), "ann", "bob")
    own = play.commit("cid again")
    play.apply(own, "ann", "bob")
    play.all_hear(play.say("cid again", "by keys of my own"), "ann", "bob")
    play.hear("ann", late)
    play.hear("bob", later, missing=1)
    play.hear("bob", late)
    play.all_hear(play.say("bob", "well then"), "ann", "cid again")
    play.export("ann", "bob", "cid again")
    yield play.case("ann", f"{RESYNC} INV-05", "Ann lets a member in anew")
    yield play.case("bob", RESYNC, "Another lets a member in anew")
    yield play.case("bob", RESYNC, "Another lets a member in anew", restarts=True)
    yield play.case("cid again", "MEM-13 INV-06 INV-09 MSG-08",
                    "A member comes back, and speaks as one that has never spoken")  # fmt: skip


def goes_back_on_its_word() -> Iterator[Json]:
    """*last spoken* may not reach back behind the resync."""
    play = Play("resync-last-spoken")
    play.begin("ann", "bob", "cid")
    first = play.say("cid", "before")
    play.all_hear(first, "ann", "bob")
    prefix = play.room("ann").current
    play.apply(grant(play, "ann", "cid"), "bob")
    honest = play.say("cid again", "here I am")
    for count in (0, 1, 2):
        play.refuse("bob", play.forge("cid again", {5: [prefix, count]}), "bad-count")
    play.hear("bob", honest)
    play.hear("ann", honest)
    yield play.case("bob", "MEM-13 MSG-08",
                    "Nobody speaks of epochs before it was let in anew")  # fmt: skip


def granted_twice() -> Iterator[Json]:
    """A request that has been granted is not granted again, whatever the member has done since."""
    play = Play("resync-twice")
    play.begin("ann", "bob", "cid")
    request = asks(play, "cid")
    made = play.resync("ann", "cid again", [request])
    play.join("cid again")
    play.apply(made, "bob")
    play.may_not_commit("bob", "used-package", [request])
    play.apply(play.commit("cid again"), "ann", "bob")
    play.may_not_commit("bob", "replay", [request])
    refresh = play.commit("ann")
    copied = play.forged_commit("ann", refresh, "bob", {5: [request]})
    play.refuse("bob", copied, "replay")
    play.apply(refresh, "bob", "cid again")
    play.may_not_commit("ann", "not-entitled", [asks(play, "ann")])
    play.hear("bob", play.say("cid again", "still here"))
    play.hear("ann", play.say("bob", "so are we"))
    yield play.case("ann", RESYNC, "A member does not let itself in anew")
    yield play.case("bob", RESYNC, "A request is granted once")


def let_in_and_added() -> Iterator[Json]:
    """One comes back as another comes new and a third goes, all in one commit."""
    play = Play("resync-add")
    play.begin("ann", "bob", "cid")
    gone = play.row("bob", "ann")
    made = grant(play, "ann", "cid", [ref.SANCTION, gone.id, None], guests=("dan",))
    play.join("dan")
    play.hear("bob", play.say("cid", "the last words of the old cid"))
    play.leaves(made, "bob")
    play.all_hear(play.say("dan", "hello"), "ann", "cid again")
    play.all_hear(play.say("cid again", "hello"), "ann", "dan")
    play.all_hear(play.say("ann", "hello both"), "dan", "cid again")
    for who in ("ann", "cid again", "dan"):
        yield play.case(who, RESYNC, "One comes back, another comes, a third goes")


def told() -> Iterator[Json]:
    """Receipts and recalls are events, in groups and direct rooms; their ids are not judged."""
    ids = [b"\x01" * 16, b"\x02" * 16]
    for name, policy, people in (
        ("notices", None, ("ann", "bob", "cid")),
        ("notices-direct", [0, False, None, 259_200], ("ann", "bob")),
    ):
        play = Play(name)
        play.begin(*people, policy=policy)
        speaker, *others = people
        play.all_hear(play.say(speaker, "hello"), *others)
        for form in ("viewed", "burn"):
            message = play.say(speaker, ref.build(form, ids))
            for who in others:
                play.hear(who, message, form)
                play.refuse(who, message, "replay")
            for broken, reason in (
                (ref.encode([1, ref.FORMS[form].type, []]), "bad-form"),
                (ref.encode([1, ref.FORMS[form].type, [bytes(15)]]), "bad-form"),
                (ref.encode([1, ref.FORMS[form].type, ids * 129]), "too-large"),
            ):
                forged = play.forge(speaker, content=broken)
                for who in others:
                    play.refuse(who, forged, reason)
        play.all_hear(play.say(speaker, "and on"), *others)
        answer = play.say(others[0], "yes")
        for who in people:
            if who != others[0]:
                play.hear(who, answer)
        for who in people[:2]:
            yield play.case(who, "EVAP-10 MSG-07 LIMIT-34", "Receipts and recalls arrive")
