"""Sessions in groups: speaking, joining late, commits in and out of their time."""

from collections.abc import Iterator

from spec.cases.common import Json
from spec.cases.session_play import AFTER, HOUR, Play, text

from spec import reference as ref

TALK = "MSG-01 MSG-02 MSG-03 MSG-06 MSG-07 CHAIN-01 CHAIN-04 CHAIN-05"
CHANGE = "EPOCH-14 EPOCH-15 EPOCH-17 DEL-02"


def cases() -> Iterator[Json]:
    yield from in_order()
    yield from refreshed()
    yield from late_join()
    yield from siblings()
    yield from early()
    yield from held()
    yield from policy()
    yield from expired_epoch()
    yield from contents()


def in_order() -> Iterator[Json]:
    play = Play("in-order")
    play.begin("ann", "bob", "cid")
    for who, others in (("ann", ("bob", "cid")), ("bob", ("ann", "cid")), ("cid", ("ann", "bob"))):
        for n in range(2):
            play.wait(5)
            play.all_hear(play.say(who, f"{who} {n}"), *others)
    play.export("ann", "bob", "cid")
    for who in ("ann", "bob", "cid"):
        yield play.case(who, f"{TALK} EPOCH-12 EPOCH-17 INV-06 MEM-03", "Three speak, in order")
    yield play.case("bob", f"{TALK} CHAIN-14", "Three speak, in order", restarts=True)


def refreshed() -> Iterator[Json]:
    """Each refreshes once, and speaks in each epoch."""
    play = Play("refresh")
    play.begin("ann", "bob")
    play.hear("bob", play.say("ann", "epoch 0"))
    play.export("ann", "bob")
    for who, other in (("ann", "bob"), ("bob", "ann")):
        play.wait(HOUR)
        play.apply(play.commit(who), other)
        play.export("ann", "bob")
        for speaker, listener in (("bob", "ann"), ("ann", "bob")):
            play.hear(listener, play.say(speaker, f"after the refresh of {who}"))
    spec = f"{CHANGE} EPOCH-03 EPOCH-07 EPOCH-08 EPOCH-09 EPOCH-10 EPOCH-13 MSG-08"
    for who in ("ann", "bob"):
        yield play.case(who, spec, "Two members refresh, one after the other")
        yield play.case(who, spec, "Two members refresh, one after the other", restarts=True)


def late_join() -> Iterator[Json]:
    """Dan is admitted by a commit, and reads nothing of what was before."""
    play = Play("late-join")
    play.begin("ann", "bob")
    before, kept_back = play.say("ann", "before"), play.say("ann", "not told to dan either")
    play.hear("bob", before)
    made = play.commit("ann", guests=("dan",))
    play.apply(made, "bob")
    play.join("dan")
    play.refuse("dan", before, "unknown-epoch")
    play.refuse("dan", made.copies["bob"], "unknown-epoch")
    hello = play.say("ann", "hello, dan")
    play.hear("dan", hello)
    play.hear("bob", hello, missing=1)
    play.hear("bob", kept_back)
    answer = play.say("dan", "hello")
    play.all_hear(answer, "ann", "bob")
    play.export("ann", "bob", "dan")
    play.apply(play.commit("dan"), "ann", "bob")
    play.all_hear(play.say("dan", "by keys of my own"), "ann", "bob")
    spec = "INV-05 INV-06 INV-09 MEM-07 MSG-07 MSG-08"
    yield play.case("ann", f"{CHANGE} INV-02 INV-05 MEM-03 MEM-07", "Ann admits another")
    yield play.case("bob", f"{CHANGE} MEM-03 MEM-07", "Another is admitted by ann")
    yield play.case("dan", spec, "A joiner reads nothing of the epochs before its own")


def siblings() -> Iterator[Json]:
    """Ann and bob commit on the same epoch: that of the owner leads, everywhere."""
    play = Play("siblings")
    play.begin("ann", "bob", "cid")
    late = play.say("ann", "before both")
    by_ann, by_bob = play.commit("ann"), play.commit("bob")
    aside = play.say("bob", "in an epoch that loses")
    play.apply(by_ann, "cid")
    play.refuse("cid", aside, "unknown-epoch")
    play.loses(by_bob, "bob", "cid")
    play.refuse("cid", by_bob.copies["cid"], "replay")
    play.refuse("cid", by_ann.copies["cid"], "replay")
    play.apply(by_ann, "bob")
    after = play.say("ann", "after it")
    play.all_hear(after, "bob", "cid", missing=1)
    play.loses(by_bob, "bob", "ann")
    play.all_hear(aside, "ann", "cid")
    play.all_hear(late, "bob", "cid")
    play.export("ann", "bob", "cid")
    again = play.commit("cid")
    play.apply(again, "ann", "bob")
    play.refuse("ann", again.copies["ann"], "replay")
    play.refuse("cid", by_ann.copies["cid"], "replay")
    play.refuse("cid", by_bob.copies["cid"], "replay")
    play.refuse("ann", by_bob.copies["ann"], "replay")
    for who in ("cid", "ann", "bob"):
        play.all_hear(play.say(who, "and on"), *play.others(who))
    play.export("ann", "bob", "cid")
    for who in ("ann", "bob", "cid"):
        yield play.case(who, "EPOCH-14 EPOCH-15 EPOCH-20 EPOCH-27",
                        "Two commit on the same epoch")
    yield play.case("cid", "EPOCH-15 EPOCH-20 EPOCH-27", "Two commit on the same epoch",
                    restarts=True)  # fmt: skip


def early() -> Iterator[Json]:
    """The clock of ann is 301 s ahead of that of bob."""
    play = Play("early")
    play.begin("ann", "bob")
    play.wait(301)
    made = play.commit("ann")
    ahead = play.say("ann", "from the new epoch")
    play.wait(-301)
    play.refuse("bob", made.copies["bob"], "early-commit")
    play.refuse("bob", ahead, "unknown-epoch")
    play.hear("ann", play.say("bob", "still in the old one"))
    play.wait(1)
    play.apply(made, "bob")
    play.hear("bob", ahead)
    play.hear("ann", play.say("bob", "in the new one"))
    spec = "EPOCH-15 LIMIT-13 MSG-07"
    yield play.case("bob", spec, "A commit 301 s ahead is held, and applied a second later")
    yield play.case("bob", spec, "A commit 301 s ahead is held, and applied a second later",
                    restarts=True)  # fmt: skip


def held() -> Iterator[Json]:
    """Two commits and what was said after them come in the wrong order."""
    play = Play("held")
    play.begin("ann", "bob")
    first = play.commit("ann")
    one = play.say("ann", "one")
    second = play.commit("ann")
    two = play.say("ann", "two")
    play.refuse("bob", two, "unknown-epoch")
    play.refuse("bob", second.copies["bob"], "unknown-epoch")
    play.refuse("bob", one, "unknown-epoch")
    play.apply(first, "bob")
    play.refuse("bob", two, "unknown-epoch")
    play.apply(second, "bob")
    play.hear("bob", two, missing=1)
    play.hear("bob", one)
    play.hear("ann", play.say("bob", "three"))
    spec = "EPOCH-15 MSG-07 MSG-08 MSG-10"
    yield play.case("bob", spec, "What comes before its epoch is held until then")


def policy() -> Iterator[Json]:
    """The stricter of the message and of the policy of its own epoch holds."""
    play = Play("policy")
    play.begin("ann", "bob", policy=[1, False, None, 7_200])
    late = play.say("ann", text("late", play.now, 600, AFTER))
    play.hear("bob", play.say("ann", text("short", play.now, None, 60)), missing=1)
    made = play.commit("ann", [[ref.SET_POLICY, [1, True, 30, 3_600]]])
    play.apply(made, "bob")
    play.hear("bob", play.say("ann", text("bounded", play.now, None, AFTER)))
    play.hear("bob", play.say("ann", text("on closing", play.now, 0, 1)))
    play.hear("bob", late)
    play.may_not_commit("bob", "not-entitled", [[ref.SET_POLICY, [1, True, None, AFTER]]])
    play.may_not_commit("ann", "wrong-mode", [[ref.SET_POLICY, [0, True, None, AFTER]]])
    play.may_not_commit("ann", "bad-policy", [[ref.SET_POLICY, [1, True, None, AFTER + 1]]])
    play.apply(play.commit("bob", guests=("dan",)), "ann")
    play.join("dan")
    play.all_hear(play.say("bob", text("for dan", play.now, 31, 3_601)), "ann", "dan")
    play.all_hear(play.say("ann", text("by mine", play.now, 29, 3_599)), "bob", "dan")
    spec = "EVAP-01 EVAP-02 MEM-05 MEM-07 MEM-12"
    yield play.case("ann", spec, "An owner changes the policy, and a member may add")
    yield play.case("bob", spec, "Messages evaporate by the policy of their own epoch")


def expired_epoch() -> Iterator[Json]:
    """An epoch is kept for 72 h after the next one was entered."""
    play = Play("old-epoch")
    play.begin("ann", "bob")
    first, second, third = (play.say("ann", words) for words in ("one", "two", "three"))
    play.hear("bob", first)
    made = play.commit("ann")
    play.wait(200)  # it is the time at which bob applies it that counts, not that in the commit
    play.apply(made, "bob")
    play.wait(AFTER)
    play.look("bob")
    play.refuse("bob", made.copies["bob"], "replay")
    play.hear("bob", second)
    play.wait(1)
    play.look("bob")
    play.refuse("bob", third, "unknown-epoch")
    play.refuse("bob", made.copies["bob"], "unknown-epoch")
    play.hear("bob", play.say("ann", "four"))
    spec = "DEL-06 DEL-07 LIMIT-14 MSG-08"
    yield play.case("bob", spec, "An epoch is erased when it is more than 72 h old")
    yield play.case("bob", spec, "An epoch is erased when it is more than 72 h old", restarts=True)


def contents() -> Iterator[Json]:
    """Contents of each type, and those that are refused though all around them is good."""
    play = Play("contents")
    play.begin("ann", "bob")
    box = [bytes([1]) * 32, bytes([9]) + bytes(31), bytes(16)]
    play.hear("bob", play.say("ann", ref.build("data", play.now, 1, 2, bytes(16), b"\x00\x80")))
    play.hear("bob", play.say("ann", ref.build("announcement", "Ann", box)), "announced")
    wrong: tuple[tuple[bytes, str], ...] = (
        (b"", "truncated"),
        (ref.encode([1, 38, b""]), "wrong-type"),
        (ref.encode([2, 32, 0, None, 1, None, ""]), "wrong-version"),
        (ref.encode([1, 32, 0, None, 1, None, b""]), "bad-form"),
        (ref.encode([1, 32, 0, None, 0, None, ""]), "bad-policy"),
        (ref.encode([1, 33, 0, AFTER + 1, 1, None, b""]), "bad-policy"),
        (ref.encode([1, 34, "Ann", [box[0], bytes(32), box[2]]]), "bad-key"),
        (ref.encode([1, 34, "a" * 257, box]), "too-large"),
        (ref.build("text", 0, None, 1, None, "twice") * 2, "trailing-bytes"),
    )
    for content, reason in wrong:
        play.refuse("bob", play.forge("ann", content=content), reason)
    play.hear("bob", play.say("ann", "the index is still free"))
    play.hear("bob", play.say("ann", ref.build("announcement", "Anna", box)), "announced")
    yield play.case("bob", "EVAP-01 EVAP-10 MSG-07", "A refused content leaves its index free")
