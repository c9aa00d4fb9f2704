"""Sessions in which *last spoken*, the flag and waivers go over branches (11.6, REQ-EPOCH-30)."""

from collections.abc import Iterator

from spec.cases.common import Json
from spec.cases.session_play import AFTER, HOUR, Play
from spec.cases.session_return import asks

from spec import reference as ref

SPOKEN = "MSG-08 MSG-07 EPOCH-27"
WAIVES = "EPOCH-30 EPOCH-15 EPOCH-27"


def cases() -> Iterator[Json]:
    yield from named_kept()
    yield from named_not_kept()
    yield from claims()
    yield from unknown_claims()
    yield from strayed()
    yield from waived()
    yield from not_waived()
    yield from waived_before()
    yield from resynced_waives_nothing()


def flag_of(message: bytes) -> int:
    head: bytes = ref.parse(message, "message")[0]
    flag: int = ref.parse(head, "header")[6]
    return flag


def named_kept() -> Iterator[Json]:
    """Cid has spoken at the root, in an epoch that lost, and in the one that leads."""
    play = Play("spoken-aside")
    play.begin("ann", "bob", "cid")
    root = [play.say("cid", f"root {n}") for n in range(3)]
    play.hear("bob", root[0])
    by_cid, by_bob = play.commit("cid"), play.commit("bob")
    aside = [play.say("cid", f"aside {n}") for n in range(3)]
    play.loses(by_cid, "cid", "bob")
    play.apply(by_bob, "cid")
    main = [play.say("cid", f"main {n}") for n in range(2)]
    play.hear("bob", main[0], missing=3)  # aside; the root is settled by what was said there
    play.hear("bob", root[2], missing=1)
    play.hear("bob", aside[1])
    play.hear("bob", aside[0])
    play.hear("bob", root[1])
    play.hear("bob", main[1])
    play.hear("bob", aside[2])
    play.apply(play.commit("cid"), "bob")
    play.hear("bob", play.say("cid", "and on"))
    yield play.case("bob", SPOKEN, "Last spoken names a losing epoch that is kept")
    yield play.case("bob", SPOKEN, "Last spoken names a losing epoch that is kept", restarts=True)


def named_not_kept() -> Iterator[Json]:
    """The same, but the losing commit comes last: the flag tells that there is one."""
    play = Play("spoken-unknown")
    play.begin("ann", "bob", "cid")
    root = [play.say("cid", f"root {n}") for n in range(2)]
    by_cid, by_bob = play.commit("cid"), play.commit("bob")
    aside = [play.say("cid", f"aside {n}") for n in range(2)]
    play.apply(by_bob, "cid")
    main = play.say("cid", "main")
    assert flag_of(main) == 1
    play.hear("bob", main)  # what is missing is not known yet
    play.hear("bob", root[1], missing=1)
    play.hear("bob", root[0])
    play.loses(by_cid, "cid", "bob")
    play.hear("bob", aside[1], missing=1)
    play.hear("bob", aside[0])
    play.hear("bob", play.say("cid", "main again"))
    yield play.case("bob", SPOKEN, "Last spoken names a losing epoch that has not come yet")
    yield play.case("bob", SPOKEN, "Last spoken names a losing epoch that has not come yet",
                    restarts=True)  # fmt: skip


def claims() -> Iterator[Json]:
    """What a sender may not say of where it spoke last."""
    play = Play("spoken-falsely")
    play.begin("ann", "bob", "cid")
    root = play.room("bob").current
    by_cid = play.commit("cid")
    by_ann = play.commit("ann")
    play.loses(by_cid, "cid", "ann")
    losing = play.room("cid").current
    play.hear("ann", play.say("cid", "aside"))
    aside = play.room("cid")
    play.apply(by_ann, "bob", "cid")
    play.loses(by_cid, "cid", "bob")
    main = play.room("cid")
    leading = main.current
    following = play.commit("bob")
    play.apply(following, "ann", "cid")
    newest = play.room("ann").current
    for claim in ([newest, 0], [newest, 5]):  # an epoch that this one leads to, or itself
        play.refuse("ann", play.forge("cid", {5: claim}, room=main), "bad-count")
    for claim in ([losing, 0], [losing, 1], [losing, 7], [losing, 2**32 - 1]):
        play.refuse("ann", play.forge("cid", {5: claim}, room=aside), "bad-count")
    play.refuse("ann", play.forge("cid", {5: [losing, 0]}), "bad-count")  # one has been heard
    play.refuse("ann", play.forge("cid", {5: [newest, 0]}), "bad-count")
    play.hear("ann", play.say("cid", "honest"))
    play.hear("ann", play.forge("cid", {5: [leading, 0]}))  # it has gone over: not judged
    play.refuse("ann", play.forge("cid", room=aside), "beyond-count")
    play.hear("ann", play.say("bob", "and on"))
    play.hear("bob", play.forge("cid", {5: [root, 4]}), missing=5)
    yield play.case("ann", SPOKEN, "Claims of last spoken over branches")
    yield play.case("bob", SPOKEN, "A claim that nothing contradicts")


def unknown_claims() -> Iterator[Json]:
    """An epoch that is not kept, named with the flag and without it."""
    for flag in (0, 1):
        play = Play(f"spoken-nowhere-{flag}")
        play.begin("ann", "bob", "cid")
        zero = [play.say("cid", f"zero {n}") for n in range(3)]
        play.hear("ann", zero[0])
        play.apply(play.commit("bob"), "ann", "cid")
        one = play.forge("cid", {5: [bytes(8), 7], 6: flag})
        play.apply(play.commit("bob"), "ann", "cid")
        claim = play.forge("cid", {5: [bytes(8), 7], 6: flag})
        play.hear("ann", claim)
        if flag:
            play.hear("ann", one)  # its chain is open
        else:
            play.refuse("ann", one, "beyond-count")  # closed at 0: it says that it was not there
        play.hear("ann", zero[2], missing=1)  # its index was not 0: passed over
        play.hear("ann", zero[1])
        play.hear("ann", play.say("bob", "and on"))
        yield play.case("ann", SPOKEN, "An unknown epoch is named "
                        + ("with the flag" if flag else "without the flag"))  # fmt: skip


def strayed() -> Iterator[Json]:
    """The flag is set while a losing epoch is kept that the sender has opened or spoken in."""
    play = Play("strayed")
    play.begin("ann", "bob", "cid", "dan")
    by_cid, by_bob = play.commit("cid"), play.commit("bob")
    assert flag_of(play.say("cid", "as far as it knows, on the path")) == 0
    play.apply(by_cid, "ann", "dan")
    play.say("ann", "where cid has led us")
    play.apply(by_bob, "ann", "cid", "dan")
    play.loses(by_cid, "cid", "bob")
    for who, flag in (("ann", 1), ("bob", 0), ("cid", 1), ("dan", 0)):
        assert flag_of(play.say(who, "after it")) == flag
    play.apply(play.commit("bob"), "ann", "cid", "dan")
    for who, flag in (("ann", 1), ("cid", 1)):
        assert flag_of(play.say(who, "one epoch later")) == flag
    play.wait(AFTER)
    play.look("ann", "cid")
    for who in ("ann", "cid"):
        assert flag_of(play.say(who, "72 h later")) == 1
    play.wait(1)
    play.look("ann", "cid")
    for who in ("ann", "cid"):
        assert flag_of(play.say(who, "a second more")) == 0
    news = play.say("dan", "hello")
    play.all_hear(news, "ann", "cid")
    spec = "EPOCH-30 MSG-06 MSG-01 EPOCH-27"
    yield play.case("ann", spec, "Who has spoken in an epoch that lost says so, for 72 h")
    yield play.case("cid", spec, "Who has opened an epoch that lost says so, for 72 h")
    yield play.case("cid", spec, "Who has opened an epoch that lost says so, for 72 h",
                    restarts=True)  # fmt: skip


def waived() -> Iterator[Json]:
    """Dan speaks without the flag, and then a commit of a clone of it comes."""
    play = Play("waived")
    play.begin("ann", "bob", "cid", "dan")
    state = play.room("dan")
    play.apply(play.commit("cid"), "ann", "bob", "dan")
    middle = play.room("dan")
    play.apply(play.commit("cid"), "ann", "bob", "dan")
    at_root, between = play.aside("dan", state), play.aside("dan", middle)
    removes = play.aside("dan", state)
    play.hear("ann", play.say("dan", "I have not strayed"))
    for made in (at_root, between, removes):
        play.refuse("ann", made.copies["ann"], "replay")
        play.refuse("ann", ref.build("commit copy", made.sealed, None), "replay")
    play.loses(at_root, "dan", "bob")
    play.loses(between, "dan", "bob")
    play.hear("bob", play.say("dan", "nor now"), missing=1)
    play.convict("dan", removes.copies["bob"], "bob")
    play.apply(play.commit("dan"), "ann", "bob", "cid")  # on the current epoch it may
    play.hear("ann", play.say("cid", "and on"))
    yield play.case("ann", WAIVES, "Who has spoken without the flag commits on no earlier epoch")
    yield play.case("ann", WAIVES, "Who has spoken without the flag commits on no earlier epoch",
                    restarts=True)  # fmt: skip
    yield play.case("bob", WAIVES, "A commit that comes before the waiver is taken")


def not_waived() -> Iterator[Json]:
    """Cid has strayed and says so: its commit that lost may still come."""
    play = Play("not-waived")
    play.begin("ann", "bob", "cid", "dan")
    by_cid, by_bob = play.commit("cid"), play.commit("bob")
    said = play.say("cid", "aside")
    play.apply(by_bob, "cid", "ann", "dan")
    play.hear("ann", play.say("cid", "in the epoch that leads"))
    play.apply(play.commit("bob"), "ann", "cid", "dan")
    play.hear("ann", play.say("cid", "and in the next"))
    play.loses(by_cid, "cid", "ann")
    play.hear("ann", said)
    play.hear("ann", play.say("cid", "and so on"))
    yield play.case("ann", WAIVES, "Who says that it has strayed waives nothing")


def waived_before() -> Iterator[Json]:
    """A waiver that removes the receiver, and one that was heard in a losing epoch."""
    play = Play("waived-removal")
    play.begin("ann", "bob", "cid")
    state = play.room("ann")
    play.apply(play.commit("bob"), "ann", "cid")
    removes = play.aside("ann", state, [play.removal("cid")], time=play.now - HOUR)
    play.hear("cid", play.say("ann", "I remove nobody"))
    play.refuse("cid", removes.copies["cid"], "replay")
    play.hear("cid", play.say("bob", "still here"))
    yield play.case("cid", WAIVES, "A removal that its author has waived")


def resynced_waives_nothing() -> Iterator[Json]:
    """Cid commits, is let in anew by ann, and speaks without the flag: its commit still comes."""
    play = Play("resync-and-waiver")
    play.begin("ann", "bob", "cid", "dan")
    by_cid = play.commit("cid")
    play.apply(by_cid, "dan")
    said = play.say("dan", "where cid has led us")
    play.apply(play.resync("ann", "cid again", [asks(play, "cid again")]), "bob", "dan")
    play.join("cid again")
    news = play.say("cid again", "back")
    assert flag_of(news) == 0
    play.all_hear(news, "bob", "dan")
    play.refuse("bob", said, "unknown-epoch")
    play.loses(by_cid, "cid", "bob")
    play.hear("bob", said)
    play.hear("bob", play.say("ann", "and on"))
    yield play.case("bob", f"{WAIVES} MEM-13",
                    "What it did before it was let in anew is not waived")  # fmt: skip
