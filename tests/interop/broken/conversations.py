"""Mistakes that only a conversation shows: what is kept, and until when."""

from __future__ import annotations

from typing import Any

from evanesce import applying, message, primitives, speech, state
from evanesce.chain import ReceivingChain
from evanesce.content import Said
from evanesce.errors import HeldError, Reason, RemoteError
from evanesce.room import Room
from evanesce.state import RoomState

from .flaw import Patch, flaw


@flaw("room-policy-not-asked", "session-signed-policy-bob", "session-direct-policy-bob")
def _(patch: Patch) -> None:
    """Knows which rules are stricter, and on receiving takes those of the message."""
    strict = speech.receive_message

    def receive_message(state: Any, data: bytes, now: int) -> Any:
        received = strict(state, data, now)
        if isinstance(received.content, Said):
            received.evaporation = received.content.evaporation
        return received

    patch.everywhere(strict, receive_message)


@flaw("steps-before-checking", "session-signed-relay-bob", "session-signed-insider-bob")
def _(patch: Patch) -> None:
    """Keeps the chain as a forged message has left it: the honest one is then a replay."""
    strict = speech.receive_message

    def receive_message(state: Any, data: bytes, now: int) -> Any:
        try:
            return strict(state, data, now)
        except HeldError:
            raise
        except RemoteError as error:
            if error.reason in (Reason.BAD_SIGNATURE, Reason.BAD_COMMITMENT,
                                Reason.BAD_CIPHERTEXT):  # fmt: skip
                header = message.ParsedMessage.parse(data).header
                epoch = state.epochs.get(header.prefix)
                if epoch is not None and header.sender in epoch.chains:
                    _, after = epoch.chains[header.sender].at(header.number, now)
                    state.set_chain(epoch, header.sender, after)
            raise

    patch.everywhere(strict, receive_message)


@flaw("closes-nothing", "session-signed-closed-bob", "session-signed-late-join-bob")
def _(patch: Patch) -> None:
    """Ignores last spoken: chains of epochs that are over stay open."""
    patch.here(speech, "_closings", lambda *_: ([], False))


@flaw("closes-one-only", "session-signed-silent-epochs-bob")
def _(patch: Patch) -> None:
    """Closes the chain that last spoken names, and not those of the epochs after it."""
    strict = vars(speech)["_closings"]

    def closings(state: Any, epoch: Any, header: Any, now: int) -> Any:
        made, lost = strict(state, epoch, header, now)
        named = None if header.last_spoken is None else header.last_spoken[0]
        return [pair for pair in made if pair[0].prefix == named], lost

    patch.here(speech, "_closings", closings)


@flaw("room-limit-ignored", "session-signed-room-limit-bob")
def _(patch: Patch) -> None:
    """Has a limit of skipped keys for a chain, but none for the room."""
    patch.here(speech, "_evict", lambda *_: {})


@flaw("evicts-the-oldest", "session-signed-room-limit-tie-bob")
def _(patch: Patch) -> None:
    """Over the room's limit, drops the oldest keys, whoever's they are."""

    def evict(
        state: Any, updates: dict[tuple[bytes, bytes], ReceivingChain], **_: bool
    ) -> dict[bytes, int]:
        held = {
            (prefix, member): updates.get((prefix, member), chain)
            for prefix, epoch in state.epochs.items()
            for member, chain in epoch.chains.items()
        }
        excess = sum(len(chain.skipped) for chain in held.values()) - 4_000
        evicted: dict[bytes, int] = {}
        for (prefix, member), its in held.items():
            drop = max(0, min(excess, len(its.skipped)))
            if drop:
                updates[prefix, member] = its.without_oldest(drop)
                evicted[member] = evicted.get(member, 0) + drop
                excess -= drop
        return evicted

    patch.here(speech, "_evict", evict)


@flaw("evicts-from-lowest-id", "session-signed-room-limit-tie-bob")
def _(patch: Patch) -> None:
    """Where two members have as many keys, takes them from the one with the lower id."""

    def most(*given: Any, **options: Any) -> Any:
        if "key" not in options:
            return max(*given)
        (counts,) = given
        return min(counts, key=lambda member: (-counts[member], member))

    patch.here(speech, "max", most)  # the one that the module finds before Python's own


@flaw(
    "skipped-keys-stay",
    "session-signed-skipped-expiry-bob",
    "session-signed-skipped-expiry-bob-restarts",
)
def _(patch: Patch) -> None:
    """Never lets a skipped key expire."""
    patch.here(ReceivingChain, "without_older", lambda chain, since: chain)


@flaw("own-messages-read", "session-signed-relay-bob", "session-direct-turns-ann")
def _(patch: Patch) -> None:
    """Has no check for messages in its own name: it will find no chain for them."""
    strict = speech.receive_message

    def receive_message(state: Any, data: bytes, now: int) -> Any:
        own, state.own = state.own, bytes(32)
        try:
            return strict(state, data, now)
        finally:
            state.own = own

    patch.everywhere(strict, receive_message)


@flaw("last-spoken-anywhere", "session-signed-last-spoken-bob", "session-signed-insider-bob")
def _(patch: Patch) -> None:
    """Takes a last spoken that names this epoch or a later one."""
    strict = vars(speech)["_closings"]

    def closings(state: Any, epoch: Any, header: Any, now: int) -> Any:
        try:
            return strict(state, epoch, header, now)
        except RemoteError as error:
            if "not earlier" not in error.detail:
                raise
            return [], False

    patch.here(speech, "_closings", closings)


@flaw("last-spoken-not-told", "session-signed-refresh-ann", "session-direct-turns-bob")
def _(patch: Patch) -> None:
    """Never says in which epoch it spoke before."""
    honest = RoomState.enter

    def enter(state: RoomState, its: Any, sending: Any, now: int) -> None:
        honest(state, its, sending, now)
        state.last_spoken = None

    patch.here(RoomState, "enter", enter)


@flaw(
    "everyone-speaks",
    "session-signed-last-resort-ann",
    "session-signed-last-resort-dan-last",
    "session-signed-last-resort-removed-bob",
)
def _(patch: Patch) -> None:
    """Lets members speak before one who joined by a last-resort package has refreshed."""
    patch.here(state.Epoch, "awaits_refresh", False)


@flaw(
    "missing-in-this-chain-only",
    "session-direct-1000-unanswered-later-bob",
    "session-direct-late-ann",
    "session-direct-late-bob",
)
def _(patch: Patch) -> None:
    """Counts what is missing in the message's own chain, and not in those that it closes."""
    strict = speech.receive_message

    def receive_message(state: Any, data: bytes, now: int) -> Any:
        header = message.ParsedMessage.parse(data).header
        epoch = state.epochs.get(header.prefix)
        chain = None if epoch is None else epoch.chains.get(header.sender)
        received = strict(state, data, now)
        received.missing = max(0, header.number - (0 if chain is None else chain.index))
        return received

    patch.everywhere(strict, receive_message)


@flaw("losses-not-told", "session-signed-chain-limit-bob")
def _(patch: Patch) -> None:
    """Does not say that some messages can never be read."""
    strict = speech.receive_message

    def receive_message(state: Any, data: bytes, now: int) -> Any:
        received = strict(state, data, now)
        received.lost = False
        return received

    patch.everywhere(strict, receive_message)


@flaw("removed-still-heard", "session-signed-removal-bob", "session-signed-readmitted-bob")
def _(patch: Patch) -> None:
    """Reads what a removed member says in an epoch that is over."""
    honest = RoomState.enter

    def enter(state: RoomState, its: Any, sending: Any, now: int) -> None:
        chains = {prefix: dict(old.chains) for prefix, old in state.epochs.items()}
        honest(state, its, sending, now)
        for prefix, kept in chains.items():
            if prefix in state.epochs:
                state.epochs[prefix].chains.update(kept)

    patch.here(RoomState, "enter", enter)


@flaw("peer-speaks-out-of-turn", "session-direct-out-of-turn-ann")
def _(patch: Patch) -> None:
    """Has no rule for who speaks in a direct epoch: the peer's chain is not there anyway."""
    strict = speech.receive_message

    def receive_message(state: RoomState, data: bytes, now: int) -> Any:
        try:
            return strict(state, data, now)
        except RemoteError as error:
            if error.reason is Reason.OUT_OF_TURN and "opener speaks" in error.detail:
                raise RemoteError(Reason.UNKNOWN_MEMBER, "no chain") from None
            raise

    patch.everywhere(strict, receive_message)


@flaw("old-epochs-dropped", "session-signed-late-join-bob", "session-signed-siblings-bob")
def _(patch: Patch) -> None:
    """Erases an epoch with the commit that ends it: what is still on its way is lost."""
    honest = RoomState.enter

    def enter(state: RoomState, its: Any, sending: Any, now: int) -> None:
        honest(state, its, sending, now)
        for prefix in [p for p in state.epochs if p != state.current]:
            state.epochs.pop(prefix)

    patch.here(RoomState, "enter", enter)


@flaw("old-epochs-stay", "session-signed-old-epoch-bob", "session-direct-old-epoch-ann")
def _(patch: Patch) -> None:
    """Never erases an epoch that is over."""
    patch.here(state, "EPOCH_GRACE", 1 << 40)


@flaw("held-is-rejected", "session-signed-early-bob", "session-signed-removal-cid")
def _(patch: Patch) -> None:
    """Throws away what it cannot judge yet."""
    for strict in (applying.apply_commit, speech.receive_message):

        def strictly(*given: Any, strict: Any = strict) -> Any:
            try:
                return strict(*given)
            except HeldError as error:
                raise RemoteError(error.reason, error.detail) from None

        patch.everywhere(strict, strictly)


@flaw(
    "exporter-outlives-removal",
    "session-signed-removal-cid",
    "session-signed-removal-cid-restarts",
)
def _(patch: Patch) -> None:
    """Still exports secrets of the last epoch after it has been removed."""

    def export(room: Room, label: bytes, size: int = 32) -> bytes:
        exporter = last.get(room.id) if room.closed else room.state.epoch.exporter
        if exporter is None:
            raise RemoteError(Reason.ROOM_CLOSED, "no exporter")
        last[room.id] = exporter
        return primitives.KDF(exporter.reveal(), b"export", label, size=size)

    last: dict[bytes, Any] = {}
    patch.here(Room, "export", export)


@flaw("policy-of-now", "session-signed-policy-bob")
def _(patch: Patch) -> None:
    """Lets a late message evaporate by the policy of the current epoch, not of its own."""
    strict = speech.receive_message

    def receive_message(state: RoomState, data: bytes, now: int) -> Any:
        received = strict(state, data, now)
        received.evaporation = state.epoch.policy.evaporation
        if isinstance(received.content, Said):
            rules = received.content.evaporation
            received.evaporation = rules.strictest(received.evaporation)
        return received

    patch.everywhere(strict, receive_message)


@flaw("late-message-by-key-of-now", "session-signed-late-join-bob", "session-signed-siblings-cid")
def _(patch: Patch) -> None:
    """Verifies a late message with the key that its sender has now."""
    strict = speech.receive_message

    def receive_message(state: RoomState, data: bytes, now: int) -> Any:
        header = message.ParsedMessage.parse(data).header
        its = state.epochs.get(header.prefix)
        if its is None or not all(header.sender in e.roster for e in (its, state.epoch)):
            return strict(state, data, now)
        old, credential = its.roster, state.epoch.roster[header.sender].credential
        its.roster = old.change(header.sender, credential=credential)
        try:
            return strict(state, data, now)
        finally:
            its.roster = old

    patch.everywhere(strict, receive_message)
