"""Sessions with gaps: messages out of order, lost, repeated, and the limits of what is kept."""

from collections.abc import Iterator

from spec.cases.common import Json
from spec.cases.session_play import AFTER, HOUR, Play


def cases() -> Iterator[Json]:
    yield from reordered()
    yield from repeated()
    yield from closed()
    yield from silent_epochs()
    yield from settled_later()
    yield from last_spoken()
    yield from jumps()
    yield from chain_limit()
    yield from closing_limits()
    yield from room_limit()
    yield from expiry()


def reordered() -> Iterator[Json]:
    play = Play("reordered")
    play.begin("ann", "bob")
    said = [play.say("ann", f"message {n}") for n in range(6)]
    play.hear("bob", said[3], missing=3)
    play.hear("bob", said[1])
    play.hear("bob", said[5], missing=1)
    for n in (0, 4, 2):
        play.hear("bob", said[n])
    play.hear("ann", play.say("bob", "all there"))
    spec = "CHAIN-05 CHAIN-06 MSG-07 MSG-10"
    yield play.case("bob", spec, "Messages come in the order 3, 1, 5, 0, 4, 2")
    yield play.case("bob", spec, "Messages come in the order 3, 1, 5, 0, 4, 2", restarts=True)


def repeated() -> Iterator[Json]:
    """Each message comes twice."""
    play = Play("repeated")
    play.begin("ann", "bob")
    said = [play.say("ann", f"message {n}") for n in range(4)]
    play.hear("bob", said[0])
    play.refuse("bob", said[0], "replay")
    play.restart("bob")
    play.refuse("bob", said[0], "replay")
    play.hear("bob", said[2], missing=1)
    play.refuse("bob", said[2], "replay")
    play.hear("bob", said[1])  # by its skipped key
    play.refuse("bob", said[1], "replay")
    play.restart("bob")
    play.refuse("bob", said[1], "replay")
    play.apply(play.commit("ann"), "bob")
    play.refuse("bob", said[1], "replay")
    play.hear("bob", play.say("ann", "new"), missing=1)
    play.refuse("bob", said[0], "replay")
    play.hear("bob", said[3])
    play.refuse("bob", said[3], "replay")
    play.hear("bob", play.say("ann", "newer"))
    yield play.case("bob", "CHAIN-05 CHAIN-06 MSG-07", "No index is accepted twice, by any way")


def closed() -> Iterator[Json]:
    """What ann says in epoch 1 closes her chain in epoch 0, at 5."""
    play = Play("closed")
    play.begin("ann", "bob", "cid")
    said = [play.say("ann", f"message {n}") for n in range(5)]
    before, prefix = play.room("ann"), play.room("bob").current
    play.hear("bob", said[0])
    play.hear("bob", said[2], missing=1)
    play.apply(play.commit("cid"), "ann", "bob")
    new = play.say("ann", "in epoch 1")
    play.refuse("bob", play.forge("ann", {5: [prefix, 2]}), "bad-count")
    play.hear("bob", new, missing=2)
    play.refuse("bob", play.forge("ann", room=before), "beyond-count")
    play.refuse("bob", play.forge("ann", {3: 2**32 - 1}, room=before), "beyond-count")
    play.hear("bob", said[4])
    play.hear("bob", said[1])
    play.refuse("bob", said[4], "replay")
    play.hear("bob", play.say("ann", "message 3 is never read"))
    spec = "CHAIN-07 CHAIN-09 MSG-08 MSG-10"
    yield play.case("bob", spec, "A chain is closed by what its sender says in the next epoch")
    yield play.case("bob", spec, "A chain is closed by what its sender says in the next epoch",
                    restarts=True)  # fmt: skip


def silent_epochs() -> Iterator[Json]:
    """Ann speaks in epochs 0 and 3, bob reads nothing of it until then."""
    play = Play("silent-epochs")
    play.begin("ann", "bob", "cid")
    before = play.room("ann")
    said = [play.say("ann", f"message {n}") for n in range(2)]
    between = []
    for _ in range(3):
        play.apply(play.commit("cid"), "ann", "bob")
        between.append(play.room("ann"))
    play.hear("bob", play.say("cid", "the only one here so far"))
    play.hear("bob", play.say("ann", "in epoch 3"), missing=2)
    for room in between[:2]:
        play.refuse("bob", play.forge("ann", room=room), "beyond-count")
    play.hear("bob", said[1])
    play.refuse("bob", play.forge("ann", {3: 2}, room=before), "beyond-count")
    play.hear("bob", said[0])
    yield play.case("bob", "CHAIN-09 CHAIN-07 MSG-08", "Epochs without a word are closed at 0")


def settled_later() -> Iterator[Json]:
    """What is said in epoch 2 names epoch 1: how epoch 0 ended is told by what was said there."""
    play = Play("settled-later")
    play.begin("ann", "bob", "cid")
    zero = [play.say("ann", f"epoch 0, message {n}") for n in range(3)]
    before = play.room("ann")
    play.hear("bob", zero[0])
    play.apply(play.commit("cid"), "ann", "bob")
    one = play.say("ann", "epoch 1")
    play.apply(play.commit("cid"), "ann", "bob")
    two = play.say("ann", "epoch 2")
    play.hear("bob", two, missing=1)  # of epoch 1; epoch 0 stays open
    play.hear("bob", zero[1])
    play.hear("bob", one, missing=1)
    play.refuse("bob", play.forge("ann", room=before), "beyond-count")
    play.hear("bob", zero[2])
    spec = "CHAIN-07 CHAIN-09 MSG-08 MSG-10"
    yield play.case("bob", spec, "A chain stays open until a message settles where it ends")


def last_spoken() -> Iterator[Json]:
    """A sender that lies of where, and how much, it spoke last."""
    play = Play("last-spoken")
    play.begin("ann", "bob", "cid")
    prefix_0 = play.room("bob").current
    play.hear("bob", play.say("ann", "message 0"))
    play.hear("bob", play.say("ann", "message 1"))
    play.apply(play.commit("cid"), "ann", "bob")
    prefix_1 = play.room("bob").current
    for claim in (None, [prefix_0, 1], [prefix_0, 0], [prefix_1, 0]):
        play.refuse("bob", play.forge("ann", {5: claim}), "bad-count")
    at_1 = play.room("ann")
    play.apply(play.commit("cid"), "ann", "bob")
    prefix_2 = play.room("bob").current
    play.refuse("bob", play.forge("ann", {5: [prefix_2, 0]}), "bad-count")
    play.refuse("bob", play.forge("ann", {5: [prefix_2, 0]}, room=at_1), "bad-count")
    play.refuse("bob", play.forge("ann", {5: [prefix_1, 0]}, room=at_1), "bad-count")
    play.hear("bob", play.say("ann", "honest: two in epoch 0, none in epoch 1"))
    play.hear("bob", play.forge("ann", {5: [bytes(8), 9]}))  # closed already: nothing to judge
    spec = "CHAIN-09 MSG-08"
    yield play.case("bob", spec, "Claims of last spoken that contradict what was read")


def jumps() -> Iterator[Json]:
    """1,000 skipped are accepted, 1,001 are not."""
    play = Play("jump")
    play.begin("ann", "bob", "cid")
    first = play.say("ann", "message 0")
    play.hurry("ann", 999)
    almost, past = play.say("ann", "message 1,000"), play.say("ann", "message 1,001")
    play.refuse("bob", past, "jump-too-far")
    play.refuse("bob", play.forge("ann", {3: 2**32 - 1}), "jump-too-far")
    play.refuse("bob", play.forge("ann", {3: 1_001}, signer="cid"), "jump-too-far")
    play.hear("bob", almost, missing=1_000)
    play.hear("bob", past)
    play.hear("bob", first)
    spec = "CHAIN-08 LIMIT-16 MSG-10"
    yield play.case("bob", spec, "A message may skip 1,000 others, and not one more")


def chain_limit() -> Iterator[Json]:
    """A chain keeps 1,000 skipped keys."""
    play = Play("chain-limit")
    play.begin("ann", "bob")
    said = [play.say("ann", f"message {n}") for n in range(4)]
    play.hurry("ann", 596)
    play.hear("bob", play.say("ann", "message 600"), missing=600)
    play.hurry("ann", 402)
    play.hear("bob", play.say("ann", "message 1,003"), missing=402, lost=True)
    play.refuse("bob", said[0], "replay")
    play.refuse("bob", said[1], "replay")
    play.hear("bob", said[2])
    play.hear("bob", play.say("ann", "message 1,004"))
    play.hear("bob", said[3])
    spec = "CHAIN-05 CHAIN-11 LIMIT-18 MSG-10"
    yield play.case("bob", spec, "More than 1,000 skipped keys: the lowest go, and it is told")


def closing_limits() -> Iterator[Json]:
    """Closing with 1,000 missing, with 1,001, and past the limit of the chain."""
    for missing, skipped, lost in ((1_000, 0, False), (1_001, 1, True), (1_000, 1, True)):
        play = Play(f"close-{missing}-missing{'-and-one' if missing == 1_000 and skipped else ''}")
        play.begin("ann", "bob", "cid")
        kept = play.say("ann", "message 0")
        if not skipped:
            play.hear("bob", kept)
        play.hear("bob", play.say("ann", "message 1"), missing=skipped)
        late = play.say("ann", "message 2")
        play.hurry("ann", missing - 1)
        play.apply(play.commit("cid"), "ann", "bob")
        told = missing if missing <= 1_000 else 0
        play.hear("bob", play.say("ann", "in epoch 1"), lost=lost, missing=told)
        if missing > 1_000:
            play.refuse("bob", late, "beyond-count")
            play.hear("bob", kept)
        else:
            play.hear("bob", late)
            play.refuse("bob", kept, "replay")  # heard, or dropped as the lowest of 1,001
        play.hear("bob", play.say("ann", "and on"))
        yield play.case("bob", "CHAIN-09 CHAIN-11 LIMIT-16 LIMIT-18 MSG-08 MSG-10",
                        f"A chain is closed with {missing:,} missing, {skipped} skipped before")


def room_limit() -> Iterator[Json]:
    """A room keeps 4,000 skipped keys: whoever has most of them loses its oldest."""
    play = Play("room-limit")
    play.begin("ann", "bob", "cid")
    said = [play.say("ann", f"message {n}") for n in range(3)]
    rare = play.say("cid", "the first of few")
    play.hurry("cid", 499)
    play.hear("bob", play.say("cid", "message 500"), missing=500)
    play.hurry("ann", 997)
    for epoch in range(3):
        play.hear("bob", play.say("ann", f"message 1,000 of epoch {epoch}"), missing=1_000)
        play.apply(play.commit("cid"), "ann", "bob")
        play.hurry("ann", 1_000 if epoch < 2 else 502)
    play.hear("bob", play.say("cid", "from epoch 3"))
    ann = play.id("ann").hex()
    play.hear("bob", play.say("ann", "message 502"), missing=502, evicted=[[ann, 2]])
    for n in (0, 1):
        play.refuse("bob", said[n], "replay")
    play.hear("bob", said[2])
    play.hear("bob", rare)
    yield play.case("bob", "CHAIN-10 LIMIT-19 MSG-10",
                    "More than 4,000 skipped keys in the room: the oldest of ann go")  # fmt: skip

    play = Play("room-limit-tie")
    play.begin("ann", "bob", "cid", "dan")
    firsts = {who: play.say(who, "message 0") for who in ("ann", "cid", "dan")}
    for who in ("ann", "cid"):
        play.hurry(who, 999)
    for epoch in range(2):
        for who in ("ann", "cid"):
            play.hear("bob", play.say(who, f"message 1,000 of epoch {epoch}"), missing=1_000)
        if epoch == 0:
            play.apply(play.commit("dan"), "ann", "bob", "cid")
            for who in ("ann", "cid"):
                play.hurry(who, 1_000)
    loser, winner = sorted(("ann", "cid"), key=play.id, reverse=True)
    evicted = [[play.id(loser).hex(), 1]]
    play.hear("bob", play.say("dan", "4,001"), missing=1, evicted=evicted)
    play.refuse("bob", firsts[loser], "replay")
    play.hear("bob", firsts[winner])
    play.hear("bob", firsts["dan"])
    yield play.case("bob", "CHAIN-10 LIMIT-19 MSG-10",
                    "Of two with as many skipped keys, the one with the larger id loses one")


def expiry() -> Iterator[Json]:
    """A skipped key is kept for 72 h."""
    play = Play("skipped-expiry")
    play.begin("ann", "bob")
    said = [play.say("ann", f"message {n}") for n in range(6)]
    play.hear("bob", said[2], missing=2)
    play.wait(HOUR)
    play.hear("bob", said[4], missing=1)
    play.wait(AFTER - HOUR)
    play.look("bob")
    play.hear("bob", said[0])
    play.wait(1)
    play.look("bob")
    play.refuse("bob", said[1], "replay")
    play.hear("bob", said[3])
    play.wait(2 * AFTER)
    play.look("bob")
    play.hear("bob", said[5])
    spec = "CHAIN-06 CHAIN-12 DEL-06 DEL-08 LIMIT-20"
    yield play.case("bob", spec, "A skipped key is erased when it is more than 72 h old")
    yield play.case("bob", spec, "A skipped key is erased when it is more than 72 h old",
                    restarts=True)  # fmt: skip

