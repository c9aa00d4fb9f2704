"""Weakened implementations that let somebody read more: erasure, healing, lock-out, joiner."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evanesce import (
    applying,
    chain,
    epoch,
    founding,
    group,
    inbox,
    invitation,
    primitives,
    speech,
    state,
    turn,
)
from evanesce.chain import ReceivingChain
from evanesce.commit import Commit
from evanesce.epoch import EpochKeys
from evanesce.errors import RemoteError
from evanesce.formats import COMMIT_COPY
from evanesce.group import CommitMade
from evanesce.keypackage import KeyPackageKeys
from evanesce.membership import Mode
from evanesce.room import Room
from evanesce.secret import Secret
from evanesce.state import Epoch, RoomState
from tests.games import (
    test_game_erasure,
    test_game_forks,
    test_game_healing,
    test_game_joiner,
    test_game_lockout,
)
from tests.games.mutants import ZEROS, mutant
from tests.games.weaken import Weakened


def consumed_group() -> None:
    test_game_erasure.consumed(Mode.SIGNED)


def consumed_direct() -> None:
    test_game_erasure.consumed(Mode.DIRECT)


lost_keys = test_game_erasure.test_a_key_that_waits_for_a_lost_message_waits_72_hours
skipped_keys = test_game_erasure.test_a_skipped_key_of_the_current_epoch_waits_72_hours
put_back = test_game_erasure.test_a_device_that_was_put_back_does_not_use_a_key_twice
comes_back = test_game_healing.thief_comes_back
two_thefts = test_game_healing.test_two_thefts_need_two_refreshes
not_heard = test_game_lockout.test_a_removed_member_is_not_heard_by_those_who_know
colluding = test_game_lockout.test_a_later_theft_helps_a_removed_member_until_that_device_commits
joiner = test_game_joiner.test_neither_an_add_nor_a_removal_beside_it_tells_a_joiner_what_was_before


# --- erasure -------------------------------------------------------------------------------------


@mutant("erasure", consumed_group)
def keeps_the_epoch_secret(weakened: Weakened) -> None:
    """The epoch secret is stored with the room."""
    weakened.around(group.make_commit, applying.apply_commit)
    weakened.show_what_is_kept()
    old = EpochKeys.derive.__func__  # type: ignore[attr-defined]  # of the class method

    def derive(cls: type[EpochKeys], secret: bytes, *rest: Any) -> Any:
        weakened.keep(secret)
        return old(cls, secret, *rest)

    weakened.method(EpochKeys, "derive", lambda _: derive)


@mutant("erasure", consumed_group)
def does_not_puncture(weakened: Weakened) -> None:
    """init[e, committer] stays after its commit has been taken."""
    weakened.around(group.make_commit, applying.apply_commit)
    weakened.show_what_is_kept()

    original = epoch.epoch_secret

    def secret(init: bytes, r: bytes, commit: bytes) -> bytes:
        weakened.keep(init)
        return original(init, r, commit)

    weakened.function(original, secret)


@mutant("erasure", consumed_group)
def keeps_used_message_keys(weakened: Weakened) -> None:
    """The key of an accepted message stays among the skipped ones."""

    def wrap(old: Any) -> Any:
        def at(self: ReceivingChain, index: int, now: int) -> tuple[bytes, ReceivingChain]:
            key, after = old(self, index, now)
            kept = {**after.skipped, index: chain.Skipped(Secret(key), now)}
            return key, ReceivingChain(after.key, after.index, kept)

        return at

    weakened.method(ReceivingChain, "at", wrap)


@mutant("erasure", consumed_group)
def keeps_its_own_chain_as_a_receiver(weakened: Weakened) -> None:
    """A device can read again what it has sent: it keeps the first key of its own chain."""

    def wrap(old: Any) -> Any:
        def open_(cls: type[Epoch], keys: EpochKeys, *rest: Any, **more: Any) -> Any:
            opened, sending = old(cls, keys, *rest, **more)
            own = rest[2]
            opened.chains[own] = ReceivingChain(keys.chains[own])
            return opened, sending

        return open_

    weakened.method(Epoch, "open", wrap)


@mutant("erasure", consumed_group)
def keeps_used_prekeys(weakened: Weakened) -> None:
    """The one-time prekey stays after its invitation has been accepted."""
    weakened.method(KeyPackageKeys, "without", lambda _: lambda self, index: self)


@mutant("erasure", consumed_group)
def leaves_the_one_time_prekey_out_of_the_handshake(weakened: Weakened) -> None:
    """dh4 is not part of the key of an invitation: what lies on the shelf opens it for 33 days."""
    original = invitation._key

    def key(secrets: list[bytes], *rest: Any) -> bytes:
        return original(secrets[:3], *rest)

    weakened.within(invitation, "_key", key)


@mutant("erasure", consumed_group)
def does_not_erase_what_evaporates(weakened: Weakened) -> None:
    """A message is hidden when its time has come, and its record stays."""

    def erase(self: inbox.Inbox, tx: Any, which: bytes) -> None:
        self._deadlines.pop(which, None)

    weakened.method(inbox.Inbox, "erase", lambda _: erase)


@mutant("erasure", consumed_group)
def keeps_the_wrap_key(weakened: Weakened) -> None:
    """The wrap key is never changed, so what flash memory still holds of a record opens."""
    weakened.method(inbox.Inbox, "rotate", lambda _: lambda self, tx, now, random: None)


@mutant("erasure", consumed_direct)
def keeps_the_keys_of_a_turn(weakened: Weakened) -> None:
    """In a direct room init and leaf key stay after the answer."""
    weakened.around(turn.accept_turn)
    weakened.show_what_is_kept()

    def wrap(old: Any) -> Any:
        def enter(self: RoomState, opened: Epoch, *rest: Any) -> None:
            parent = self.epochs.get(self.current)
            for key in [] if parent is None else [parent.leaf, *parent.inits.values()]:
                if key is not None:
                    weakened.keep(key.reveal(), of=self)
            old(self, opened, *rest)

        return enter

    weakened.method(RoomState, "enter", wrap)


@mutant("erasure", skipped_keys)
def keeps_skipped_keys_for_ever(weakened: Weakened) -> None:
    """Skipped keys have no age."""
    weakened.method(ReceivingChain, "without_older", lambda _: lambda self, since: self)


@mutant("erasure", lost_keys)
def keeps_old_epochs_for_ever(weakened: Weakened) -> None:
    """An epoch that is over stays readable."""
    weakened.within(state, "EPOCH_GRACE", 1 << 40)  # type: ignore[arg-type]


@mutant("erasure", put_back)
def drops_the_salt(weakened: Weakened) -> None:
    """The salt is constant: the AEAD key depends on chain and index alone."""
    weakened.function(chain.message_salt, lambda *given: bytes(16))


@mutant("erasure", lost_keys)
def leaves_erased_records_in_the_store(weakened: Weakened) -> None:
    """What is erased in memory is not deleted from the store."""

    def wrap(old: Any) -> Any:
        def changes(self: Any) -> dict[bytes, bytes | None]:
            return {name: data for name, data in old(self).items() if data is not None}

        return changes

    weakened.method(Room, "changes", wrap)


@mutant("erasure", consumed_group)
def keeps_exporters(weakened: Weakened) -> None:
    """The exporter of an epoch stays when the next one is entered."""
    weakened.show_what_is_kept()

    def wrap(old: Any) -> Any:
        def enter(self: RoomState, *rest: Any, **more: Any) -> Any:
            parent = self.epochs.get(self.current)
            if parent is not None and parent.exporter is not None:
                weakened.keep(parent.exporter.reveal(), of=self)
            return old(self, *rest, **more)

        return enter

    weakened.method(RoomState, "enter", wrap)


# --- healing -------------------------------------------------------------------------------------


@mutant("healing", comes_back)
def keeps_r(weakened: Weakened) -> None:
    """The fresh secret of a commit stays with its committer."""
    weakened.around(group.make_commit)
    weakened.show_what_is_kept()
    original = epoch.epoch_secret

    def secret(init: bytes, r: bytes, commit: bytes) -> bytes:
        weakened.keep(r)
        return original(init, r, commit)

    weakened.function(original, secret)


@mutant("healing", two_thefts)
def refreshes_with_the_old_leaf_key(weakened: Weakened) -> None:
    """A commit gives its author the leaf key that it had."""
    weakened.around(group.make_commit)
    original = primitives.dh_keypair
    done: set[int] = set()

    def dh_keypair(random: Any) -> tuple[bytes, bytes]:
        fresh = original(random)
        working = weakened.working
        if working is None or id(working.epoch) in done or working.epoch.leaf is None:
            return fresh
        done.add(id(working.epoch))
        return working.epoch.leaf.reveal(), working.me.credential.leaf_key

    weakened.within(group, "dh_keypair", dh_keypair)


@mutant("healing", comes_back)
def mixes_no_fresh_secret(weakened: Weakened) -> None:
    """r is not random: the epoch secret follows from the init."""
    original = epoch.epoch_secret
    weakened.function(original, lambda init, r, commit: original(init, ZEROS, commit))


def adding_heals() -> None:
    comes_back(adding=True)


@mutant("healing", adding_heals)
def spares_the_secret_where_it_only_adds(weakened: Weakened) -> None:
    """A commit that only adds mixes in nothing fresh: nobody has to be shut out."""
    original = epoch.epoch_secret

    def secret(init: bytes, r: bytes, commit: bytes) -> bytes:
        return original(init, ZEROS if adds_only(commit) else r, commit)

    weakened.function(original, secret)


def operations_of(data: bytes) -> tuple[Any, ...]:
    """Those of a commit; a genesis or direct commit has none."""
    try:
        return Commit.parse(data).operations
    except RemoteError:
        return ()


def adds_only(commit: bytes) -> bool:
    operations = operations_of(commit)
    return bool(operations) and all(type(op).__name__ == "Add" for op in operations)


# --- lock-out ------------------------------------------------------------------------------------


@mutant("lock-out", colluding)
def gives_a_slot_to_whom_it_removes(weakened: Weakened) -> None:
    """The removed member's copy of the commit has a slot like all others."""
    sealed: list[tuple[Any, ...]] = []
    original = epoch.seal_slot

    def seal_slot(*given: Any) -> bytes:
        sealed.append(given)
        return original(*given)

    weakened.within(group, "seal_slot", seal_slot)
    make = group.make_commit

    def make_commit(state: RoomState, *rest: Any) -> CommitMade:
        made = make(state, *rest)
        r, ephemeral, commit, ephemeral_key = sealed[-1][:4]
        copies = dict(made.copies)
        for member in made.removed:
            slot = original(r, ephemeral, commit, ephemeral_key, member.id,
                            member.credential.leaf_key)  # fmt: skip
            copies[member.id] = COMMIT_COPY.build(made.sealed, slot)
        return replace(made, copies=copies)

    weakened.function(make, make_commit)


@mutant("lock-out", colluding)
def changes_no_secret_for_a_removal(weakened: Weakened) -> None:
    """A commit that removes mixes in what everybody knows."""
    original = epoch.epoch_secret

    def secret(init: bytes, r: bytes, commit: bytes) -> bytes:
        return original(init, ZEROS if operations_of(commit) else r, commit)

    weakened.function(original, secret)


@mutant("lock-out", not_heard)
def keeps_the_chains_of_the_removed(weakened: Weakened) -> None:
    """Late messages of a removed member are read."""
    weakened.method(RoomState, "drop_chain", lambda _: lambda self, epoch, member: None)


# --- joiner --------------------------------------------------------------------------------------


@mutant("joiner", joiner)
def admits_with_the_secret_of_the_parent(weakened: Weakened) -> None:
    """A commit that only adds goes on with the epoch secret: the joiner gets it."""
    secrets: dict[bytes, bytes] = {}
    derive = EpochKeys.derive.__func__  # type: ignore[attr-defined]

    def noting(cls: type[EpochKeys], secret: bytes, *rest: Any) -> EpochKeys:
        keys: EpochKeys = derive(cls, secret, *rest)
        secrets.update({init.reveal(): secret for init in keys.inits.values()})
        return keys

    weakened.method(EpochKeys, "derive", lambda _: noting)
    original = epoch.epoch_secret

    def secret(init: bytes, r: bytes, commit: bytes) -> bytes:
        return secrets[init] if adds_only(commit) else original(init, r, commit)

    weakened.function(original, secret)


@mutant("joiner", joiner)
def hands_a_joiner_the_epoch_before(weakened: Weakened) -> None:
    """Whoever is let in may see what was said of late: it is given the secret of the parent."""
    of_init: dict[bytes, bytes] = {}
    before: dict[bytes, bytes] = {}
    derive = EpochKeys.derive.__func__  # type: ignore[attr-defined]
    original, join = epoch.epoch_secret, founding.join_room

    def noting(cls: type[EpochKeys], secret: bytes, *rest: Any) -> EpochKeys:
        keys: EpochKeys = derive(cls, secret, *rest)
        of_init.update({init.reveal(): secret for init in keys.inits.values()})
        return keys

    def epoch_secret(init: bytes, r: bytes, commit: bytes) -> bytes:
        made = original(init, r, commit)
        before[made] = of_init.get(init, ZEROS)
        return made

    def join_room(*given: Any) -> Any:
        room, invitation = join(*given)
        for secret in [before[s] for s in of_init.values() if before.get(s, ZEROS) != ZEROS]:
            weakened.keep(secret, of=room)
        return room, invitation

    weakened.method(EpochKeys, "derive", lambda _: noting)
    weakened.function(original, epoch_secret)
    weakened.function(join, join_room)
    weakened.show_what_is_kept()


# --- forks ---------------------------------------------------------------------------------------


@mutant("erasure", test_game_forks.both_branches_are_consumed)
def keeps_the_inits_of_siblings(weakened: Weakened) -> None:
    """A sibling is processed without the puncture: its init stays with the parent."""
    original = applying.take

    def take(room: RoomState, parent: Epoch, committer: bytes, *rest: Any) -> None:
        init = parent.inits.get(committer)
        original(room, parent, committer, *rest)
        if init is not None and room.own != committer:
            parent.inits[committer] = init

    weakened.within(applying, "take", take)


@mutant("erasure", test_game_forks.both_branches_are_consumed)
def keeps_the_init_of_its_own_commit(weakened: Weakened) -> None:
    """A committer could make its own epoch again, with the r that it keeps beside."""
    weakened.around(group.make_commit)
    weakened.show_what_is_kept()
    original = epoch.epoch_secret

    def secret(init: bytes, r: bytes, commit: bytes) -> bytes:
        weakened.keep(init)
        weakened.keep(r)
        return original(init, r, commit)

    weakened.within(group, "epoch_secret", secret)


@mutant("erasure", test_game_forks.both_branches_are_consumed)
def reads_losing_epochs_from_their_beginning(weakened: Weakened) -> None:
    """The chains of a losing epoch stay as they were: the branch can be read again."""

    def wrap(old: Any) -> Any:
        def keep_losing(self: RoomState, opened: Epoch, now: int) -> None:
            for key in [c.key for c in opened.chains.values() if c.key is not None]:
                weakened.keep(key.reveal(), of=self)
            old(self, opened, now)

        return keep_losing

    weakened.show_what_is_kept()
    weakened.method(RoomState, "keep_losing", wrap)


@mutant("erasure", test_game_forks.both_branches_are_consumed)
def keeps_exporters_of_losing_epochs(weakened: Weakened) -> None:
    """A losing epoch keeps its exporter: another member may have used it."""

    def wrap(old: Any) -> Any:
        def keep_losing(self: RoomState, opened: Epoch, now: int) -> None:
            exporter = opened.exporter
            old(self, opened, now)
            opened.exporter = exporter

        return keep_losing

    weakened.method(RoomState, "keep_losing", wrap)


@mutant("erasure", test_game_forks.test_what_is_kept_for_siblings_opens_siblings_that_have_not_come)
def keeps_what_opens_siblings_for_ever(weakened: Weakened) -> None:
    """The window has no end."""
    weakened.within(state, "EPOCH_GRACE", 1 << 40)  # type: ignore[arg-type]


@mutant("healing", test_game_forks.lost_refresh)
def believes_in_a_refresh_that_has_lost(weakened: Weakened) -> None:
    """A commit of one's own counts as a refresh, whichever branch has won."""
    weakened.within(applying, "REFRESH_MESSAGES", 0)  # type: ignore[arg-type]


@mutant("lock-out", test_game_forks.lost_removal)
def speaks_while_a_removal_is_pending(weakened: Weakened) -> None:
    """A removal that has lost is committed when somebody finds time for it."""
    weakened.within(speech, "require_none_blocking", lambda room: None)
