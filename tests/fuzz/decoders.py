"""Targets: everything that reads bytes, each from a raw input, or from a changed and signed one.

A target is a function of the input; it returns what the library has made of it, or why that was
refused, and raises where a rule is broken.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from evanesce import formats, relay_formats
from evanesce.commit import Commit, Genesis, SignedCommit
from evanesce.content import parse_content
from evanesce.envelope import envelope_size, open_envelope
from evanesce.epoch import SealedCommit
from evanesce.errors import EvanesceError, Reason
from evanesce.identity import Identity, open_signed
from evanesce.invitation import Invitation
from evanesce.keypackage import Card, KeyPackage
from evanesce.limits import MAX_ENVELOPE
from evanesce.mailbox import MailboxKeys
from evanesce.membership import Credential, Member, Policy, Role, Roster
from evanesce.message import Header, ParsedMessage
from evanesce.operations import apply_operations, operation_from_value
from evanesce.primitives import EMPTY_KEY, KDF, SUITE_1, H, dh, dh_public, encrypt, sign
from evanesce.proofs import Proof, ProofKind, Sanction, check_leave_request, sanction
from evanesce.relay.disclosure.entries import LedgerTampered
from evanesce.relay.disclosure.ledger import parse_ledger
from evanesce.relay.disclosure.signed_json import key_pair, unsigned
from evanesce.relay.disclosure.statement import MAX_STATEMENT, parse_statement
from evanesce.relay_formats import CLIENT_FRAMES, RELAY_FRAMES, read_frame
from evanesce.repair import RepairRequest
from evanesce.resync import ResyncRequest
from evanesce.room import Room
from evanesce.transport import armor
from evanesce.wire import Form, decode, encode
from tests.fuzz.choices import Choices
from tests.fuzz.oracle import ENCODING, Fault, Refused, canonical, judged, same_bytes
from tests.fuzz.scenes import NOW, Scene, Stream, scene

FORMS: Final[tuple[Form, ...]] = tuple(
    form for module in (formats, relay_formats) for form in vars(module).values()
    if isinstance(form, Form)
)  # fmt: skip
_KEY: Final = key_pair(bytes(range(32)))  # of statements and ledgers that are signed here
_POLICY: Final = [1, True, None, 3_600]


def wire(data: bytes) -> Any:
    """`decode`: what it takes encodes to the same bytes."""
    answer = judged(lambda: decode(data, limit=4_096), ENCODING)
    if not isinstance(answer, Refused):
        canonical(data)
    return answer


def forms(data: bytes) -> Any:
    """Every form of the protocol: the first byte says which, or the one whose type it has."""
    which, data = data[:1], data[1:]
    number = which[0] if which else 0
    form = FORMS[number % len(FORMS)]
    if number == 255 and len(data) > 2:
        form = next((form for form in FORMS if form.type == data[2]), form)
    answer = judged(lambda: form.parse(data), ENCODING)
    if not isinstance(answer, Refused):
        canonical(data)
        same_bytes(data, form.build(*answer))
    return answer


def frames(data: bytes) -> Any:
    """The frames of a relay's WebSocket, in both directions."""
    taken = RELAY_FRAMES if data[:1] == b"\1" else CLIENT_FRAMES
    answer = judged(lambda: read_frame(data[1:], taken), ENCODING)
    if not isinstance(answer, Refused):
        form, fields = answer
        same_bytes(data[1:], form.build(*fields))
    return answer


def content(data: bytes) -> Any:
    """What a message says."""
    reasons = ENCODING | {Reason.BAD_POLICY, Reason.BAD_KEY}
    answer = judged(lambda: parse_content(data), reasons)
    if not isinstance(answer, Refused):
        same_bytes(data, answer.encode())
    return answer


def message(data: bytes) -> Any:
    """A message and its header."""
    answer = judged(lambda: ParsedMessage.parse(data), ENCODING)
    if not isinstance(answer, Refused):
        same_bytes(answer.header_bytes, answer.header.encode())
        same_bytes(data, formats.MESSAGE.build(answer.header_bytes, answer.ciphertext,
                                               answer.authenticator))  # fmt: skip
    header = judged(lambda: Header.parse(data), ENCODING)
    if not isinstance(header, Refused):
        same_bytes(data, header.encode())
    return answer


def commits(data: bytes) -> Any:
    """Commits, sealed and signed and plain, and the genesis."""
    parsers: tuple[Callable[[bytes], Any], ...] = (
        Commit.parse, Genesis.parse, SignedCommit.parse, SealedCommit.parse, Invitation.parse,
    )  # fmt: skip
    parse = parsers[(data[0] if data else 0) % len(parsers)]
    answer = judged(lambda: parse(data[1:]))
    if isinstance(answer, SignedCommit):
        same_bytes(data[1:], answer.encode())
    if isinstance(answer, Commit):
        _same_commit(answer)
    return answer


def _same_commit(commit: Commit) -> None:
    made = Commit.build(
        commit.room, commit.epoch, commit.transcript, commit.committer, commit.time,
        commit.operations, commit.proofs, commit.entry, commit.ephemeral_key, commit.state_hash,
    )  # fmt: skip
    same_bytes(commit.data, made.data)


def text(data: bytes) -> Any:
    """Armored text: no text at all is an error, only a damaged block, which says so."""
    codec = "latin-1" if data[:1] == b"\1" else "utf-8"
    found = list(armor.read(armor.squeeze(data.decode(codec, "replace"))))
    for block in found:
        if isinstance(block, armor.Part):
            again = list(armor.read(armor.squeeze(armor._block(block))))
            if again != [block]:
                raise Fault("a block that was read is not written so")
        elif block.error.reason not in ENCODING:
            raise Fault(f"a damaged block is {block.error.reason}")
    return found


# --- what is signed ------------------------------------------------------------------------------


@cache
def _signed_seeds() -> list[bytes]:
    """Key packages, member entries and requests, as people of the scenes have signed them."""
    made = scene("member")
    world = made.world
    entries = [member.credential.signed for member in made.room.roster]
    own = world["bob"].leave_request(world.people["bob"].keys).request
    packages = [package.signed for package in made.packages]
    proofs = [proof.signed for proof in made.proofs]
    return [*packages, *entries, *proofs, *made.requests, own]


def _signed(data: bytes) -> tuple[Choices, bytes]:
    choices = Choices(data)
    seed = choices.of(_signed_seeds())
    return choices, scene("member").ring.vary(seed, choices)


def credentials(data: bytes) -> Any:
    """Key packages, cards and member entries, signed again after each change."""
    choices, signed = _signed(data)
    reasons = ENCODING | {Reason.UNKNOWN_SUITE, Reason.BAD_KEY, Reason.BAD_SIGNATURE}
    package = judged(lambda: KeyPackage.parse(signed), reasons)
    card = encode([1, formats.CARD.type, "a name", signed])
    read = judged(lambda: Card.decode(card), reasons)
    if isinstance(package, Refused) != isinstance(read, Refused):
        raise Fault("a card takes what a package is not, or the other way round")
    if isinstance(read, Card):
        same_bytes(card, read.encode())
    member = choices.of(list(scene("member").room.roster))
    room = scene("member").room.id
    made = judged(lambda: Credential.parse(signed, room, member.id, member.identity),
                  reasons | {Reason.BAD_ENTRY})  # fmt: skip
    return package, made


def requests(data: bytes) -> Any:
    """Requests to leave, for a repair and for a resync, as every check of them sees them."""
    choices, signed = _signed(data)
    room = scene("member").room
    now = scene("member").world.now + choices.of((0, 300, -300, 260_000, -260_000))
    return [
        judged(lambda: check_leave_request(signed, room.id, room.roster)),
        judged(lambda: Sanction.parse(signed).check(room.id, room.roster)),
        judged(lambda: RepairRequest.parse(signed).check(room.id, room.roster, now)),
        judged(lambda: ResyncRequest.parse(signed).check(SUITE_1, room.id, room.roster, now)),
    ]


def rosters(data: bytes) -> Any:
    """Rosters: members changed, left out, doubled, and their credentials signed again."""
    choices = Choices(data)
    made = scene(choices.of(("member", "waiting", "owner")))
    roster = made.ring.vary(made.room.roster.encode(), choices)
    answer = judged(lambda: Roster.parse(roster, made.room.id))
    if not isinstance(answer, Refused):
        same_bytes(roster, answer.encode())
        before = made.room.roster
        if Roster.parse(roster, made.room.id, verified=True, before=before) != answer:
            raise Fault("a roster is read otherwise beside an earlier one")
    return answer


def operations(data: bytes) -> Any:
    """Policies and operations: what their forms take, and what they make of a roster."""
    choices = Choices(data)
    made = scene(choices.of(("member", "owner")))
    room, ring = made.room, made.ring
    committer = room.roster[choices.of(made.others)]
    values = ring.vary_value(
        [operation(made, room, committer, choices) for _ in range(choices.number(4))], choices
    )
    proofs = some_proofs(made, choices)
    form = Form("operations", 1, 1 << 20, (formats.COMMIT.fields[5],))
    policy = Form("policy", 1, 64, (formats.POLICY,))
    rules_value = encode([1, 1, ring.vary_value(_POLICY, choices)])
    rules = judged(lambda: policy.parse(rules_value), ENCODING)
    if not isinstance(rules, Refused):
        judged(lambda: Policy.from_value(rules[0]))

    def applied() -> Any:
        read = [operation_from_value(value) for value in form.parse(encode([1, 1, values]))[0]]
        if values != [operation.value() for operation in read]:
            raise Fault("an operation is read as another")
        return apply_operations(
            room.roster, room.policy, SUITE_1, room.id, room.epoch, room.transcript, committer,
            made.world.now, read, proofs,
        )  # fmt: skip

    answer = judged(applied)
    if not isinstance(answer, Refused):
        roster = answer.roster.encode()
        same_bytes(roster, Roster.parse(roster, room.id).encode())
    return answer


def operation(made: Scene, room: Room, author: Member, choices: Choices) -> list[Any]:
    """Any operation by this author, on any member."""
    member = choices.of(list(room.roster))
    kind = choices.number(5)
    if kind == formats.ADD:
        return [kind, choices.of(made.packages).signed, choices.number(3)]
    if kind == formats.SANCTIONED:
        owner = next(p.keys for p in made.world.people.values()
                     if p.keys.identity == author.identity)  # fmt: skip
        role = choices.of((None, Role.MEMBER, Role.ADMIN))
        number = choices.of((room.epoch, room.epoch, 0, room.epoch + 1))
        signed = sanction(owner, room.id, author, member, role, room.roster, number).signed
        return [kind, signed]
    if kind == formats.SET_ROLE:
        return [kind, member.id, choices.number(3)]
    if kind == formats.SET_POLICY:
        return [kind, [1, choices.number(2) == 1, None, 3_600]]
    return [formats.RESYNC, choices.of(made.requests[::2])]


def some_proofs(made: Scene, choices: Choices) -> list[Proof]:
    """Up to two proofs, of either kind."""
    chosen = [choices.of(made.proofs) for _ in range(choices.number(3))]
    return [Proof(ProofKind(kind), made.ring.vary(signed, choices)) for kind, signed in chosen]


# --- what is sealed, and JSON --------------------------------------------------------------------


@cache
def mailbox_keys() -> MailboxKeys:
    """The mailbox that hostile envelopes are sealed to."""
    return MailboxKeys.generate(Stream("mailbox of the fuzzer"))


def sealed(keys: MailboxKeys, plain: bytes, choices: Choices) -> bytes:
    """An envelope around a padded payload of any kind, with the right key; rarely damaged."""
    mailbox, ephemeral = keys.mailbox, bytes([8]) + choices.take(1) * 30 + b"\x44"
    public = dh_public(ephemeral)
    transcript = H(b"envelope transcript", mailbox.address, mailbox.envelope_key, public)
    key = KDF(EMPTY_KEY, b"envelope", dh(ephemeral, mailbox.envelope_key), transcript)
    envelope = encode([1, formats.ENVELOPE.type, public, encrypt(key, plain)])
    return scene("member").ring.vary(envelope, choices) if choices.rarely() else envelope


def envelopes(data: bytes) -> Any:
    """Envelopes: raw ones, and such as are sealed rightly around any padding."""
    keys = mailbox_keys()
    choices = Choices(data)
    if choices.number(4) == 3:
        envelope = choices.rest
    else:
        size = envelope_size(choices.of((512, 1_024, 2_048, 70_000)))
        size += choices.of((0, 0, 0, 1, -1))
        fixed = len(encode([1, 18, bytes(32), bytes(size)])) - size + 16
        tail = choices.of((b"\x80", b"", b"\0", b"\x80\x80", b"\x01"))
        envelope = sealed(keys, (choices.rest + tail).ljust(size - fixed, b"\0"), choices)
    reasons = ENCODING | {Reason.BAD_KEY, Reason.BAD_CIPHERTEXT, Reason.BAD_PADDING}
    answer = judged(lambda: open_envelope(keys, envelope), reasons)
    if not isinstance(answer, Refused) and len(envelope) > MAX_ENVELOPE:
        raise Fault("an envelope over the limit was opened")
    return answer


def statements(data: bytes) -> Any:
    """Statements of a disclosure, and ledgers: raw, and signed again."""
    choices = Choices(data)
    kind, raw = choices.number(4), choices.rest
    if kind == 1:
        raw = _signed_json(raw, b"disclosure statement")
    if kind >= 2:
        line = _signed_json(raw, b"ledger entry") if kind == 3 else raw
        try:
            return parse_ledger(line + b"\n", _KEY[1])
        except LedgerTampered as error:
            return Refused(error.reason)
    answer = judged(lambda: parse_statement(raw))
    if not isinstance(answer, Refused) and len(raw) > MAX_STATEMENT:
        raise Fault("a statement over the limit was read")
    return answer


def _signed_json(raw: bytes, label: bytes) -> bytes:
    """JSON with the key in it, if it names one, and a signature; other bytes as they are."""
    try:
        value = json.loads(raw.decode())
        if not isinstance(value, dict):
            return raw
        if "key" in value:
            value["key"] = _KEY[1].hex()
        value["signature"] = sign(_KEY[0], label, unsigned(value)).hex()
        made = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return made.encode()
    except (ValueError, RecursionError, EvanesceError):
        return raw


def identities(data: bytes) -> Any:
    """Keys that a peer claims, and signed objects."""
    choices = Choices(data)
    keys = [choices.of(scene("member").ring.pool), choices.take(32)]
    pair = choices.of((keys, keys[::-1]))
    answer = judged(lambda: Identity(*pair).check(), frozenset({Reason.BAD_KEY}))
    judged(lambda: open_signed(choices.rest), ENCODING)
    return answer


__all__ = ["FORMS", "NOW", "commits", "content", "credentials", "envelopes", "forms", "frames",
           "identities", "mailbox_keys", "message", "operation", "operations", "requests",
           "rosters", "sealed", "some_proofs", "statements", "text", "wire"]  # fmt: skip
