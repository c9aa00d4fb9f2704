"""room.json: the turns of a direct room, and its opening (10.11)."""

from collections.abc import Iterator
from typing import Any

from spec.cases.committing import BOB, epoch_json, epoch_of
from spec.cases.common import (
    NOW,
    SMALL_DH,
    Json,
    Stream,
    case,
    changed_byte,
    identity_keys,
    keys_json,
    little,
    operation,
    some_keys,
    tagged,
    un,
    untagged,
)
from spec.cases.founding import ANN, BOX, DIRECT_ROOM, Tape

from spec import reference as ref


def turn_json(turn: ref.Turn) -> Any:
    return tagged(list(turn))


@operation("begin turn")
def _begin_turn(i: Json) -> Json:
    tape, parent, me = Tape(i["random"]), epoch_of(i), un(i["me"])
    epoch, turn, leaf = ref.begin_turn(parent, identity_keys(i["owner"]), me,
                                       un(i["peer_leaf_key"]), tape)  # fmt: skip
    tape.end()
    commit: bytes = ref.unnoted(ref.direct_commit, parent, me, turn)
    return {"turn": turn_json(turn), "commit": commit.hex(), "leaf": leaf.hex(),
            "number": epoch.number, "transcript": epoch.transcript.hex(),
            "context": epoch.context.hex()}  # fmt: skip


@operation("accept turn")
def _accept_turn(i: Json) -> Json:
    turn = ref.Turn(*untagged(i["turn"]))
    epoch = ref.accept_turn(epoch_of(i), un(i["me"]), un(i["leaf"]), un(i["sender"]), turn,
                            un(i["prefix"]))  # fmt: skip
    return {"number": epoch.number, "transcript": epoch.transcript.hex(),
            "context": epoch.context.hex(),
            "members": [member.hex() for member in ref.ids_of(epoch.roster)]}  # fmt: skip


def beginning(
    name: str, epoch: ref.Epoch, owner: ref.IdentityKeys, me: bytes, peer_leaf_key: bytes
) -> Json:  # fmt: skip
    size = 128 if epoch.number == 0 else 96
    return {**epoch_json(epoch), "owner": keys_json(owner), "me": me.hex(),
            "peer_leaf_key": peer_leaf_key.hex(),
            "random": Stream(f"room-turn-{name}")(size).hex()}  # fmt: skip


def accepting(
    epoch: ref.Epoch, me: bytes, leaf: bytes, sender: bytes, turn: ref.Turn, prefix: bytes
) -> Json:  # fmt: skip
    return {**epoch_json(epoch), "me": me.hex(), "leaf": leaf.hex(), "sender": sender.hex(),
            "turn": turn_json(turn), "prefix": prefix.hex()}  # fmt: skip


def turn_cases() -> Iterator[Json]:
    """Ann founds a direct room, Bob answers, Ann answers, Bob answers again."""
    founded = ref.found_room(ANN, DIRECT_ROOM, [BOB.guest], "Ann", BOX, NOW,
                             Stream("room-turns"))  # fmt: skip
    owners = {"ann": ANN, "bob": BOB.keys[0]}
    ids = dict(zip(owners, ref.ids_of(founded.epoch.roster), strict=True))
    epoch, leaf, leaf_key = founded.epoch, founded.leaf, ref.dh_public(founded.leaf)
    for number, who, name in ((0, "bob", "first"), (1, "ann", "second"), (2, "bob", "third")):
        peer = "ann" if who == "bob" else "bob"
        inputs = beginning(name, epoch, owners[who], ids[who], leaf_key)
        first = " DIR-10 MEM-01" if number == 0 else ""
        yield case(f"room-turn-{name}",
                   f"DIR-03 DIR-05 EPOCH-01 EPOCH-03 EPOCH-05 EPOCH-07 EPOCH-08 EPOCH-09{first}",
                   f"{who} answers in epoch {number}" + (", with its entry" if first else ""),
                   "begin turn", inputs, features="direct")  # fmt: skip
        opened, turn, new_leaf = ref.begin_turn(epoch, owners[who], ids[who], leaf_key,
                                                Tape(inputs["random"]))  # fmt: skip
        yield case(f"room-accept-{name}", f"DIR-03 DIR-04 DIR-05 EPOCH-04{first}",
                   f"{peer} accepts the turn of room-turn-{name}", "accept turn",
                   accepting(epoch, ids[peer], leaf, ids[who], turn, opened.prefix),
                   features="direct")  # fmt: skip
        yield from refused_turns(name, epoch, opened, turn, leaf, ids[peer], ids[who], owners[who])
        yield case(f"room-turn-{name}-by-opener", "DIR-01", "the opener of the epoch", "begin turn",
                   {**inputs, "owner": keys_json(owners[peer]), "me": ids[peer].hex()},
                   "out-of-turn", parent=f"room-turn-{name}", mutation="begun by the opener",
                   features="direct")  # fmt: skip
        epoch, leaf, leaf_key = opened, new_leaf, turn.leaf_key
    yield from opening_cases(founded, ids["ann"])


def refused_turns(
    name: str, epoch: ref.Epoch, opened: ref.Epoch, turn: ref.Turn, leaf: bytes, me: bytes,
    sender: bytes, owner: ref.IdentityKeys,
) -> Iterator[Json]:  # fmt: skip
    """One thing is changed in a turn. All around it fits, so far as there is a way to make it."""
    ephemeral, fresh = Stream(f"turn-{name}-ephemeral")(32), Stream(f"turn-{name}-r")(32)
    first, entry = epoch.number == 0, turn.entry

    def remade(leaf_key: bytes, its_entry: bytes | None) -> tuple[ref.Turn, bytes]:
        """A turn with another leaf key and entry, sealed anew, and the prefix that it gives."""
        unsealed = ref.Turn(leaf_key, ref.dh_public(ephemeral), bytes(48), its_entry)
        commit = ref.direct_commit(epoch, sender, unsealed)
        slot = ref.seal_slot(fresh, ephemeral, commit, me, ref.dh_public(leaf))
        roster = epoch.roster
        if its_entry is not None:
            roster = roster.replace(roster.find(sender)._replace(signed=its_entry))
        prefix = ref.open_turn(epoch, sender, roster, commit, fresh).prefix
        return unsealed._replace(slot=slot), prefix

    def an_entry(leaf_key: bytes, version: int = 1, in_room: bytes = epoch.room,
                 of: bytes = sender, by: ref.IdentityKeys = owner) -> bytes:  # fmt: skip
        room_key = ref.sign_public(b"\x31" * 32)
        return ref.make_entry(by, in_room, of, leaf_key, room_key, version)

    prefix, new_key = opened.prefix, ref.dh_public(b"\x32" * 32)
    changes: list[tuple[str, str, str, str, tuple[ref.Turn, bytes]]] = [
        ("leaf-small", "bad-key", "PRIM-05", "a leaf key of small order",
         remade(SMALL_DH, an_entry(SMALL_DH) if first else None)),
        ("leaf-not-canonical", "bad-key", "PRIM-03", "the leaf key is 2^255−19",
         remade(little(ref.P), an_entry(little(ref.P)) if first else None)),
        ("ephemeral-small", "bad-key", "PRIM-04 EPOCH-04", "an ephemeral key of small order",
         (turn._replace(ephemeral_key=SMALL_DH), prefix)),
        ("ephemeral-other", "bad-ciphertext", "EPOCH-04", "another ephemeral key",
         (turn._replace(ephemeral_key=little(9)), prefix)),
        ("slot-changed", "bad-ciphertext", "EPOCH-04", "a bit of the slot",
         (turn._replace(slot=changed_byte(turn.slot)), prefix)),
        ("slot-of-another-turn", "bad-ciphertext", "DIR-03", "the slot of another turn",
         (turn._replace(slot=remade(new_key, an_entry(new_key) if first else None)[0].slot),
          prefix)),
        ("other-prefix", "wrong-transcript", "DIR-04", "a bit of the prefix of the header",
         (turn, changed_byte(prefix))),
        ("prefix-of-parent", "wrong-transcript", "DIR-04", "the prefix of the epoch before",
         (turn, epoch.prefix)),
    ]  # fmt: skip
    if entry is not None:
        other = an_entry(turn.leaf_key)
        swapped, _ = remade(turn.leaf_key, an_entry(turn.leaf_key))
        changes += [
            ("no-entry", "bad-entry", "DIR-10", "the first answer without an entry",
             remade(turn.leaf_key, None)),
            ("entry-version-0", "bad-entry", "DIR-10", "an entry of version 0",
             remade(new_key, an_entry(new_key, 0))),
            ("entry-version-2", "bad-entry", "DIR-10", "an entry of version 2",
             remade(new_key, an_entry(new_key, 2))),
            ("entry-other-leaf", "bad-entry", "DIR-10", "another leaf key in the entry",
             remade(new_key, an_entry(turn.leaf_key))),
            ("entry-other-room", "bad-entry", "MEM-02", "an entry of another room",
             remade(new_key, an_entry(new_key, in_room=bytes(32)))),
            ("entry-of-receiver", "bad-entry", "MEM-02", "an entry that names the receiver",
             remade(new_key, an_entry(new_key, of=me))),
            ("entry-by-another", "bad-entry", "MEM-02", "an entry of another identity",
             remade(new_key, an_entry(new_key, by=some_keys("turns-eve")))),
            ("entry-by-another-key", "bad-signature", "MEM-02", "signed by another identity key",
             remade(new_key, an_entry(new_key, by=owner._replace(seed=b"\x33" * 32)))),
            ("entry-changed", "bad-signature", "MEM-02", "a bit of the signature of the entry",
             remade(new_key, changed_byte(an_entry(new_key)))),
            ("entry-package", "bad-entry", "DIR-10", "the own key package again, as entry",
             remade(BOB.keys[1].package.leaf_key, BOB.keys[1].package.signed)),
            ("entry-nil-object", "bad-form", "MEM-02", "an entry that is no signed object",
             remade(new_key, b"\xc0")),
            ("entry-exchanged", "bad-ciphertext", "DIR-03",
             "another valid entry, which the direct commit does not hold",
             (turn._replace(entry=other), prefix)),
            ("entry-of-another-answer", "wrong-transcript", "DIR-04",
             "another valid answer, under the prefix of the first", (swapped, prefix)),
        ]  # fmt: skip
    else:
        changes += [
            ("entry", "bad-entry", "DIR-10", "an entry in a later turn",
             remade(new_key, an_entry(new_key, 2))),
            ("entry-of-version-1", "bad-entry", "DIR-10", "an entry of version 1 in a later turn",
             remade(new_key, an_entry(new_key, 1))),
        ]  # fmt: skip
    for what, reason, spec, mutation, (its_turn, its_prefix) in changes:
        yield case(f"room-accept-{name}-{what}", f"DIR-04 {spec}", mutation, "accept turn",
                   accepting(epoch, me, leaf, sender, its_turn, its_prefix), reason,
                   parent=f"room-accept-{name}", mutation=mutation, features="direct")  # fmt: skip
    good = accepting(epoch, me, leaf, sender, turn, opened.prefix)
    receivers: list[tuple[str, str, str, str, Json]] = [
        ("by-opener", "out-of-turn", "DIR-01", "the sender is the receiver, who opened the epoch",
         {"sender": me.hex()}),
        ("by-nobody", "out-of-turn", "DIR-04", "a sender who is not in the room",
         {"sender": bytes(32).hex()}),
        ("not-opener", "out-of-turn", "DIR-01", "the sender has opened the epoch as well",
         {"opener": sender.hex()}),
        ("other-leaf", "bad-ciphertext", "EPOCH-04", "the receiver has another leaf key",
         {"leaf": "34" * 32}),
        ("other-parent", "bad-ciphertext", "DIR-03", "the receiver has another transcript hash",
         {"transcript": bytes(32).hex()}),
        ("other-init", "wrong-transcript", "EPOCH-05",
         "the receiver has other inits: it shares the history, but not the secret",
         {"inits": ["35" * 32, "36" * 32]}),
    ]  # fmt: skip
    if not first:  # epoch 0 differs from all others in more than its number
        receivers.append(("other-number", "bad-ciphertext", "DIR-03",
                          "the receiver's epoch has another number", {"number": 7}))  # fmt: skip
    for what, reason, spec, mutation, change in receivers:
        yield case(f"room-accept-{name}-{what}", f"DIR-04 {spec}", mutation, "accept turn",
                   {**good, **change}, reason, parent=f"room-accept-{name}", mutation=mutation,
                   features="direct")  # fmt: skip


def opening_cases(founded: ref.Founded, me: bytes) -> Iterator[Json]:
    """The first message travels with the invitation (REQ-DIR-07)."""
    epoch = founded.epoch
    key = ref.step(epoch.keys.chains[me])[1]
    header = [epoch.room, epoch.prefix, me, 0, bytes(16), None, 0, None]
    text = ref.build("text", NOW, None, 259_200, None, "knock, knock")
    sent = ref.seal_message(header, epoch.context, key, text, b"\x37" * 16, None)
    opening = ref.build("opening", founded.invitations[0], sent.message)

    def parsed(name: str, form: str, data: bytes, comment: str, spec: str, *,
               reason: str | None = None, mutation: str | None = None) -> Json:  # fmt: skip
        return case(f"room-opening{name}", spec, comment, "parse",
                    {"form": form, "data": data.hex()}, reason,
                    parent="room-opening" if reason else None, mutation=mutation,
                    features="direct")  # fmt: skip

    yield parsed("", "opening", opening, "the invitation and a first message", "DIR-07 FORM-01")
    invitation, message = ref.parse(opening, "opening")
    yield parsed("-invitation", "invitation", invitation, "the invitation in it",
                 "DIR-07 FORM-02")  # fmt: skip
    yield parsed("-message", "message", message, "the message in it", "DIR-07 FORM-02")
    yield parsed("-header", "header", ref.parse(message, "message")[0],
                 "the header of the message: no turn fields in epoch 0",
                 "DIR-05 DIR-07 FORM-02")  # fmt: skip
    yield case("room-opening-message-opens", "DIR-07 MSG-05", "the message opens in epoch 0",
               "open message", {"message": message.hex(), "context": epoch.context.hex(),
                                "message_key": key.hex(), "mode": 0,
                                "room_sign_key": bytes(32).hex()}, features="direct")  # fmt: skip
    for name, value, reason, mutation in (
        ("no-message", [1, 17, invitation], "bad-form", "the message left out"),
        ("no-invitation", [1, 17, None, message], "bad-form", "nil for the invitation"),
        ("message-nil", [1, 17, invitation, None], "bad-form", "nil for the message"),
        ("message-empty", [1, 17, invitation, b""], "bad-form", "an empty message"),
        ("invitation-empty", [1, 17, b"", message], "bad-form", "an empty invitation"),
        ("invitation-8193", [1, 17, bytes(8_193), message], "too-large",
         "an invitation of 8,193 bytes"),
        ("three", [1, 17, invitation, message, message], "bad-form", "two messages"),
        ("nested", [1, 17, ref.parse(invitation, "invitation"), message], "bad-form",
         "the invitation as an array, not as bytes"),
    ):  # fmt: skip
        yield parsed(f"-{name}", "opening", ref.encode(value), mutation, "DIR-07 FORM-01",
                     reason=reason, mutation=mutation)  # fmt: skip
