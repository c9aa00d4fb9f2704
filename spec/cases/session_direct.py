"""Sessions in direct rooms: taking turns."""

from collections.abc import Iterator

from spec.cases.common import Json
from spec.cases.session_play import AFTER, DIRECT, HOUR, Play, text

from spec import reference as ref

TURNS = "DIR-01 DIR-02 DIR-03 DIR-04 DIR-05 DIR-10 MSG-06 MSG-07 DEL-04"


def cases() -> Iterator[Json]:
    yield from alternating()
    yield from first_lost()
    yield from late()
    yield from far_ahead()
    yield from last_resort()
    yield from old_epochs()
    yield from policy()


def begin(name: str, guest: str = "bob") -> Play:
    play = Play(name)
    play.begin("ann", guest, policy=DIRECT)
    return play


def alternating() -> Iterator[Json]:
    """Five turns, of one to three messages."""
    play = begin("turns")
    play.export("ann", "bob")
    for turn, number in enumerate((2, 1, 3, 1, 2)):
        who, other = ("ann", "bob") if turn % 2 == 0 else ("bob", "ann")
        for n in range(number):
            play.wait(3)
            play.hear(other, play.say(who, f"turn {turn}, message {n}"))
        play.export("ann", "bob")
    for who in ("ann", "bob"):
        yield play.case(who, f"{TURNS} EPOCH-12 EPOCH-17 INV-06 INV-09 MSG-08", "Five turns")
        yield play.case(who, f"{TURNS} EPOCH-17 DEL-02", "Five turns", restarts=True)


def first_lost() -> Iterator[Json]:
    """Of each turn the first message is lost: whichever comes first opens the epoch."""
    play = begin("first-lost")
    for turn in range(4):
        who, other = ("ann", "bob") if turn % 2 == 0 else ("bob", "ann")
        said = [play.say(who, f"turn {turn}, message {n}") for n in range(3)]
        # Message 0 of the turn before is lost for good: told when it was skipped, not again.
        play.hear(other, said[2], missing=2)
        play.hear(other, said[1])
        play.refuse(other, said[2], "replay")
    play.hear("bob", play.say("ann", "the fifth turn"))
    play.hear("ann", play.say("bob", "the last word"))
    for who in ("ann", "bob"):
        yield play.case(who, f"{TURNS} MSG-08 MSG-10 CHAIN-06",
                        "The first message of each turn is lost")  # fmt: skip


def late() -> Iterator[Json]:
    """Messages of earlier epochs come late, and all is told that is missing."""
    play = begin("late")
    zero = [play.say("ann", f"epoch 0, message {n}") for n in range(3)]
    play.hear("bob", zero[1], missing=1)
    one = [play.say("bob", f"epoch 1, message {n}") for n in range(2)]
    play.hear("ann", one[0])
    two = play.say("ann", "epoch 2")
    play.hear("bob", two, missing=1)  # message 2 of epoch 0
    play.hear("bob", zero[2])
    three = play.say("bob", "epoch 3")
    play.hear("ann", three, missing=1)
    play.hear("ann", one[1])
    play.hear("bob", zero[0])
    play.refuse("bob", zero[0], "replay")
    play.refuse("ann", one[0], "replay")
    play.hear("ann", play.say("bob", "epoch 3 again"))
    play.hear("bob", play.say("ann", "epoch 4"))
    for who in ("ann", "bob"):
        yield play.case(who, f"{TURNS} MSG-08 MSG-10 CHAIN-09", "Late messages of earlier turns")
    yield play.case("bob", f"{TURNS} MSG-08 CHAIN-09", "Late messages of earlier turns",
                    restarts=True)  # fmt: skip


def far_ahead() -> Iterator[Json]:
    """The last of 1,000 messages comes first. It opens the room, and the others can be read."""
    play = begin("1000-unanswered")
    first, second = play.say("ann", "message 0"), play.say("ann", "message 1")
    play.hurry("ann", 997)
    play.hear("bob", play.say("ann", "message 999"), missing=999)
    play.say("bob", "an answer that is on its way")
    play.hear("bob", first)
    play.hear("bob", second)
    yield play.case("bob", f"{TURNS} CHAIN-08 LIMIT-16 MSG-10", "1,000 messages await an answer")

    play = begin("1000-unanswered-later")
    play.hear("bob", play.say("ann", "message 0 of epoch 0"))
    kept = play.say("ann", "message 1 of epoch 0")
    play.hurry("ann", 998)
    play.hear("ann", play.say("bob", "an answer to the first"))
    play.hear("bob", play.say("ann", "epoch 2"), missing=999)
    play.hear("bob", kept)
    yield play.case("bob", f"{TURNS} CHAIN-09 LIMIT-16 MSG-08",
                    "A chain of 1,000 messages is closed after the first one")  # fmt: skip


def last_resort() -> Iterator[Json]:
    """Nobody waits for a refresh in a direct room: the first answer is one."""
    play = begin("last-resort", "bob last")
    play.hear("bob last", play.say("ann", "hello"))
    play.hear("ann", play.say("bob last", "hello"))
    play.hear("bob last", play.say("ann", "and on"))
    for who in ("ann", "bob last"):
        yield play.case(who, f"{TURNS} MEM-09 INV-02", "A direct room by a last-resort package")


def old_epochs() -> Iterator[Json]:
    """Epochs are erased 72 h after the next turn, and skipped keys after 72 h."""
    play = begin("old-epoch")
    zero = [play.say("ann", f"epoch 0, message {n}") for n in range(4)]
    play.hear("bob", zero[1], missing=1)
    play.wait(HOUR)
    one = [play.say("bob", f"epoch 1, message {n}") for n in range(3)]
    play.hear("ann", one[0])
    play.wait(AFTER - HOUR)
    play.look("ann", "bob")
    play.hear("bob", zero[0])  # skipped 72 h ago
    play.wait(HOUR)
    play.look("ann", "bob")
    play.hear("bob", zero[2])  # epoch 0 was superseded 72 h ago
    play.wait(1)
    play.look("ann", "bob")
    play.refuse("bob", zero[3], "unknown-epoch")
    two = play.say("ann", "epoch 2")
    play.hear("bob", two)
    play.wait(AFTER + 1)
    play.look("ann", "bob")
    play.refuse("ann", one[1], "bad-entry")
    three = [play.say("bob", f"epoch 3, message {n}") for n in range(2)]
    play.hear("ann", three[0])
    play.refuse("ann", one[2], "out-of-turn")
    play.hear("ann", three[1])
    play.hear("bob", play.say("ann", "epoch 4"))
    spec = "DEL-06 DEL-07 DEL-08 LIMIT-14 LIMIT-20 DIR-04 MSG-07"
    yield play.case("ann", spec, "A message of an erased epoch fails as an answer")
    yield play.case("bob", spec, "Epochs and skipped keys of a direct room are erased after 72 h")


def policy() -> Iterator[Json]:
    """The policy of a direct room stays what it was."""
    play = Play("policy")
    play.begin("ann", "bob", policy=[0, False, 60, 3_600])
    play.hear("bob", play.say("ann", text("bounded", play.now, None, AFTER)))
    play.hear("ann", play.say("bob", text("stricter", play.now, 0, 1)))
    play.may_not_commit("ann", "wrong-mode")
    play.may_not_commit("bob", "wrong-mode", [[ref.SET_POLICY, [0, False, None, 1]]])
    play.hear("bob", play.say("ann", text("half of it", play.now, 61, 3_599)))
    play.hear("ann", play.say("bob", ref.build("data", play.now, 59, 3_601, None, b"")))
    for who in ("ann", "bob"):
        yield play.case(who, "DIR-09 EPOCH-14 EVAP-02", "A direct room keeps its policy")
