"""room.json: commits that a device refuses to make, and those that insiders forge (10.6, 10.8)."""

from collections.abc import Iterator
from typing import Any

from spec.cases.committing import BOB, CID, DAN, FAY, Invited, Wish, begin, epoch_json
from spec.cases.common import EXPIRY, NOW, Json, Stream, case, un
from spec.cases.founding import DIRECT_ROOM

from spec import reference as ref


def refused_commits() -> Iterator[Json]:
    two, three = begin("two", [BOB]), begin("three", [BOB, CID])
    may_add = begin("may-add", [BOB, CID], [1, True, None, 259_200])
    direct = begin("direct", [BOB], DIRECT_ROOM)
    nobody: list[Any] = [ref.SET_ROLE, bytes(32), 0]
    removes_nobody: list[Any] = [ref.SANCTION, bytes(32), None]
    add_dan: list[Any] = [ref.ADD, DAN.guest.package.signed, 0]
    remove_bob, policy = three.removal("bob"), [ref.SET_POLICY, [1, False, None, 1]]
    for name, reason, spec, parent, mutation, wish in (
        ("member-adds", "not-entitled", "MEM-05", "add-by-member", "members may not add",
         Wish(three, "bob", [], [DAN])),
        ("member-adds-admin", "not-entitled", "MEM-05", "add-by-member", "it adds an admin",
         Wish(may_add, "bob", [], [Invited("dan", ref.ADMIN, 3)])),
        ("admin-adds-admin", "not-entitled", "MEM-05", "add-by-admin", "it adds an admin",
         Wish(three, "cid", [], [Invited("dan", ref.ADMIN, 3)])),
        ("admin-adds-owner", "not-entitled", "MEM-05", "add-by-admin", "it adds an owner",
         Wish(three, "cid", [], [Invited("dan", ref.OWNER, 3)])),
        ("member-removes", "not-entitled", "MEM-05", "remove-by-admin", "by a member",
         Wish(three, "bob", [three.removal("cid")])),
        ("admin-removes-owner", "not-entitled", "MEM-05", "remove-by-admin", "of the owner",
         Wish(three, "cid", [three.removal("ann")])),
        ("removes-itself", "not-entitled", "MEM-05", "remove", "of itself",
         Wish(three, "ann", [three.removal("ann")])),
        ("admin-sets-policy", "not-entitled", "MEM-05", "policy", "by an admin",
         Wish(three, "cid", [policy])),
        ("hands-over-and-removes-itself", "not-entitled", "MEM-05", "hand-over",
         "then it removes itself, instead of setting its own role",
         Wish(three, "ann", [three.role("cid", 2), three.removal("ann")])),
        ("role-of-nobody", "unknown-member", "MEM-05", "role", "of nobody",
         Wish(three, "ann", [nobody])),
        ("remove-nobody", "unknown-member", "MEM-14", "remove", "of nobody",
         Wish(three, "ann", [removes_nobody])),
        ("member-removes-nobody", "unknown-member", "MEM-14", "remove", "of nobody, by a member",
         Wish(three, "bob", [removes_nobody])),
        ("admin-demotes", "not-entitled", "MEM-14", "demote", "by an admin",
         Wish(three, "cid", [three.demotion("bob", 0)])),
        ("demote-to-the-same", "bad-proof", "MEM-14", "demote", "to the role that it has",
         Wish(three, "ann", [three.demotion("cid", 1)])),
        ("demote-member", "bad-proof", "MEM-14", "demote", "of a member",
         Wish(three, "ann", [three.demotion("bob", 0)])),
        ("demote-itself", "not-entitled", "MEM-14", "demote", "of itself",
         Wish(three, "ann", [three.demotion("ann", 0)])),
        ("set-role-lower", "not-entitled", "MEM-05", "role", "to a lower role than it has",
         Wish(three, "ann", [three.role("cid", 0)])),
        ("remove-twice", "unknown-member", "MEM-07", "remove", "the removal stands twice",
         Wish(three, "ann", [remove_bob, remove_bob])),
        ("role-of-removed", "unknown-member", "MEM-07", "remove", "then its role is set",
         Wish(three, "ann", [remove_bob, three.role("bob", 1)])),
        ("add-member", "already-member", "MEM-11", "add", "of a member",
         Wish(two, "ann", [], [BOB])),
        ("add-twice", "already-member", "MEM-11", "add", "the package stands twice",
         Wish(two, "ann", [], [CID, CID])),
        ("add-leaver", "already-member", "MEM-11", "remove-readmit",
         "not removed, only admitted anew", Wish(three, "ann", [], [Invited("bob", 0, 1)])),
        ("add-expired", "expired", "ID-05", "add-at-expiry", "one second later",
         Wish(two, "ann", [], [CID], now=EXPIRY + 1)),
        ("prekey-4", "used-package", "ID-08", "add", "a prekey that the package does not have",
         Wish(two, "ann", [], [Invited("cid", ref.ADMIN, 4)])),
        ("prekey-of-last-resort", "used-package", "ID-08", "add-last-resort",
         "a prekey of a last-resort package", Wish(two, "ann", [], [FAY])),
        ("direct", "wrong-mode", "DIR-09", "refresh-2", "in a direct room", Wish(direct)),
        ("mode-direct", "wrong-mode", "MEM-12", "policy", "a policy of another mode",
         Wish(three, "ann", [[ref.SET_POLICY, [0, False, None, 1]]])),
        ("mode-deniable", "wrong-mode", "MEM-12", "policy", "a policy of the deniable mode",
         Wish(three, "ann", [[ref.SET_POLICY, [2, False, None, 1]]])),
        ("lifetime-0", "bad-policy", "MEM-12 EVAP-01", "policy", "a lifetime of 0",
         Wish(three, "ann", [[ref.SET_POLICY, [1, False, None, 0]]])),
        ("lifetime-past", "bad-policy", "MEM-12 EVAP-01", "policy", "a lifetime of 259,201",
         Wish(three, "ann", [[ref.SET_POLICY, [1, False, None, 259_201]]])),
        ("time-past", "bad-input", "EPOCH-14", "time-last", "one second later",
         Wish(two, now=2**40)),
        ("time-negative", "bad-input", "EPOCH-14", "time-0", "one second earlier",
         Wish(two, now=-1)),
        ("add-among-operations", "bad-input", "EPOCH-14", "add", "the add is an operation",
         Wish(two, "ann", [add_dan])),
        ("operations-1001", "too-large", "EPOCH-14 LIMIT-11", "policy-twice",
         "1,001 operations", Wish(two, "ann", [policy] * 1_001)),
    ):  # fmt: skip
        inputs = wish.inputs(name)
        if name == "prekey-of-last-resort":
            inputs["guests"][0]["prekey"] = 0
        yield case(f"room-make-{name}", f"EPOCH-14 {spec}", mutation, "make commit", inputs,
                   reason, parent=f"room-make-{parent}", mutation=mutation,
                   features="signed direct" if name == "direct" else "signed")  # fmt: skip


def insider_cases() -> Iterator[Json]:
    """Members hold all keys of an epoch but each other's private ones. Bob gets what they forge."""
    three = begin("three", [BOB, CID])
    wish = Wish(three)
    epoch, people = three.epoch, three.people
    ann, bob, cid = people["ann"], people["bob"], people["cid"]
    draws = un(wish.inputs("refresh-3")["random"])
    new_seed, ephemeral, r = draws[32:64], draws[64:96], draws[96:128]
    made = ref.make_commit(epoch, ann.owner, ann.id, ann.room_seed, [], [], [], [], {},
                           NOW, Stream("room-insider"), [])  # fmt: skip
    entry = ref.make_entry(ann.owner, epoch.room, ann.id, ref.dh_public(draws[:32]),
                           ref.sign_public(new_seed), 1)  # fmt: skip
    roster = epoch.roster.replace(epoch.roster.find(ann.id)._replace(signed=entry))

    def forged(
        signer: bytes, slot_for: bytes, leaf_key: bytes, sealed_r: bytes = r
    ) -> bytes:  # fmt: skip
        """Ann's commit of nothing but keys, as whoever knows the epoch could make it."""
        commit = ref.build(
            "commit", epoch.room, 0, epoch.transcript, ann.id, NOW, [], [], entry,
            ref.dh_public(ephemeral), ref.state_hash(roster.encode(), epoch.policy),
        )  # fmt: skip
        secret = ref.epoch_secret(epoch.keys.inits[ann.id], r, commit)
        keys = ref.key_schedule(secret, commit, ref.ids_of(roster))
        signature = ref.sign(signer, b"commit", commit, keys.confirmation)
        whole = ref.build("signed commit", commit, keys.confirmation, signature)
        sealed = ref.seal_commit(epoch.keys.handshakes[ann.id], epoch.room, epoch.prefix, ann.id,
                                 whole, Stream("room-insider-seal"))  # fmt: skip
        return ref.build("commit copy", sealed,
                         ref.seal_slot(sealed_r, ephemeral, commit, slot_for, leaf_key))

    bob_key, cid_key = ref.dh_public(bob.leaf), ref.dh_public(cid.leaf)
    other_slot = ref.parse(made.copies[cid.id], "commit copy")[1]
    mine = ref.parse(made.copies[bob.id], "commit copy")[0]
    for name, reason, spec, mutation, copy in (
        ("honest", None, "EPOCH-03 EPOCH-13", "", forged(ann.room_seed, bob.id, bob_key)),
        ("signed-by-another", "bad-signature", "EPOCH-13",
         "signed by another member, who knows the handshake key of the committer",
         forged(cid.room_seed, bob.id, bob_key)),
        ("signed-by-receiver", "bad-signature", "EPOCH-13", "signed by the receiver's own key",
         forged(bob.room_seed, bob.id, bob_key)),
        ("signed-by-new-key", "bad-signature", "EPOCH-13",
         "signed by the room signature key of the new entry, not by that at the parent",
         forged(new_seed, bob.id, bob_key)),
        ("other-r", "bad-confirmation", "EPOCH-03 EPOCH-15 EPOCH-19",
         "the committer gives this member another secret than the confirmation is of",
         forged(ann.room_seed, bob.id, bob_key, bytes(32))),
        ("slot-for-another-id", "bad-ciphertext", "EPOCH-03",
         "the slot is sealed to this member's leaf key, but for another member",
         forged(ann.room_seed, cid.id, bob_key)),
        ("slot-for-another-key", "bad-ciphertext", "EPOCH-03",
         "the slot is sealed to another member's leaf key",
         forged(ann.room_seed, bob.id, cid_key)),
        ("slot-of-another", "bad-ciphertext", "EPOCH-03", "the slot of another member's copy",
         ref.build("commit copy", mine, other_slot)),
    ):  # fmt: skip
        comment = mutation or "what an honest committer makes in this way"
        yield case(f"room-apply-insider-{name}", f"EPOCH-15 {spec}", comment, "apply commit", {
            **epoch_json(epoch), "me": bob.id.hex(), "leaf": bob.leaf.hex(), "copy": copy.hex(),
            "now": NOW}, reason,
            parent="room-apply-insider-honest" if reason else None,
            mutation=mutation or None, features="signed")  # fmt: skip
