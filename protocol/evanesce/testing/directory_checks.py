"""What a directory of key packages owes its devices, one function for each thing."""

from __future__ import annotations

import asyncio
from collections import Counter

from ..ports import KeyDirectory
from .bench import Bench, require

__all__ = [
    "a_package_published_again_is_not_claimed_again",
    "each_package_is_claimed_once",
    "packages_are_claimed_once_by_many_at_once",
    "the_last_resort_serves_when_no_other_is_left",
]


def _directory(bench: Bench) -> KeyDirectory:
    transport = bench.connect()
    if not isinstance(transport, KeyDirectory):
        raise AssertionError("it is no KeyDirectory: say so with Claims(directory=False)")
    return transport


async def each_package_is_claimed_once(bench: Bench) -> None:
    """Of the device that was asked for; then there is none."""
    if not bench.claims.directory:
        return
    owner, other = _directory(bench), _directory(bench)
    i, other_one, nobody = bench.owner(), bench.owner(), bench.owner().identity.fingerprint
    me, they = i.identity.fingerprint, other_one.identity.fingerprint
    mine, theirs, more = ([bench.package(owner) for _ in range(2)] for owner in (i, other_one, i))
    await owner.publish(me, mine, None)
    await owner.publish(they, theirs, None)
    await owner.publish(me, more, None)
    claimed = [await other.claim(me) for _ in range(5)]
    require(Counter(claimed) == Counter([*mine, *more, None]), "not each package is claimed once")
    require({await other.claim(they), await owner.claim(they)} == set(theirs),
            "packages of two devices are mixed up, or lost")  # fmt: skip
    require(await other.claim(nobody) is None, "a device without packages has one")


async def the_last_resort_serves_when_no_other_is_left(bench: Bench) -> None:
    """As often as it is asked for; publishing another replaces it, publishing none does not."""
    if not bench.claims.directory:
        return
    owner, other = _directory(bench), _directory(bench)
    owned_by = bench.owner()
    me = owned_by.identity.fingerprint
    one, two = bench.package(owned_by), bench.package(owned_by)
    last, another = (bench.package(owned_by, last_resort=True) for _ in range(2))
    for packages, resort, expected in (
        ([one], last, [one, last, last]),
        ([two], None, [two, last]),
        ([], another, [another, another]),
    ):
        await owner.publish(me, packages, resort)
        claimed = [await other.claim(me) for _ in expected]
        require(claimed == expected, "the last-resort package does not serve as it should")


async def a_package_published_again_is_not_claimed_again(bench: Bench) -> None:
    """A device that did not hear that its packages were taken publishes them again."""
    if not bench.claims.directory:
        return
    owner = _directory(bench)
    owned_by = bench.owner()
    me = owned_by.identity.fingerprint
    packages = [bench.package(owned_by) for _ in range(3)]
    await owner.publish(me, packages, None)
    claimed = [await owner.claim(me)]
    await _directory(bench).publish(me, packages, None)
    claimed += [await owner.claim(me) for _ in range(3)]
    require(Counter(claimed) == Counter([*packages, None]), "a package was handed out twice")


async def packages_are_claimed_once_by_many_at_once(bench: Bench) -> None:
    """Several claim at the same time; nobody gets what another got, and none is lost."""
    if not bench.claims.directory:
        return
    owned_by = bench.owner()
    me = owned_by.identity.fingerprint
    packages = [bench.package(owned_by) for _ in range(12)]
    last = bench.package(owned_by, last_resort=True)
    await _directory(bench).publish(me, packages, last)
    claimers = [_directory(bench) for _ in range(4)]
    claimed = Counter(await asyncio.gather(*(claimers[n % 4].claim(me) for n in range(20))))
    require(claimed == Counter({**dict.fromkeys(packages, 1), last: 8}),
            "a one-time package was claimed twice, or not at all")  # fmt: skip
