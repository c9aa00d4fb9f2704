"""What someone can read who has everything: devices, and all that ever crossed the transport.

This is the attack the demo runs on itself. It is given complete copies of device stores and every
envelope ever seen, and tries: every mailbox key on every envelope; every key package on every
invitation; every chain key, forwards; every kept message key; every wrapped key; every leaf key on
every slot, with every 32-byte string found anywhere as the parent's secret; and in the end every
32-byte string found anywhere as a key of every kind. What it opens it returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..chain import message_keys, step
from ..commit import Commit, Genesis, SignedCommit, direct_commit
from ..content import Said, parse_content
from ..envelope import open_envelope
from ..epoch import (
    NO_TRANSCRIPT,
    EpochKeys,
    SealedCommit,
    epoch_secret,
    open_slot,
    prefix_of,
    transcript_hash,
)
from ..errors import EvanesceError, RemoteError
from ..formats import COMMIT_COPY, GENESIS, INVITATION, MESSAGE, OPENING, WELCOME
from ..holdings import OwnMailbox, Shelved
from ..identity import IdentityKeys
from ..inbox import Kept
from ..invitation import Invitation, open_invitation
from ..limits import MAX_ENVELOPE
from ..mailbox import MailboxKeys
from ..membership import Credential, Mode, Policy, Roster, context_hash
from ..message import ParsedMessage, message_id, reopen
from ..operations import apply_operations, with_committer
from ..primitives import SUITE_1, H, dh_public, unwrap
from ..room import Room
from ..wire import decode, peek_type

__all__ = ["Seizure"]

Records = Mapping[bytes, bytes]
FORWARD = 300  # how far each chain key is stepped: more than any chain of a demo has messages


@dataclass(slots=True)
class _KnownEpoch:
    """All that has been learnt about one epoch, from any source."""

    number: int
    transcript: bytes
    roster: Roster
    policy: Policy
    contexts: set[bytes] = field(default_factory=set)
    handshakes: dict[bytes, set[bytes]] = field(default_factory=dict)
    inits: dict[bytes, set[bytes]] = field(default_factory=dict)
    leaf_keys: dict[bytes, bytes] = field(default_factory=dict)  # member: public leaf key


class Seizure:
    """Copies of device stores and of the transport's log, and what they give."""

    def __init__(
        self,
        stores: Iterable[Records],
        envelopes: Iterable[bytes],
        mailboxes: Iterable[Records] = (),
    ) -> None:
        """Take copies of `stores`, and of `mailboxes` nothing but the mailbox keys in them."""
        self._mailboxes = [_mailbox_keys(store) for store in mailboxes]
        self._stores = [dict(store) for store in stores]
        self._pool: set[bytes] = set()
        self._privates: dict[bytes, bytes] = {}  # X25519 public: private
        self._epochs: dict[bytes, _KnownEpoch] = {}
        self._chains: set[tuple[bytes, bytes, int, bytes]] = set()  # prefix, sender, index, key
        self._skipped: set[tuple[bytes, bytes, int, bytes]] = set()
        self._aead_keys: set[bytes] = set()
        self._turns: list[ParsedMessage] = []
        self.messages: dict[bytes, ParsedMessage] = {}
        self._collect()
        payloads = list(self._payloads(envelopes))
        invitations: list[bytes] = []
        self._commits: list[tuple[SealedCommit, bytes | None]] = []
        for payload in payloads:
            self._sort(payload, invitations)
        for invitation in invitations:
            self._open_invitation(invitation)
        while self._follow_commits() or self._follow_turns():
            pass

    # --- what was seized -------------------------------------------------------------------------

    def _collect(self) -> None:
        for store in self._stores:
            for data in store.values():
                self._pool.update(_strings(data))
            self._rooms(store)
            self._inbox(store)
        self._privates = {dh_public(string): string for string in self._pool}

    def _rooms(self, store: Records) -> None:
        rooms: dict[bytes, dict[bytes, bytes]] = {}
        for name, data in store.items():
            if name.startswith(b"room/"):
                rooms.setdefault(name[5:37], {})[name[38:]] = data
        for records in rooms.values():
            state = Room.restore(records).state
            for prefix, epoch in state.epochs.items():
                known = self._know(epoch.number, epoch.transcript, epoch.roster, epoch.policy)
                known.contexts.add(epoch.context)
                for member, key in epoch.handshakes.items():
                    known.handshakes.setdefault(member, set()).add(key.reveal())
                for member, key in epoch.inits.items():
                    known.inits.setdefault(member, set()).add(key.reveal())
                if epoch.turn is not None:
                    known.leaf_keys[epoch.opener] = epoch.turn.leaf_key
                for member, chain in epoch.chains.items():
                    if chain.key is not None:
                        self._chains.add((prefix, member, chain.index, chain.key.reveal()))
                    for number, kept in chain.skipped.items():
                        self._skipped.add((prefix, member, number, kept.key.reveal()))
            if state.sending is not None:
                sending = state.sending
                self._chains.add(
                    (state.current, state.own, sending.index, sending.key.reveal())
                )

    def _inbox(self, store: Records) -> None:
        record = store.get(b"wrap")
        wrap_key = None if record is None else decode(record, limit=128)[1]
        for name, data in store.items():
            if name.startswith(b"inbox/") and wrap_key is not None:
                kept = Kept.load(data)
                try:
                    self._aead_keys.add(unwrap(wrap_key, kept.wrapped, kept.id))
                except RemoteError:
                    continue

    # --- what crossed the transport --------------------------------------------------------------

    def _payloads(self, envelopes: Iterable[bytes]) -> Iterator[bytes]:
        mailboxes = [_mailbox_keys(store) for store in self._stores] + self._mailboxes
        for envelope in envelopes:
            for keys in (keys for owned in mailboxes for keys in owned):
                try:
                    yield open_envelope(keys, envelope)
                except RemoteError:
                    continue

    def _sort(self, payload: bytes, invitations: list[bytes]) -> None:
        match peek_type(payload):
            case MESSAGE.type:
                self._message(payload)
            case OPENING.type:
                invitation, message = OPENING.parse(payload)
                invitations.append(invitation)
                self._message(message)
            case INVITATION.type:
                invitations.append(payload)
            case COMMIT_COPY.type:
                sealed, slot = COMMIT_COPY.parse(payload)
                self._commits.append((SealedCommit.parse(sealed), slot))

    def _message(self, data: bytes) -> None:
        message = ParsedMessage.parse(data)
        self.messages[message_id(message.header_bytes, message.ciphertext)] = message
        if message.header.turn is not None:
            self._turns.append(message)

    # --- deriving again --------------------------------------------------------------------------

    def _know(
        self, number: int, transcript: bytes, roster: Roster, policy: Policy
    ) -> _KnownEpoch:
        return self._epochs.setdefault(
            prefix_of(transcript), _KnownEpoch(number, transcript, roster, policy)
        )

    def _learn(
        self,
        secret: bytes,
        commit: bytes,
        number: int,
        parent: bytes,
        room: bytes,
        roster: Roster,
        policy: Policy,
    ) -> None:
        """An epoch secret has been found: everything in its epoch follows."""
        keys = EpochKeys.derive(secret, commit, roster.members)
        transcript = transcript_hash(parent, commit, keys.confirmation)
        known = self._know(number, transcript, roster, policy)
        known.contexts.add(context_hash(SUITE_1, room, policy, roster.encode(), transcript))
        for member, chain in keys.chains.items():
            self._chains.add((prefix_of(transcript), member, 0, chain.reveal()))
        for member, key in keys.handshakes.items():
            known.handshakes.setdefault(member, set()).add(key.reveal())
        for member, key in keys.inits.items():
            known.inits.setdefault(member, set()).add(key.reveal())

    def _open_invitation(self, data: bytes) -> None:
        """Try every key package there is; a used one-time prekey is gone, and then this fails."""
        invitation = Invitation.parse(data)
        for store in self._stores:
            record = store.get(b"package/" + invitation.package_hash)
            if record is None:
                continue
            owner = IdentityKeys.load(decode(store[b"device"], limit=4_096)[1])
            try:
                welcome = open_invitation(owner, Shelved.load(record).keys, invitation)
            except RemoteError:
                continue
            commit, _, _, _, roster, policy, secret, _, _ = WELCOME.parse(welcome)
            rules = Policy.from_value(policy)
            if peek_type(commit) == GENESIS.type:
                genesis = Genesis.parse(commit)
                members = genesis.roster(genesis.credential())
                self._learn(secret, commit, 0, NO_TRANSCRIPT, genesis.room, members, rules)
            else:
                parsed = Commit.parse(commit)
                members = Roster.parse(roster, parsed.room, verified=True)
                self._learn(secret, commit, parsed.epoch + 1, parsed.transcript, parsed.room,
                            members, rules)  # fmt: skip

    def _follow_commits(self) -> bool:
        """Go from each known epoch to the next by every commit that can be opened."""
        found = False
        for sealed, slot in list(self._commits):
            parent = self._epochs.get(sealed.prefix)
            if parent is None or slot is None:
                continue
            for handshake in parent.handshakes.get(sealed.committer, ()):
                try:
                    signed = SignedCommit.parse(sealed.open(handshake))
                except RemoteError:
                    continue
                if self._break_commit(parent, sealed, signed, slot):
                    self._commits.remove((sealed, slot))
                    found = True
                    break
        return found

    def _break_commit(
        self, parent: _KnownEpoch, sealed: SealedCommit, signed: SignedCommit, slot: bytes
    ) -> bool:
        commit = Commit.parse(signed.commit)
        committer = parent.roster[sealed.committer]
        outcome = apply_operations(
            parent.roster, parent.policy, SUITE_1, sealed.room, commit.epoch, parent.transcript,
            committer, commit.time, commit.operations, commit.proofs,
        )  # fmt: skip
        entry = Credential.parse(
            commit.entry, sealed.room, committer.id, committer.identity, verified=True
        )
        roster = with_committer(outcome, committer.id, entry)
        for member in parent.roster:
            for secret in self._secrets(
                parent, sealed.committer, slot, commit.data, commit.ephemeral_key, member.id,
                member.credential.leaf_key,
            ):  # fmt: skip
                keys = EpochKeys.derive(secret, commit.data, ())
                if keys.confirmation == signed.confirmation:
                    self._learn(secret, commit.data, commit.epoch + 1, parent.transcript,
                                sealed.room, roster, outcome.policy)  # fmt: skip
                    return True
        return False

    def _secrets(
        self,
        parent: _KnownEpoch,
        committer: bytes,
        slot: bytes,
        commit: bytes,
        ephemeral_key: bytes,
        member: bytes,
        leaf_key: bytes,
    ) -> Iterator[bytes]:
        """Every epoch secret that a slot could give, with every string there is as the parent's."""
        leaf = self._privates.get(leaf_key)
        if leaf is None:
            return
        try:
            r = open_slot(slot, leaf, commit, ephemeral_key, member, leaf_key)
        except RemoteError:
            return
        for init in parent.inits.get(committer, set()) | self._pool:
            yield epoch_secret(init, r, commit)

    def _follow_turns(self) -> bool:
        """The same for the turns of direct rooms, whose commits ride in headers."""
        for message in list(self._turns):
            for parent in list(self._epochs.values()):
                if message.header.sender in parent.roster and self._break_turn(parent, message):
                    self._turns.remove(message)
                    return True
        return False

    def _break_turn(self, parent: _KnownEpoch, message: ParsedMessage) -> bool:
        header = message.header
        turn = header.turn
        if turn is None or parent.policy.mode is not Mode.DIRECT:
            return False
        commit = direct_commit(
            header.room, parent.number, parent.transcript, header.sender, turn.leaf_key,
            turn.ephemeral_key, turn.entry,
        )  # fmt: skip
        peer = next(m for m in parent.roster if m.id != header.sender)
        leaf_key = parent.leaf_keys.get(peer.id, peer.credential.leaf_key)
        roster, sender = parent.roster, parent.roster[header.sender]
        if turn.entry is not None:
            entry = Credential.parse(
                turn.entry, header.room, sender.id, sender.identity, verified=True
            )
            roster = roster.change(sender.id, credential=entry)
        for secret in self._secrets(
            parent, header.sender, turn.slot, commit, turn.ephemeral_key, peer.id, leaf_key
        ):
            keys = EpochKeys.derive(secret, commit, ())
            reached = transcript_hash(parent.transcript, commit, keys.confirmation)
            if prefix_of(reached) == header.prefix:
                self._learn(secret, commit, parent.number + 1, parent.transcript, header.room,
                            roster, parent.policy)  # fmt: skip
                self._epochs[header.prefix].leaf_keys[header.sender] = turn.leaf_key
                return True
        return False

    # --- reading ---------------------------------------------------------------------------------

    def open_all(self) -> dict[bytes, str | bytes]:
        """Try to open every message; return what could be read, by message id."""
        opened = {}
        for key, message in self.messages.items():
            body = self._open(message)
            if body is not None:
                opened[key] = body
        return opened

    def _open(self, message: ParsedMessage) -> str | bytes | None:
        header = message.header
        known = self._epochs.get(header.prefix)
        contexts = set() if known is None else known.contexts
        hashes = [H(b"header", message.header_bytes, context) for context in contexts]
        for aead in self._aead_keys | self._pool:
            body = _decrypt(aead, message)
            if body is not None:
                return body
        for message_key in self._message_keys(header.prefix, header.sender, header.number):
            for header_hash in hashes:
                body = _decrypt(message_keys(message_key, header_hash)[0], message)
                if body is not None:
                    return body
        return None

    def _message_keys(self, prefix: bytes, sender: bytes, number: int) -> Iterator[bytes]:
        for where, who, index, key in self._skipped:
            if (where, who, index) == (prefix, sender, number):
                yield key
        for where, who, index, chain in self._chains:
            if (where, who) == (prefix, sender) and index <= number < index + FORWARD:
                at = chain
                for _ in range(number - index):
                    at, _ = step(at)
                yield step(at)[1]
        for string in self._pool:
            yield string
            yield step(string)[1]


def _mailbox_keys(store: Records) -> list[MailboxKeys]:
    return [OwnMailbox.load(data).keys
            for name, data in store.items() if name.startswith(b"mailbox/")]  # fmt: skip


def _decrypt(key: bytes, message: ParsedMessage) -> str | bytes | None:
    try:
        content = parse_content(reopen(key, message.ciphertext))
    except RemoteError:
        return None
    return content.body if isinstance(content, Said) else None


def _strings(data: bytes) -> Iterator[bytes]:
    """Every 32-byte string in a record, however deep; longer keys by their halves."""
    if len(data) == 32:
        yield data
    if len(data) == 64:
        yield data[:32]
        yield data[32:]
    try:
        value = decode(data, limit=4 * MAX_ENVELOPE)
    except EvanesceError:
        return
    yield from _walk(value)


def _walk(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes) and len(value) >= 3:
        yield from _strings(value)
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item)


