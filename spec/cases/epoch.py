"""epoch.json: formulas of epochs (chapters 9 and 10)."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import (
    SMALL_DH,
    Json,
    Stream,
    an_identity,
    case,
    changed_byte,
    identity_json,
    little,
    operation,
    un,
)

from spec import reference as ref


@operation("epoch secret")
def _epoch_secret(i: Json) -> Json:
    commit = un(i["commit"])
    return {"commit_hash": ref.commit_hash(commit).hex(),
            "secret": ref.epoch_secret(un(i["init"]), un(i["r"]), commit).hex()}  # fmt: skip


@operation("key schedule")
def _key_schedule(i: Json) -> Json:
    members = [un(member) for member in i["members"]]
    keys = ref.key_schedule(un(i["secret"]), un(i["commit"]), members)
    return {
        "confirmation": keys.confirmation.hex(),
        "chains": [keys.chains[member].hex() for member in members],
        "handshakes": [keys.handshakes[member].hex() for member in members],
        "inits": [keys.inits[member].hex() for member in members],
        "exporter": keys.exporter.hex(),
    }


@operation("transcript hash")
def _transcript_hash(i: Json) -> Json:
    result = ref.transcript_hash(un(i["parent"]), un(i["commit"]), un(i["confirmation"]))
    return {"transcript": result.hex(), "prefix": result[:8].hex()}


@operation("state hash")
def _state_hash(i: Json) -> Json:
    return {"state": ref.state_hash(un(i["roster"]), i["policy"]).hex()}


@operation("context")
def _context(i: Json) -> Json:
    context = ref.context_hash(
        i["suite"], un(i["room"]), i["policy"], un(i["roster"]), un(i["transcript"])
    )
    return {"context": context.hex()}


@operation("seal slot")
def _seal_slot(i: Json) -> Json:
    ephemeral, leaf_key = un(i["ephemeral"]), un(i["leaf_key"])
    slot = ref.seal_slot(un(i["r"]), ephemeral, un(i["commit"]), un(i["member"]), leaf_key)
    return {"ephemeral_key": ref.dh_public(ephemeral).hex(), "slot": slot.hex()}


@operation("open slot")
def _open_slot(i: Json) -> Json:
    r = ref.open_slot(
        un(i["slot"]), un(i["leaf"]), un(i["commit"]), un(i["ephemeral_key"]), un(i["member"])
    )
    return {"r": r.hex()}


@operation("seal commit")
def _seal_commit(i: Json) -> Json:
    sealed = ref.seal_commit(un(i["handshake"]), un(i["room"]), un(i["prefix"]), un(i["committer"]),
                             un(i["signed_commit"]), lambda _: un(i["fresh"]))  # fmt: skip
    return {"sealed_commit": sealed.hex()}


@operation("open commit")
def _open_commit(i: Json) -> Json:
    sealed = ref.parse(un(i["sealed_commit"]), "sealed commit")
    return {"signed_commit": ref.unseal_commit(un(i["handshake"]), sealed).hex()}


@operation("export")
def _export(i: Json) -> Json:
    return {"secret": ref.export(un(i["exporter"]), un(i["label"]), i["size"]).hex()}


@operation("member id")
def _member_id(i: Json) -> Json:
    parts = un(i["room"]), un(i["transcript"]), un(i["package_hash"])
    return {"id": ref.member_id(*parts, i["index"]).hex()}


@operation("creator id")
def _creator_id(i: Json) -> Json:
    return {"id": ref.creator_id(un(i["room"]), an_identity(i["identity"])).hex()}


def epoch_cases() -> Iterator[Json]:
    random = Stream("epoch")
    room, commit, r, secret = (random(size) for size in (32, 300, 32, 32))
    member, leaf, ephemeral, parent = random(32), random(32), random(32), random(32)
    roster, confirmation, handshake = random(200), random(32), random(32)
    yield case("epoch-secret-genesis", "EPOCH-01 EPOCH-05", "a genesis: zeros for the init",
               "epoch secret", {"init": bytes(32).hex(), "r": r.hex(),
                                "commit": commit.hex()})  # fmt: skip
    for n in range(3):
        rand = Stream(f"epoch-secret-{n}")
        yield case(f"epoch-secret-{n}", "EPOCH-01 EPOCH-05", "a commit", "epoch secret", {
            "init": rand(32).hex(), "r": rand(32).hex(), "commit": rand(64).hex()})  # fmt: skip
    for count in (1, 2, 5):
        members = [Stream(f"epoch-member-{n}")(32).hex() for n in range(count)]
        yield case(f"epoch-schedule-{count}", "EPOCH-07", "all keys of an epoch", "key schedule", {
            "secret": secret.hex(), "commit": commit.hex(), "members": members})  # fmt: skip
    for name, base in (("genesis", bytes(32)), ("commit", parent)):
        yield case(f"epoch-transcript-{name}", "EPOCH-08", "transcript hash and prefix",
                   "transcript hash", {"parent": base.hex(), "commit": commit.hex(),
                                       "confirmation": confirmation.hex()})  # fmt: skip
    for name, policy in (("direct", [0, False, None, 259_200]),
    ("signed", [1, False, None, 259_200]),
                         ("open", [1, True, 0, 1]), ("timer", [1, False, 60, 3_600])):  # fmt: skip
        yield case(f"epoch-state-{name}", "EPOCH-06", "state hash", "state hash",
                   {"roster": roster.hex(), "policy": policy})  # fmt: skip
        yield case(f"epoch-context-{name}", "EPOCH-09", "context", "context", {
            "suite": 1, "room": room.hex(), "policy": policy, "roster": roster.hex(),
            "transcript": parent.hex()})  # fmt: skip
    for index in (0, 1, 127, 128, 999):
        yield case(f"epoch-member-id-{index}", "MEM-03", "id of who is admitted", "member id", {
            "room": room.hex(), "transcript": (bytes(32) if index == 0 else parent).hex(),
            "package_hash": member.hex(), "index": index})  # fmt: skip
    creator = ref.IdentityKeys(b"\x01" * 32, b"\x02" * 32).public
    yield case("epoch-creator-id", "MEM-03", "the example of 5.8", "creator id", {
        "room": "aa" * 32, "identity": identity_json(creator)})  # fmt: skip
    leaf_key, ephemeral_key = ref.dh_public(leaf), ref.dh_public(ephemeral)
    slot = ref.seal_slot(r, ephemeral, commit, member, leaf_key)
    yield case("epoch-slot-seal", "EPOCH-03 PRIM-18", "r sealed to a leaf key", "seal slot", {
        "r": r.hex(), "ephemeral": ephemeral.hex(), "commit": commit.hex(), "member": member.hex(),
        "leaf_key": leaf_key.hex()})  # fmt: skip
    for name, bad, what in (("bad-leaf", SMALL_DH, "the leaf key is of small order"),
                            ("leaf-not-canonical", little(ref.P + 9),
                             "u of the leaf key is p + 9")):  # fmt: skip
        yield case(f"epoch-slot-seal-{name}", "EPOCH-03 PRIM-03 PRIM-04", "a leaf key to refuse",
                   "seal slot", {"r": r.hex(), "ephemeral": ephemeral.hex(),
                                 "commit": commit.hex(), "member": member.hex(),
                                 "leaf_key": bad.hex()}, "bad-key",
                   parent="epoch-slot-seal", mutation=what)  # fmt: skip
    opening = {"slot": slot.hex(), "leaf": leaf.hex(), "commit": commit.hex(),
               "ephemeral_key": ephemeral_key.hex(), "member": member.hex()}  # fmt: skip
    for_other = ref.seal_slot(r, ephemeral, commit, parent, leaf_key)
    for_before = ref.seal_slot(r, ephemeral, changed_byte(commit), member, leaf_key)
    small = {"ephemeral_key": SMALL_DH.hex(), "slot": changed_byte(slot).hex()}
    slots: list[tuple[str, Json, str | None, str | None]] = [
        ("good", {}, None, None),
        ("changed", {"slot": changed_byte(slot).hex()}, "bad-ciphertext",
         "the last byte of the slot changed"),
        ("other-leaf", {"leaf": ephemeral.hex()}, "bad-ciphertext",
         "opened with another leaf key"),
        ("other-commit", {"commit": changed_byte(commit).hex()}, "bad-ciphertext",
         "opened for another commit"),
        ("other-member", {"member": parent.hex()}, "bad-ciphertext",
         "opened as another member with the same leaf key"),
        ("of-other-member", {"slot": for_other.hex()}, "bad-ciphertext",
         "a slot that was sealed to another member with the same leaf key"),
        ("of-other-commit", {"slot": for_before.hex()}, "bad-ciphertext",
         "a slot that was sealed in another commit with the same keys"),
        ("other-ephemeral", {"ephemeral_key": leaf_key.hex()}, "bad-ciphertext",
         "another ephemeral key"),
        ("small-ephemeral", {"ephemeral_key": SMALL_DH.hex()}, "bad-key",
         "the ephemeral key is of small order"),
        ("ephemeral-not-canonical", {"ephemeral_key": little(ref.P + 2).hex()}, "bad-key",
         "u of the ephemeral key is p + 2"),
        ("key-before-slot", small, "bad-key",
         "the ephemeral key is of small order, and the last byte of the slot changed"),
    ]
    for name, change, reason, mutation in slots:
        comment = "two faults: the key, then the slot" if "before" in name else name
        yield case(f"epoch-slot-open-{name}", "EPOCH-04 PRIM-18", comment, "open slot",
                   {**opening, **change}, reason,
                   parent="epoch-slot-open-good" if mutation else None,
                   mutation=mutation)  # fmt: skip
    signed_commit, fresh = random(400), random(16)
    sealing = {"handshake": handshake.hex(), "room": room.hex(), "prefix": parent[:8].hex(),
               "committer": member.hex(), "signed_commit": signed_commit.hex(),
               "fresh": fresh.hex()}  # fmt: skip
    made = case("epoch-commit-seal", "EPOCH-10", "a sealed commit (its content is random bytes)",
                "seal commit", sealing)  # fmt: skip
    yield made
    sealed = un(made["out"]["sealed_commit"])
    inner = ref.parse(sealed, "sealed commit")
    commits: list[tuple[str, list[Any], bytes, str | None, str | None]] = [
        ("good", inner, handshake, None, None),
        ("other-handshake", inner, parent, "bad-ciphertext", "opened with another handshake key"),
        ("other-room", [parent, *inner[1:]], handshake, "bad-ciphertext", "another room"),
        ("other-prefix", [inner[0], bytes(8), *inner[2:]], handshake, "bad-ciphertext",
         "the prefix of another epoch"),
        ("other-committer", [*inner[:2], room, *inner[3:]], handshake, "bad-ciphertext",
         "another committer"),
        ("other-salt", [*inner[:3], bytes(16), inner[4]], handshake, "bad-ciphertext",
         "the salt is 16 zero bytes"),
        ("changed", [*inner[:4], changed_byte(inner[4])], handshake, "bad-ciphertext",
         "the last byte of the ciphertext changed"),
        ("tag-only", [*inner[:4], bytes(16)], handshake, "bad-ciphertext",
         "16 zero bytes as ciphertext"),
        ("short", [*inner[:4], bytes(15)], handshake, "bad-form", "15 zero bytes as ciphertext"),
        ("salt-15", [*inner[:3], bytes(15), inner[4]], handshake, "bad-form",
         "a salt of 15 zero bytes"),
    ]
    for name, fields, key, reason, mutation in commits:
        yield case(f"epoch-commit-open-{name}", "EPOCH-10", name, "open commit", {
            "sealed_commit": ref.encode([1, 11, *fields]).hex(), "handshake": key.hex()}, reason,
            parent="epoch-commit-open-good" if mutation else None,
            mutation=mutation)  # fmt: skip
    for name, label, size in (("32", b"app", 32), ("64", b"app", 64), ("1", b"", 1)):
        yield case(f"epoch-export-{name}", "EPOCH-17", "a secret for the application", "export", {
            "exporter": secret.hex(), "label": label.hex(), "size": size})  # fmt: skip
