"""What a chain does not do: copy or rebuild where nothing changes (spec 08)."""

from typing import Final

from evanesce.chain import ReceivingChain
from evanesce.secret import Secret

KEY: Final = bytes(range(32))
NOW: Final = 1_700_000_000


def test_a_message_in_order_copies_none_of_the_kept_keys() -> None:
    """Each message would else cost as much as the chain keeps, up to 1,000 keys."""
    _, chain = ReceivingChain(Secret(KEY)).at(3, NOW)
    _, after = chain.at(4, NOW)
    assert after.skipped is chain.skipped
    closed, lost = after.close(5, NOW)
    assert closed.skipped is chain.skipped
    assert not lost


def test_a_chain_that_nothing_is_too_old_in_stays_the_same_object() -> None:
    """By this the hourly erasure knows which records to write anew."""
    _, chain = ReceivingChain(Secret(KEY)).at(3, NOW)
    assert chain.without_older(NOW) is chain
    assert chain.without_older(NOW + 1) is not chain
    empty = ReceivingChain(Secret(KEY))
    assert empty.without_older(NOW) is empty
