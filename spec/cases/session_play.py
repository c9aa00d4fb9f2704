"""A play: people who found, join and speak, each on a device of its own.

Each thing that somebody does is a step of that one's session, done at once by the reference, and
has to come out as the play says. In the end `case` gives what one of them lived through.
"""

from typing import Any, NamedTuple

from spec.cases.common import (
    MISTAKES,
    NOW,
    Json,
    Stream,
    case,
    keys_json,
    mailbox_json,
    operations_json,
    package_keys_json,
    some_package,
    un,
    un_maybe,
)
from spec.cases.session_steps import Recorder, State, perform

from spec import reference as ref

GROUP, DIRECT = [1, False, None, 259_200], [0, False, None, 259_200]
HOUR = 3_600
AFTER = 259_200  # 72 h


class Person(NamedTuple):
    """Somebody with a device, the same in all plays: checking its signatures takes the time."""

    keys: ref.IdentityKeys
    package: ref.KeyPackageKeys
    mailbox: ref.Mailbox


class Commit(NamedTuple):
    """A commit as it travels: a copy for each name. Invitations wait for who joins."""

    sealed: bytes
    copies: dict[str, bytes]


PEOPLE: dict[str, Person] = {}


def person(name: str) -> Person:
    """`dan`; the same one with another package: `dan again`, or a last-resort one: `dan last`."""
    if name not in PEOPLE:
        who, _, which = name.partition(" ")
        owner, package = some_package(f"session {who}", which == "last")
        if which == "again":
            contact = package.package.contact
            expiry = package.package.expiry
            package = ref.make_key_package(owner, contact, expiry, False, Stream(name))
        random = Stream(f"session mailbox {who}")
        mailbox = ref.MailboxKeys(random(32), random(32), random(16)).public
        PEOPLE[name] = Person(owner, package, mailbox)
    return PEOPLE[name]


def text(words: str, sent: int, after_view: int | None = None, lifetime: int = AFTER) -> bytes:
    return ref.build("text", sent, after_view, lifetime, None, words)


class Play:
    """One room, and what everybody did there."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.now = NOW
        self.clones = 0
        self.clone: State = None  # the room after the last commit that was made aside
        self.rooms: dict[str, State] = {}
        self.steps: dict[str, list[Json]] = {}
        self.results: dict[str, list[Json]] = {}
        self.invitations: dict[str, bytes] = {}
        self.prekeys: dict[str, int] = {}  # by which somebody is invited, if not the first
        self.hurried: set[str] = set()  # whose own sessions would lack steps

    # --- doing something -------------------------------------------------------------------------

    def step(self, who: str, do: str, expected: str, **needs: Any) -> Json:
        """Do a step; `expected` is what comes of it: an event, `delivered` or a reason."""
        step = {"do": do, **needs}
        done = self.steps.setdefault(who, [])
        random = Recorder(f"session {self.name} {who} {len(done)}")
        room, result = ref.unnoted(perform, self.rooms.get(who), person(who).keys, step, random)
        if do in ("found", "send", "commit"):
            step["random"] = random.drawn.hex()
        assert do in ("found", "send", "commit") or not random.drawn
        came = result.get("reason") or result.get("event") or result["outcome"]
        if came != expected:
            raise AssertionError(f"{self.name}: {who} {do}: meant {expected}, got {came}")
        self.rooms[who] = room
        done.append(step)
        self.results.setdefault(who, []).append(result)
        return result

    def found(
        self, who: str, *guests: str, roles: tuple[int, ...] = (), policy: list[Any] | None = None
    ) -> None:
        rows = self.guests(guests, roles)
        result = self.step(who, "found", "founded", policy=policy or GROUP, guests=rows,
                           name=who.capitalize(), mailbox=mailbox_json(person(who).mailbox),
                           now=self.now)  # fmt: skip
        self.invite(guests, result)

    def guests(self, names: tuple[str, ...], roles: tuple[int, ...]) -> list[Json]:
        rows = []
        for place, name in enumerate(names):
            package = person(name).package.package
            prekey = self.prekeys.get(name, 0)
            rows.append({"package": package.signed.hex(),
                         "prekey": None if package.last_resort else prekey,
                         "role": roles[place] if roles else ref.MEMBER})  # fmt: skip
        return rows

    def invite(self, guests: tuple[str, ...], result: Json) -> None:
        sealed = [un(invitation) for invitation in result["out"]["invitations"]]
        self.invitations.update(zip(guests, sealed, strict=True))

    def join(
        self, *names: str, reason: str | None = None, came: str = "joined",
        invitation: bytes | None = None,
    ) -> None:  # fmt: skip
        for who in names:
            self.step(who, "join", reason or came,
                      package=package_keys_json(person(who).package),
                      invitation=(invitation or self.invitations[who]).hex(),
                      now=self.now)  # fmt: skip

    def begin(self, *names: str, policy: list[Any] | None = None) -> None:
        """The first founds the room, the others join."""
        self.found(names[0], *names[1:], policy=policy)
        self.join(*names[1:])

    def say(self, who: str, content: bytes | str) -> bytes:
        """Send a content; a text if it is words."""
        if isinstance(content, str):
            content = text(content, self.now)
        result = self.step(who, "send", "sent", content=content.hex(), now=self.now)
        return un(result["out"]["message"])

    def others(self, *names: str) -> tuple[str, ...]:
        return tuple(name for name in self.rooms if name not in names)

    def all_hear(self, data: bytes, *names: str, missing: int = 0) -> None:
        for who in names:
            self.hear(who, data, missing=missing)

    def hear(
        self, who: str, data: bytes, came: str = "delivered", *, missing: int = 0,
        lost: bool = False, evicted: list[Any] | None = None,
    ) -> Json:  # fmt: skip
        """Accept a message; `came` may be another event than `delivered`."""
        result = self.step(who, "receive", came, data=data.hex(), now=self.now)
        out = result["out"]
        told = (out["missing"], out["lost"], out["evicted"])
        if told != (missing, lost, evicted or []):
            raise AssertionError(f"{self.name}: {who} was told {told}")
        return result

    def refuse(self, who: str, data: bytes, reason: str) -> None:
        """Refuse, or hold, what comes."""
        self.step(who, "receive", reason, data=data.hex(), now=self.now)

    def may_not_say(self, who: str, reason: str) -> None:
        content = text("not sent", self.now).hex()
        self.step(who, "send", reason, content=content, now=self.now)

    def commit(
        self, who: str, operations: list[Any] | None = None, guests: tuple[str, ...] = (),
        roles: tuple[int, ...] = (), reason: str | None = None, anew: tuple[str, ...] = (),
    ) -> Commit:  # fmt: skip
        rows = []
        room = self.rooms[who]
        if (guests or anew) and room is not None:
            rows = [{"member": room.me.hex(), "name": who.capitalize(),
                     "mailbox": mailbox_json(person(who).mailbox)}]  # fmt: skip
        result = self.step(
            who, "commit", reason or "committed", operations=operations_json(operations or []),
            guests=self.guests(guests, roles), directory=rows, now=self.now,
        )  # fmt: skip
        if reason is not None:
            return Commit(b"", {})
        self.invite((*anew, *guests), result)
        return self.copies_of(result["out"])

    def aside(
        self, who: str, room: ref.Room, operations: list[Any] | None = None, *,
        guests: tuple[str, ...] = (), time: int | None = None,
    ) -> Commit:  # fmt: skip
        """A commit as a cloned device makes it, by what somebody had some time ago."""
        step = {"do": "commit", "operations": operations_json(operations or []),
                "guests": self.guests(guests, ()), "directory": [],
                "now": self.now if time is None else time}  # fmt: skip
        self.clones += 1
        random = Recorder(f"session {self.name} {who} clone {self.clones}")
        self.clone, result = ref.unnoted(perform, room, person(who).keys, step, random)
        assert result.get("event") == "committed", result
        self.invite(guests, result)
        return self.copies_of(result["out"])

    def copies_of(self, out: Json) -> Commit:
        names = {self.id(name).hex(): name for name, its in self.rooms.items() if its is not None}
        sealed = un(out["commit"])
        return Commit(sealed, {names[member]: ref.build("commit copy", sealed, un_maybe(slot))
                               for member, slot in out["slots"] if member in names})  # fmt: skip

    def resync(
        self, who: str, back: str, operations: list[Any], guests: tuple[str, ...] = ()
    ) -> Commit:
        """Commit what lets somebody in anew, who comes back as `back` and joins as others do."""
        return self.commit(who, operations, guests, anew=(back,))

    def may_not_commit(
        self, who: str, reason: str, operations: list[Any] | None = None,
        guests: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.commit(who, operations, guests, reason=reason)

    def apply(self, made: Commit, *names: str) -> None:
        for who in names:
            self.step(who, "receive", "committed", data=made.copies[who].hex(), now=self.now)

    def loses(self, made: Commit, author: str, *names: str) -> None:
        """A commit that does not lead."""
        for who in names:
            result = self.step(who, "receive", "lost", data=made.copies[who].hex(), now=self.now)
            assert result["out"]["committer"] == self.id(author).hex()

    def convict(self, author: str, data: bytes, *names: str) -> None:
        """A second commit of its author on one epoch."""
        for who in names:
            result = self.step(who, "receive", "equivocated", data=data.hex(), now=self.now)
            assert result["out"] == {"committer": self.id(author).hex()}

    def leaves(self, made: Commit, who: str) -> None:
        """The copy that tells somebody of its removal."""
        self.step(who, "receive", "removed", data=made.copies[who].hex(), now=self.now)

    def export(self, *names: str, reason: str | None = None) -> None:
        """Everybody exports the same secret."""
        results = [
            self.step(who, "export", reason or "exported", label=b"call".hex(), size=32)
            for who in names
        ]
        assert all(result == results[0] for result in results)

    def restart(self, *names: str) -> None:
        for who in names:
            self.step(who, "restart", "restarted")

    def look(self, *names: str) -> None:
        for who in names:
            self.step(who, "look", "looked", now=self.now)

    def wait(self, seconds: int) -> None:
        self.now += seconds

    # --- what is not honest ----------------------------------------------------------------------

    def room(self, who: str) -> ref.Room:
        room = self.rooms[who]
        assert room is not None
        return room

    def id(self, who: str) -> bytes:
        return self.room(who).me

    def removal(self, who: str) -> list[Any]:
        return [ref.SANCTION, self.id(who), None]

    def demotion(self, who: str, role: int) -> list[Any]:
        return [ref.SANCTION, self.id(who), role]

    def sanction(self, by: str, who: str, role: int | None = None, **changes: Any) -> bytes:
        """A signed sanction as somebody would make it now, or with other fields."""
        epoch = self.room(by).now_in.epoch
        row = epoch.roster.find(self.id(who))
        number, spared = ref.due_fields(epoch.roster, epoch.number, self.id(by), row, role)
        fields = {"room": epoch.room, "member": row.id, "admission": row.admission,
                  "author_id": self.id(by), "role": role, "epoch": number, "spared": spared}
        return ref.sign_sanction(person(by).keys, **{**fields, **changes})

    def signed(self, by: str, operations: list[Any]) -> list[Any]:
        """Operations as they stand in a commit that somebody has just made."""
        names = {its.me: name for name, its in self.rooms.items() if its is not None}
        number = self.room(by).now_in.epoch.number - 1
        return [[ref.SANCTION, self.sanction(by, names[each[1]], each[2], epoch=number)]
                if each[0] == ref.SANCTION else each for each in operations]  # fmt: skip

    def row(self, who: str, of: str) -> ref.Member:
        """Somebody's row in the roster that another has."""
        return self.room(of).now_in.epoch.roster.find(self.id(who))

    def hurry(self, who: str, messages: int) -> None:
        """Somebody sends so many messages that nobody will ever get."""
        room = self.room(who)
        assert room.sending is not None
        key, at = room.sending
        for _ in range(messages):
            key, _ = ref.step(key)
        self.rooms[who] = room._replace(sending=ref.Sending(key, at + messages))
        self.hurried.add(who)

    def forge(
        self, who: str, changes: dict[int, Any] | None = None, *, signer: str | None = None,
        content: bytes | None = None, room: ref.Room | None = None,
    ) -> bytes:  # fmt: skip
        """A message as an insider can make it: with the next key of somebody's chain, and signed.

        `changes` are fields of the header, by place. `room`: as it was some time ago.
        """
        room = room or self.room(who)
        assert room.sending is not None
        kept, epoch = room.now_in, room.now_in.epoch
        header = [epoch.room, epoch.prefix, room.me, room.sending.next, bytes(16),
                  room.last_spoken, int(ref.strayed(room)), kept.turn]  # fmt: skip
        for place, value in (changes or {}).items():
            header[place] = value
        seed = None if room.direct else kept.room_seed
        if signer is not None:
            seed = self.room(signer).now_in.room_seed
        _, message_key = ref.step(room.sending.key)
        said = text("forged", self.now) if content is None else content
        sealed = ref.seal_message(header, epoch.context, message_key, said, bytes(16), seed)
        return sealed.message

    def forged_commit(
        self, who: str, made: Commit, to: str, changes: dict[int, Any] | None = None, *,
        confirmation: bytes | None = None, signed: bool = True, signer: str | None = None,
    ) -> bytes:  # fmt: skip
        """A copy of another commit by the same author on the same epoch, sealed and signed anew."""
        sealed = ref.parse(made.sealed, "sealed commit")
        kept = self.room(who).epochs[sealed[1]]
        handshake = kept.epoch.keys.handshakes[sealed[2]]
        inside = ref.unseal_commit(handshake, sealed)
        data, confirmed, signature = ref.parse(inside, "signed commit")
        fields = ref.parse(data, "commit")
        for place, value in (changes or {}).items():
            fields[place] = value
        data, confirmed = ref.build("commit", *fields), confirmation or confirmed
        if signed:
            seed = kept.room_seed if signer is None else self.room(signer).now_in.room_seed
            signature = ref.sign(seed, b"commit", data, confirmed)
        whole = ref.build("signed commit", data, confirmed, signature)
        random = Stream(f"session {self.name} forged")
        inner = ref.seal_commit(handshake, sealed[0], sealed[1], sealed[2], whole, random)
        return ref.build("commit copy", inner, ref.parse(made.copies[to], "commit copy")[1])

    def resealed(self, by: str, made: Commit, author: str, to: str, at: bytes) -> bytes:
        """A copy of a commit as it was signed, sealed by an insider for another parent."""
        epochs = self.room(by).epochs
        room, prefix, committer = ref.parse(made.sealed, "sealed commit")[:3]
        assert committer == self.id(author) != self.id(by)
        inside = ref.unseal_commit(epochs[prefix].epoch.keys.handshakes[committer],
                                   ref.parse(made.sealed, "sealed commit"))  # fmt: skip
        handshake = epochs[at].epoch.keys.handshakes[committer]
        random = Stream(f"session {self.name} resealed")
        inner = ref.seal_commit(handshake, room, at, committer, inside, random)
        return ref.build("commit copy", inner, ref.parse(made.copies[to], "commit copy")[1])

    # --- what is told ----------------------------------------------------------------------------

    def case(
        self, who: str, spec: str, comment: str, *, restarts: bool = False, last: bool = True
    ) -> Json:  # fmt: skip
        """What one of them lived through; with `restarts`, the device restarts after each step.

        `last`: an honest message opens after each rejection, as it should where one still can.
        """
        assert who not in self.hurried
        steps, expected, inside = [], [], False  # inside: has founded or joined
        for step, result in zip(self.steps[who], self.results[who], strict=True):
            steps.append(step)
            expected.append(result)
            inside = inside or result["outcome"] == "event"
            if restarts and inside:
                steps.append({"do": "restart"})
                expected.append({"outcome": "event", "event": "restarted", "out": {}})
        honest = ("committed", "announced", "leave", "viewed", "burn")
        opened = [n for n, result in enumerate(expected) if steps[n]["do"] == "receive" and (
            result["outcome"] == "delivered" or result.get("event") in honest)]  # fmt: skip
        for n, result in enumerate(expected):
            if last and result["outcome"] == "rejected" and opened[-1] <= n:
                raise AssertionError(f"{self.name}: nothing opens for {who} after step {n}")
        mode = "direct" if self.room(who).direct else "signed"
        name = f"session-{mode}-{self.name}-{who.replace(' ', '-')}"
        if restarts:
            name, comment = f"{name}-restarts", f"{comment}. The device restarts after each step"
        made = case(name, spec, comment, "session",
                    {"owner": keys_json(person(who).keys), "steps": steps}, features=mode)
        if made["out"] != expected:
            MISTAKES.append(f"{name}: came out otherwise than in the play")
        return made


def altered(data: bytes, form: str, changes: dict[int, Any]) -> bytes:
    """An object with other fields, and nothing else made anew."""
    fields = ref.parse(data, form)
    for place, value in changes.items():
        fields[place] = value
    return ref.build(form, *fields)


def with_header(data: bytes, changes: dict[int, Any]) -> bytes:
    """A message with another header, its body and authenticator as they were."""
    return altered(data, "message", {0: altered(ref.parse(data, "message")[0], "header", changes)})
