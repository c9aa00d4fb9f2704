"""Sessions in which members commit at the same time, and one branch leads (10.9)."""

from collections.abc import Iterator

from spec.cases.common import NOW, Json
from spec.cases.session_play import AFTER, HOUR, Play

from spec import reference as ref

FORK = "EPOCH-14 EPOCH-15 EPOCH-20 EPOCH-27 DEL-02"
TWO = "Two commit at the same time, and one of them leads"


def cases() -> Iterator[Json]:
    yield from both_orders()
    yield from three()
    yield from hours()
    yield from clocks()
    yield from deep()
    yield from late_loser()
    yield from early_sibling()
    yield from without_slot()
    yield from removed_meanwhile()


def both_orders() -> Iterator[Json]:
    """Bob leads, being senior to cid. Ann gets cid's commit first, dan that of bob."""
    play = Play("fork")
    play.begin("ann", "bob", "cid", "dan")
    by_bob, by_cid = play.commit("bob"), play.commit("cid")
    of_bob, of_cid = play.say("bob", "by bob"), play.say("cid", "by cid")
    play.apply(by_cid, "ann")
    play.hear("ann", of_cid)
    aside = play.say("ann", "where cid has led us")
    play.hear("cid", aside)
    play.export("ann", "cid")
    play.refuse("ann", of_bob, "unknown-epoch")
    play.apply(by_bob, "ann", "dan", "cid")
    play.loses(by_cid, "cid", "bob", "dan")
    play.all_hear(of_bob, "ann", "cid", "dan")
    play.all_hear(of_cid, "bob", "dan")
    play.all_hear(aside, "bob", "dan")
    play.export("ann", "bob", "cid", "dan")
    for who in ("ann", "bob", "cid", "dan"):
        play.all_hear(play.say(who, f"{who} goes on"), *play.others(who))
    play.apply(play.commit("cid"), "ann", "bob", "dan")
    for who in ("ann", "bob", "cid", "dan"):
        play.all_hear(play.say(who, f"{who} goes on"), *play.others(who))
    for who, comment in (("ann", "The commit that leads comes second"),
                         ("bob", "Its own commit leads"), ("cid", "Its own commit loses"),
                         ("dan", "The commit that leads comes first")):  # fmt: skip
        yield play.case(who, f"{FORK} MSG-08", f"{TWO}. {comment}")
        if who in ("ann", "cid"):
            yield play.case(who, f"{FORK} MSG-08", f"{TWO}. {comment}", restarts=True)


def three() -> Iterator[Json]:
    """Three siblings, in two orders of arrival, and what was said in each."""
    play = Play("fork-three")
    play.begin("ann", "bob", "cid", "dan", "eve")
    made = {who: play.commit(who) for who in ("bob", "cid", "dan")}
    said = {who: [play.say(who, f"{who} {n}") for n in range(3)] for who in made}
    play.apply(made["dan"], "ann")
    play.hear("ann", said["dan"][1], missing=1)
    play.apply(made["cid"], "ann")
    play.hear("ann", said["dan"][0])
    play.hear("ann", said["cid"][0])
    play.apply(made["bob"], "ann", "eve")
    for who in ("dan", "cid"):
        play.loses(made[who], who, "eve")
    for data, missing in ((said["cid"][1], 0), (said["dan"][2], 0), (said["bob"][0], 0)):
        play.hear("ann", data, missing=missing)
    for who, listed in said.items():
        for data in listed:
            play.hear("eve", data)
        assert who in made
    play.loses(made["cid"], "cid", "bob")
    play.loses(made["dan"], "dan", "bob")
    play.apply(made["bob"], "cid", "dan")
    play.loses(made["dan"], "dan", "cid")
    play.loses(made["cid"], "cid", "dan")
    for listener, heard in (("bob", ("cid", "dan")), ("cid", ("bob", "dan")),
                            ("dan", ("bob", "cid"))):  # fmt: skip
        for who in heard:
            play.hear(listener, said[who][0])
    news = play.say("cid", "all together")
    play.all_hear(news, "eve")
    play.all_hear(news, "ann", missing=1)  # its third message in the epoch that it names
    play.all_hear(news, "bob", "dan", missing=2)
    play.all_hear(play.say("eve", "all together"), "ann", "bob", "cid", "dan")
    play.export("ann", "bob", "cid", "dan", "eve")
    for who in ("ann", "cid", "eve"):
        yield play.case(who, f"{FORK} MSG-08 MSG-10", "Three commit at the same time")
    yield play.case("ann", f"{FORK} MSG-08 MSG-10", "Three commit at the same time", restarts=True)


def hours() -> Iterator[Json]:
    """An hour is compared before the role: 3,599 s after the parent, and 3,600 s."""
    for name, bobs, anns, leader in (
        ("same-hour", 0, 3_599, "ann"), ("next-hour", 3_599, 3_600, "bob"),
        ("hours-later", 7_199, 7_200, "bob"), ("in-the-third-hour", 7_200, 10_799, "ann"),
    ):  # fmt: skip
        play = Play(f"fork-{name}")
        play.begin("ann", "bob", "cid")
        play.now = NOW + bobs
        by_bob = play.commit("bob")
        play.now = NOW + anns
        by_ann = play.commit("ann")
        for first, author in ((by_bob, "bob"), (by_ann, "ann")):
            if author == leader or first is by_bob:
                play.apply(first, "cid")
            else:
                play.loses(first, author, "cid")
        for made, author, other in ((by_bob, "bob", "ann"), (by_ann, "ann", "bob")):
            if author == leader:
                play.apply(made, other)
            else:
                play.loses(made, author, other)
        for who in ("ann", "bob", "cid"):
            play.all_hear(play.say(who, "here"), *play.others(who))
        yield play.case("cid", FORK, f"The owner commits {anns} s after the parent, a member {bobs}"
                        f" s: {leader} leads")  # fmt: skip


def clocks() -> Iterator[Json]:
    """Clocks that are behind their parent's are in the first hour, and no earlier than others."""
    play = Play("fork-clocks")
    play.begin("ann", "bob", "cid", "dan")
    play.now = NOW - 5 * HOUR
    by_dan = play.commit("dan")
    play.now = NOW + 60
    by_cid = play.commit("cid")
    play.apply(by_dan, "ann")
    play.apply(by_cid, "ann", "dan")
    play.loses(by_dan, "dan", "cid")
    play.hear("ann", play.say("dan", "my clock is wrong"))
    play.hear("ann", play.say("cid", "mine is not"))
    yield play.case("ann", FORK, "A clock that was put back five hours wins nothing in one hour")
    yield play.case("dan", FORK, "A device whose clock is five hours behind", last=False)


def deep() -> Iterator[Json]:
    """Cid's commit of the first hour comes late, and undoes three of the second hour."""
    play = Play("fork-deep")
    play.begin("ann", "bob", "cid", "dan")
    by_cid = play.commit("cid")
    before = play.say("ann", "at the root")
    play.wait(HOUR)
    first = play.commit("bob")
    play.apply(first, "ann")
    one = [play.say("ann", f"first {n}") for n in range(2)]
    second = play.commit("ann")
    play.apply(second, "bob")
    play.hear("bob", one[0], missing=1)  # what ann said at the root
    two = play.say("bob", "second")
    third = play.commit("bob")
    play.apply(third, "ann")
    three = [play.say("ann", f"third {n}") for n in range(2)]
    play.apply(by_cid, "ann")
    play.hear("ann", two)
    after = play.say("ann", "on the better branch")
    late = play.commit("bob")
    in_late = play.say("bob", "I have not heard yet")
    play.loses(late, "bob", "ann")
    play.hear("ann", in_late)
    play.refuse("cid", in_late, "unknown-epoch")
    for made, author in ((first, "bob"), (second, "ann"), (third, "bob"), (late, "bob")):
        play.loses(made, author, "cid")
    play.hear("cid", in_late, missing=1)  # what bob said in the second
    play.hear("cid", one[1], missing=2)  # one there, and one at the root
    play.hear("cid", after, missing=2)  # two in the third epoch
    play.hear("cid", before)
    play.hear("cid", three[1])
    play.hear("cid", one[0])
    play.apply(by_cid, "bob")
    play.hear("bob", three[0], missing=1)
    play.hear("bob", after, missing=1)
    play.hear("bob", one[1])
    play.apply(first, "dan")
    play.apply(second, "dan")
    play.apply(by_cid, "dan")
    play.loses(third, "bob", "dan")
    play.hear("dan", three[0], missing=2)
    for who in ("bob", "cid", "dan"):
        play.hear("ann", play.say(who, f"{who} is here"))
    play.export("ann", "bob", "cid", "dan")
    comment = "A commit that comes late undoes three others"
    for who in ("ann", "bob", "cid", "dan"):
        yield play.case(who, f"{FORK} MSG-08", comment)
    yield play.case("ann", f"{FORK} MSG-08", comment, restarts=True)


def late_loser() -> Iterator[Json]:
    """A losing commit comes when the room has gone on for long, and what was said in it opens."""
    play = Play("fork-late-loser")
    play.begin("ann", "bob", "cid")
    by_cid = play.commit("cid")
    said = [play.say("cid", f"aside {n}") for n in range(2)]
    play.apply(play.commit("ann"), "bob", "cid")
    for who in ("bob", "ann"):
        play.apply(play.commit(who), *play.others(who))
    news = play.say("cid", "back among you")
    play.all_hear(news, "ann", "bob")
    play.wait(AFTER)
    play.look("bob")
    play.loses(by_cid, "cid", "bob")
    play.hear("bob", said[1], missing=1)
    play.hear("bob", said[0])
    play.refuse("bob", said[0], "replay")
    play.refuse("bob", by_cid.copies["bob"], "replay")
    play.wait(1)
    play.look("ann")
    play.refuse("ann", by_cid.copies["ann"], "unknown-epoch")
    play.refuse("ann", said[0], "unknown-epoch")
    for who in ("ann", "cid"):
        play.hear("bob", play.say(who, "and on"))
    play.hear("ann", play.say("bob", "and on"))
    yield play.case("bob", f"{FORK} EPOCH-31 DEL-07", "A losing commit at the end of the window")
    yield play.case("ann", f"{FORK} EPOCH-31 DEL-07", "A losing commit after the window")


def early_sibling() -> Iterator[Json]:
    """A sibling that is 301 s ahead waits, though it would lose anyway."""
    play = Play("fork-early")
    play.begin("ann", "bob", "cid")
    play.wait(301)
    by_cid = play.commit("cid")
    play.wait(-301)
    play.apply(play.commit("bob"), "ann")
    play.refuse("ann", by_cid.copies["ann"], "early-commit")
    play.wait(1)
    play.loses(by_cid, "cid", "ann")
    play.hear("ann", play.say("cid", "a little early"))
    yield play.case("ann", f"{FORK} LIMIT-13", "A sibling that is 301 s early is held")


def without_slot() -> Iterator[Json]:
    """Copies that another member has passed on: on the current epoch, and on an earlier one."""
    play = Play("no-slot")
    play.begin("ann", "bob", "cid", "dan")
    by_cid, by_bob = play.commit("cid"), play.commit("bob")
    bare = {who: ref.build("commit copy", made.sealed, None)
            for who, made in (("cid", by_cid), ("bob", by_bob))}  # fmt: skip
    play.refuse("ann", bare["bob"], "no-slot")
    play.apply(by_cid, "ann")
    play.refuse("ann", bare["bob"], "no-slot")
    play.refuse("ann", bare["cid"], "replay")
    play.apply(by_bob, "ann")
    play.refuse("ann", bare["bob"], "replay")
    made = play.commit("ann", [play.removal("dan")])
    late = play.say("cid", "late")
    play.step("dan", "receive", "no-slot", data=bare["bob"].hex(), now=play.now)
    play.apply(by_bob, "dan")
    play.refuse("dan", late, "unknown-epoch")
    play.step("dan", "receive", "removed", now=play.now,
              data=ref.build("commit copy", made.sealed, None).hex())  # fmt: skip
    play.loses(by_cid, "cid", "dan")
    play.hear("dan", late)
    play.hear("ann", late)
    play.hear("ann", play.say("bob", "here"))
    yield play.case("ann", "EPOCH-15", "A copy without a slot waits for that of its author")
    yield play.case("dan", "EPOCH-15", "Who is removed needs no slot", last=False)


def removed_meanwhile() -> Iterator[Json]:
    """Dan has been removed when a losing commit comes, and one on it, in which it has spoken."""
    play = Play("fork-removed")
    play.begin("ann", "bob", "cid", "dan")
    by_bob = play.commit("bob")
    play.apply(by_bob, "dan")
    of_dan, of_bob = play.say("dan", "in bob's epoch"), play.say("bob", "in mine")
    following = play.commit("bob")
    play.apply(following, "dan")
    later, of_bob_later = play.say("dan", "one epoch on"), play.say("bob", "one epoch on")
    by_ann = play.commit("ann", [play.removal("dan")])
    play.apply(by_ann, "cid")
    play.loses(by_bob, "bob", "cid")
    play.refuse("cid", of_dan, "unknown-member")
    play.hear("cid", of_bob)
    play.loses(following, "bob", "cid")
    play.refuse("cid", later, "unknown-member")
    play.hear("cid", of_bob_later)
    play.apply(by_ann, "bob")
    play.hear("bob", play.say("cid", "without dan"))
    play.refuse("bob", of_dan, "unknown-member")
    play.hear("bob", play.say("ann", "so it is"))
    play.hear("cid", play.say("bob", "so it is"))
    for who in ("bob", "cid"):
        yield play.case(who, f"{FORK} MSG-07", "What a removed member has said in a losing epoch")
