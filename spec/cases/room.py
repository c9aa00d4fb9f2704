"""room.json: joining and committing as a whole (chapters 7 and 10)."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import (
    COUNTING,
    EXPIRY,
    NOW,
    SMALL_DH,
    SMALL_SIGN,
    Json,
    Stream,
    case,
    changed_byte,
    identity_keys,
    keys_json,
    little,
    operation,
    package_keys,
    package_keys_json,
    some_keys,
    some_package,
    un,
)

from spec import reference as ref


@operation("join room")
def _join_room(i: Json) -> Json:
    keys = package_keys(i["package"])
    epoch, me = ref.join_room(identity_keys(i["owner"]), keys, un(i["invitation"]), i["now"])
    return {"me": me.hex(), "number": epoch.number, "transcript": epoch.transcript.hex(),
            "context": epoch.context.hex()}  # fmt: skip


@operation("apply commit")
def _apply_commit(i: Json) -> Json:
    roster = ref.read_roster(un(i["roster"]), un(i["room"]))
    ids = ref.ids_of(roster)
    handshakes = dict(zip(ids, map(un, i["handshakes"]), strict=True))
    keys = ref.EpochKeys(b"", {}, handshakes, dict(zip(ids, map(un, i["inits"]), strict=True)), b"")
    parent = ref.Epoch(1, un(i["room"]), i["number"], un(i["transcript"]), roster, i["policy"],
                       un(i["opener"]), keys)  # fmt: skip
    epoch = ref.apply_commit(parent, un(i["me"]), un(i["leaf"]), un(i["copy"]), i["now"])
    if epoch is None:
        return {"removed": True}
    return {"removed": False, "number": epoch.number, "transcript": epoch.transcript.hex(),
            "context": epoch.context.hex()}  # fmt: skip


ALSO = {  # what a case of room.json is about besides the algorithm, by a word of its name
    "proof": "MEM-06", "leave": "MEM-06", "entry": "MEM-01 MEM-02", "credential": "MEM-02",
    "ahead": "LIMIT-13", "signed": "EPOCH-13", "signature": "EPOCH-13", "lowers": "MEM-08",
    "expired": "ID-05", "expiry": "ID-05", "directory": "ENV-12", "suite": "INV-01 PRIM-19",
    "roster": "MEM-04", "twice": "MEM-11", "state": "EPOCH-06",
}  # fmt: skip


def tags(general: str, name: str) -> str:
    words = name.split("-")
    return " ".join([general, *(also for word, also in ALSO.items() if word in words)])


def room_cases() -> Iterator[Json]:  # noqa: PLR0915  one room, and all that is done to it
    ann, box = some_keys("room-ann"), ref.MailboxKeys(b"\x07" * 32, b"\x08" * 32, b"\x09" * 16)
    bob, bob_keys = some_package("room-bob")
    cid, cid_keys = some_package("room-cid")
    dan, dan_keys = some_package("room-dan")
    eve = some_keys("room-eve")
    policy = [1, False, None, 259_200]
    guests = [ref.Guest(bob_keys.package, 0, ref.MEMBER), ref.Guest(cid_keys.package, 0, ref.ADMIN)]
    founded = ref.found_room(ann, policy, guests, "Ann", box.public, NOW, Stream("room-founding"))
    direct = ref.found_room(ann, [0, False, None, 259_200], guests[:1], "Ann", box.public, NOW,
                            Stream("room-direct"))  # fmt: skip
    room, epoch = founded.epoch.room, founded.epoch
    me, bob_id, cid_id = ref.ids_of(epoch.roster)

    def join(name: str, invitation: bytes, reason: str | None = None, now: int = NOW) -> Json:
        spec = tags("INV-05 INV-06 EPOCH-12", name)
        return case(f"room-join-{name}", spec, name, "join room", {
            "owner": keys_json(bob), "package": package_keys_json(bob_keys),
            "invitation": invitation.hex(), "now": now}, reason)  # fmt: skip

    def sealed(
        fields: list[Any], inviter: ref.IdentityKeys = ann, index: int | None = 0
    ) -> bytes:
        data = ref.encode([1, 6, *fields])
        return ref.seal_invitation(inviter, bob_keys.package, index, data, Stream("room-sealing"))

    welcome = ref.parse(ref.open_invitation(bob, bob_keys, founded.invitations[0]), "welcome")
    quiet = ref.parse(ref.open_invitation(bob, bob_keys, direct.invitations[0]), "welcome")

    def with_field(place: int, value: Any, of: list[Any] = welcome) -> list[Any]:
        return [*of[:place], value, *of[place + 1 :]]

    def resigned(fields: list[Any]) -> list[Any]:
        signature = ref.sign(founded.room_seed, b"commit", fields[0], fields[1])
        return with_field(2, signature, fields)

    def genesis_with(place: int, value: Any) -> list[Any]:
        fields = ref.parse(founded.genesis, "genesis")
        fields[place] = value
        return resigned(with_field(0, ref.encode([1, 8, *fields])))

    alone = ref.found_room(ann, policy, guests[1:], "Ann", box.public, NOW, Stream("room-alone"))
    without_bob = ref.parse(ref.open_invitation(cid, cid_keys, alone.invitations[0]), "welcome")
    row = ref.parse(welcome[4], "roster")
    other_row = ref.encode([1, 7, row[0], [row[1][0], [row[1][1][0], 2, *row[1][1][2:]],
                           row[1][2]]])
    anns = ref.make_key_package(ann, list(box.public), EXPIRY, True, Stream("room-anns"))
    bad_box = [[me, "Ann", [bytes(32), SMALL_DH, bytes(16)]]]
    for name, invitation, reason in (
        ("group", founded.invitations[0], None),
        ("direct", direct.invitations[0], None),
        ("deniable", sealed(with_field(5, [2, False, None, 1])), "wrong-mode"),
        ("lifetime-0", sealed(with_field(5, [1, False, None, 0])), "bad-policy"),
        ("other-policy", sealed(with_field(5, [1, True, None, 259_200])), "bad-state-hash"),
        ("other-policy-no-signature", sealed(with_field(2, None, with_field(
            5, [1, True, None, 259_200]))), "bad-state-hash"),
        ("other-roster", sealed(with_field(4, other_row)), "bad-state-hash"),
        ("no-signature", sealed(with_field(2, None)), "bad-signature"),
        ("signature-changed", sealed(with_field(2, changed_byte(welcome[2], 0))), "bad-signature"),
        ("signed-direct", sealed(with_field(2, welcome[2], quiet)), "bad-form"),
        ("confirmation-changed", sealed(with_field(1, bytes(32))), "bad-signature"),
        ("confirmation-signed", sealed(resigned(with_field(1, bytes(32)))), "bad-confirmation"),
        ("direct-confirmation", sealed(with_field(1, bytes(32), quiet)), "bad-confirmation"),
        ("other-secret", sealed(with_field(6, bytes(32))), "bad-confirmation"),
        ("parent-of-genesis", sealed(with_field(3, row[1][0][6])), "bad-form"),
        ("other-inviter", sealed(welcome, eve), "wrong-identity"),
        ("not-invited", sealed(without_bob), "unknown-member"),
        ("directory-bad-key", sealed(with_field(7, bad_box)), "bad-key"),
        ("roster-for-genesis", sealed(with_field(0, welcome[4])), "wrong-type"),
        ("commit-not-an-object", sealed(with_field(0, b"\xc0")), "bad-form"),
        ("genesis-suite-2", sealed(genesis_with(0, 2)), "unknown-suite"),
        ("genesis-other-room", sealed(genesis_with(1, bytes(32))), "bad-entry"),
        ("genesis-expired", sealed(genesis_with(2, EXPIRY + 1)), "expired"),
        ("genesis-own-package-as-entry", sealed(genesis_with(6, anns.package.signed)),
         "bad-entry"),
        ("genesis-package-as-entry", sealed(genesis_with(6, bob_keys.package.signed)), "bad-entry"),
        ("genesis-member-twice", sealed(genesis_with(7, [[bob_keys.package.signed, 0]] * 2)),
         "already-member"),
        ("genesis-other-state", sealed(genesis_with(8, bytes(32))), "bad-state-hash"),
        ("genesis-direct-of-three", sealed(genesis_with(3, [0, False, None, 1])), "wrong-mode"),
    ):  # fmt: skip
        yield join(name, invitation, reason)
    yield join("genesis-at-expiry", sealed(genesis_with(2, EXPIRY)), "bad-confirmation", EXPIRY)
    yield join("300-ahead", founded.invitations[0], None, NOW - 300)
    yield join("301-ahead", founded.invitations[0], "early-commit", NOW - 301)

    # Commits on epoch 0, as bob gets them.
    def apply(
        name: str, copy: bytes, reason: str | None = None, now: int = NOW, at: ref.Epoch = epoch
    ) -> Json:
        epoch, bob_id = at, ref.ids_of(at.roster)[1]
        spec = tags("EPOCH-10 EPOCH-15 MEM-05 MEM-07", name)
        return case(f"room-apply-{name}", spec, name, "apply commit", {
            "room": at.room.hex(), "number": 0, "transcript": epoch.transcript.hex(),
            "roster": epoch.roster.encode().hex(), "policy": policy, "opener": at.opener.hex(),
            "handshakes": [key.hex() for key in epoch.keys.handshakes.values()],
            "inits": [key.hex() for key in epoch.keys.inits.values()],
            "me": bob_id.hex(), "leaf": bob_keys.leaf.hex(), "copy": copy.hex(), "now": now},
            reason)  # fmt: skip

    def commit(
        name: str, operations: list[list[Any]], guests: list[ref.Guest] | None = None,
        proofs: list[bytes] | None = None, *, by_cid: bool = False,
    ) -> ref.CommitMade:  # fmt: skip
        who = (cid, cid_id, cid_keys.room_seed) if by_cid else (ann, me, founded.room_seed)
        return ref.make_commit(epoch, *who, operations, guests or [], proofs or [], {}, NOW,
                               Stream(f"room-commit-{name}"))  # fmt: skip

    bob_row, cid_row = epoch.roster.find(bob_id), epoch.roster.find(cid_id)
    cid_leaves = ref.make_leave_request(cid, room, cid_row)
    bob_leaves = ref.make_leave_request(bob, room, bob_row)
    to_dan = [ref.Guest(dan_keys.package, 0, ref.MEMBER)]
    remove_bob = [ref.REMOVE, bob_id, bob_row.admission]
    remove_cid = [ref.REMOVE, cid_id, cid_row.admission]
    good: dict[str, ref.CommitMade] = {
        "refresh": commit("refresh", []),
        "refresh-by-admin": commit("refresh-by-admin", [], by_cid=True),
        "add": commit("add", [], to_dan),
        "remove-other": commit("remove-other", [remove_cid]),
        "remove-me": commit("remove-me", [remove_bob]),
        "admin-removes-me": commit("admin-removes-me", [remove_bob], by_cid=True),
        "role": commit("role", [[ref.SET_ROLE, bob_id, ref.OWNER]]),
        "owner-lowers-itself": commit("owner-lowers-itself", [[ref.SET_ROLE, me, ref.MEMBER]]),
        "policy": commit("policy", [[ref.SET_POLICY, [1, True, 0, 60]]]),
        "leave-other": commit("leave-other", [], None, [cid_leaves]),
        "leave-me": commit("leave-me", [], None, [bob_leaves]),
        "all-at-once": commit("all-at-once", [[ref.SET_ROLE, bob_id, ref.ADMIN], [
            ref.SET_POLICY, [1, True, None, 1]]], to_dan, [cid_leaves]),
    }  # fmt: skip
    for name, made in good.items():
        yield apply(name, made.copies[bob_id])
    plain = good["refresh"]
    copy = plain.copies[bob_id]
    sealed_commit, slot = ref.parse(copy, "commit copy")
    yield apply("300-ahead", copy, None, NOW - 300)
    yield apply("301-ahead", copy, "early-commit", NOW - 301)
    yield apply("removed-301-ahead", good["remove-me"].copies[bob_id], "early-commit", NOW - 301)
    outer = ref.parse(sealed_commit, "sealed commit")

    def outside(place: int, value: Any) -> bytes:
        fields = [*outer[:place], value, *outer[place + 1 :]]
        return ref.encode([1, 12, ref.encode([1, 11, *fields]), slot])

    def forged(
        changes: dict[int, Any], made: ref.CommitMade = plain, *, by_cid: bool = False,
        confirmation: bytes | None = None, signed: bool = True,
    ) -> bytes:  # fmt: skip
        fields = ref.parse(made.commit, "commit")
        for place, value in changes.items():
            fields[place] = value
        data = ref.encode([1, 9, *fields])
        confirmed = made.epoch.keys.confirmation if confirmation is None else confirmation
        seed = cid_keys.room_seed if by_cid else founded.room_seed
        signature = ref.sign(seed, b"commit", data, confirmed) if signed else bytes(64)
        whole = ref.build("signed commit", data, confirmed, signature)
        who = cid_id if by_cid else me
        inner = ref.seal_commit(epoch.keys.handshakes[who], room, epoch.prefix, who, whole,
                                Stream("room-forged"))  # fmt: skip
        return ref.build("commit copy", inner, ref.parse(made.copies[bob_id], "commit copy")[1])

    by_cid = good["refresh-by-admin"]
    entry_0 = ref.make_entry(ann, room, me, little(9), ref.sign_public(COUNTING), 0)
    entry_2 = ref.make_entry(ann, room, me, little(9), ref.sign_public(COUNTING), 2)
    entry_small = ref.make_entry(ann, room, me, SMALL_DH, ref.sign_public(COUNTING), 1)
    impostor = ref.IdentityKeys(ann.seed, cid.dh_private)
    entry_dh = ref.make_entry(impostor, room, me, little(9), ref.sign_public(COUNTING), 1)
    entry_cid = ref.make_entry(cid, room, cid_id, little(9), ref.sign_public(COUNTING), 1)
    add_dan: list[Any] = [ref.ADD, dan_keys.package.signed, 0]
    add_bob = [ref.ADD, bob_keys.package.signed, 0]
    other_admission = ref.build("leave request", room, cid_id, bytes(32))
    wrong_leave = ref.build("signed object", other_admission,
                            ref.sign(cid.seed, b"leave request", other_admission))  # fmt: skip
    unsigned = ref.build("leave request", room, cid_id, cid_row.admission)
    unsigned_leave = ref.build("signed object", unsigned,
                               ref.sign(bob.seed, b"leave request", unsigned))  # fmt: skip
    own_leave = ref.make_leave_request(ann, room, epoch.roster.find(me))
    for name, data, reason in (
        ("other-room", outside(0, bytes(32)), "unknown-room"),
        ("other-epoch", outside(1, bytes(8)), "unknown-epoch"),
        ("own", outside(2, bob_id), "own-message"),
        ("unknown-committer", outside(2, bytes(32)), "unknown-member"),
        ("other-committer", outside(2, cid_id), "bad-ciphertext"),
        ("other-salt", outside(3, bytes(16)), "bad-ciphertext"),
        ("changed", outside(4, changed_byte(outer[4])), "bad-ciphertext"),
        ("not-signed", forged({}, signed=False), "bad-signature"),
        ("no-slot", ref.build("commit copy", sealed_commit, None), "bad-form"),
        ("slot-changed", ref.build("commit copy", sealed_commit, changed_byte(slot)),
         "bad-ciphertext"),
        ("other-confirmation", forged({}, confirmation=bytes(32)), "bad-confirmation"),
        ("inner-room", forged({0: bytes(32)}), "wrong-transcript"),
        ("inner-epoch", forged({1: 1}), "wrong-transcript"),
        ("inner-transcript", forged({2: epoch.prefix + bytes(24)}), "wrong-transcript"),
        ("inner-committer", forged({3: cid_id}), "wrong-transcript"),
        ("ephemeral-small", forged({8: SMALL_DH}), "bad-key"),
        ("state-hash", forged({9: bytes(32)}), "bad-state-hash"),
        ("entry-version-0", forged({7: entry_0}), "bad-entry"),
        ("entry-version-2", forged({7: entry_2}), "bad-entry"),
        ("entry-small-key", forged({7: entry_small}), "bad-key"),
        ("entry-of-another", forged({7: entry_cid}), "bad-entry"),
        ("entry-package", forged({7: dan_keys.package.signed}), "bad-entry"),
        ("entry-other-dh-key", forged({7: entry_dh}), "bad-entry"),
        ("entry-other", forged({7: good["add"].epoch.roster.find(me).signed}), "bad-state-hash"),
        ("proof-kind-1", forged({6: [[1, cid_leaves]]}), "bad-proof"),
        ("proof-of-committer", forged({6: [[0, own_leave]]}), "bad-proof"),
        ("proof-other-admission", forged({6: [[0, wrong_leave]]}), "bad-proof"),
        ("proof-not-signed", forged({6: [[0, unsigned_leave]]}), "bad-signature"),
        ("proof-twice", forged({6: [[0, cid_leaves]] * 2}), "unknown-member"),
        ("proof-and-removal", forged({5: [remove_cid], 6: [[0, cid_leaves]]}), "unknown-member"),
        ("add-member", forged({5: [add_bob]}), "already-member"),
        ("add-twice", forged({5: [add_dan, add_dan]}), "already-member"),
        ("add-at-expiry", forged({4: EXPIRY, 5: [add_dan]}), "bad-state-hash"),
        ("add-expired", forged({4: EXPIRY + 1, 5: [add_dan]}), "expired"),
        ("add-bad-package", forged({5: [[0, changed_byte(add_dan[1], -1), 0]]}), "bad-signature"),
        ("remove-nobody", forged({5: [[1, bytes(32), bytes(32)]]}), "unknown-member"),
        ("remove-other-admission", forged({5: [[1, cid_id, bytes(32)]]}), "unknown-member"),
        ("remove-itself", forged({5: [[1, me, bytes(32)]]}), "not-entitled"),
        ("role-of-nobody", forged({5: [[2, bytes(32), 0]]}), "unknown-member"),
        ("role-unchanged-of-itself", forged({5: [[2, me, 2]]}), "not-entitled"),
        ("mode-direct", forged({5: [[3, [0, False, None, 1]]]}), "wrong-mode"),
        ("mode-deniable", forged({5: [[3, [2, False, None, 1]]]}), "wrong-mode"),
        ("lifetime-0", forged({5: [[3, [1, False, None, 0]]]}), "bad-policy"),
        ("admin-adds-admin", forged({5: [[0, add_dan[1], 1]]}, by_cid, by_cid=True),
         "not-entitled"),
        ("admin-removes-owner", forged({5: [[1, me, epoch.roster.find(me).admission]]}, by_cid,
                                       by_cid=True), "not-entitled"),
        ("admin-raises-member", forged({5: [[2, bob_id, 1]]}, by_cid, by_cid=True), "not-entitled"),
        ("admin-sets-policy", forged({5: [[3, policy]]}, by_cid, by_cid=True), "not-entitled"),
    ):  # fmt: skip
        yield apply(name, data, reason)

    # Two owners: the one admitted earlier outranks the other.
    owners = ref.found_room(ann, policy, [guests[0], guests[1]._replace(role=ref.OWNER)], "Ann",
                            box.public, NOW, Stream("room-owners")).epoch  # fmt: skip
    older, us, younger = owners.roster.members
    removal: list[Any] = [ref.REMOVE, younger.id, younger.admission]
    by_older = ref.make_commit(owners, ann, older.id, Stream("room-owners")(96)[64:], [removal],
                               [], [], {}, NOW, Stream("room-by-older"))  # fmt: skip
    yield apply("owner-removes-younger", by_older.copies[us.id], None, NOW, owners)
    refresh = ref.make_commit(owners, cid, younger.id, cid_keys.room_seed, [], [], [], {}, NOW,
                              Stream("room-by-younger"))  # fmt: skip
    for name, its in (("removes", [ref.REMOVE, older.id, older.admission]),
                      ("lowers", [ref.SET_ROLE, older.id, ref.MEMBER])):  # fmt: skip
        its_fields = ref.parse(refresh.commit, "commit")
        its_fields[5] = [its]
        changed, confirmed = ref.encode([1, 9, *its_fields]), refresh.epoch.keys.confirmation
        whole = ref.build("signed commit", changed, confirmed, ref.sign(
            cid_keys.room_seed, b"commit", changed, confirmed))  # fmt: skip
        inner = ref.seal_commit(owners.keys.handshakes[younger.id], owners.room, owners.prefix,
                                younger.id, whole, Stream("room-forged"))  # fmt: skip
        data = ref.build("commit copy", inner, bytes(48))
        yield apply(f"younger-owner-{name}-older", data, "not-entitled", NOW, owners)

    # Joining by a commit: ann admits dan to epoch 1.
    dans = ref.parse(
        ref.open_invitation(dan, dan_keys, good["add"].invitations[0]), "welcome"
    )  # fmt: skip

    def dan_joins(
        name: str, fields: list[Any], reason: str | None = None,
        *, inviter: ref.IdentityKeys = ann, now: int = NOW,
    ) -> Json:  # fmt: skip
        data = ref.encode([1, 6, *fields])
        sealing = Stream("room-sealing-dan")
        invitation = ref.seal_invitation(inviter, dan_keys.package, 0, data, sealing)
        spec = tags("INV-05 INV-06 MEM-10 EPOCH-11", name)
        return case(f"room-join-commit-{name}", spec, name, "join room", {
            "owner": keys_json(dan), "package": package_keys_json(dan_keys),
            "invitation": invitation.hex(), "now": now}, reason)  # fmt: skip

    def commit_with(place: int, value: Any) -> list[Any]:
        fields = ref.parse(dans[0], "commit")
        fields[place] = value
        return resigned(with_field(0, ref.encode([1, 9, *fields]), dans))

    its_next, its_rows = ref.parse(dans[4], "roster")

    def roster_with(rows: list[Any], following: int = its_next) -> list[Any]:
        return with_field(4, ref.encode([1, 7, following, rows]), dans)

    def row_with(place: int, column: int, value: Any) -> list[Any]:
        rows = [list(each) for each in its_rows]
        rows[place][column] = value
        return roster_with(rows)

    newer = ref.make_entry(ann, room, me, little(9), ref.sign_public(COUNTING), 1)
    for name, fields, reason in (
        ("good", dans, None),
        ("no-signature", with_field(2, None, dans), "bad-signature"),
        ("signature-changed", with_field(2, changed_byte(dans[2], 0), dans), "bad-signature"),
        ("direct", with_field(5, [0, False, None, 1], dans), "wrong-mode"),
        ("other-policy", with_field(5, [1, True, None, 259_200], dans), "bad-state-hash"),
        ("other-secret", with_field(6, bytes(32), dans), "bad-confirmation"),
        ("no-parent-credential", with_field(3, None, dans), "bad-entry"),
        ("parent-credential-new", with_field(3, its_rows[0][6], dans), "bad-entry"),
        ("parent-credential-other", with_field(3, bob_keys.package.signed, dans), "bad-entry"),
        ("parent-credential-forged", with_field(3, newer, dans), "bad-entry"),
        ("directory-bad-key", with_field(7, bad_box, dans), "bad-key"),
        ("directory-bad-key-of-nobody", with_field(
            7, [[bytes(32), "", [bytes(32), SMALL_DH, bytes(16)]]], dans), None),
        ("no-operation", commit_with(5, []), "unknown-member"),
        ("other-time", commit_with(4, EXPIRY + 1), "expired"),
        ("committer-nobody", commit_with(3, bytes(32)), "unknown-member"),
        ("committer-other", commit_with(3, cid_id), "wrong-identity"),
        ("entry-other", commit_with(7, newer), "bad-entry"),
        ("ephemeral-small", commit_with(8, SMALL_DH), "bad-key"),
        ("state-hash", commit_with(9, bytes(32)), "bad-state-hash"),
        ("roster-order", roster_with([its_rows[1], its_rows[0], *its_rows[2:]]), "bad-form"),
        ("roster-member-twice", roster_with([*its_rows, its_rows[3]]), "bad-form"),
        ("roster-next-seniority", roster_with(its_rows, 3), "bad-form"),
        ("roster-no-owner", row_with(0, 1, 1), "bad-form"),
        ("roster-without-dan", roster_with(its_rows[:3]), "bad-state-hash"),
        ("roster-identity-small", row_with(1, 3, SMALL_SIGN), "bad-key"),
        ("roster-identity-other", row_with(1, 4, little(9)), "bad-entry"),
        ("roster-credential-of-another", row_with(1, 6, its_rows[2][6]), "bad-entry"),
        ("roster-credential-damaged", row_with(1, 6, changed_byte(its_rows[1][6])),
         "bad-signature"),
        ("roster-id-of-committer", row_with(0, 0, bytes(32)), "bad-entry"),
        ("roster-role-raised", row_with(1, 1, 2), "bad-state-hash"),
    ):  # fmt: skip
        yield dan_joins(name, fields, reason)
    yield dan_joins("other-inviter", dans, "wrong-identity", inviter=cid)
    yield dan_joins("300-ahead", dans, None, now=NOW - 300)
    yield dan_joins("301-ahead", dans, "early-commit", now=NOW - 301)
