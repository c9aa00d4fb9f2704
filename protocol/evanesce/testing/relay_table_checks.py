"""What a store of a relay owes it for its table and for waking, one function for each thing."""

from __future__ import annotations

import asyncio
from collections import Counter

from ..relay.rows import RelayStore
from .relay_store_bench import BUCKET_BYTES, PATIENCE, RowsBench, all_of, require

__all__ = [
    "a_bucket_is_swapped_only_by_whoever_saw_it_last",
    "a_wake_is_heard_by_all",
    "buckets_are_durable_and_apart",
    "of_many_swaps_one_succeeds",
    "swaps_lose_no_update",
]

_MANY = 12


async def _swap(store: RelayStore, number: int, data: bytes) -> None:
    version, _ = await store.bucket(number)
    require(await store.swap(number, version, data), "a swap with the right version fails")


async def _bucket(store: RelayStore, number: int, data: bytes | None) -> int:
    version, found = await store.bucket(number)
    require(type(version) is int, "the version of a bucket is no int")
    require(found == data, f"bucket {number} holds something else than was written last")
    require((version == 0) == (data is None), "version 0 means that a bucket was never written")
    return version


async def a_bucket_is_swapped_only_by_whoever_saw_it_last(bench: RowsBench) -> None:
    """Compare and swap: an older version, or one that never was, changes nothing."""
    one, other = await bench.stores()
    first, second, third = (bench.dice.randbytes(BUCKET_BYTES) for _ in range(3))
    nothing = await _bucket(one, 5, None)
    require(not await one.swap(5, 12_345, first), "a swap with a version that never was succeeds")
    await _bucket(other, 5, None)
    require(await one.swap(5, nothing, first), "a bucket that was never written cannot be")
    old = await _bucket(other, 5, first)
    require(not await other.swap(5, 0, second), "a written bucket is written as if it were not")
    require(await other.swap(5, old, second), "a swap with the right version fails")
    new = await _bucket(one, 5, second)
    require(new != old, "the version stays when the data changes")
    require(not await one.swap(5, old, third), "a swap with an old version succeeds")
    await _bucket(one, 5, second)
    require(await one.swap(5, new, second), "a swap for the same data fails")
    require(await _bucket(other, 5, second) not in (old, new), "a version comes again")
    await _bucket(one, 4, None)
    await _bucket(one, 6, None)


async def buckets_are_durable_and_apart(bench: RowsBench) -> None:
    """Each number has its own, whatever the order of writing, and also after a restart."""
    store = await bench.store()
    numbers = [0, 255, 17, 1, 3, 64, 63, 254]
    data = {number: bench.dice.randbytes(BUCKET_BYTES) for number in numbers}
    for number in numbers:
        await _swap(store, number, data[number])
    for _ in range(2):
        for number in (*range(20), 62, 63, 64, 65, 253, 254, 255, 256):
            await _bucket(store, number, data.get(number))
        store = await bench.restarted(store)
        data[17] = bench.dice.randbytes(BUCKET_BYTES)
        await _swap(store, 17, data[17])
    old = await _bucket(store, 63, data[63])
    store = await bench.restarted(store)
    data[63] = bench.dice.randbytes(BUCKET_BYTES)
    await _swap(store, 63, data[63])
    require(not await store.swap(63, old, bytes(BUCKET_BYTES)), "a version comes again")
    require((await store.usage()).rows == 0, "buckets count as rows")
    require(await store.forget(bench.hour) == 0, "forget counts buckets")
    await _bucket(store, 63, data[63])


async def of_many_swaps_one_succeeds(bench: RowsBench) -> None:
    """Where calls with the same version meet, one wins, and its data stays."""
    one, other = await bench.stores()
    for turn in range(5):
        number = turn // 2
        version, _ = await one.bucket(number)
        tried = [bench.dice.randbytes(BUCKET_BYTES) for _ in range(_MANY)]
        answers = await all_of(*((other if i % 2 else one).swap(number, version, data)
                                 for i, data in enumerate(tried)))  # fmt: skip
        require(answers.count(True) == 1, f"{answers.count(True)} of {_MANY} swaps succeed")
        await _bucket(one, number, tried[answers.index(True)])
        await _bucket(other, number, tried[answers.index(True)])


async def swaps_lose_no_update(bench: RowsBench) -> None:
    """Many who read, change and try again: nobody's change is lost."""
    one, other = await bench.stores()

    async def mark(i: int) -> None:
        store = other if i % 2 else one
        while True:
            version, data = await store.bucket(0)
            changed = bytearray(data or bytes(BUCKET_BYTES))
            changed[i] += 1
            if await store.swap(0, version, bytes(changed)):
                return

    await all_of(*(mark(i % 10) for i in range(20)))
    right = bytes([2] * 10) + bytes(BUCKET_BYTES - 10)
    require((await one.bucket(0))[1] == right, "an update of a bucket was lost, or done twice")


async def a_wake_is_heard_by_all(bench: RowsBench) -> None:
    """Each listener of each connection hears the tags, in its event loop, soon."""
    heard: list[Counter[bytes]] = []
    loop = asyncio.get_running_loop()

    def listen(store: RelayStore) -> None:
        counter: Counter[bytes] = Counter()
        heard.append(counter)

        def hear(tag: bytes) -> None:
            require(asyncio.get_running_loop() is loop, "heard in another event loop")
            counter[bytes(tag)] += 1

        store.listen(hear)

    early = bench.unstarted()  # a relay says what it will do with a wake before it starts the store
    listen(early)
    await early.start()
    try:
        stores = [early, await bench.store()] if early.shared else [early]
        for store in stores:
            listen(store)
        tags = [bench.dice.randbytes(16) for _ in range(50)]
        async with asyncio.timeout(PATIENCE):
            while not all(set(counter) >= set(tags) for counter in heard):
                for store in stores:  # best effort, so more than once
                    await store.wake(tags)
                    await store.wake([])
                await asyncio.sleep(0.02)
    except TimeoutError:
        require(False, "a wake is not heard by every listener")
    finally:
        await early.stop()
    require(all(set(counter) == set(tags) for counter in heard), "heard what nobody has said")
