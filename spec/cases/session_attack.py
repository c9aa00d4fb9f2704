"""Sessions under attack in groups: by a relay, by outsiders, and by other members.

What an insider can make anew is made anew, so that only one check can fail. After each refusal an
honest message opens.
"""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import SMALL_DH, Json, changed_byte, little, un
from spec.cases.session_play import Play, altered, person, with_header

from spec import reference as ref

OTHER_ID, OTHER_PREFIX = bytes([1]) * 32, bytes(8)


def cases() -> Iterator[Json]:
    yield from by_relay()
    yield from by_insider()
    yield from two_faults()
    yield from commits()
    yield from equivocation()
    yield from commits_by_insider()


def ciphertext_with(data: bytes, body: bytes) -> bytes:
    return altered(data, "message", {1: body})


def by_relay() -> Iterator[Json]:
    """Who has no keys changes what it carries."""
    play, elsewhere = Play("relay"), Play("elsewhere")
    for each in (play, elsewhere):
        each.begin("ann", "bob", "cid")
    own = play.say("bob", "my own words")
    prefix_0 = play.room("ann").current
    play.hear("bob", play.say("ann", "in epoch 0"))
    play.apply(play.commit("cid"), "ann", "bob")
    target = play.say("ann", "the target")
    _, body, authenticator = ref.parse(target, "message")
    bobs = play.say("bob", "in epoch 1")
    play.refuse("bob", own, "own-message")
    play.refuse("bob", bobs, "own-message")
    play.refuse("bob", elsewhere.say("ann", "of another room"), "unknown-room")
    for changes, reason in (
        ({0: OTHER_ID}, "unknown-room"),
        ({1: OTHER_PREFIX}, "unknown-epoch"),
        ({1: prefix_0}, "replay"),
        ({1: prefix_0, 3: 1}, "bad-signature"),
        ({2: OTHER_ID}, "unknown-member"),
        ({2: play.id("cid")}, "bad-signature"),
        ({2: play.id("bob")}, "own-message"),
        ({3: 1}, "bad-signature"),
        ({3: 1_001}, "jump-too-far"),
        ({4: bytes(16)}, "bad-signature"),
        ({5: None}, "bad-signature"),
        ({5: [prefix_0, 2]}, "bad-signature"),
        ({6: 1}, "bad-signature"),
        ({7: [little(9), little(9), bytes(48), None]}, "fork"),
        ({1: OTHER_PREFIX, 7: [little(9), little(9), bytes(48), None]}, "unknown-epoch"),
    ):
        play.refuse("bob", with_header(target, changes), reason)
    raw = ref.decode(target, 86_016)
    for data, reason in (
        (ciphertext_with(target, changed_byte(body, 0)), "bad-signature"),
        (ciphertext_with(target, changed_byte(body)), "bad-signature"),
        (ciphertext_with(target, body[:-1]), "bad-signature"),
        (ciphertext_with(target, body + b"\x00"), "bad-signature"),
        (ciphertext_with(target, body[:17]), "bad-signature"),
        (altered(target, "message", {2: changed_byte(authenticator)}), "bad-signature"),
        (altered(target, "message", {2: authenticator[:32]}), "bad-form"),
        (altered(target, "message", {2: bytes(64)}), "bad-signature"),
        (ref.encode([*raw[:4], authenticator[:31]]), "bad-form"),
        (ref.encode([*raw[:4], authenticator + b"\x00"]), "too-large"),
        (ref.encode([2, *raw[1:]]), "wrong-version"),
        (ref.encode([1, 17, *raw[2:]]), "wrong-type"),
        (ref.encode(raw[:4]), "bad-form"),
        (target[:-1], "truncated"),
        (target + b"\x00", "trailing-bytes"),
        (target[:3], "truncated"),
    ):
        play.refuse("bob", data, reason)
    play.hear("bob", target)
    play.refuse("bob", with_header(target, {3: 1}), "bad-signature")
    play.refuse("bob", target, "replay")
    play.hear("bob", play.say("ann", "and on"))
    spec = "MSG-01 MSG-05 MSG-07 CHAIN-03 CHAIN-05 WIRE-19"
    yield play.case("bob", spec, "A relay changes a message in every place")
    yield play.case("bob", spec, "A relay changes a message in every place", restarts=True)


def by_insider() -> Iterator[Json]:
    """Cid, a member, has every key of ann's chain, but not her room signature key."""
    play = Play("insider")
    play.begin("ann", "bob", "cid")
    play.hear("bob", play.say("ann", "message 0"))
    as_ann = play.forge("ann", signer="cid")
    play.refuse("bob", as_ann, "bad-signature")
    by_cid = play.forge("cid", {2: play.id("ann"), 3: 1})
    play.refuse("bob", by_cid, "bad-signature")
    no_com = play.forge("ann", {3: 2})  # by the key of index 1
    play.refuse("bob", no_com, "bad-signature")
    room = play.room("ann")
    other_context = room._replace(epochs={**room.epochs, room.current: room.now_in._replace(
        epoch=room.now_in.epoch._replace(policy=[1, True, None, 259_200]))})
    play.refuse("bob", play.forge("ann", room=other_context), "bad-signature")
    play.refuse("bob", padded_wrong(play, "ann", b"\x00" * 200), "bad-padding")
    play.refuse("bob", padded_wrong(play, "ann", b"\x01" * 200), "bad-padding")
    play.refuse("bob", padded_wrong(play, "ann", None), "bad-ciphertext")
    play.refuse("bob", play.forge("ann", {7: [little(9), little(9), bytes(48), None]}), "fork")
    play.refuse("bob", play.forge("ann", {5: [play.room("bob").current, 1]}), "bad-count")
    play.hear("bob", play.say("cid", "honest for once"))
    play.hear("bob", play.say("ann", "message 1"))
    flagged = play.forge("ann", {6: 1})
    play.hear("bob", flagged)
    play.refuse("bob", play.say("ann", "the index has been used"), "replay")
    play.hear("bob", play.say("ann", "message 3"))
    spec = "MSG-01 MSG-03 MSG-05 MSG-07 MSG-08"
    yield play.case("bob", spec, "Members forge what they can")


def padded_wrong(play: Play, who: str, padded: bytes | None) -> bytes:
    """A message that is good but for its padding, or, without any, for its ciphertext."""
    room = play.room(who)
    data = play.forge(who)
    head, body, _ = ref.parse(data, "message")
    assert room.sending is not None
    _, message_key = ref.step(room.sending.key)
    header_hash = ref.H(b"header", head, room.now_in.epoch.context)
    key, com = ref.message_keys(message_key, header_hash)
    body = changed_byte(body) if padded is None else ref.encrypt(key, padded)
    signature = ref.sign(room.now_in.room_seed, b"message", head, com, ref.H(b"ciphertext", body))
    return ref.build("message", head, body, signature)


def two_faults() -> Iterator[Json]:
    """Each input has two faults: the check that comes first gives the reason."""
    play = Play("two-faults")
    play.begin("ann", "bob", "cid")
    play.hear("bob", play.say("ann", "message 0"))
    made = play.commit("ann")
    bob = play.id("bob")
    early = play.say("ann", "in epoch 1")
    for changes, reason in (
        ({0: OTHER_ID, 2: bob}, "unknown-room"),
        ({0: OTHER_ID, 1: OTHER_PREFIX}, "unknown-room"),
        ({1: OTHER_PREFIX, 2: bob}, "own-message"),
        ({1: OTHER_PREFIX, 2: OTHER_ID}, "unknown-epoch"),
    ):
        play.refuse("bob", with_header(early, changes), reason)
    seen = play.room("bob").current
    in_epoch_0: tuple[tuple[dict[int, Any], str], ...] = (
        ({2: OTHER_ID, 7: [little(9), little(9), bytes(48), None]}, "fork"),
        ({2: OTHER_ID, 3: 5_000}, "unknown-member"),
        ({3: 5_000, 4: bytes(16)}, "jump-too-far"),
        ({3: 0, 5: [seen, 0]}, "replay"),
    )
    for fields, reason in in_epoch_0:
        play.refuse("bob", with_header(early, {1: seen, **fields}), reason)
    sealed, slot = ref.parse(made.copies["bob"], "commit copy")
    for fields, reason in (
        ({0: OTHER_ID, 2: bob}, "unknown-room"),
        ({1: OTHER_PREFIX, 2: bob}, "own-message"),
        ({1: OTHER_PREFIX, 2: OTHER_ID}, "unknown-epoch"),
        ({2: OTHER_ID, 3: bytes(16)}, "unknown-member"),
    ):
        data = ref.build("commit copy", altered(sealed, "sealed commit", fields), slot)
        play.refuse("bob", data, reason)
    forged = play.forged_commit("ann", made, "bob", {1: 7, 9: bytes(32)}, signed=False)
    play.refuse("bob", forged, "bad-signature")
    forged = play.forged_commit("ann", made, "bob", {1: 7, 4: play.now + 301})
    play.refuse("bob", forged, "wrong-transcript")
    forged = play.forged_commit("ann", made, "bob", {4: play.now + 301, 9: bytes(32)})
    play.refuse("bob", forged, "bad-state-hash")
    forged = play.forged_commit("ann", made, "bob", {4: play.now + 301},
                                confirmation=bytes(32))  # fmt: skip
    play.refuse("bob", forged, "early-commit")
    removes = [[ref.SANCTION, play.sanction("ann", "cid", epoch=0)]]
    nobody = [[ref.SANCTION, play.sanction("ann", "cid", member=OTHER_ID)]]
    entry = ref.make_entry(person("ann").keys, old_room(play), play.id("ann"), little(9),
                           ref.sign_public(bytes(32)), 9)  # fmt: skip
    forged = play.forged_commit("ann", made, "bob", {5: nobody, 7: entry})
    play.refuse("bob", forged, "unknown-member")
    forged = play.forged_commit("ann", made, "bob", {5: removes, 7: entry})
    play.refuse("bob", forged, "bad-entry")
    play.apply(made, "bob")
    play.hear("bob", early)
    yield play.case("bob", "MSG-07 EPOCH-15 WIRE-19",
                    "Inputs with two faults: they fix which check comes first")  # fmt: skip


def old_room(play: Play) -> bytes:
    return play.room("bob").now_in.epoch.room


def commits() -> Iterator[Json]:
    """Who has no keys changes a commit that it carries."""
    play, elsewhere = Play("commit-relay"), Play("commit-elsewhere")
    for each in (play, elsewhere):
        each.begin("ann", "bob", "cid")
    made = play.commit("ann")
    copy = made.copies["bob"]
    sealed, slot = ref.parse(copy, "commit copy")
    ciphertext = ref.parse(sealed, "sealed commit")[4]
    play.refuse("bob", elsewhere.commit("ann").copies["bob"], "unknown-room")
    for fields, reason in (
        ({0: OTHER_ID}, "unknown-room"),
        ({1: OTHER_PREFIX}, "unknown-epoch"),
        ({2: OTHER_ID}, "unknown-member"),
        ({2: play.id("cid")}, "bad-ciphertext"),
        ({2: play.id("bob")}, "own-message"),
        ({3: bytes(16)}, "bad-ciphertext"),
        ({4: changed_byte(ciphertext, 0)}, "bad-ciphertext"),
        ({4: ciphertext[:-1]}, "bad-ciphertext"),
        ({4: ciphertext[:16]}, "bad-ciphertext"),
    ):
        data = ref.build("commit copy", altered(sealed, "sealed commit", fields), slot)
        play.refuse("bob", data, reason)
    for data, reason in (
        (made.copies["cid"], "bad-ciphertext"),
        (altered(copy, "commit copy", {1: None}), "no-slot"),
        (altered(copy, "commit copy", {1: changed_byte(slot)}), "bad-ciphertext"),
        (altered(copy, "commit copy", {1: bytes(48)}), "bad-ciphertext"),
        (copy[:-1], "truncated"),
        (copy + b"\x00", "trailing-bytes"),
    ):
        play.refuse("bob", data, reason)
    play.apply(made, "bob")
    play.refuse("bob", copy, "replay")
    play.refuse("bob", altered(copy, "commit copy", {1: None}), "replay")
    play.refuse("bob", made.copies["cid"], "replay")
    play.hear("bob", play.say("ann", "after it"))
    spec = "EPOCH-04 EPOCH-10 EPOCH-15 WIRE-19"
    yield play.case("bob", spec, "A relay changes a commit copy in every place")
    yield play.case("bob", spec, "A relay changes a commit copy in every place", restarts=True)


def equivocation() -> Iterator[Json]:
    """Ann gives bob another secret than the one she has confirmed, and then the right one."""
    play = Play("equivocation")
    play.begin("ann", "bob", "cid")
    made = play.commit("ann")
    forged = play.forged_commit("ann", made, "bob", confirmation=bytes(32))
    play.refuse("bob", forged, "bad-confirmation")
    commit, _, _ = ref.parse(ref.unseal_commit(
        play.room("bob").now_in.epoch.keys.handshakes[play.id("ann")],
        ref.parse(made.sealed, "sealed commit")), "signed commit")  # fmt: skip
    ephemeral = un(play.steps["ann"][-1]["random"])[64:96]
    other_r = ref.seal_slot(bytes(32), ephemeral, commit, play.id("bob"),
                            ref.kept_credential(play.row("bob", "bob").signed).leaf_key)
    data = ref.build("commit copy", made.sealed, other_r)
    play.refuse("bob", data, "bad-confirmation")
    play.apply(made, "bob")
    play.convict("ann", forged, "bob")
    play.hear("bob", play.say("ann", "the honest commit still applies"))
    play.may_not_say("bob", "equivocation")
    play.hear("bob", play.say("ann", "and on"))
    yield play.case("bob", "EPOCH-05 EPOCH-07 EPOCH-13 EPOCH-15 EPOCH-29",
                    "A committer that tells another secret is found out")  # fmt: skip


def commits_by_insider() -> Iterator[Json]:
    """A committer signs what it may not; cid signs in the name of ann."""
    play = Play("commit-insider")
    play.begin("ann", "bob", "cid")
    made = play.commit("ann")
    room, me = old_room(play), play.id("ann")
    owner = person("ann").keys
    version_2 = ref.make_entry(owner, room, me, little(9), ref.sign_public(bytes(32)), 2)
    unsigned = altered(version_2, "signed object", {1: bytes(64)})
    bobs = play.row("bob", "bob")
    stale = ref.make_leave_request(person("bob").keys, room, bobs._replace(admission=OTHER_ID))
    package = person("dan").package.package.signed
    for changes, reason in (
        ({0: OTHER_ID}, "wrong-transcript"),
        ({1: 1}, "wrong-transcript"),
        ({2: OTHER_ID}, "wrong-transcript"),
        ({3: play.id("cid")}, "wrong-transcript"),
        ({4: play.now + 301}, "early-commit"),
        ({5: [[ref.SANCTION, play.sanction("ann", "bob", member=OTHER_ID)]]}, "unknown-member"),
        ({5: [[ref.SANCTION, play.sanction("ann", "bob", admission=OTHER_ID)]]}, "bad-proof"),
        ({5: [[ref.SANCTION, play.sanction("ann", "ann")]]}, "not-entitled"),
        ({5: [[ref.SANCTION, play.sanction("cid", "bob")]]}, "not-entitled"),
        ({5: [[ref.SANCTION, play.sanction("ann", "bob", epoch=1)]]}, "bad-proof"),
        ({5: [[ref.SANCTION, play.sanction("ann", "bob", epoch=0, spared=None)]]}, "bad-proof"),
        ({5: [[ref.SANCTION, play.sanction("ann", "bob", epoch=0)]]}, "bad-state-hash"),
        ({5: [[ref.ADD, changed_byte(package), 0]]}, "bad-signature"),
        ({5: [[ref.ADD, person("bob").package.package.signed, 0]]}, "already-member"),
        ({5: [[ref.SET_POLICY, [0, False, None, 1]]]}, "wrong-mode"),
        ({6: [[0, stale]]}, "bad-proof"),
        ({6: [[1, stale]]}, "wrong-type"),
        ({6: [[1, play.sanction("ann", "ann")]]}, "not-entitled"),
        ({7: version_2}, "bad-entry"),
        ({7: unsigned}, "bad-signature"),
        ({8: SMALL_DH}, "bad-key"),
        ({9: OTHER_ID}, "bad-state-hash"),
    ):
        play.refuse("bob", play.forged_commit("ann", made, "bob", changes), reason)
    play.refuse("bob", play.forged_commit("ann", made, "bob", signer="cid"), "bad-signature")
    play.refuse("bob", play.forged_commit("ann", made, "bob", signed=False,
                                          confirmation=OTHER_ID), "bad-signature")  # fmt: skip
    play.apply(made, "bob")
    sibling = play.forged_commit("ann", made, "bob", {9: OTHER_ID})
    play.convict("ann", sibling, "bob")  # nothing else of it is looked at
    play.hear("bob", play.say("ann", "after it"))
    spec = "EPOCH-11 EPOCH-13 EPOCH-15 EPOCH-29 MEM-01 MEM-02 MEM-05 MEM-07 LIMIT-13"
    yield play.case("bob", spec, "Commits that their author may not make, signed and sealed by it")
