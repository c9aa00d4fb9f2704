"""room.json: applying a commit as a whole (REQ-EPOCH-15), as bob, a member, gets it."""

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
    little,
    operation,
    un,
)
from spec.cases.scene import (
    ADDING,
    ANN,
    BOB,
    BOB_ID,
    BOB_KEYS,
    BOX,
    CID,
    CID_ID,
    CID_KEYS,
    DAN_KEYS,
    EPOCH,
    FOUNDED,
    GUESTS,
    ME,
    POLICY,
    ROOM,
    tags,
)

from spec import reference as ref


@operation("apply commit")
def _apply_commit(i: Json) -> Json:
    roster = ref.unnoted(ref.read_roster, un(i["roster"]), un(i["room"]))
    ids = ref.ids_of(roster)
    handshakes = dict(zip(ids, map(un, i["handshakes"]), strict=True))
    keys = ref.EpochKeys(b"", {}, handshakes, dict(zip(ids, map(un, i["inits"]), strict=True)), b"")
    parent = ref.Epoch(1, un(i["room"]), i["number"], un(i["transcript"]), roster, i["policy"],
                       un(i["opener"]), keys)  # fmt: skip
    taken = ref.apply_commit(parent, un(i["me"]), un(i["leaf"]), un(i["copy"]), i["now"])
    assert isinstance(taken, ref.Taken)
    epoch = taken.epoch
    if taken.removes_me:
        return {"removed": True}
    return {"removed": False, "number": epoch.number, "transcript": epoch.transcript.hex(),
            "context": epoch.context.hex()}  # fmt: skip


def apply(
    name: str, copy: bytes, reason: str | None = None, what: str | None = None, of: str = "refresh",
    *, now: int = NOW, at: ref.Epoch = EPOCH, comment: str = "",
) -> Json:  # fmt: skip
    """`of`: the accepted commit that a refused one was made from, by a change of `what`."""
    return case(f"room-apply-{name}", tags("EPOCH-10 EPOCH-15 MEM-05 MEM-07", name),
                comment or name, "apply commit", {
        "room": at.room.hex(), "number": 0, "transcript": at.transcript.hex(),
        "roster": at.roster.encode().hex(), "policy": POLICY, "opener": at.opener.hex(),
        "handshakes": [key.hex() for key in at.keys.handshakes.values()],
        "inits": [key.hex() for key in at.keys.inits.values()],
        "me": ref.ids_of(at.roster)[1].hex(), "leaf": BOB_KEYS.leaf.hex(), "copy": copy.hex(),
        "now": now}, reason, features="signed",
        parent=f"room-apply-{of}" if what else None, mutation=what)  # fmt: skip


def commit(
    name: str, operations: list[list[Any]], guests: list[ref.Guest] | None = None,
    proofs: list[bytes] | None = None, *, by_cid: bool = False,
) -> ref.CommitMade:  # fmt: skip
    who = (CID, CID_ID, CID_KEYS.room_seed) if by_cid else (ANN, ME, FOUNDED.room_seed)
    return ref.make_commit(EPOCH, *who, operations, guests or [], [], proofs or [], {}, NOW,
                           Stream(f"room-commit-{name}"), [(EPOCH.prefix, None)])  # fmt: skip


BOB_ROW, CID_ROW = EPOCH.roster.find(BOB_ID), EPOCH.roster.find(CID_ID)
CID_LEAVES = ref.make_leave_request(CID, ROOM, CID_ROW)
REMOVE_CID = [ref.SANCTION, CID_ID, None]
REFRESH, BY_CID = commit("refresh", []), commit("refresh-by-admin", [], by_cid=True)
ADD_DAN: list[Any] = [ref.ADD, DAN_KEYS.package.signed, 0]


def apply_cases() -> Iterator[Json]:
    yield from accepted_cases()
    yield from envelope_cases()
    yield from forged_cases()
    yield from owner_cases()


def accepted_cases() -> Iterator[Json]:
    bob_leaves = ref.make_leave_request(BOB, ROOM, BOB_ROW)
    remove_bob = [ref.SANCTION, BOB_ID, None]
    to_dan = [ref.Guest(DAN_KEYS.package, 0, ref.MEMBER)]
    good: dict[str, ref.CommitMade] = {
        "refresh": REFRESH,
        "refresh-by-admin": BY_CID,
        "add": ADDING,
        "remove-other": commit("remove-other", [REMOVE_CID]),
        "remove-me": commit("remove-me", [remove_bob]),
        "admin-removes-me": commit("admin-removes-me", [remove_bob], by_cid=True),
        "demote-other": commit("demote-other", [[ref.SANCTION, CID_ID, ref.MEMBER]]),
        "role": commit("role", [[ref.SET_ROLE, BOB_ID, ref.OWNER]]),
        "owner-lowers-itself": commit("owner-lowers-itself", [[ref.SET_ROLE, ME, ref.MEMBER]]),
        "policy": commit("policy", [[ref.SET_POLICY, [1, True, 0, 60]]]),
        "leave-other": commit("leave-other", [], None, [CID_LEAVES]),
        "leave-me": commit("leave-me", [], None, [bob_leaves]),
        "all-at-once": commit("all-at-once", [[ref.SET_ROLE, BOB_ID, ref.ADMIN], [
            ref.SET_POLICY, [1, True, None, 1]]], to_dan, [CID_LEAVES]),
    }  # fmt: skip
    for name, made in good.items():
        yield apply(name, made.copies[BOB_ID])
    deepest = commit("deepest", [[ref.SET_POLICY, POLICY], [ref.SET_POLICY, [1, True, 0, 1]]])
    yield apply("deepest", deepest.copies[BOB_ID],
                comment="four arrays deep, inside an object: depth begins anew")  # fmt: skip
    early = "the clock is 301 s behind the commit"
    yield apply("300-ahead", REFRESH.copies[BOB_ID], now=NOW - 300)
    yield apply("301-ahead", REFRESH.copies[BOB_ID], "early-commit", early, now=NOW - 301)
    yield apply("removed-301-ahead", good["remove-me"].copies[BOB_ID], "early-commit", early,
                "remove-me", now=NOW - 301)  # fmt: skip


def envelope_cases() -> Iterator[Json]:
    """What is around the commit: the copy, the seal and the slot."""
    sealed_commit, slot = ref.parse(REFRESH.copies[BOB_ID], "commit copy")
    outer = ref.parse(sealed_commit, "sealed commit")

    def outside(*changes: tuple[int, Any]) -> bytes:
        fields = list(outer)
        for place, value in changes:
            fields[place] = value
        return ref.encode([1, 12, ref.encode([1, 11, *fields]), slot])

    for name, data, reason, what in (
        ("other-room", outside((0, bytes(32))), "unknown-room", "32 zero bytes as room"),
        ("other-epoch", outside((1, bytes(8))), "unknown-epoch", "8 zero bytes as prefix"),
        ("own", outside((2, BOB_ID)), "own-message", "bob himself as committer"),
        ("unknown-committer", outside((2, bytes(32))), "unknown-member",
         "32 zero bytes as committer"),
        ("other-committer", outside((2, CID_ID)), "bad-ciphertext", "cid as committer"),
        ("other-salt", outside((3, bytes(16))), "bad-ciphertext", "16 zero bytes as salt"),
        ("changed", outside((4, changed_byte(outer[4]))), "bad-ciphertext",
         "the last byte of the sealed commit changed"),
        ("no-slot", ref.build("commit copy", sealed_commit, None), "no-slot", "nil as slot"),
        ("slot-changed", ref.build("commit copy", sealed_commit, changed_byte(slot)),
         "bad-ciphertext", "the last byte of the slot changed"),
        ("slot-of-another", ref.build("commit copy", sealed_commit, ref.parse(
            REFRESH.copies[CID_ID], "commit copy")[1]), "bad-ciphertext", "the slot of cid"),
        ("slot-of-another-commit", ref.build("commit copy", sealed_commit, ref.parse(
            ADDING.copies[BOB_ID], "commit copy")[1]), "bad-ciphertext",
         "the slot of another commit on the same epoch"),
        ("sealed-type", ref.encode([1, 12, ref.encode([1, 10, *outer]), slot]), "wrong-type",
         "the type of the sealed commit is 10"),
        ("sealed-trailing", ref.build("commit copy", sealed_commit + b"\0", slot),
         "trailing-bytes", "a zero byte put in at the end of the sealed commit"),
    ):  # fmt: skip
        yield apply(name, data, reason, what)
    for name, data, reason, what, order in (
        ("room-before-committer", outside((0, bytes(32)), (2, BOB_ID)), "unknown-room",
         "32 zero bytes as room, bob himself as committer", "the room, then the committer"),
        ("own-before-epoch", outside((1, bytes(8)), (2, BOB_ID)), "own-message",
         "8 zero bytes as prefix, bob himself as committer", "the own id, then the epoch"),
        ("epoch-before-committer", outside((1, bytes(8)), (2, bytes(32))), "unknown-epoch",
         "8 zero bytes as prefix, 32 as committer", "the epoch, then the committer"),
    ):
        yield apply(name, data, reason, what, comment=f"two faults: {order}")


def forged(
    changes: dict[int, Any], made: ref.CommitMade = REFRESH, *, by_cid: bool = False,
    confirmation: bytes | None = None, signed: bool = True, slot: bool = True,
) -> bytes:  # fmt: skip
    """A commit copy with changed fields of the commit, signed and sealed anew."""
    fields = ref.parse(made.commit, "commit")
    for place, value in changes.items():
        fields[place] = value
    data = ref.encode([1, 9, *fields])
    confirmed = made.epoch.keys.confirmation if confirmation is None else confirmation
    seed = CID_KEYS.room_seed if by_cid else FOUNDED.room_seed
    signature = ref.sign(seed, b"commit", data, confirmed) if signed else bytes(64)
    whole = ref.build("signed commit", data, confirmed, signature)
    who = CID_ID if by_cid else ME
    inner = ref.seal_commit(EPOCH.keys.handshakes[who], ROOM, EPOCH.prefix, who, whole,
                            Stream("room-forged"))  # fmt: skip
    its_slot = ref.parse(made.copies[BOB_ID], "commit copy")[1]
    return ref.build("commit copy", inner, its_slot if slot else None)


def forged_cases() -> Iterator[Json]:
    """What a member could do who signs and seals something else."""
    ann = EPOCH.roster.find(ME)
    room_key = ref.sign_public(COUNTING)

    def entry(
        version: int, leaf: bytes = little(9), its_room: bytes = ROOM, member: bytes = ME,
        owner: ref.IdentityKeys = ANN, key: bytes = room_key,
    ) -> bytes:  # fmt: skip
        return ref.make_entry(owner, its_room, member, leaf, key, version)

    def wrong_signature(signed: bytes) -> bytes:
        return ref.encode([1, 1, ref.decode(signed, 1_024)[2], bytes(64)])

    impostor = ref.IdentityKeys(ANN.seed, CID.dh_private)
    other_admission = ref.build("leave request", ROOM, CID_ID, bytes(32))
    other_room = ref.build("leave request", bytes(32), CID_ID, CID_ROW.admission)
    unsigned = ref.build("leave request", ROOM, CID_ID, CID_ROW.admission)

    def request(body: bytes, by: ref.IdentityKeys = CID) -> list[list[Any]]:
        signature = ref.sign(by.seed, b"leave request", body)
        return [[0, ref.build("signed object", body, signature)]]

    dan = DAN_KEYS.package.signed
    version_2 = ref.encode([2, *ref.decode(ref.decode(entry(1), 1_024)[2], 896)[1:]])
    own_leave = ref.make_leave_request(ANN, ROOM, ann)
    def sanction(
        member: bytes, author: bytes = ME, by: ref.IdentityKeys = ANN, *, role: int | None = None,
        epoch: int = 0, spared: list[bytes] | None = [], room: bytes = ROOM,  # noqa: B006
        admission: bytes | None = None,
    ) -> bytes:  # fmt: skip
        if admission is None:
            admission = EPOCH.roster.find(member).admission
        return ref.sign_sanction(by, room, member, admission, author, role, epoch, spared)

    removes_cid = sanction(CID_ID)
    unsigned_sanction = ref.build("sanction", ROOM, CID_ID, CID_ROW.admission, ME, None, 0, [])
    for name, changes, reason, what in (
        ("inner-room", {0: bytes(32)}, "wrong-transcript", "32 zero bytes as room of the commit"),
        ("inner-epoch", {1: 1}, "wrong-transcript", "the commit names epoch 1"),
        ("inner-transcript", {2: EPOCH.prefix + bytes(24)}, "wrong-transcript",
         "of the transcript hash only the prefix left, then zeros"),
        ("inner-committer", {3: CID_ID}, "wrong-transcript", "cid as committer of the commit"),
        ("ephemeral-small", {8: SMALL_DH}, "bad-key", "the ephemeral key is of small order"),
        ("state-hash", {9: bytes(32)}, "bad-state-hash", "32 zero bytes as state hash"),
        ("entry-version-0", {7: entry(0)}, "bad-entry", "an entry of version 0"),
        ("entry-version-2", {7: entry(2)}, "bad-entry", "an entry of version 2"),
        ("entry-small-key", {7: entry(1, SMALL_DH)}, "bad-key",
         "the leaf key of the entry is of small order"),
        ("entry-small-room-key", {7: entry(1, key=SMALL_SIGN)}, "bad-key",
         "the room signature key of the entry is of small order"),
        ("entry-of-another", {7: entry(1, member=CID_ID, owner=CID)}, "bad-entry",
         "an entry of cid"),
        ("entry-other-room", {7: entry(1, its_room=bytes(32))}, "bad-entry",
         "an entry for another room"),
        ("entry-package", {7: dan}, "bad-entry", "the key package of dan as entry"),
        ("entry-other-dh-key", {7: entry(1, owner=impostor)}, "bad-entry",
         "an entry with the identity DH key of cid"),
        ("entry-not-signed", {7: wrong_signature(entry(1))}, "bad-signature",
         "an entry with 64 zero bytes as signature"),
        ("entry-type", {7: ref.encode([1, 1, unsigned, bytes(64)])}, "wrong-type",
         "a leave request in the place of the entry"),
        ("entry-version-of-object", {7: ref.encode([1, 1, version_2, bytes(64)])},
         "wrong-version", "the body of the entry is an object of version 2"),
        ("entry-other", {7: ADDING.epoch.roster.find(ME).signed}, "bad-state-hash",
         "another entry of the committer, of the right version"),
        ("proof-kind-1", {6: [[1, CID_LEAVES]]}, "wrong-type",
         "a leave request as a proof of kind 1"),
        ("proof-kind-0", {6: [[0, removes_cid]]}, "wrong-type", "a sanction as a proof of kind 0"),
        ("proof-sanction-itself", {6: [[1, sanction(CID_ID)]]}, "bad-state-hash",
         "a removal of cid as a proof: only the state hash is wrong"),
        ("proof-sanction-of-committer", {6: [[1, sanction(ME, CID_ID, CID)]]}, "not-entitled",
         "a sanction of the committer, by an admin"),
        ("proof-sanction-twice", {6: [[1, removes_cid]] * 2}, "unknown-member",
         "the removal of cid twice as proofs"),
        ("proof-sanction-and-operation", {5: [[1, removes_cid]], 6: [[1, removes_cid]]},
         "unknown-member", "the removal of cid as a proof, and as an operation"),
        ("proof-sanction-and-leave", {6: [[1, removes_cid], [0, CID_LEAVES]]}, "unknown-member",
         "the removal of cid, and then its leave request"),
        ("proof-of-committer", {6: [[0, own_leave]]}, "bad-proof",
         "a leave request of the committer"),
        ("proof-other-admission", {6: request(other_admission)}, "bad-proof",
         "a leave request of another admission"),
        ("proof-other-room", {6: request(other_room)}, "bad-proof",
         "a leave request for another room"),
        ("proof-not-signed", {6: request(unsigned, BOB)}, "bad-signature",
         "a leave request of cid, signed by bob"),
        ("proof-twice", {6: [[0, CID_LEAVES]] * 2}, "unknown-member",
         "the leave request of cid twice"),
        ("proof-and-removal", {5: [[1, removes_cid]], 6: [[0, CID_LEAVES]]}, "unknown-member",
         "a removal of cid, and the leave request of cid"),
        ("add-member", {5: [[ref.ADD, BOB_KEYS.package.signed, 0]]}, "already-member",
         "bob is added, who is a member"),
        ("add-twice", {5: [ADD_DAN, ADD_DAN]}, "already-member", "dan is added twice"),
        ("add-at-expiry", {4: EXPIRY, 5: [ADD_DAN]}, "bad-state-hash",
         "dan is added in the last second of his package, under the old state hash"),
        ("add-expired", {4: EXPIRY + 1, 5: [ADD_DAN]}, "expired",
         "dan is added in the second after his package expires"),
        ("add-bad-package", {5: [[0, changed_byte(dan), 0]]}, "bad-signature",
         "dan is added, and the last byte of his package changed"),
        ("remove-nobody", {5: [[1, sanction(bytes(32), admission=bytes(32))]]}, "unknown-member",
         "a removal of 32 zero bytes"),
        ("remove-other-admission", {5: [[1, sanction(CID_ID, admission=bytes(32))]]}, "bad-proof",
         "a removal of cid with 32 zero bytes as admission"),
        ("remove-other-room", {5: [[1, sanction(CID_ID, room=bytes(32))]]}, "bad-proof",
         "a removal of cid in another room"),
        ("remove-twice", {5: [[1, removes_cid]] * 2}, "unknown-member", "cid is removed twice"),
        ("remove-itself", {5: [[1, sanction(ME)]]}, "not-entitled",
         "a removal of the committer"),
        ("remove-other-epoch", {5: [[1, sanction(CID_ID, epoch=1)]]}, "bad-proof",
         "a removal of cid made for another epoch"),
        ("remove-spares-nil", {5: [[1, sanction(CID_ID, spared=None)]]}, "bad-proof",
         "a removal of cid with nil as spared"),
        ("remove-spares-somebody", {5: [[1, sanction(CID_ID, spared=[BOB_ID[:8]])]]}, "bad-proof",
         "a removal of cid that spares bob, whom it would not take along"),
        ("remove-by-author", {5: [[1, sanction(BOB_ID, CID_ID, CID)]]}, "bad-proof",
         "the removal of bob, signed by cid, in a commit of ann"),
        ("remove-signed-by-another", {5: [[1, sanction(CID_ID, by=BOB)]]}, "bad-signature",
         "a removal of cid signed by bob"),
        ("remove-leave-request", {5: [[1, CID_LEAVES]]}, "wrong-type",
         "a leave request in the place of a sanction"),
        ("remove-not-signed", {5: [[1, unsigned_sanction]]}, "wrong-type",
         "the sanction itself, not signed"),
        ("demote-spares", {5: [[1, sanction(CID_ID, role=0, spared=[])]]}, "bad-proof",
         "a demotion of cid with an empty list as spared"),
        ("demote-higher", {5: [[1, sanction(CID_ID, role=2, spared=None)]]}, "bad-proof",
         "a demotion of cid to owner"),
        ("demote-other-state", {5: [[1, sanction(CID_ID, role=0, spared=None)]]}, "bad-state-hash",
         "a demotion of cid: only the state hash is wrong"),
        ("role-lower", {5: [[2, CID_ID, 0]]}, "not-entitled",
         "the role of cid is set to a lower one without a sanction"),
        ("role-of-nobody", {5: [[2, bytes(32), 0]]}, "unknown-member",
         "a change of role of 32 zero bytes"),
        ("role-unchanged-of-itself", {5: [[2, ME, 2]]}, "not-entitled",
         "the committer sets its own role to what it is"),
        ("mode-direct", {5: [[3, [0, False, None, 1]]]}, "wrong-mode", "a policy of mode 0"),
        ("mode-deniable", {5: [[3, [2, False, None, 1]]]}, "wrong-mode", "a policy of mode 2"),
        ("lifetime-0", {5: [[3, [1, False, None, 0]]]}, "bad-policy",
         "a policy with a lifetime of 0"),
    ):  # fmt: skip
        yield apply(name, forged(changes), reason, what)
    yield apply("not-signed", forged({}, signed=False), "bad-signature",
                "64 zero bytes as signature")  # fmt: skip
    yield apply("other-confirmation", forged({}, confirmation=bytes(32)), "bad-confirmation",
                "32 zero bytes as confirmation, signed anew")  # fmt: skip
    for name, changes, what in (
        ("adds-admin", {5: [[0, dan, 1]]}, "an admin adds dan as admin"),
        ("removes-owner", {5: [[1, sanction(ME, CID_ID, CID)]]}, "an admin removes the owner"),
        ("demotes-owner", {5: [[1, sanction(ME, CID_ID, CID, role=0, spared=None)]]},
         "an admin demotes the owner"),
        ("raises-member", {5: [[2, BOB_ID, 1]]}, "an admin makes bob an admin"),
        ("sets-policy", {5: [[3, POLICY]]}, "an admin sets the policy to what it is"),
    ):
        yield apply(f"admin-{name}", forged(changes, BY_CID, by_cid=True), "not-entitled", what,
                    "refresh-by-admin")  # fmt: skip
    for name, data, reason, what, order in (
        ("signature-before-commit", forged({0: bytes(32)}, signed=False), "bad-signature",
         "64 zero bytes as signature, and as room of the commit 32",
         "the signature, then the commit"),
        ("key-before-sanction", forged({5: [[1, CID_LEAVES]], 8: SMALL_DH}), "bad-key",
         "a leave request in the place of a sanction, and an ephemeral key of small order",
         "the ephemeral key, then what the operations hold"),
        ("form-before-transcript", forged({1: 1, 9: bytes(31)}), "bad-form",
         "the commit names epoch 1, and its state hash has 31 bytes",
         "the form of the commit, then its place"),
        ("transcript-before-sanction", forged({1: 1, 5: [[1, CID_LEAVES]]}), "wrong-transcript",
         "the commit names epoch 1, and a leave request stands in the place of a sanction",
         "the place of the commit, then reading it"),
        ("transcript-before-proof", forged({1: 1, 6: [[1, CID_LEAVES]]}), "wrong-transcript",
         "the commit names epoch 1, and a leave request stands as a proof of kind 1",
         "the place of the commit, then its proofs"),
        ("transcript-before-key", forged({1: 1, 8: SMALL_DH}), "wrong-transcript",
         "the commit names epoch 1, and its ephemeral key is of small order",
         "the place of the commit, then reading it"),
        ("transcript-before-operations", forged({1: 1, 5: [[2, ME, 2]]}), "wrong-transcript",
         "the commit names epoch 1, and the committer sets its own role",
         "the place of the commit, then its operations"),
        ("operations-before-entry", forged({5: [[2, ME, 2]], 7: entry(2)}), "not-entitled",
         "the committer sets its own role to what it is, and its entry has version 2",
         "the operations, then the entry"),
        ("entry-room-before-signature", forged({7: wrong_signature(
            entry(1, its_room=bytes(32)))}), "bad-entry",
         "an entry for another room, with 64 zero bytes as signature",
         "the fields of an entry, then its signature"),
        ("entry-signature-before-key", forged({7: wrong_signature(entry(1, SMALL_DH))}),
         "bad-signature",
         "the leaf key of the entry is of small order, its signature 64 zero bytes",
         "the signature of an entry, then its keys"),
        ("entry-key-before-version", forged({7: entry(2, SMALL_DH)}), "bad-key",
         "an entry of version 2 with a leaf key of small order",
         "the keys of an entry, then its version"),
        ("entry-type-before-signature", forged({7: ref.encode([1, 1, ref.encode([1, 14, 0]),
                                                               bytes(64)])}), "wrong-type",
         "a body of type 14 with one field, and 64 zero bytes as signature",
         "the type of the body, then its fields and signature"),
        ("entry-package-before-identity", forged({7: changed_byte(dan)}), "bad-signature",
         "the key package of dan as entry, and its last byte changed",
         "reading a key package, then whose it is"),
        ("state-hash-before-time", forged({4: NOW + 999, 9: bytes(32)}), "bad-state-hash",
         "a time 999 s ahead, and 32 zero bytes as state hash", "the state hash, then the time"),
        ("time-before-slot", forged({4: NOW + 999}, slot=False), "early-commit",
         "a time 999 s ahead, and nil as slot", "the time, then the slot"),
    ):  # fmt: skip
        yield apply(name, data, reason, what, comment=f"two faults: {order}")


def owner_cases() -> Iterator[Json]:
    """Two owners: the one admitted earlier outranks the other."""
    owners = ref.found_room(ANN, POLICY, [GUESTS[0], GUESTS[1]._replace(role=ref.OWNER)], "Ann",
                            BOX.public, NOW, Stream("room-owners")).epoch  # fmt: skip
    older, us, younger = owners.roster.members
    removal: list[Any] = [ref.SANCTION, younger.id, None]
    by_older = ref.make_commit(owners, ANN, older.id, Stream("room-owners")(96)[64:], [removal],
                               [], [], [], {}, NOW, Stream("room-by-older"), [])  # fmt: skip
    yield apply("owner-removes-younger", by_older.copies[us.id], at=owners)
    refresh = ref.make_commit(owners, CID, younger.id, CID_KEYS.room_seed, [], [], [], [], {},
                              NOW, Stream("room-by-younger"), [])  # fmt: skip
    yield apply("refresh-by-younger-owner", refresh.copies[us.id], at=owners)
    removes = ref.sign_sanction(CID, owners.room, older.id, older.admission, younger.id, None, 0,
                                [us.id[:8]])  # fmt: skip
    lowers = ref.sign_sanction(CID, owners.room, older.id, older.admission, younger.id, 0, 0, None)
    for name, its, what in (
        ("removes", [ref.SANCTION, removes], "a removal of the older owner"),
        ("demotes", [ref.SANCTION, lowers], "a demotion of the older owner"),
        ("lowers", [ref.SET_ROLE, older.id, ref.MEMBER], "the older owner is to be a member"),
    ):
        its_fields = ref.parse(refresh.commit, "commit")
        its_fields[5] = [its]
        changed, confirmed = ref.encode([1, 9, *its_fields]), refresh.epoch.keys.confirmation
        whole = ref.build("signed commit", changed, confirmed, ref.sign(
            CID_KEYS.room_seed, b"commit", changed, confirmed))  # fmt: skip
        inner = ref.seal_commit(owners.keys.handshakes[younger.id], owners.room, owners.prefix,
                                younger.id, whole, Stream("room-forged"))  # fmt: skip
        slot = ref.parse(refresh.copies[us.id], "commit copy")[1]
        yield apply(f"younger-owner-{name}-older", ref.build("commit copy", inner, slot),
                    "not-entitled", what, "refresh-by-younger-owner", at=owners)  # fmt: skip
