"""Sessions in which removals and demotions lose, and stay pending (REQ-EPOCH-28)."""

from collections.abc import Iterator

from spec.cases.common import Json
from spec.cases.session_play import AFTER, HOUR, Play, person

from spec import reference as ref

PENDING = "EPOCH-14 EPOCH-27 EPOCH-28 MEM-07 MEM-14 MSG-06"
MONTH = 2_592_000


def cases() -> Iterator[Json]:
    yield from removal()
    yield from demotion()
    yield from two_of_each()
    yield from void()
    yield from becomes_void()
    yield from leave()
    yield from comes_back_first()
    yield from takes_along()
    yield from forgotten()
    yield from what_first()


def removal() -> Iterator[Json]:
    """Ann removes dan in the second hour, and loses to a commit of bob of the first."""
    play = Play("removal-lost")
    play.begin("ann", "bob", "cid", "dan")
    by_bob = play.commit("bob")
    play.wait(HOUR)
    dans = play.say("dan", "before all that")
    by_ann = play.commit("ann", [play.removal("dan")])
    play.apply(by_ann, "cid")
    play.leaves(by_ann, "dan")
    aside = play.say("cid", "dan has gone")
    play.hear("ann", aside)
    play.refuse("dan", aside, "unknown-epoch")
    play.refuse("cid", dans, "unknown-member")
    play.apply(by_bob, "ann", "cid")
    play.all_hear(play.say("bob", "I know of nothing"), "ann", "cid")
    late = play.say("bob", "nor do I know now")
    play.all_hear(late, "ann", "cid")
    play.may_not_say("ann", "removal-pending")
    play.may_not_say("cid", "removal-pending")
    play.restart("cid")
    play.may_not_say("cid", "removal-pending")
    play.apply(by_bob, "dan")  # back in
    back = play.say("dan", "here I am")
    play.all_hear(back, "ann", "cid")
    play.hear("bob", back, missing=1)
    play.hear("bob", dans)
    play.refuse("cid", dans, "unknown-member")
    play.loses(by_ann, "ann", "bob")
    play.hear("bob", aside)
    play.may_not_say("bob", "removal-pending")
    play.export("ann", "bob", "cid", "dan")
    made = play.commit("cid")
    play.apply(made, "ann", "bob")
    play.leaves(made, "dan")
    for who in ("ann", "bob", "cid"):
        play.all_hear(play.say(who, "among us"), *play.others(who, "dan"))
    play.may_not_say("dan", "room-closed")
    play.hear("dan", late, missing=1)
    comment = "A removal loses, and is committed again by another"
    yield play.case("ann", PENDING, comment)
    yield play.case("bob", PENDING, comment)
    yield play.case("cid", PENDING, comment)
    yield play.case("cid", PENDING, comment, restarts=True)
    spec = "DEL-02 DEL-05 EPOCH-15 EPOCH-27"
    yield play.case("dan", spec, "Removed, back in, and removed")
    yield play.case("dan", spec, "Removed, back in, and removed", restarts=True)


def demotion() -> Iterator[Json]:
    """Ann demotes the admin cid, and loses. Nobody is silenced; the next commit embeds it."""
    play = Play("demotion-lost")
    play.found("ann", "bob", "cid", "dan", roles=(0, ref.ADMIN, 0))
    play.join("bob", "cid", "dan")
    by_bob = play.commit("bob")
    play.wait(HOUR)
    by_ann = play.commit("ann", [play.demotion("cid", ref.MEMBER)])
    play.apply(by_ann, "cid", "dan")
    play.may_not_commit("cid", "not-entitled", [play.removal("dan")])
    play.apply(by_bob, "ann", "cid", "dan")
    play.loses(by_ann, "ann", "bob")
    for who in ("ann", "bob", "cid", "dan"):
        play.all_hear(play.say(who, "nobody has to wait"), *play.others(who))
    made = play.commit("cid")  # of its own demotion it embeds nothing
    play.apply(made, "ann", "bob", "dan")
    made = play.commit("bob")
    play.apply(made, "ann", "cid", "dan")
    play.may_not_commit("cid", "not-entitled", [play.removal("dan")])
    play.apply(play.commit("ann", [[ref.SET_ROLE, play.id("cid"), ref.ADMIN]]), "bob", "cid", "dan")
    play.apply(play.commit("dan"), "ann", "bob", "cid")  # which does not demote it once more
    gone = play.commit("cid", [play.removal("dan")])
    play.apply(gone, "ann", "bob")
    play.hear("ann", play.say("cid", "an admin again"))
    play.hear("cid", play.say("ann", "so you are"))
    play.hear("bob", play.say("ann", "so it is"), missing=1)
    comment = "A demotion loses, and is embedded by another; a role that is given later stands"
    for who in ("ann", "bob", "cid"):
        yield play.case(who, PENDING, comment)


def two_of_each() -> Iterator[Json]:
    """Two removals and a demotion of one commit, and a leave request in another: the order."""
    play = Play("many-lost")
    play.found("ann", "bob", "cid", "dan", "eve", "fay", roles=(0, ref.ADMIN, 0, 0, 0))
    play.join("bob", "cid", "dan", "eve", "fay")
    by_bob = play.commit("bob")
    room = play.room("fay").now_in.epoch.room
    request = ref.make_leave_request(person("fay").keys, room, play.row("fay", "fay"))
    asked = play.say("fay", ref.build("leave", request))
    play.hear("ann", asked, "leave")
    play.wait(HOUR)
    operations = [play.removal("eve"), play.demotion("cid", ref.MEMBER), play.removal("dan")]
    by_ann = play.commit("ann", operations)
    play.apply(by_ann, "cid")
    play.apply(by_bob, "ann", "cid")
    made = play.commit("cid", [[ref.SET_ROLE, play.id("cid"), ref.MEMBER]])
    play.apply(made, "ann")
    made = play.commit("ann", guests=("gus",))
    play.apply(made, "cid")
    play.join("gus")
    play.hear("cid", play.say("ann", "four are left"))
    play.hear("ann", play.say("cid", "with bob"))
    play.hear("ann", play.say("gus", "and me"))
    play.loses(by_ann, "ann", "bob")
    play.hear("bob", asked, "leave")
    yield play.case("ann", PENDING, "What one commit did comes back in order")
    yield play.case("cid", PENDING, "What one commit did is embedded in order")
    yield play.case("bob", PENDING, "What one commit did is noted in order")


def void() -> Iterator[Json]:
    """The admin cid removes dan; ann, who leads, has demoted cid at the same time."""
    play = Play("removal-void")
    play.found("ann", "bob", "cid", "dan", roles=(0, ref.ADMIN, 0))
    play.join("bob", "cid", "dan")
    by_cid = play.commit("cid", [play.removal("dan")])
    by_ann = play.commit("ann", [play.demotion("cid", ref.MEMBER)])
    play.apply(by_cid, "bob")
    play.leaves(by_cid, "dan")
    play.apply(by_ann, "bob", "cid", "dan")
    play.loses(by_cid, "cid", "ann")
    for who in ("ann", "bob", "cid", "dan"):
        play.all_hear(play.say(who, "dan is still here"), *play.others(who))
    play.apply(play.commit("bob"), "ann", "cid", "dan")
    for who in ("ann", "bob", "cid", "dan"):
        play.all_hear(play.say(who, "as he was"), *play.others(who))
    made = play.commit("ann", [[ref.SET_ROLE, play.id("cid"), ref.ADMIN]])
    play.apply(made, "bob", "cid", "dan")
    play.may_not_say("bob", "removal-pending")  # whoever noted it judges it anew
    made = play.commit("bob")
    play.apply(made, "ann", "cid")
    play.leaves(made, "dan")
    play.hear("bob", play.say("ann", "without dan"))
    comment = "A removal whose author has lost the right, and gets it back"
    for who in ("bob", "dan"):
        yield play.case(who, PENDING, comment, last=who != "dan")


def becomes_void() -> Iterator[Json]:
    """Who has removed somebody is removed itself: its removal is void for good."""
    play = Play("remover-removed")
    play.found("ann", "bob", "cid", "dan", roles=(0, ref.ADMIN, 0))
    play.join("bob", "cid", "dan")
    late = play.say("bob", "late")
    by_cid = play.commit("cid", [play.removal("dan")])
    by_ann = play.commit("ann", [play.removal("cid")])
    play.apply(by_cid, "bob")
    play.leaves(by_cid, "dan")
    play.apply(by_ann, "bob", "dan")
    play.loses(by_cid, "cid", "ann")
    play.leaves(by_ann, "cid")
    play.all_hear(late, "ann", "cid", "dan")
    for who in ("ann", "bob", "dan"):
        play.all_hear(play.say(who, "cid has gone, and dan not"), *play.others(who, "cid"))
    yield play.case("bob", PENDING, "A removal by one who is removed")
    yield play.case("cid", "DEL-05 EPOCH-27", "A remover that is removed by a better commit")
    yield play.case("dan", "DEL-02 EPOCH-27", "Removed by one who is removed")


def leave() -> Iterator[Json]:
    """Bob commits that dan leaves, and loses."""
    play = Play("leave-lost")
    play.begin("ann", "bob", "cid", "dan")
    room = play.room("dan").now_in.epoch.room
    request = ref.make_leave_request(person("dan").keys, room, play.row("dan", "dan"))
    play.hear("bob", play.say("dan", ref.build("leave", request)), "leave")
    by_bob = play.commit("bob")
    by_ann = play.commit("ann")
    play.apply(by_bob, "cid")
    play.leaves(by_bob, "dan")
    play.apply(by_ann, "bob", "cid", "dan")
    play.may_not_say("bob", "removal-pending")
    play.may_not_say("cid", "removal-pending")
    unheard = play.say("ann", "I have not heard of it")
    play.all_hear(unheard, "bob", "cid", "dan")
    play.loses(by_bob, "bob", "ann")
    play.may_not_say("ann", "removal-pending")
    made = play.commit("cid")
    play.apply(made, "ann", "bob")
    play.leaves(made, "dan")
    play.all_hear(play.say("cid", "dan has left"), "ann", "bob")
    play.all_hear(play.say("bob", "so he wished"), "ann", "cid")
    for who in ("ann", "bob", "cid"):
        yield play.case(who, f"{PENDING} MEM-06", "A leave request in a commit that loses")


def comes_back_first() -> Iterator[Json]:
    """Dan puts its clock back and commits against its removal; the second time it gains nothing."""
    play = Play("clock-put-back")
    play.begin("ann", "bob", "cid", "dan")
    founded = play.now
    play.wait(2 * HOUR)
    by_ann = play.commit("ann", [play.removal("dan")])
    play.apply(by_ann, "bob", "cid")
    back = play.aside("dan", play.room("dan"), time=founded)
    play.apply(back, "ann", "bob", "cid")
    assert play.clone is not None
    again = play.aside("dan", play.clone, time=founded)
    play.apply(again, "cid")
    play.may_not_say("bob", "removal-pending")
    made = play.commit("bob")
    play.apply(made, "ann", "cid")
    play.loses(again, "dan", "ann", "bob")
    play.hear("ann", play.say("cid", "without dan"))
    play.hear("bob", play.say("ann", "so it is"))
    play.hear("cid", play.say("bob", "so it is"))
    for who in ("ann", "bob", "cid"):
        yield play.case(who, PENDING, "A clock that is put back undoes a removal, once")


def takes_along() -> Iterator[Json]:
    """The admin cid sees its removal coming, puts its clock back, and admits eve beside it."""
    play = Play("beside-removal")
    play.found("ann", "bob", "cid", roles=(0, ref.ADMIN))
    play.join("bob", "cid")
    founded = play.now
    play.apply(play.commit("cid", guests=("dan",)), "ann", "bob")
    play.join("dan")
    play.wait(2 * HOUR)
    by_ann = play.commit("ann", [play.removal("cid")])  # it spares dan
    play.apply(by_ann, "bob", "dan")
    play.now, now = founded, play.now
    by_cid = play.commit("cid", guests=("eve",))
    late = play.say("cid", "welcome, eve")
    play.now = now
    play.apply(by_cid, "ann", "bob", "dan")
    play.join("eve")
    heard = play.say("eve", "who are you?")
    play.hear("bob", heard)
    play.may_not_say("bob", "removal-pending")
    made = play.commit("bob")
    play.apply(made, "ann", "dan")
    play.leaves(made, "eve")
    play.may_not_say("eve", "room-closed")
    play.hear("eve", late)
    for who in ("ann", "bob", "dan"):
        play.all_hear(play.say(who, "three"), *play.others(who, "cid", "eve"))
    comment = "A removal takes along who was admitted beside it"
    yield play.case("ann", PENDING, comment)
    yield play.case("bob", PENDING, comment)
    yield play.case("dan", PENDING, "Who was admitted before is spared")
    yield play.case("eve", "DEL-05 MEM-14", "Taken along with its sponsor")


def forgotten() -> Iterator[Json]:
    """What is noted is kept for 30 days, though no epoch is kept any more that it came from."""
    play = Play("pending-for-a-month")
    play.begin("ann", "bob", "cid", "dan")
    by_bob = play.commit("bob")
    play.wait(HOUR)
    by_ann = play.commit("ann", [play.removal("dan")])
    play.apply(by_bob, "cid", "ann")
    play.loses(by_ann, "ann", "cid")
    play.wait(MONTH)
    play.look("cid")
    play.may_not_say("cid", "removal-pending")
    play.wait(1)
    play.look("cid")
    play.say("cid", "nobody has committed it")
    play.hear("cid", play.say("bob", "nor have I heard of it"))
    yield play.case("cid", PENDING, "A pending removal is forgotten after 30 days")


def what_first() -> Iterator[Json]:
    """Which reason is told where a message may not be sent for several."""
    play = Play("send-faults")
    play.begin("ann", "bob", "cid", "dan", policy=[1, True, None, AFTER])
    state = play.room("dan")
    by_bob = play.commit("bob")
    play.wait(HOUR)
    by_ann = play.commit("ann", [play.removal("dan")])
    play.apply(by_ann, "cid")
    play.apply(by_bob, "cid")
    made = play.commit("bob", guests=("eve last",))
    play.apply(made, "cid")
    play.may_not_say("cid", "removal-pending")  # and eve awaits refresh
    one, other = play.aside("dan", state), play.aside("dan", state)
    play.loses(one, "dan", "cid")
    play.convict("dan", other.copies["cid"], "cid")
    play.may_not_say("cid", "equivocation")
    play.may_not_commit("cid", "equivocation")
    play.may_not_commit("cid", "equivocation", [[ref.ADD, person("fay").package.package.signed, 0]])
    play.apply(play.commit("bob"), "cid")
    yield play.case("cid", "EPOCH-28 EPOCH-29 EPOCH-14 MSG-06 MEM-09",
                    "Equivocation, then a pending removal, then a member that awaits refresh",
                    )  # fmt: skip
