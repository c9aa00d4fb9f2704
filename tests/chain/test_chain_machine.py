"""A receiving chain against a model that knows every key from the start (spec 08).

Each run delivers messages in any order, twice, late, forged, far ahead or never; closes the chain;
lets keys expire. The model is a table of keys that is computed here, a set of what has been read,
and what may still be opened.
"""

import hashlib
from typing import Final

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from evanesce.chain import ReceivingChain
from evanesce.errors import Reason, RemoteError
from evanesce.limits import MAX_INDEX, MAX_JUMP
from evanesce.secret import Secret

ROOT: Final = bytes(range(100, 132))
# Where a chain may begin: the model's table is the same, its indices move along.
STARTS: Final = [0, 1, 2**31, MAX_INDEX - 2**20]

# The table, made longer as it is needed: chain keys, and the message key that each gives.
_chain_keys: Final[list[bytes]] = [ROOT]
_message_keys: Final[list[bytes]] = []

picks = st.integers(0, 10**6)
skips = st.sampled_from([0, 0, 1, 2, 5])
leaps = st.sampled_from([MAX_JUMP - 1, MAX_JUMP, MAX_JUMP // 2])


def _extend(count: int) -> None:
    while len(_message_keys) < count:
        both = hashlib.blake2b(b"\x91\xc4\x05chain", key=_chain_keys[-1], digest_size=64).digest()
        _chain_keys.append(both[:32])
        _message_keys.append(both[32:])


Dump = tuple[bytes | None, int, dict[int, tuple[bytes, int]]]


def dump(chain: ReceivingChain) -> Dump:
    """All that a chain is."""
    kept = {n: (entry.key.reveal(), entry.since) for n, entry in chain.skipped.items()}
    return None if chain.key is None else chain.key.reveal(), chain.index, kept


class ChainMachine(RuleBasedStateMachine):
    """Rules named `forged_…`, `refused_…` and `closed_too_low` must leave the chain as it is."""

    @initialize(start=st.sampled_from(STARTS))
    def begin(self, start: int) -> None:
        self.now = 1_700_000_000
        self.restart(start)

    def restart(self, start: int) -> None:
        self.chain = ReceivingChain(Secret(ROOT), start)
        self.start = start
        self.next = start
        self.open = True
        self.waiting: dict[int, int] = {}  # index of a missing message: since when its key is kept
        self.read: set[int] = set()
        self.gone: set[int] = set()  # never read, and its key has been dropped
        self.returned: set[bytes] = set()

    # The model.

    def message_key(self, index: int) -> bytes:
        _extend(index - self.start + 1)
        return _message_keys[index - self.start]

    def chain_key(self, index: int) -> bytes:
        _extend(index - self.start)
        return _chain_keys[index - self.start]

    def expected(self) -> Dump:
        kept = {n: (self.message_key(n), since) for n, since in self.waiting.items()}
        return self.chain_key(self.next) if self.open else None, self.next, kept

    def keep_missing_below(self, index: int) -> None:
        for n in range(self.next, index):
            self.waiting[n] = self.now
        for n in sorted(self.waiting)[: max(0, len(self.waiting) - MAX_JUMP)]:
            del self.waiting[n]
            self.gone.add(n)

    # What is done to both.

    def accept(self, index: int) -> None:
        before = self.chain
        image = dump(before)
        message_key, self.chain = before.at(index, self.now)
        assert dump(before) == image  # receiving works on a copy
        assert message_key == self.message_key(index)
        assert message_key not in self.returned
        self.returned.add(message_key)
        self.read.add(index)
        if index < self.next:
            del self.waiting[index]
        else:
            self.keep_missing_below(index)
            self.next = index + 1

    def refuse(self, index: int, reason: Reason) -> None:
        image = dump(self.chain)
        with pytest.raises(RemoteError) as caught:
            self.chain.at(index, self.now)
        assert caught.value.reason is reason
        assert dump(self.chain) == image
        self.honest_message_opens()

    def honest_message_opens(self) -> None:
        """Whatever was refused, the next message and the oldest missing one would open."""
        honest = [self.next] if self.open else []
        honest += [min(self.waiting)] if self.waiting else []
        for index in honest:
            assert self.chain.at(index, self.now)[0] == self.message_key(index)

    # Messages that come.

    @precondition(lambda self: self.open)
    @rule(skip=skips)
    def next_or_soon(self, skip: int) -> None:
        self.accept(self.next + skip)

    @precondition(lambda self: self.open)
    @rule(leap=leaps)
    def far_ahead(self, leap: int) -> None:
        self.accept(self.next + leap)

    @precondition(lambda self: self.waiting)
    @rule(pick=picks)
    def late(self, pick: int) -> None:
        self.accept(sorted(self.waiting)[pick % len(self.waiting)])

    @precondition(lambda self: self.waiting)
    @rule()
    def late_and_oldest(self) -> None:
        self.accept(min(self.waiting))

    # Messages that come and turn out to be forged: their key is derived, and dropped.

    @precondition(lambda self: self.open or self.waiting)
    @rule(pick=picks, skip=st.one_of(skips, leaps))
    def forged(self, pick: int, skip: int) -> None:
        candidates = [sorted(self.waiting)[pick % len(self.waiting)]] if self.waiting else []
        candidates += [self.next + skip] if self.open else []
        index = candidates[pick % len(candidates)]
        image = dump(self.chain)
        message_key, _ = self.chain.at(index, self.now)
        assert message_key == self.message_key(index)
        assert dump(self.chain) == image
        self.honest_message_opens()

    # Messages that are refused.

    @precondition(lambda self: self.read)
    @rule(pick=picks)
    def refused_twice(self, pick: int) -> None:
        self.refuse(sorted(self.read)[pick % len(self.read)], Reason.REPLAY)

    @precondition(lambda self: self.gone)
    @rule(pick=picks)
    def refused_when_its_key_is_gone(self, pick: int) -> None:
        self.refuse(sorted(self.gone)[pick % len(self.gone)], Reason.REPLAY)

    @precondition(lambda self: self.start > 0)
    @rule()
    def refused_before_the_beginning(self) -> None:
        self.refuse(self.start - 1, Reason.REPLAY)

    @precondition(lambda self: self.open)
    @rule(past=st.sampled_from([1, 2, 1_000, 2**20, 2**32]))
    def refused_too_far(self, past: int) -> None:
        self.refuse(self.next + MAX_JUMP + past, Reason.JUMP_TOO_FAR)

    @precondition(lambda self: not self.open)
    @rule(past=st.sampled_from([0, 1, 2, MAX_JUMP, MAX_JUMP + 1, 2**32]))
    def refused_beyond_the_count(self, past: int) -> None:
        self.refuse(self.next + past, Reason.BEYOND_COUNT)

    # Closing.

    @precondition(lambda self: self.open and len(self.read) > 1)
    @rule(missing=st.sampled_from([0, 1, 3, MAX_JUMP - 1, MAX_JUMP]))
    def closed(self, missing: int) -> None:
        count = self.next + missing
        dropped = len(self.waiting) + missing > MAX_JUMP
        before = self.chain
        image = dump(before)
        self.chain, lost = before.close(count, self.now)
        assert lost == dropped
        assert dump(before) == image
        self.keep_missing_below(count)
        self.next, self.open = count, False

    @precondition(lambda self: self.open and len(self.read) > 1)
    @rule(past=st.sampled_from([1, 2, 2**20]))
    def closed_with_a_gap(self, past: int) -> None:
        self.chain, lost = self.chain.close(self.next + MAX_JUMP + past, self.now)
        assert lost
        self.open = False

    @precondition(lambda self: self.open and self.next > self.start)
    @rule(short=st.integers(1, 5))
    def closed_too_low(self, short: int) -> None:
        image = dump(self.chain)
        with pytest.raises(RemoteError) as caught:
            self.chain.close(max(0, self.next - short), self.now)
        assert caught.value.reason is Reason.BAD_COUNT
        assert dump(self.chain) == image
        self.honest_message_opens()

    @precondition(lambda self: not self.open)
    @rule(offset=st.integers(-3, 3))
    def closed_again(self, offset: int) -> None:
        image = dump(self.chain)
        self.chain, lost = self.chain.close(max(0, self.next + offset), self.now)
        assert not lost
        assert dump(self.chain) == image

    @precondition(lambda self: not self.open)
    @rule(start=st.sampled_from(STARTS))
    def a_new_epoch(self, start: int) -> None:
        self.restart(start)

    # Time and space.

    @rule(seconds=st.sampled_from([-1, 1, 3_600]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @precondition(lambda self: self.waiting)
    @rule(pick=picks, offset=st.sampled_from([0, 0, 1]))
    def keys_expire(self, pick: int, offset: int) -> None:
        times = sorted(set(self.waiting.values()))
        since = times[pick % len(times)] + offset
        self.chain = self.chain.without_older(since)
        expired = {n for n, time in self.waiting.items() if time < since}
        self.waiting = {n: time for n, time in self.waiting.items() if n not in expired}
        self.gone |= expired

    @precondition(lambda self: len(self.waiting) > 1)
    @rule(pick=picks)
    def the_room_is_full(self, pick: int) -> None:
        count = pick % len(self.waiting)
        self.chain = self.chain.without_oldest(count)
        for n in sorted(self.waiting)[:count]:
            del self.waiting[n]
            self.gone.add(n)

    # What always holds.

    @invariant()
    def chain_is_as_the_model(self) -> None:
        assert dump(self.chain) == self.expected()

    @invariant()
    def no_more_keys_than_allowed(self) -> None:
        assert len(self.chain.skipped) <= MAX_JUMP
        assert self.chain.done == (not self.open and not self.waiting)


TestChain = ChainMachine.TestCase
