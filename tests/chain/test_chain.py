"""Chains: the derivations, sending to the last index, and the limits of receiving (spec 08)."""

import hashlib
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evanesce.chain import (
    ReceivingChain,
    SendingChain,
    Skipped,
    message_keys,
    message_salt,
    step,
)
from evanesce.errors import LocalError, Reason, RemoteError
from evanesce.limits import MAX_INDEX, MAX_JUMP
from evanesce.secret import Secret

KEY: Final = bytes(range(32))
NOW: Final = 1_700_000_000

key_bytes = st.binary(min_size=32, max_size=32)


def derived(key: bytes, size: int, label: bytes, *parts: bytes) -> bytes:
    """Keyed BLAKE2b over MessagePack made by hand."""
    message = bytes([0x91 + len(parts)])
    for part in (label, *parts):
        if len(part) < 1 << 8:
            message += b"\xc4" + len(part).to_bytes(1, "big") + part
        elif len(part) < 1 << 16:
            message += b"\xc5" + len(part).to_bytes(2, "big") + part
        else:
            message += b"\xc6" + len(part).to_bytes(4, "big") + part
    return hashlib.blake2b(message, key=key, digest_size=size).digest()


def keys_of(root: bytes, count: int) -> list[bytes]:
    """The first message keys of a chain."""
    keys, chain_key = [], root
    for _ in range(count):
        both = derived(chain_key, 64, b"chain")
        chain_key = both[:32]
        keys.append(both[32:])
    return keys


def dump(chain: ReceivingChain) -> object:
    """All that a chain is."""
    kept = [(n, entry.key.reveal(), entry.since) for n, entry in sorted(chain.skipped.items())]
    return chain.key and chain.key.reveal(), chain.index, kept


def assert_refused(chain: ReceivingChain, index: int, reason: Reason) -> None:
    before = dump(chain)
    with pytest.raises(RemoteError) as caught:
        chain.at(index, NOW)
    assert caught.value.reason is reason
    assert dump(chain) == before


# --- Derivations ---------------------------------------------------------------------------------


@given(key_bytes)
def test_a_step_is_as_defined(key: bytes) -> None:
    both = derived(key, 64, b"chain")
    assert step(key) == (both[:32], both[32:])


@given(key_bytes, st.binary(min_size=16, max_size=16), st.binary(max_size=70_000))
def test_the_salt_is_as_defined(key: bytes, fresh: bytes, padded: bytes) -> None:
    assert message_salt(key, fresh, padded) == derived(key, 16, b"salt", fresh, padded)


@given(key_bytes, key_bytes)
def test_message_keys_are_as_defined(key: bytes, header_hash: bytes) -> None:
    both = derived(key, 64, b"message", header_hash)
    assert message_keys(key, header_hash) == (both[:32], both[32:])


def test_known_answers() -> None:
    """Pinned: these never change within version 1."""
    next_key, message_key = step(KEY)
    assert next_key.hex() == "27152d6196fa923ce5ce01a05082df3c86152c38463d83d1a4bc6540342aa32e"
    assert message_key.hex() == "0d9b8d9cd3d5804f9887cf468545e848866ca59705a78060a1e740592b9c332d"
    aead, com = message_keys(message_key, bytes([7]) * 32)
    assert aead.hex() == "4c94d32dd50202c3df3e9257ca71d319df39af72fa5fb5bde9616d91607a5710"
    assert com.hex() == "7a9c4be32e5a655a26c7d366cf61d1b0d12d4ad22c2754f8a40dd402ce41121e"
    salt = message_salt(message_key, bytes([1]) * 16, b"padded".ljust(300, b"\0"))
    assert salt.hex() == "84ee15877595f999e9a0c9f43ecd323f"


def test_the_example_of_the_specification() -> None:
    """Spec 08.8."""
    next_key, message_key = step(KEY)
    assert next_key.hex() == "27152d6196fa923ce5ce01a05082df3c86152c38463d83d1a4bc6540342aa32e"
    assert message_key.hex() == "0d9b8d9cd3d5804f9887cf468545e848866ca59705a78060a1e740592b9c332d"
    salt = message_salt(message_key, b"\x22" * 16, bytes.fromhex("6869800000000000"))
    assert salt.hex() == "837c72c649a3224fb15cc31f87e0ec6b"
    aead, com = message_keys(message_key, b"\x33" * 32)
    assert aead.hex() == "29a422bfd9e0ed9ecb0253dcc252d4473f97cb1742a807f711287c84b2cdfe27"
    assert com.hex() == "43fab59d5f54be37bba3566303ef3254e24bcb564797a535ab71c944f61601e4"
    chain = ReceivingChain(Secret(KEY))
    skips: dict[int, tuple[int, set[int]]] = {
        2: (3, {0, 1}),
        0: (3, {1}),
        1_003: (1_004, set(range(3, 1_003))),
        1_004: (1_005, set(range(3, 1_003))),
    }
    for index, (following, skipped) in skips.items():
        _, chain = chain.at(index, NOW)
        assert (chain.index, set(chain.skipped)) == (following, skipped)
        assert_refused(chain, 2, Reason.REPLAY)


def test_all_that_is_derived_from_a_key_differs() -> None:
    """One label for each use: nothing derived is a prefix or a part of another."""
    next_key, message_key = step(KEY)
    values = [
        *step(message_key),
        *message_keys(message_key, bytes(32)),
        message_salt(message_key, bytes(16), bytes(16)).ljust(32, b"\0"),
        next_key,
        message_key,
    ]
    assert len({value[:16] for value in values}) == len(values)


@given(st.binary(min_size=16, max_size=16), st.binary(max_size=40), st.binary(max_size=40))
def test_two_contents_never_share_a_salt(fresh: bytes, one: bytes, other: bytes) -> None:
    """A cloned device with a broken random source: the same index, the same fresh bytes."""
    same = message_salt(KEY, fresh, one) == message_salt(KEY, fresh, other)
    assert same == (one == other)


def test_fresh_bytes_and_content_do_not_run_together() -> None:
    assert message_salt(KEY, b"a" * 16, b"ab") != message_salt(KEY, b"a" * 17, b"b")


# --- Sending -------------------------------------------------------------------------------------


def test_sending_walks_the_chain() -> None:
    chain = SendingChain(Secret(KEY))
    for index, expected in enumerate(keys_of(KEY, 20)):
        assert chain.index == index
        before = chain.key.reveal()
        message_key, after = chain.next()
        assert message_key == expected
        assert (chain.index, chain.key.reveal()) == (index, before)  # a failed send repeats nothing
        chain = after


def test_the_last_index_is_used_and_none_after_it() -> None:
    chain = SendingChain(Secret(KEY), MAX_INDEX)
    message_key, after = chain.next()
    assert message_key == keys_of(KEY, 1)[0]
    assert after.index == MAX_INDEX + 1
    for past in (after, SendingChain(Secret(KEY), MAX_INDEX + 1)):
        with pytest.raises(LocalError) as caught:
            past.next()
        assert caught.value.reason is Reason.CHAIN_EXHAUSTED


def test_an_erased_chain_sends_nothing() -> None:
    chain = SendingChain(Secret(KEY))
    chain.key.erase()
    with pytest.raises(LocalError) as caught:
        chain.next()
    assert caught.value.reason is Reason.EVAPORATED


# --- Receiving -----------------------------------------------------------------------------------


@given(st.permutations(range(12)), st.integers(0, 12))
def test_whatever_is_sent_opens_once_in_any_order(order: list[int], lost: int) -> None:
    sending, sent = SendingChain(Secret(KEY)), []
    for _ in order:
        message_key, sending = sending.next()
        sent.append(message_key)
    chain = ReceivingChain(Secret(KEY))
    for index in order[lost:]:
        message_key, chain = chain.at(index, NOW)
        assert message_key == sent[index]
    for index in order[lost:]:
        assert_refused(chain, index, Reason.REPLAY)
    highest = max(order[lost:], default=-1)
    assert chain.index == highest + 1
    assert set(chain.skipped) == {index for index in order[:lost] if index < highest}


def test_the_longest_jump_is_read_and_none_past_it() -> None:
    keys = keys_of(KEY, 2 * MAX_JUMP + 2)
    chain = ReceivingChain(Secret(KEY))
    for index in (MAX_JUMP + 1, MAX_JUMP + 2, MAX_INDEX, 2**64):
        assert_refused(chain, index, Reason.JUMP_TOO_FAR)
    message_key, chain = chain.at(MAX_JUMP, NOW)
    assert message_key == keys[MAX_JUMP]
    assert chain.index == MAX_JUMP + 1
    assert {n: kept.key.reveal() for n, kept in chain.skipped.items()} == dict(
        enumerate(keys[:MAX_JUMP])
    )
    # The limit counts from the next expected message, not from the beginning.
    assert_refused(chain, 2 * MAX_JUMP + 2, Reason.JUMP_TOO_FAR)
    message_key, after = chain.at(2 * MAX_JUMP + 1, NOW)
    assert message_key == keys[2 * MAX_JUMP + 1]
    # Only so many keys are kept; the oldest are gone, and say so as a replay does.
    assert sorted(after.skipped) == list(range(MAX_JUMP + 1, 2 * MAX_JUMP + 1))
    assert_refused(after, 0, Reason.REPLAY)
    assert chain.at(0, NOW)[0] == keys[0]  # the chain before knows nothing of it


def test_of_too_many_skipped_keys_the_oldest_go() -> None:
    """REQ-CHAIN-11, REQ-LIMIT-18."""
    keys = keys_of(KEY, MAX_JUMP + 5)
    _, chain = ReceivingChain(Secret(KEY)).at(MAX_JUMP, NOW)
    _, chain = chain.at(MAX_JUMP + 4, NOW + 1)  # skips three
    assert len(chain.skipped) == MAX_JUMP
    for index in (0, 1, 2):
        assert_refused(chain, index, Reason.REPLAY)
    assert chain.at(3, NOW)[0] == keys[3]
    assert chain.at(MAX_JUMP + 3, NOW)[0] == keys[MAX_JUMP + 3]


def test_a_chain_reads_to_the_last_index() -> None:
    keys = keys_of(KEY, 6)
    chain = ReceivingChain(Secret(KEY), MAX_INDEX - 5)
    message_key, chain = chain.at(MAX_INDEX, NOW)
    assert message_key == keys[5]
    assert chain.index == MAX_INDEX + 1
    for n in range(5):
        message_key, chain = chain.at(MAX_INDEX - 5 + n, NOW)
        assert message_key == keys[n]
    assert_refused(chain, MAX_INDEX, Reason.REPLAY)


def test_a_message_that_is_not_accepted_uses_nothing_up() -> None:
    """The caller drops the second value: a forged message of any index changes nothing.
    REQ-CHAIN-05."""
    _, chain = ReceivingChain(Secret(KEY)).at(3, NOW)
    before = dump(chain)
    for index in (0, 1, 2, 4, 5, 4 + MAX_JUMP):
        first, after = chain.at(index, NOW + 1)
        assert chain.at(index, NOW + 2)[0] == first
        assert dump(after) != before
        assert dump(chain) == before


def test_after_a_message_no_key_leads_back_to_it() -> None:
    """Forward secrecy of the state itself: what is kept does not hold the key that was used.
    REQ-CHAIN-13, REQ-DEL-03."""
    keys = keys_of(KEY, 8)
    _, chain = ReceivingChain(Secret(KEY)).at(4, NOW)
    _, chain = chain.at(2, NOW)
    held = {kept.key.reveal() for kept in chain.skipped.values()}
    assert chain.key is not None
    held.add(chain.key.reveal())
    assert held.isdisjoint({KEY, keys[2], keys[4]})
    assert held >= {keys[0], keys[1], keys[3]}
    reachable = set(keys_of(chain.key.reveal(), 8))
    assert reachable.isdisjoint(keys[:5])
    assert set(keys[5:]) <= reachable


# --- Closing -------------------------------------------------------------------------------------


def test_closing_keeps_what_is_missing_and_erases_the_chain_key() -> None:
    """REQ-CHAIN-09, REQ-DEL-03."""
    keys = keys_of(KEY, 10)
    _, chain = ReceivingChain(Secret(KEY)).at(2, NOW)
    closed, lost = chain.close(7, NOW + 9)
    assert not lost
    assert closed.key is None
    assert closed.index == 7
    assert {n: kept.since for n, kept in closed.skipped.items()} == {
        0: NOW, 1: NOW, 3: NOW + 9, 4: NOW + 9, 5: NOW + 9, 6: NOW + 9,
    }  # fmt: skip
    for index in (7, 8, MAX_INDEX):
        assert_refused(closed, index, Reason.BEYOND_COUNT)
    assert_refused(closed, 2, Reason.REPLAY)
    assert not closed.done
    for index in (5, 0, 6, 3, 1, 4):
        message_key, closed = closed.at(index, NOW)
        assert message_key == keys[index]
    assert closed.done
    assert chain.key is not None  # closing worked on a copy


def test_closing_at_what_was_read_leaves_nothing() -> None:
    chain = ReceivingChain(Secret(KEY))
    for index in range(3):
        _, chain = chain.at(index, NOW)
    assert not chain.done
    closed, lost = chain.close(3, NOW)
    assert (dump(closed), lost, closed.done) == ((None, 3, []), False, True)


def test_closing_below_what_was_read_is_refused() -> None:
    """REQ-CHAIN-09."""
    _, chain = ReceivingChain(Secret(KEY)).at(4, NOW)
    before = dump(chain)
    for count in (0, 1, 4):
        with pytest.raises(RemoteError) as caught:
            chain.close(count, NOW)
        assert caught.value.reason is Reason.BAD_COUNT
        assert dump(chain) == before
    assert chain.close(5, NOW)[0].index == 5


def test_closing_far_ahead_is_a_gap_to_report() -> None:
    """REQ-CHAIN-09."""
    _, chain = ReceivingChain(Secret(KEY)).at(1, NOW)
    closed, lost = chain.close(1 + MAX_JUMP, NOW)
    assert not lost
    assert sorted(closed.skipped) == [0, *range(2, 1 + MAX_JUMP)]
    closed, lost = chain.close(2 + MAX_JUMP, NOW)
    assert lost  # index 0 had to go for the newest
    assert closed.index == 2 + MAX_JUMP
    assert sorted(closed.skipped) == list(range(2, 2 + MAX_JUMP))
    for count in (3 + MAX_JUMP, MAX_INDEX):
        closed, lost = chain.close(count, NOW)
        assert lost
        assert closed.key is None
        assert dict(closed.skipped) == dict(chain.skipped)
        for index in (2, count - 1, count):
            assert_refused(closed, index, Reason.BEYOND_COUNT)
        assert closed.at(0, NOW)[0] == keys_of(KEY, 1)[0]


def test_a_closed_chain_stays_as_it_is() -> None:
    _, chain = ReceivingChain(Secret(KEY)).at(1, NOW)
    closed, _ = chain.close(4, NOW)
    for count in (0, 4, 9):
        again, lost = closed.close(count, NOW + 1)
        assert dump(again) == dump(closed)
        assert not lost


# --- Expiry and the room's limit -----------------------------------------------------------------


def test_keys_go_when_they_are_older_than_asked() -> None:
    _, chain = ReceivingChain(Secret(KEY)).at(2, NOW)
    _, chain = chain.at(4, NOW + 10)
    assert sorted(chain.without_older(NOW).skipped) == [0, 1, 3]
    assert sorted(chain.without_older(NOW + 1).skipped) == [3]
    assert sorted(chain.without_older(NOW + 10).skipped) == [3]
    left = chain.without_older(NOW + 11)
    assert not left.skipped
    assert (left.key, left.index) == (chain.key, chain.index)
    assert_refused(left, 0, Reason.REPLAY)
    assert left.at(5, NOW)[0] == keys_of(KEY, 6)[5]
    assert sorted(chain.skipped) == [0, 1, 3]


def test_the_oldest_keys_go_first() -> None:
    _, chain = ReceivingChain(Secret(KEY)).at(5, NOW)
    assert dump(chain.without_oldest(0)) == dump(chain)
    left = chain.without_oldest(2)
    assert sorted(left.skipped) == [2, 3, 4]
    assert (left.key, left.index) == (chain.key, chain.index)
    assert not chain.without_oldest(6).skipped
    stored = ReceivingChain(
        chain.key, chain.index, dict(sorted(chain.skipped.items(), reverse=True))
    )
    assert dump(stored.without_oldest(2)) == dump(left)


# --- What is shown -------------------------------------------------------------------------------


def test_no_printout_shows_a_key() -> None:
    _, receiving = ReceivingChain(Secret(KEY)).at(2, NOW)
    sending = SendingChain(Secret(KEY))
    text = f"{receiving!r} {sending!r} {Skipped(Secret(KEY), NOW)!r}"
    assert text.count("Secret(…)") == 5
    for key in (KEY, *keys_of(KEY, 3), sending.next()[1].key.reveal()):
        assert key.hex() not in text
        assert repr(key[8:12])[2:-1] not in text
