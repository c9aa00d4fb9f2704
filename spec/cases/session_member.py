"""Sessions in which members come and go, and their rights change."""

from collections.abc import Iterator

from spec.cases.common import Json
from spec.cases.session_play import AFTER, HOUR, Play, altered, person

from spec import reference as ref

REMOVED = "DEL-05 DEL-07 EPOCH-15 LIMIT-14 MSG-06 MSG-07"


def cases() -> Iterator[Json]:
    yield from removal()
    yield from readmitted()
    yield from leaving()
    yield from kept_requests()
    yield from order_of_requests()
    yield from rights()
    yield from owners()
    yield from last_resort()
    yield from last_resort_removed()


def removal() -> Iterator[Json]:
    """Ann removes cid."""
    play = Play("removal")
    play.begin("ann", "bob", "cid")
    play.all_hear(play.say("cid", "heard"), "ann", "bob")
    play.export("ann", "bob", "cid")
    unheard = play.say("cid", "not heard in time")
    late = [play.say("bob", f"late {n}") for n in range(4)]
    cids = play.room("cid")
    play.hear("cid", late[1], missing=1)
    gone = play.row("cid", "ann")
    made = play.commit("ann", [[ref.SANCTION, gone.id, None]])
    play.apply(made, "bob")
    play.refuse("ann", unheard, "unknown-member")
    play.refuse("bob", unheard, "unknown-member")
    play.refuse("bob", play.forge("cid", room=cids), "unknown-member")
    play.leaves(made, "cid")
    play.refuse("cid", made.copies["cid"], "replay")
    play.may_not_say("cid", "room-closed")
    play.may_not_commit("cid", "room-closed")
    play.export("cid", reason="room-closed")
    new = play.say("ann", "among us")
    play.refuse("cid", new, "unknown-epoch")  # a sibling might let it in again
    play.hear("bob", new)
    following = play.commit("bob")
    play.apply(following, "ann")
    play.refuse("cid", following.copies["ann"], "unknown-epoch")
    play.wait(AFTER)
    play.look("cid")
    play.all_hear(late[0], "cid", "ann")
    play.hear("cid", late[3], missing=1)
    play.wait(1)
    play.look("cid")
    play.refuse("cid", following.copies["ann"], "room-closed")
    play.refuse("cid", new, "room-closed")
    play.refuse("cid", late[2], "unknown-member")
    play.refuse("cid", made.copies["cid"], "replay")
    play.hear("ann", play.say("bob", "and on"), missing=3)
    play.export("ann", "bob")
    yield play.case("ann", "DEL-02 EPOCH-14 MEM-05 MEM-07 MSG-07", "An owner removes a member")
    yield play.case("bob", "DEL-02 EPOCH-15 MEM-05 MEM-07 MSG-07", "Another member is removed")
    yield play.case("cid", REMOVED, "A removed device reads late messages, and does no more",
                    last=False)  # fmt: skip
    yield play.case("cid", REMOVED, "A removed device reads late messages, and does no more",
                    restarts=True, last=False)  # fmt: skip


def readmitted() -> Iterator[Json]:
    """Cid is removed, and admitted again by another package in the same commit."""
    play = Play("readmitted")
    play.begin("ann", "bob", "cid")
    old = play.say("cid", "by my old keys")
    play.hear("bob", play.say("cid", "the same, heard"), missing=1)
    play.apply(play.commit("ann"), "bob", "cid")  # so that what was said is two epochs old
    gone = play.row("cid", "ann")
    play.may_not_commit("ann", "already-member", guests=("cid again",))
    made = play.commit("ann", [[ref.SANCTION, gone.id, None]], ("cid again",))
    play.apply(made, "bob")
    play.leaves(made, "cid")
    play.join("cid again")
    play.refuse("bob", old, "unknown-member")
    play.refuse("cid again", old, "unknown-epoch")
    news = play.say("cid again", "by my new keys")
    play.all_hear(news, "ann", "bob")
    play.refuse("cid", news, "unknown-epoch")
    play.all_hear(play.say("ann", "welcome back"), "bob", "cid again")
    play.may_not_commit("ann", "unknown-member", [[ref.SANCTION, gone.id, None]])
    play.all_hear(play.say("bob", "hello"), "ann", "cid again")
    yield play.case("ann", "MEM-03 MEM-05 MEM-07 EPOCH-14", "A member is admitted a second time")
    yield play.case("bob", "DEL-02 MEM-03 MEM-07 MSG-07", "The old one is silent, not the new one")
    yield play.case("cid again", "INV-06 MEM-03", "The second admission is a new member")


def leaving() -> Iterator[Json]:
    """Cid asks to leave, and bob, who may remove nobody, commits it."""
    play = Play("leaving")
    play.begin("ann", "bob", "cid", "dan")
    row, room = play.row("cid", "cid"), play.room("cid").now_in.epoch.room
    keys = person("cid").keys
    request = ref.make_leave_request(keys, room, row)
    false = altered(request, "signed object", {1: bytes(64)})
    stale = ref.build("leave request", room, row.id, bytes(32))
    stale = ref.build("signed object", stale, ref.sign(keys.seed, b"leave request", stale))

    def asked(who: str, signed: bytes) -> None:
        message = play.say(who, ref.build("leave", signed))
        for listener in ("ann", "bob"):
            play.hear(listener, message, "leave")

    asked("dan", false)
    asked("dan", stale)
    play.apply(play.commit("bob"), "ann", "cid", "dan")  # a refresh, and no more
    asked("dan", request)
    asked("cid", request)
    play.restart("bob")
    play.may_not_commit("bob", "not-entitled", [[ref.SANCTION, row.id, None]])
    made = play.commit("bob")
    play.apply(made, "ann", "dan")
    play.leaves(made, "cid")
    play.all_hear(play.say("ann", "cid has gone"), "bob", "dan")
    late = play.say("bob", "late")
    asked("dan", ref.make_leave_request(person("dan").keys, room, play.row("dan", "dan")))
    play.all_hear(play.say("dan", "until somebody commits, I am here"), "ann", "bob")
    made = play.commit("ann")
    play.apply(made, "bob")
    play.leaves(made, "dan")
    play.may_not_say("dan", "room-closed")
    play.hear("dan", late)
    play.hear("ann", play.say("bob", "two are left"), missing=1)
    play.hear("bob", play.say("ann", "so it is"))
    yield play.case("ann", "DEL-02 EPOCH-14 MEM-06 MEM-07", "Two members leave by request")
    yield play.case("bob", "EPOCH-14 MEM-05 MEM-06 MEM-07",
                    "A member commits what another has asked for")  # fmt: skip
    yield play.case("dan", "DEL-05 EPOCH-15 MEM-06 MSG-06", "Who asks to leave is removed")


def order_of_requests() -> Iterator[Json]:
    """Three ask to leave, not by seniority; the first repeats it. The order is that of arrival."""
    play = Play("order-of-requests")
    play.begin("ann", "bob", "cid", "dan", "eve")
    room = play.room("ann").now_in.epoch.room
    for who in ("dan", "bob", "cid", "dan"):
        request = ref.make_leave_request(person(who).keys, room, play.row(who, who))
        message = play.say(who, ref.build("leave", request))
        play.hear("ann", message, "leave")
        play.hear("eve", message, "leave")
        play.restart("ann")
    made = play.commit("ann")
    play.apply(made, "eve")
    play.hear("eve", play.say("ann", "two are left"))
    play.hear("ann", play.say("eve", "so it is"))
    yield play.case("ann", "EPOCH-14 MEM-06", "Proofs stand in the order in which they were heard")
    yield play.case("eve", "EPOCH-15 MEM-06 MEM-07", "A commit with three proofs")


def kept_requests() -> Iterator[Json]:
    """Leave requests that a commit has to leave out: of its author, and of whom it names."""
    play = Play("kept-requests")
    play.begin("ann", "bob", "cid")
    room, cid = play.room("cid").now_in.epoch.room, play.row("cid", "ann")
    of_bob = ref.make_leave_request(person("bob").keys, room, play.row("bob", "bob"))
    play.hear("bob", play.say("cid", ref.build("leave", of_bob)), "leave")
    play.apply(play.commit("bob"), "ann", "cid")
    of_cid = ref.make_leave_request(person("cid").keys, room, cid)
    message = play.say("cid", ref.build("leave", of_cid))
    play.hear("ann", message, "leave", missing=1)
    play.apply(play.commit("ann", [[ref.SET_ROLE, cid.id, ref.ADMIN]]), "bob", "cid")
    play.hear("ann", play.say("cid", "an admin"))
    made = play.commit("ann", [[ref.SANCTION, cid.id, None]])
    play.apply(made, "bob")
    play.hear("bob", play.say("ann", "without cid"))
    play.hear("ann", play.say("bob", "and with me"))
    yield play.case("ann", "EPOCH-14 MEM-06 MEM-07", "Whom a commit names, it leaves no proof of")
    yield play.case("bob", "EPOCH-14 MEM-06 MEM-07", "Nobody commits its own leave request")


def rights() -> Iterator[Json]:
    """Bob becomes admin, and member again."""
    play = Play("rights")
    play.begin("ann", "bob", "cid")
    cid = play.row("cid", "ann")
    remove: list[list[object]] = [[ref.SANCTION, cid.id, None]]
    play.may_not_commit("bob", "not-entitled", remove)
    play.may_not_commit("bob", "not-entitled", guests=("dan",))
    play.may_not_commit("ann", "unknown-member", [[ref.SANCTION, bytes(32), None]])
    play.may_not_commit("ann", "not-entitled", [play.removal("ann")])
    play.may_not_commit("ann", "bad-input", [[ref.ADD, person("dan").package.package.signed, 0]])
    made = play.commit("ann", [[ref.SET_ROLE, play.id("bob"), ref.ADMIN]])
    play.apply(made, "bob", "cid")
    play.may_not_commit("bob", "not-entitled", [[ref.SET_ROLE, cid.id, ref.ADMIN]])
    play.apply(play.commit("bob", guests=("dan",)), "ann", "cid")
    lower: list[list[object]] = [[ref.SET_ROLE, play.id("bob"), ref.MEMBER]]
    play.may_not_commit("ann", "not-entitled", lower)
    made = play.commit("ann", [play.demotion("bob", ref.MEMBER)])
    play.apply(made, "bob", "cid")
    play.may_not_commit("bob", "not-entitled", remove)
    honest = play.commit("bob")
    removes = [[ref.SANCTION, play.sanction("bob", "cid")]]
    play.refuse("cid", play.forged_commit("bob", honest, "cid", {5: removes}), "not-entitled")
    raised = [[ref.SET_ROLE, play.id("bob"), ref.OWNER]]
    play.refuse("cid", play.forged_commit("bob", honest, "cid", {5: raised}), "not-entitled")
    play.apply(honest, "ann", "cid")
    play.all_hear(play.say("bob", "a member, as before"), "ann", "cid")
    play.all_hear(play.say("cid", "still here"), "ann", "bob")
    spec = "EPOCH-14 MEM-05 MEM-07"
    yield play.case("ann", spec, "Roles are given and taken")
    yield play.case("bob", spec, "An admin for two epochs")
    yield play.case("cid", "EPOCH-15 MEM-05 MEM-07", "Who was an admin has no more rights")


def owners() -> Iterator[Json]:
    """The only owner asks to leave, and the first in rank becomes owner."""
    play = Play("owner-leaves")
    play.found("ann", "bob", "cid", roles=(ref.MEMBER, ref.ADMIN))
    play.join("bob", "cid")
    room = play.room("ann").now_in.epoch.room
    request = ref.make_leave_request(person("ann").keys, room, play.row("ann", "ann"))
    asked = play.say("ann", ref.build("leave", request))
    for who in ("bob", "cid"):
        play.hear(who, asked, "leave")
    made = play.commit("bob")
    play.apply(made, "cid")
    play.leaves(made, "ann")
    play.apply(play.commit("cid", [[ref.SET_POLICY, [1, True, 0, 60]]]), "bob")
    play.hear("bob", play.say("cid", "now it is my room"))
    play.hear("cid", play.say("bob", "so it is"))
    yield play.case("bob", "EPOCH-14 EPOCH-15 MEM-06 MEM-08", "An owner leaves, an admin follows")
    yield play.case("cid", "EPOCH-14 EPOCH-15 MEM-06 MEM-08", "An admin becomes owner")


def last_resort() -> Iterator[Json]:
    """Dan is admitted by a last-resort package: nobody speaks until he has refreshed."""
    play = Play("last-resort")
    play.begin("ann", "bob")
    play.apply(play.commit("ann", guests=("dan last",)), "bob")
    play.join("dan last")
    for who in ("ann", "bob", "dan last"):
        play.may_not_say(who, "refresh-awaited")
    made = play.commit("bob")  # a commit of another changes nothing of it
    play.apply(made, "ann", "dan last")
    for who in ("ann", "bob", "dan last"):
        play.may_not_say(who, "refresh-awaited")
    play.wait(HOUR)
    play.apply(play.commit("dan last"), "ann", "bob")
    play.all_hear(play.say("dan last", "refreshed"), "ann", "bob")
    play.all_hear(play.say("bob", "at last"), "ann", "dan last")
    spec, comment = "MEM-09 MSG-06 EPOCH-14", "A joiner by a last-resort package refreshes first"
    yield play.case("ann", spec, "A member that awaits refresh holds up all")
    yield play.case("dan last", spec, comment)
    yield play.case("dan last", spec, comment, restarts=True)


def last_resort_removed() -> Iterator[Json]:
    """Dan never comes. A message that was sent against the rule is not refused."""
    play = Play("last-resort-removed")
    play.begin("ann", "bob")
    play.apply(play.commit("ann", guests=("dan last",)), "bob")
    play.hear("bob", play.forge("ann"))
    prefix = play.room("ann").current
    play.join("dan last")
    gone = play.row("dan last", "ann")
    play.may_not_say("bob", "refresh-awaited")
    play.apply(play.commit("ann", [[ref.SANCTION, gone.id, None]]), "bob")
    play.hear("ann", play.say("bob", "without him"))
    play.hear("bob", play.forge("ann", {5: [prefix, 1]}))
    yield play.case("bob", "MEM-09 MSG-06 MSG-07", "A member that awaits refresh is removed")
