"""room.json: joining as a whole (chapter 7). Applying commits follows in `applying.py`."""

from collections.abc import Iterator
from typing import Any

from spec.cases.applying import apply_cases
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
    un,
)
from spec.cases.scene import (
    ADDING,
    ANN,
    BOB,
    BOB_KEYS,
    BOX,
    CID,
    CID_ID,
    CID_KEYS,
    DAN,
    DAN_KEYS,
    EVE,
    FOUNDED,
    GUESTS,
    ME,
    POLICY,
    QUIET,
    ROOM,
    tags,
)

from spec import reference as ref


@operation("join room")
def _join_room(i: Json) -> Json:
    keys = package_keys(i["package"])
    epoch, me, _ = ref.join_room(identity_keys(i["owner"]), keys, un(i["invitation"]), i["now"])
    return {"me": me.hex(), "number": epoch.number, "transcript": epoch.transcript.hex(),
            "context": epoch.context.hex()}  # fmt: skip


def room_cases() -> Iterator[Json]:
    yield from join_cases()
    yield from apply_cases()
    yield from join_commit_cases()


def with_field(place: int, value: Any, of: list[Any]) -> list[Any]:
    return [*of[:place], value, *of[place + 1 :]]


def resigned(fields: list[Any]) -> list[Any]:
    """A welcome with its commit signed anew by ann."""
    return with_field(2, ref.sign(FOUNDED.room_seed, b"commit", fields[0], fields[1]), fields)


WELCOME = ref.parse(ref.open_invitation(BOB, BOB_KEYS, FOUNDED.invitations[0]), "welcome")
QUIET_WELCOME = ref.parse(ref.open_invitation(BOB, BOB_KEYS, QUIET.invitations[0]), "welcome")
DANS = ref.parse(ref.open_invitation(DAN, DAN_KEYS, ADDING.invitations[0]), "welcome")
BAD_BOX = [[ME, "Ann", [bytes(32), SMALL_DH, bytes(16)]]]


def sealed(fields: list[Any], inviter: ref.IdentityKeys = ANN, index: int | None = 0) -> bytes:
    data = ref.encode([1, 6, *fields])
    return ref.seal_invitation(inviter, BOB_KEYS.package, index, data, Stream("room-sealing"))


def join(
    name: str, invitation: bytes, reason: str | None = None, what: str | None = None,
    now: int = NOW, comment: str = "",
) -> Json:  # fmt: skip
    direct = name in ("direct", "signed-direct", "direct-confirmation")
    return case(f"room-join-{name}", tags("INV-05 INV-06 EPOCH-12", name), comment or name,
                "join room", {
                    "owner": keys_json(BOB), "package": package_keys_json(BOB_KEYS),
                    "invitation": invitation.hex(), "now": now}, reason,
                features="direct" if direct else "signed",
                parent=f"room-join-{'direct' if direct else 'group'}" if what else None,
                mutation=what)  # fmt: skip


def join_cases() -> Iterator[Json]:
    """Bob joins epoch 0."""
    yield join("group", FOUNDED.invitations[0])
    yield join("direct", QUIET.invitations[0])

    def genesis_with(place: int, value: Any) -> list[Any]:
        fields = ref.parse(FOUNDED.genesis, "genesis")
        fields[place] = value
        return resigned(with_field(0, ref.encode([1, 8, *fields]), WELCOME))

    alone = ref.found_room(ANN, POLICY, GUESTS[1:], "Ann", BOX.public, NOW, Stream("room-alone"))
    not_his = ref.parse(ref.open_invitation(CID, CID_KEYS, alone.invitations[0]), "welcome")
    row = ref.parse(WELCOME[4], "roster")
    raised = [row[1][1][0], 2, *row[1][1][2:]]
    other_row = ref.encode([1, 7, row[0], [row[1][0], raised, row[1][2]]])
    anns = ref.make_key_package(ANN, list(BOX.public), EXPIRY, True, Stream("room-anns"))
    may_add = [1, True, None, 259_200]
    bobs = BOB_KEYS.package.signed
    again = "and signed anew"
    for name, fields, reason, what in (
        ("deniable", with_field(5, [2, False, None, 1], WELCOME), "wrong-mode",
         "the policy of the welcome has mode 2 and a lifetime of 1"),
        ("lifetime-0", with_field(5, [1, False, None, 0], WELCOME), "bad-policy",
         "the policy of the welcome has a lifetime of 0"),
        ("other-policy", with_field(5, may_add, WELCOME), "bad-state-hash",
         "the policy of the welcome lets members add"),
        ("other-roster", with_field(4, other_row, WELCOME), "bad-state-hash",
         "bob is owner in the roster of the welcome"),
        ("no-signature", with_field(2, None, WELCOME), "bad-signature", "nil as signature"),
        ("signature-changed", with_field(2, changed_byte(WELCOME[2], 0), WELCOME),
         "bad-signature", "the first byte of the signature changed"),
        ("signed-direct", with_field(2, WELCOME[2], QUIET_WELCOME), "bad-form",
         "a signature in the welcome to a direct room"),
        ("confirmation-changed", with_field(1, bytes(32), WELCOME), "bad-signature",
         "32 zero bytes as confirmation"),
        ("confirmation-signed", resigned(with_field(1, bytes(32), WELCOME)), "bad-confirmation",
         f"32 zero bytes as confirmation, {again}"),
        ("direct-confirmation", with_field(1, bytes(32), QUIET_WELCOME), "bad-confirmation",
         "32 zero bytes as confirmation"),
        ("other-secret", with_field(6, bytes(32), WELCOME), "bad-confirmation",
         "32 zero bytes as epoch secret"),
        ("parent-of-genesis", with_field(3, row[1][0][8], WELCOME), "bad-form",
         "a parent credential beside a genesis"),
        ("not-invited", not_his, "unknown-member", "the welcome to a room without bob"),
        ("directory-bad-key", with_field(7, BAD_BOX, WELCOME), "bad-key",
         "the envelope key of ann in the directory is of small order"),
        ("roster-for-genesis", with_field(0, WELCOME[4], WELCOME), "wrong-type",
         "the roster in the place of the genesis"),
        ("genesis-type", with_field(0, ref.build("card", "Ann", bobs), WELCOME), "wrong-type",
         "a card in the place of the genesis"),
        ("commit-not-an-object", with_field(0, b"\xc0", WELCOME), "bad-form",
         "the encoding of nil in the place of the genesis"),
        ("genesis-trailing", with_field(0, WELCOME[0] + b"\0", WELCOME), "trailing-bytes",
         "a zero byte put in at the end of the genesis"),
        ("genesis-array", with_field(0, ref.decode(WELCOME[0], ref.COMMIT_LIMIT), WELCOME),
         "bad-form", "an array in the place of the encoded genesis"),
        ("genesis-suite-2", genesis_with(0, 2), "unknown-suite",
         f"the suite of the genesis is 2, {again}"),
        ("genesis-other-room", genesis_with(1, bytes(32)), "bad-entry",
         f"32 zero bytes as room of the genesis, {again}"),
        ("genesis-expired", genesis_with(2, EXPIRY + 1), "expired",
         f"the genesis is of the second after the packages expire, {again}"),
        ("genesis-creator-small-dh-key", genesis_with(5, SMALL_DH), "bad-key",
         f"the DH key of the creator is of small order, {again}"),
        ("genesis-creator-small-sign-key", genesis_with(4, SMALL_SIGN), "bad-key",
         f"the signature key of the creator is of small order, {again}"),
        ("genesis-own-package-as-entry", genesis_with(6, anns.package.signed), "bad-entry",
         f"a key package of the creator as its entry, {again}"),
        ("genesis-package-as-entry", genesis_with(6, bobs), "bad-entry",
         f"the key package of bob as entry of the creator, {again}"),
        ("genesis-member-twice", genesis_with(7, [[bobs, 0]] * 2), "already-member",
         f"the package of bob twice, {again}"),
        ("genesis-other-state", genesis_with(8, bytes(32)), "bad-state-hash",
         f"32 zero bytes as state hash, {again}"),
        ("genesis-direct-of-three", genesis_with(3, [0, False, None, 1]), "wrong-mode",
         f"the policy of the genesis has mode 0, {again}"),
    ):  # fmt: skip
        yield join(name, sealed(fields), reason, what)
    yield join("other-inviter", sealed(WELCOME, EVE), "wrong-identity",
               "the welcome sealed by another than the creator")  # fmt: skip
    yield join("other-policy-no-signature", sealed(with_field(2, None, with_field(
        5, may_add, WELCOME))), "bad-state-hash",
        "the policy of the welcome lets members add, and nil stands as signature",
        comment="two faults: the policy of the genesis, then the signature")  # fmt: skip
    yield join("genesis-state-and-signature", sealed(with_field(2, WELCOME[2], genesis_with(
        8, bytes(32)))), "bad-signature",
        "32 zero bytes as state hash of the genesis, under the old signature",
        comment="two faults: the signature, then the state hash")  # fmt: skip
    yield join("early-and-signature", sealed(with_field(2, None, WELCOME)), "early-commit",
               "nil as signature, and the clock is 301 s behind", NOW - 301,
               "two faults: the time, then the signature")  # fmt: skip
    yield join("genesis-at-expiry", sealed(genesis_with(2, EXPIRY)), "bad-confirmation",
               f"the genesis is of the last second of the packages, {again}", EXPIRY,
               "not expired yet: only the confirmation is wrong")  # fmt: skip
    yield join("300-ahead", FOUNDED.invitations[0], None, None, NOW - 300)
    yield join("301-ahead", FOUNDED.invitations[0], "early-commit",
               "the clock is 301 s behind the genesis", NOW - 301)  # fmt: skip


def dan_joins(
    name: str, fields: list[Any], reason: str | None = None, what: str | None = None,
    *, inviter: ref.IdentityKeys = ANN, now: int = NOW, comment: str = "",
) -> Json:  # fmt: skip
    data = ref.encode([1, 6, *fields])
    sealing = Stream("room-sealing-dan")
    invitation = ref.seal_invitation(inviter, DAN_KEYS.package, 0, data, sealing)
    spec = tags("INV-05 INV-06 MEM-10 EPOCH-11", name)
    return case(f"room-join-commit-{name}", spec, comment or name, "join room", {
        "owner": keys_json(DAN), "package": package_keys_json(DAN_KEYS),
        "invitation": invitation.hex(), "now": now}, reason, features="signed",
        parent="room-join-commit-good" if what else None, mutation=what)  # fmt: skip


def join_commit_cases() -> Iterator[Json]:
    """Dan joins epoch 1, by the commit that admits him."""

    def commit_with(place: int, value: Any) -> list[Any]:
        fields = ref.parse(DANS[0], "commit")
        fields[place] = value
        return resigned(with_field(0, ref.encode([1, 9, *fields]), DANS))

    its_next, its_rows = ref.parse(DANS[4], "roster")

    def roster_with(rows: list[Any], following: int = its_next) -> list[Any]:
        return with_field(4, ref.encode([1, 7, following, rows]), DANS)

    def row_with(place: int, column: int, value: Any) -> list[Any]:
        rows = [list(each) for each in its_rows]
        rows[place][column] = value
        return roster_with(rows)

    newer = ref.make_entry(ANN, ROOM, ME, little(9), ref.sign_public(COUNTING), 1)
    nobody = [[bytes(32), "", [bytes(32), SMALL_DH, bytes(16)]]]
    yield dan_joins("good", DANS)
    dan_id = ref.parse(DANS[4], "roster")[1][-1][0]
    of_dan = [[dan_id, "", [bytes(32), SMALL_DH, bytes(16)]]]
    yield dan_joins("directory-bad-key-of-oneself", with_field(7, of_dan, DANS))
    yield dan_joins("directory-bad-key-of-nobody", with_field(7, nobody, DANS))
    again = "and signed anew"
    for name, fields, reason, what in (
        ("no-signature", with_field(2, None, DANS), "bad-signature", "nil as signature"),
        ("signature-changed", with_field(2, changed_byte(DANS[2], 0), DANS), "bad-signature",
         "the first byte of the signature changed"),
        ("signed-by-new-key", with_field(2, ref.sign(ADDING.room_seed, b"commit", *DANS[:2]), DANS),
         "bad-signature", "signed with the room signature key that the commit itself brings"),
        ("direct", with_field(5, [0, False, None, 1], DANS), "wrong-mode",
         "the policy of the welcome has mode 0 and a lifetime of 1"),
        ("other-policy", with_field(5, [1, True, None, 259_200], DANS), "bad-state-hash",
         "the policy of the welcome lets members add"),
        ("other-secret", with_field(6, bytes(32), DANS), "bad-confirmation",
         "32 zero bytes as epoch secret"),
        ("no-parent-credential", with_field(3, None, DANS), "bad-entry",
         "nil as parent credential"),
        ("parent-credential-new", with_field(3, its_rows[0][8], DANS), "bad-entry",
         "the new entry of the committer as its parent credential"),
        ("parent-credential-other", with_field(3, BOB_KEYS.package.signed, DANS), "bad-entry",
         "the credential of bob as parent credential"),
        ("parent-credential-forged", with_field(3, newer, DANS), "bad-entry",
         "another entry of the committer, of version 1, as its parent credential"),
        ("directory-bad-key", with_field(7, BAD_BOX, DANS), "bad-key",
         "the envelope key of ann in the directory is of small order"),
        ("no-operation", commit_with(5, []), "unknown-member",
         f"no operation in the commit, {again}"),
        ("other-time", commit_with(4, EXPIRY + 1), "expired",
         f"the commit is of the second after the package expires, {again}"),
        ("committer-nobody", commit_with(3, bytes(32)), "unknown-member",
         f"32 zero bytes as committer, {again}"),
        ("committer-other", commit_with(3, CID_ID), "wrong-identity", f"cid as committer, {again}"),
        ("entry-other", commit_with(7, newer), "bad-entry",
         f"an entry in the commit that is not the one in the roster, {again}"),
        ("ephemeral-small", commit_with(8, SMALL_DH), "bad-key",
         f"the ephemeral key is of small order, {again}"),
        ("state-hash", commit_with(9, bytes(32)), "bad-state-hash",
         f"32 zero bytes as state hash, {again}"),
        ("roster-order", roster_with([its_rows[1], its_rows[0], *its_rows[2:]]), "bad-form",
         "the first two rows change places"),
        ("roster-member-twice", roster_with([*its_rows, its_rows[3]]), "bad-form",
         "the last row twice"),
        ("roster-next-seniority", roster_with(its_rows, 3), "bad-form",
         "a next seniority that the last row has"),
        ("roster-no-owner", row_with(0, 1, 1), "bad-form", "the only owner is admin"),
        ("roster-without-dan", roster_with(its_rows[:3]), "bad-state-hash",
         "the row of dan left out"),
        ("roster-identity-small", row_with(1, 3, SMALL_SIGN), "bad-key",
         "the identity signature key of bob is of small order"),
        ("roster-dh-key-small", row_with(1, 4, SMALL_DH), "bad-key",
         "the identity DH key of bob is of small order"),
        ("roster-identity-other", row_with(1, 4, little(9)), "bad-entry",
         "another identity DH key of bob"),
        ("roster-credential-of-another", row_with(1, 8, its_rows[2][8]), "bad-entry",
         "the credential of cid in the row of bob"),
        ("roster-credential-damaged", row_with(1, 8, changed_byte(its_rows[1][8])),
         "bad-signature", "the last byte of the credential of bob changed"),
        ("roster-id-of-committer", row_with(0, 0, bytes(32)), "bad-entry",
         "32 zero bytes as id of the committer"),
        ("roster-role-raised", row_with(1, 1, 2), "bad-state-hash", "bob is owner"),
        ("roster-trailing", with_field(4, DANS[4] + b"\0", DANS), "trailing-bytes",
         "a zero byte put in at the end of the roster"),
    ):  # fmt: skip
        yield dan_joins(name, fields, reason, what)
    yield dan_joins("other-inviter", DANS, "wrong-identity",
                    "the welcome sealed by cid, who has not committed", inviter=CID)  # fmt: skip
    yield dan_joins("roster-order-and-key", roster_with([[*its_rows[0][:3], SMALL_SIGN,
                    *its_rows[0][4:]], its_rows[0], *its_rows[1:]]), "bad-key",
                    "a first row more, of the same id, with a signature key of small order",
                    comment="two faults: the rows in their order")  # fmt: skip
    yield dan_joins("300-ahead", DANS, None, now=NOW - 300)
    yield dan_joins("301-ahead", DANS, "early-commit", "the clock is 301 s behind the commit",
                    now=NOW - 301)  # fmt: skip
