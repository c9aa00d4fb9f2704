"""Weakened implementations that believe too much, or show too much: the other games."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evanesce import (
    applying,
    chain,
    commit,
    envelope,
    epoch,
    founding,
    group,
    invitation,
    mailbox,
    membership,
    message,
    operations,
    primitives,
    speech,
)
from evanesce.chain import ReceivingChain
from evanesce.formats import ENVELOPE, WELCOME
from evanesce.mailbox import MailboxKeys
from evanesce.membership import Mode, Roster
from evanesce.proofs import Sanction
from evanesce.room import Room
from evanesce.state import RoomState
from tests.games import (
    test_game_agreement,
    test_game_authenticity,
    test_game_deniability,
    test_game_forks,
    test_game_unlinkability,
)
from tests.games.mutants import MUTANTS, ZEROS, Mutant, Play, mutant
from tests.games.weaken import Weakened

# --- sender authenticity -------------------------------------------------------------------------


insider = test_game_authenticity.test_an_insider_cannot_speak_for_another
after_refresh = (
    test_game_authenticity.test_a_signature_key_that_was_stolen_is_of_no_use_after_a_refresh
)


@mutant("authenticity", insider)
def trusts_the_sender_field(weakened: Weakened) -> None:
    """The signature of a message is not looked at: who has the chain may be its sender."""
    weakened.within(message, "verify", lambda *given: None)


@mutant("authenticity", insider)
def takes_the_signature_of_any_member(weakened: Weakened) -> None:
    """A message is accepted if some member has signed it."""
    original = message.open_message
    keys: set[bytes] = set()
    make = membership.Credential.__init__

    def init(self: Any, *given: Any, **more: Any) -> None:
        make(self, *given, **more)
        keys.add(self.room_sign_key)

    def open_message(parsed: Any, context: bytes, key: bytes, mode: Mode, _: bytes) -> Any:
        for candidate in sorted(keys)[:-1]:
            try:
                return original(parsed, context, key, mode, candidate)
            except Exception:  # any member will do
                continue
        return original(parsed, context, key, mode, sorted(keys)[-1])

    weakened.method(membership.Credential, "__init__", lambda _: init)
    weakened.within(speech, "open_message", open_message)


@mutant("authenticity", insider)
def steps_the_chain_before_checking(weakened: Weakened) -> None:
    """The chain moves when a message comes, whether or not it is then accepted."""

    def wrap(old: Any) -> Any:
        def at(self: ReceivingChain, index: int, now: int) -> tuple[bytes, ReceivingChain]:
            key, after = old(self, index, now)
            for name in ("key", "index", "skipped"):
                object.__setattr__(self, name, getattr(after, name))
            return key, after

        return at

    weakened.method(ReceivingChain, "at", wrap)


@mutant("authenticity", insider)
def accepts_a_message_twice(weakened: Weakened) -> None:
    """The key of a late message is not erased when it has come."""

    def wrap(old: Any) -> Any:
        def at(self: ReceivingChain, index: int, now: int) -> tuple[bytes, ReceivingChain]:
            key, after = old(self, index, now)
            return key, self if index < self.index else after

        return at

    weakened.method(ReceivingChain, "at", wrap)


@mutant("authenticity", insider)
def forgets_what_it_has_read_when_restarted(weakened: Weakened) -> None:
    """The stepped chain is not stored."""
    weakened.method(Room, "changes", lambda _: lambda self: {})


@mutant("authenticity", after_refresh)
def refreshes_with_the_old_signature_key(weakened: Weakened) -> None:
    """A commit gives its author the room signature key that it had."""
    weakened.around(group.make_commit)
    original = primitives.sign_keypair

    def sign_keypair(random: Any) -> tuple[bytes, bytes]:
        fresh = original(random)
        working = weakened.working
        if working is None or working.epoch.room_sign is None:
            return fresh
        return working.epoch.room_sign.reveal(), working.me.credential.room_sign_key

    weakened.within(group, "sign_keypair", sign_keypair)


@mutant("authenticity", test_game_authenticity.carrier_of_a_direct_room)
def does_not_bind_the_header(weakened: Weakened) -> None:
    """The message key depends on the context alone."""
    weakened.within(
        message, "_header_hash", lambda header, context: primitives.H(b"header", b"", context)
    )


@mutant("authenticity", test_game_authenticity.commit_in_anothers_name)
def does_not_verify_commits(weakened: Weakened) -> None:
    """The signature of a commit is not looked at: its sender is who it says."""
    weakened.method(commit.SignedCommit, "verify", lambda _: lambda self, key: None)


@mutant("authenticity", test_game_authenticity.false_key_for_another)
def does_not_verify_entries_of_a_welcome(weakened: Weakened) -> None:
    """A joiner takes the keys of all members from its inviter."""
    parse = Roster.parse.__func__  # type: ignore[attr-defined]

    def unverified(cls: type[Roster], data: bytes, room: bytes, **more: Any) -> Roster:
        roster: Roster = parse(cls, data, room, **{**more, "verified": True})
        return roster

    weakened.method(Roster, "parse", lambda _: unverified)


@mutant("authenticity", test_game_authenticity.old_chain_goes_on)
def does_not_close_chains(weakened: Weakened) -> None:
    """What a sender says of the end of its older chains is not heeded."""
    weakened.method(ReceivingChain, "close", lambda _: lambda self, count, now: (self, False))


@mutant("authenticity", test_game_authenticity.stranger_invites)
def leaves_the_inviter_out_of_the_handshake(weakened: Weakened) -> None:
    """dh1 is not part of the key of an invitation."""
    original = invitation._key

    def key(secrets: list[bytes], *rest: Any) -> bytes:
        return original([ZEROS, *secrets[1:]], *rest)

    weakened.within(invitation, "_key", key)


# --- agreement -----------------------------------------------------------------------------------


def context_without(which: int) -> Callable[[Weakened], None]:
    original = membership.context_hash

    def weaken(weakened: Weakened) -> None:
        def context_hash(*given: Any) -> bytes:
            rest = list(given)
            rest[which] = membership.Policy(Mode.SIGNED) if which == 2 else b""
            return original(*rest)

        weakened.function(original, context_hash)

    return weaken


def viewing(what: str) -> Play:
    def play() -> None:
        test_game_agreement.other_view(what)

    play.__name__ = f"other_view_{what}"
    return play


MUTANTS.extend(
    Mutant(f"leaves_the_{what}_out_of_the_context", "agreement", context_without(n), viewing(what))
    for n, what in ((1, "room"), (2, "policy"), (3, "roster"), (4, "transcript"))
)


@mutant("agreement", test_game_agreement.two_secrets)
def does_not_check_confirmations(weakened: Weakened) -> None:
    """Whatever the slot gives is taken."""
    weakened.function(epoch.check_confirmation, lambda expected, received: None)


def false_policy() -> None:
    test_game_agreement.false_welcome(test_game_agreement.other_policy)


def false_roster() -> None:
    test_game_agreement.false_welcome(test_game_agreement.other_roster)


@mutant("agreement", false_policy)
def leaves_the_policy_out_of_the_state_hash(weakened: Weakened) -> None:
    """A commit says what the roster will be, and not by what rules."""
    original = membership.state_hash
    nothing = membership.Policy(Mode.SIGNED)
    weakened.function(original, lambda roster, policy: original(roster, nothing))


@mutant("agreement", false_roster)
def leaves_the_roster_out_of_the_state_hash(weakened: Weakened) -> None:
    """A commit says by what rules, and not who will be there."""
    original = membership.state_hash
    weakened.function(original, lambda roster, policy: original(b"", policy))


@mutant("agreement", test_game_agreement.without_right)
def lets_everybody_do_everything(weakened: Weakened) -> None:
    """Rights are a matter of the user interface."""

    def check(self: Sanction, room: bytes, roster: Roster, **_: Any) -> Any:
        return roster[self.member]

    weakened.within(operations, "_check_entitled", lambda *given: None)
    weakened.method(Sanction, "check", lambda _: check)


# --- deniability ---------------------------------------------------------------------------------


@mutant("deniability", test_game_deniability.tell_apart)
def signs_the_genesis_of_direct_rooms(weakened: Weakened) -> None:
    """The creator signs a direct room as it does a group."""
    owners: list[Any] = []
    found = founding.found_room
    welcome: Callable[..., bytes] = founding.make_welcome

    def found_room(owner: Any, *rest: Any, **more: Any) -> Any:
        owners.append(owner)
        return found(owner, *rest, **more)

    def make_welcome(data: bytes, confirmation: bytes, signature: Any, *rest: Any) -> bytes:
        if signature is None:
            private = owners[-1].sign_private.reveal()
            signature = primitives.sign(private, b"commit", data, confirmation)
        return welcome(data, confirmation, signature, *rest)

    class Tolerant:
        """The welcome, read without the signature."""

        type = WELCOME.type
        build = WELCOME.build

        @staticmethod
        def parse(data: bytes) -> list[Any]:
            fields = list(WELCOME.parse(data))
            fields[2] = None
            return fields

    weakened.function(found, found_room)
    weakened.within(founding, "make_welcome", make_welcome)
    weakened.within(founding, "WELCOME", Tolerant)


@mutant("deniability", test_game_deniability.tell_apart)
def signs_messages_of_direct_rooms(weakened: Weakened) -> None:
    """Each message of a direct room carries its sender's signature, as in a group."""
    owners: list[Any] = []
    send, open_ = speech.send_message, message.open_message
    seal: Callable[..., Any] = message.seal_message

    def send_message(state: RoomState, owner: Any, *rest: Any) -> Any:
        owners.append(owner)
        return send(state, owner, *rest)

    def seal_message(*given: Any) -> Any:
        return seal(*given[:5], given[5] or owners[-1].sign_private.reveal())

    def open_message(parsed: Any, context: bytes, key: bytes, mode: Mode, sender: bytes) -> Any:
        if mode is Mode.DIRECT:
            aead = chain.message_keys(key, message._header_hash(parsed.header_bytes, context))[0]
            text = envelope.unpad(primitives.decrypt(aead, parsed.ciphertext))
            name = message.message_id(parsed.header_bytes, parsed.ciphertext)
            return message.OpenedMessage(text, name, aead)
        return open_(parsed, context, key, mode, sender)

    weakened.function(send, send_message)
    weakened.within(speech, "seal_message", seal_message)
    weakened.within(speech, "open_message", open_message)


# --- unlinkability -------------------------------------------------------------------------------


@mutant("unlinkability", test_game_unlinkability.link_envelopes)
def shares_an_ephemeral_key_among_copies(weakened: Weakened) -> None:
    """One key pair for all copies of a message: a multiplication saved for each."""
    original = envelope.seal_envelope
    pairs: dict[bytes, tuple[bytes, bytes]] = {}
    sealing: list[bytes] = []

    def seal_envelope(box: Any, payload: bytes, random: Any) -> bytes:
        sealing.append(payload)
        return original(box, payload, random)

    def dh_keypair(random: Any) -> tuple[bytes, bytes]:
        return pairs.setdefault(sealing[-1], primitives.dh_keypair(random))

    weakened.within(envelope, "dh_keypair", dh_keypair)
    weakened.function(original, seal_envelope)
    weakened.within(test_game_unlinkability, "seal_envelope", seal_envelope)


@mutant("unlinkability", test_game_unlinkability.link_envelopes)
def does_not_pad(weakened: Weakened) -> None:
    """Messages and envelopes are as long as what is in them."""
    weakened.within(envelope, "envelope_size", lambda least: least)
    weakened.within(message, "_padded_size", lambda head, authenticator, size: size + 1)


@mutant("unlinkability", test_game_unlinkability.link_envelopes)
def encrypts_envelopes_with_a_key_of_the_payload(weakened: Weakened) -> None:
    """All copies have one ciphertext, as where only a key is sealed to each reader."""

    def seal_envelope(box: Any, payload: bytes, random: Any) -> bytes:
        _, public = primitives.dh_keypair(random)
        size = envelope.envelope_size(len(payload) + 58)
        padded = envelope.pad(payload, envelope.room_for(size) + 1)
        key = primitives.H(b"key", payload)
        return ENVELOPE.build(public, primitives.encrypt(key, padded))

    def open_envelope(keys: Any, data: bytes) -> bytes:
        return next(m for m in opened if seal_envelope(None, m, bytes)[40:] == data[40:])

    opened: list[bytes] = []

    def noting(box: Any, payload: bytes, random: Any) -> bytes:
        opened.append(payload)
        return seal_envelope(box, payload, random)

    weakened.within(test_game_unlinkability, "seal_envelope", noting)
    weakened.within(test_game_unlinkability, "open_envelope", open_envelope)


@mutant("unlinkability", test_game_unlinkability.link_mailboxes)
def reads_all_rooms_with_one_key(weakened: Weakened) -> None:
    """A device has one read key, and so one address, for all its rooms."""
    made: dict[int, MailboxKeys] = {}
    generate = MailboxKeys.generate.__func__  # type: ignore[attr-defined]

    def once(cls: type[MailboxKeys], random: Any) -> MailboxKeys:
        return made.setdefault(id(random), generate(cls, random))

    weakened.method(mailbox.MailboxKeys, "generate", lambda _: once)


# --- equivocation ---


@mutant("agreement", test_game_forks.two_commits)
def does_not_notice_equivocation(weakened: Weakened) -> None:
    """The second commit of one author on one epoch is taken for a repetition of the first."""

    original = applying.apply_commit

    def apply_commit(room: RoomState, data: bytes, now: int) -> Any:
        change = original(room, data, now)
        if change.equivocation:
            room.equivocators.clear()
        return change

    weakened.function(original, apply_commit)
