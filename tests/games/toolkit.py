"""The attack: everything that was recorded and taken, tried against everything else.

It uses the formulas of `spec/reference.py` and none of the library's code, and knows nothing of the
ledger. Of a captured state it knows how a device names its records, and which belong to which
epoch and chain; within a record it takes every 32 bytes for any kind of key. What it derives goes
back into the pool, until nothing new comes out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from spec import reference as ref
from tests.games.evidence import (
    Change,
    Context,
    Scope,
    Sealed,
    items,
    members_after,
    peek_package,
)
from tests.games.world import Capture, Tape

KEY: Final = 32
KINDS: Final = (b"identity", b"package", b"state", b"epoch", b"chain")
WRAPPED: Final = 24 + KEY + 16
EVERYWHERE: Final = (b"", b"")  # the scope of a value that may belong to any epoch



class Attack:
    """One adversary's pool of everything."""

    def __init__(self, tape: Tape, captures: Iterable[Capture] = ()) -> None:
        self.pool: dict[Scope, dict[bytes, set[int]]] = defaultdict(lambda: defaultdict(set))
        self.private: dict[bytes, bytes] = {}  # X25519 keys by their public key
        self.seen: set[bytes] = set()
        self.contexts: dict[bytes, Context] = {}  # by prefix
        self.changes: dict[bytes, Change] = {}  # by commit
        self.messages = [self._message(data) for data in dict.fromkeys(tape.messages)]
        self.copies = [[*ref.parse(copy, "commit copy"), to] for to, copy in tape.copies]
        self.invitations = dict.fromkeys(tape.invitations)
        self.packages = {package.hash: package for package in map(peek_package, tape.packages)}
        self.turn_keys = {m.header[7][0] for m in self.messages if m.header[7] is not None}
        self.credentials: dict[bytes, bytes] = {}  # leaf keys by the credential they stand in
        self.notes = tape.notes
        self.exported: set[bytes] = set()
        self.wrapped: list[tuple[str, bytes]] = []
        self.wrap_keys: dict[str, set[bytes]] = defaultdict(set)
        self.tried: set[tuple[Any, ...]] = set()
        self.odd: set[bytes] = set()  # keys in records that a device is not known to have
        self.turned: set[bytes] = set()  # prefixes of epochs whose turn has been opened
        self.slots: dict[tuple[bytes, bytes, bytes], bytes | None] = {}
        self.moved = False
        for capture in captures:
            self.take(capture)

    @staticmethod
    def _message(data: bytes) -> Sealed:
        head, body, _ = ref.parse(data, "message")
        return Sealed(ref.message_id(head, body), head, ref.parse(head, "header"), body)

    # --- what is taken ---------------------------------------------------------------------------

    def take(self, capture: Capture) -> None:
        """Read a device's records."""
        for name, data in (*capture.records.items(), *capture.remnants):
            kind, _, rest = name.partition(b"/")
            if kind in (b"room", b"live"):
                kind, _, rest = rest.partition(b"/")
            value = ref.decode(data, 1 << 24)
            if kind == b"inbox":
                self.wrapped.append((capture.device, data))
                continue
            if kind == b"wrap":
                self.wrap_keys[capture.device] |= {v for v, _ in items(value) if len(v) == KEY}
                continue
            if kind == b"directory":
                continue  # addresses and public keys
            scope = EVERYWHERE if kind not in (b"epoch", b"chain") else (rest[:8], rest[8:])
            if kind == b"epoch":
                self._read_epoch(rest[:8], value)
            for item, numbers in items(value):
                if len(item) == KEY:
                    self._private(item)
                    if kind not in (b"identity", b"package"):
                        self.pool[scope][item] |= set(numbers)
                    if kind not in KINDS:
                        self.odd.add(item)

    def _private(self, value: bytes) -> None:
        """Perhaps it is an X25519 private key."""
        if value not in self.seen:
            self.seen.add(value)
            self.private[ref.dh_public(value)] = value

    def _read_epoch(self, prefix: bytes, value: list[Any]) -> None:
        """Find roster, policy and transcript hash in the record of an epoch."""
        room = next((m.header[0] for m in self.messages), b"")
        rosters, transcripts, policies = [], [], []
        for item in value:
            if isinstance(item, bytes) and item[:8] == prefix and len(item) == KEY:
                transcripts.append(item)
            elif isinstance(item, bytes) and len(item) > KEY:
                rosters += self._a_roster(item)
            elif isinstance(item, list):
                try:
                    ref.POLICY(item)
                except (ref.Refused, TypeError):
                    continue
                policies.append(item)
        if rosters and transcripts and policies:
            self.contexts[prefix] = Context(room, policies[0], rosters[0], transcripts[0])

    @staticmethod
    def _a_roster(data: bytes) -> list[ref.Roster]:
        try:
            number, rows = ref.parse(data, "roster")
        except ref.Refused:
            return []
        return [ref.Roster(number, [ref.Member(*row) for row in rows])]

    # --- the fixpoint ----------------------------------------------------------------------------

    def run(self) -> dict[bytes, str]:
        """Try everything until nothing new comes; return what could be read, by message id."""
        self.moved = True
        while self.moved:
            self.moved = False
            self._open_invitations()
            self._open_commits()
            self._begin_turns()
            for change in list(self.changes.values()):
                self._follow(change)
            self._try_odd()
            self._open_messages()
        self._open_kept()
        self._two_time_pads()
        self._open_notes()
        return {message.id: message.text for message in self.messages if message.text is not None}

    def once(self, *trial: Any) -> bool:
        """Whether this has not been tried before."""
        new = trial not in self.tried
        self.tried.add(trial)
        return new

    def add(self, scope: Scope, value: bytes, *numbers: int) -> None:
        """Put a value into the pool."""
        if value not in self.pool[scope] or not self.pool[scope][value].issuperset(numbers):
            self.pool[scope][value] |= set(numbers)
            self.moved = True

    def of(self, prefix: bytes, member: bytes = b"") -> dict[bytes, set[int]]:
        """Every value that may be a key of this epoch, and of this member's chain."""
        found: dict[bytes, set[int]] = {}
        for scope in {EVERYWHERE, (prefix, b""), (prefix, member)}:
            for value, numbers in self.pool.get(scope, {}).items():
                found[value] = found.get(value, set()) | numbers
        return found

    def learn(self, change: Change) -> Change:
        """Keep a commit that has been opened, and what is public of the epoch it opens."""
        known = self.changes.setdefault(change.commit, change)
        self.moved = self.moved or known is change
        return known

    # --- invitations -----------------------------------------------------------------------------

    def _open_invitations(self) -> None:
        for data in self.invitations:
            (_, sign_key, dh_key, package_hash, index, ephemeral, sealed) = ref.parse(
                data, "invitation"
            )
            package = self.packages.get(package_hash)
            if package is None:
                continue
            prekey = None if index is None else package.prekeys[index]
            wanted = [package.signed_prekey, package.identity.dh_key, package.signed_prekey]
            against = [dh_key, ephemeral, ephemeral]
            if prekey is not None and prekey in self.private:
                wanted, against = [*wanted, prekey], [*against, ephemeral]
            if not all(public in self.private for public in wanted):
                continue
            if not self.once("invitation", data, len(wanted)):
                continue
            secrets = [ref.DH(self.private[w], a) for w, a in zip(wanted, against, strict=True)]
            inviter = ref.Identity(sign_key, dh_key)
            key = ref.invitation_key(secrets, inviter, package, index, ephemeral)
            try:
                self._read_welcome(ref.decrypt(key, sealed))
            except ref.Refused:
                continue

    def _read_welcome(self, welcome: bytes) -> None:
        commit, confirmation, _, credential, roster_bytes, policy, secret, _, _ = ref.parse(
            welcome, "welcome"
        )
        (roster,) = self._a_roster(roster_bytes)
        if ref.begin_parse(commit, ref.COMMIT_LIMIT)[1] == ref.FORMS["genesis"].type:
            fields = ref.parse(commit, "genesis")
            room, parent = fields[1], ref.NO_TRANSCRIPT
            committer = ref.creator_id(room, ref.Identity(*fields[4:6]))
        else:
            fields = ref.parse(commit, "commit")
            room, parent, committer = fields[0], fields[2], fields[3]
            self._guess_parent(fields, roster, policy, credential)
        change = self.learn(Change(commit, confirmation, parent, committer))
        self.contexts.setdefault(change.child[:8], Context(room, policy, roster, change.child))
        self.add((change.child[:8], b""), secret)

    def _guess_parent(
        self, fields: list[Any], roster: ref.Roster, policy: list[Any], credential: bytes
    ) -> None:
        """A joiner is not told the roster before; where only it was added, it can be guessed."""
        adds = [operation for operation in fields[5] if operation[0] == ref.ADD]
        if len(adds) != len(fields[5]) or fields[6]:
            return
        added = {peek_package(operation[1]).hash for operation in adds}
        rows = [row for row in roster.members if row.admission not in added]
        before = ref.Roster(roster.next_seniority - len(adds), rows)
        before = before.replace(before.find(fields[3])._replace(signed=credential))
        context = Context(fields[0], policy, before, fields[2])
        self.contexts.setdefault(fields[2][:8], context)

    # --- commits and turns -----------------------------------------------------------------------

    def _open_commits(self) -> None:
        for sealed_bytes, _, _ in self.copies:
            sealed = ref.parse(sealed_bytes, "sealed commit")
            for value in self.of(sealed[1]):
                if self.once("handshake", sealed_bytes, value):
                    try:
                        signed = ref.unseal_commit(value, sealed)
                    except ref.Refused:
                        continue
                    commit, confirmation, _ = ref.parse(signed, "signed commit")
                    fields = ref.parse(commit, "commit")
                    self.learn(Change(commit, confirmation, fields[2], fields[3]))
                    self.tried.add(("opened", sealed_bytes, commit))
        for change in self.changes.values():
            for sealed_bytes, slot, to in self.copies:
                if ("opened", sealed_bytes, change.commit) in self.tried and slot is not None:
                    change.slots.add((to, slot))

    def _begin_turns(self) -> None:
        """A direct commit never travels: it is built, for each epoch that may be its parent."""
        turns = {m.header[1]: m.header for m in self.messages if m.header[7] is not None}
        for prefix, header in turns.items():
            for parent in list(self.contexts.values()):
                number = self._number(parent)
                if (
                    parent.policy[0] == ref.DIRECT and number is not None
                    and parent.transcript[:8] != prefix and prefix not in self.turned
                ):  # fmt: skip
                    self._begin_turn(header, parent, number)

    def _begin_turn(self, header: list[Any], parent: Context, number: int) -> None:
        room, _, sender, turn = (header[n] for n in (0, 1, 2, 7))
        leaf, ephemeral, slot, entry = turn
        if not any(member.id == sender for member in parent.roster.members):
            return
        commit = ref.build("direct commit", room, number, parent.transcript, sender,
                           leaf, ephemeral, entry)  # fmt: skip
        (peer,) = [m.id for m in parent.roster.members if m.id != sender]
        fresh = {self._slot(slot, private, commit, ephemeral, peer)
                 for private in self._leaves()} - {None}  # fmt: skip
        for init in self.of(parent.transcript[:8]):
            for r in {*fresh, ref.ZEROS}:
                if r is not None and self.once("turn", commit, init, r):
                    self._try_turn(parent, number, header, commit, init, r)

    def _number(self, context: Context) -> int | None:
        """The number of an epoch, by the numbers that stand beside its transcript hash."""
        numbers = self.pool[context.transcript[:8], b""].get(context.transcript, set())
        if not numbers and any(c.child == context.transcript for c in self.changes.values()):
            return 0
        return min(numbers, default=None)

    def _try_turn(
        self,
        parent: Context,
        number: int,
        header: list[Any],
        commit: bytes,
        init: bytes,
        r: bytes,
    ) -> None:
        room, prefix, sender, entry = header[0], header[1], header[2], header[7][3]
        secret = ref.epoch_secret(init, r, commit)
        roster = parent.roster
        if entry is not None:
            roster = roster.replace(roster.find(sender)._replace(signed=entry))
        keys = ref.key_schedule(secret, commit, ref.ids_of(roster))
        child = ref.transcript_hash(parent.transcript, commit, keys.confirmation)
        if child[:8] != prefix:
            return
        self.turned.add(prefix)
        self.contexts.setdefault(prefix, Context(room, parent.policy, roster, child))
        self.add((prefix, b""), child, number + 1)
        self._add_keys(prefix, keys)

    def _leaves(self) -> list[bytes]:
        """The private keys whose public keys stand in a roster, a package or a turn."""
        for context in self.contexts.values():
            for row in context.roster.members:
                if row.signed not in self.credentials:
                    self.credentials[row.signed] = ref.kept_credential(row.signed).leaf_key
        published = {*self.credentials.values(), *self.turn_keys,
                     *(package.leaf_key for package in self.packages.values())}  # fmt: skip
        return [private for public, private in self.private.items() if public in published]

    def _slot(
        self, slot: bytes, private: bytes, commit: bytes, ephemeral: bytes, member: bytes
    ) -> bytes | None:
        trial = (slot, private, commit)
        if trial not in self.slots:
            try:
                opened = ref.open_slot(slot, private, commit, ephemeral, member)
            except ref.Refused:
                opened = None
            self.slots[trial] = opened
        return self.slots[trial]

    def _follow(self, change: Change) -> None:
        """From a commit: its r, its epoch secret, and all that follows."""
        parent, child = change.transcript[:8], change.child[:8]
        if ref.begin_parse(change.commit, ref.COMMIT_LIMIT)[1] == ref.FORMS["commit"].type:
            fields = ref.parse(change.commit, "commit")
            self._context_after(change, fields)
            leaves = self._leaves()
            for member, slot in change.slots:
                for private in leaves:
                    if self.once("slot", slot, private):
                        r = self._slot(slot, private, change.commit, fields[8], member)
                        if r is not None:
                            change.fresh.add(r)
                            self.moved = True
        if change.secret is not None:
            self._look_back(change)
            return
        everywhere = set(self.of(b""))
        secrets = set(self.of(child)) | set(self.of(parent))  # perhaps one was kept, or is reused
        for secret in secrets:
            self._try_secret(change, secret)
        for init in {*self.of(parent), ref.ZEROS}:
            for r in {*change.fresh, *everywhere, ref.ZEROS}:
                if self.once("epoch", change.commit, init, r):
                    self._try_secret(change, ref.epoch_secret(init, r, change.commit))

    def _look_back(self, change: Change) -> None:
        """Perhaps the epoch before had the same secret: then its chains began with these keys."""
        parent = change.transcript[:8]
        context = self.contexts.get(parent)
        if context is None or change.secret is None or not self.once("back", change.commit):
            return
        members = ref.ids_of(context.roster)
        keys = ref.key_schedule(change.secret, change.commit, members)
        for member, key in keys.chains.items():
            self.add((parent, member), key, 0)

    def _try_odd(self) -> None:
        """Perhaps one of these is the epoch secret of an epoch whose commit is not known."""
        for secret in self.odd:
            for prefix, context in list(self.contexts.items()):
                if self.once("odd", secret, prefix):
                    members = ref.ids_of(context.roster)
                    for member, key in ref.key_schedule(secret, b"", members).chains.items():
                        self.add((prefix, member), key, 0)

    def _context_after(self, change: Change, fields: list[Any]) -> None:
        """Roster and policy of the epoch that a commit opens, where those before are known."""
        child = change.child
        before = self.contexts.get(change.transcript[:8])
        if before is None or child[:8] in self.contexts:
            return
        try:
            roster, policy = members_after(before.roster, before.policy, fields)
        except ref.Refused:
            return
        if ref.state_hash(roster.encode(), policy) == fields[9]:
            self.contexts[child[:8]] = Context(before.room, policy, roster, child)
            self.moved = True

    def _try_secret(self, change: Change, secret: bytes) -> None:
        """Whether it is the epoch secret: the confirmation says so."""
        if not self.once("secret", change.commit, secret) or change.secret is not None:
            return
        confirm = ref.KDF(secret, b"confirm")
        its_hash = ref.H(b"commit", change.commit)
        if ref.KDF(confirm, b"confirmation", its_hash) == change.confirmation:
            change.secret = secret
            prefix = change.child[:8]
            self.add((prefix, b""), secret)
            context = self.contexts.get(prefix)
            members = ref.ids_of(context.roster) if context else [change.committer]
            self._add_keys(prefix, ref.key_schedule(secret, change.commit, members))
            self.moved = True

    def _add_keys(self, prefix: bytes, keys: ref.EpochKeys) -> None:
        for member, key in keys.chains.items():
            self.add((prefix, member), key, 0)
        for key in (*keys.handshakes.values(), *keys.inits.values(), keys.exporter):
            self.add((prefix, b""), key)

    # --- messages --------------------------------------------------------------------------------

    def _open_messages(self) -> None:
        waiting: dict[Scope, list[Sealed]] = defaultdict(list)
        for message in self.messages:
            if message.text is None and message.header[1] in self.contexts:
                waiting[message.scope].append(message)
        for (prefix, sender), messages in waiting.items():
            context = self.contexts[prefix].hash
            for value, numbers in self.of(prefix, sender).items():
                for start in numbers or {0}:
                    self._try_chain(value, start, messages, context)
                for message in messages:
                    if not numbers or message.index in numbers:
                        self._try(message, value, context)

    def _try_chain(
        self, value: bytes, start: int, messages: list[Sealed], context: bytes
    ) -> None:
        """Perhaps it is the chain key before this index."""
        ahead = {m.index: m for m in messages if 0 <= m.index - start < 64}
        key = value
        for index in range(start, max(ahead, default=start - 1) + 1):
            key, message_key = ref.step(key)
            for message in messages:
                if message.index == index:
                    self._try(message, message_key, context)

    def _try(self, message: Sealed, message_key: bytes, context: bytes) -> None:
        """Perhaps it is the message key."""
        if message.text is not None or message_key in message.tried:
            return
        message.tried.add(message_key)
        header_hash = ref.H(b"header", message.head, context)
        self._read(message, ref.message_keys(message_key, header_hash)[0])

    def _read(self, message: Sealed, key: bytes) -> None:
        """Perhaps it is the AEAD key."""
        try:
            self._content(message, ref.unpad(ref.decrypt(key, message.body)))
        except ref.Refused:
            return

    @staticmethod
    def _content(message: Sealed, content: bytes) -> None:
        kind, fields = ref.read_content(content)
        if kind == "text":
            message.text, message.content = fields[4], content

    def _open_kept(self) -> None:
        """What lies in an inbox, wrapped (13.4)."""
        named = {message.id: message for message in self.messages}
        for device, data in self.wrapped:
            found = [value for value, _ in items(ref.decode(data, 1 << 24))]
            for message in [named[value] for value in found if value in named]:
                for wrapped in [value for value in found if len(value) == WRAPPED]:
                    for key in self.wrap_keys[device]:
                        self._unwrap(message, wrapped, key)

    def _unwrap(self, message: Sealed, wrapped: bytes, key: bytes) -> None:
        nonce, sealed = wrapped[:24], wrapped[24:]
        try:
            found = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
                sealed, message.id, nonce, key
            )
        except CryptoError:
            return
        if message.text is None:
            self._read(message, found)

    def tell(self, message: bytes, content: bytes) -> None:
        """Let the adversary know what one message says: it made somebody say so, or guessed."""
        for sealed in self.messages:
            if sealed.id == message:
                self._content(sealed, content)

    def _two_time_pads(self) -> None:
        """Two bodies under one header: were they sealed under one key, one gives the other."""
        for known in self.messages:
            for other in self.messages:
                if known.content is None or known.head != other.head or other.text is not None:
                    continue
                padded = ref.pad(known.content, len(known.body) - 16)
                stream = bytes(a ^ b for a, b in zip(known.body, padded, strict=False))
                try:
                    text = bytes(a ^ b for a, b in zip(other.body[:-16], stream, strict=False))
                    self._content(other, ref.unpad(text))
                except ref.Refused:
                    continue

    # --- what the application sealed -------------------------------------------------------------

    def _open_notes(self) -> None:
        for prefix, sealed in self.notes:
            for value in self.of(prefix):
                try:
                    ref.decrypt(ref.export(value, b"note", 32), sealed)
                except ref.Refused:
                    continue
                self.exported.add(prefix)
