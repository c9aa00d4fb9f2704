"""Key packages at a relay: each one-time package is handed out once, to one of all who ask."""

from __future__ import annotations

import asyncio
import functools
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from evanesce.errors import Reason, RemoteError
from evanesce.identity import IdentityKeys
from evanesce.keypackage import KeyPackageKeys
from evanesce.limits import DAY, HOUR, MAX_PUBLISHED, PACKAGE_LIFETIME
from evanesce.mailbox import MailboxKeys
from evanesce.relay.keys import RelayKeys
from evanesce.relay.memory_rows import MemoryRows
from evanesce.relay.names import Names, place
from evanesce.relay.relay import Relay
from evanesce.relay.settings import RelaySettings
from tests.relay.relay_support import START, Bench

OFTEN = RelaySettings(claims_per_identity=100_000)
OWNER = IdentityKeys.generate(secrets.token_bytes)
ME = OWNER.identity.fingerprint
CONTACT = MailboxKeys.generate(secrets.token_bytes).mailbox


def package(now: int = START, *, last_resort: bool = False,
            owner: IdentityKeys = OWNER) -> bytes:  # fmt: skip
    return KeyPackageKeys.generate(
        owner, CONTACT, now, secrets.token_bytes, last_resort=last_resort
    ).package.signed


@functools.cache
def hundred() -> list[bytes]:
    return [package() for _ in range(MAX_PUBLISHED + 1)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, settings=OFTEN)


async def refused(work: object) -> Reason:
    with pytest.raises(RemoteError) as caught:
        await work  # type: ignore[misc]
    return caught.value.reason


async def claims(relay: Relay, count: int) -> list[bytes | None]:
    return [await relay.claim(ME) for _ in range(count)]


async def test_each_package_is_handed_out_once_then_the_last_resort_one(bench: Bench) -> None:
    relay = await bench.relay()
    assert await relay.claim(ME) is None
    some, last = hundred()[:5], package(last_resort=True)
    await relay.publish(ME, some, last)
    claimed = await claims(relay, 5)
    assert sorted(filter(None, claimed)) == sorted(some)
    assert await claims(relay, 3) == [last] * 3
    assert await claims(await bench.relay(), 2) == [last] * 2


async def test_what_was_claimed_does_not_come_back_however_often_it_is_published(
    bench: Bench,
) -> None:
    relay = await bench.relay()
    some = hundred()[:3]
    await relay.publish(ME, some, None)
    first = await relay.claim(ME)
    for again in (relay, await bench.relay()):
        await again.publish(ME, [*some, *some], None)
        await again.publish(ME, [], None)
    left = await claims(await bench.relay(), 3)
    assert sorted(filter(None, left)) == sorted(set(some) - {first})
    assert left[-1] is None


@pytest.mark.parametrize("shared", [False, True])
async def test_many_claims_at_once_each_get_another_package(tmp_path: Path, shared: bool) -> None:
    bench = Bench(tmp_path, MemoryRows(shared=shared, pause=True), settings=OFTEN)
    relays = [await bench.relay() for _ in range(3 if shared else 1)]
    some, last = hundred()[:30], package(last_resort=True)
    await relays[0].publish(ME, some, last)
    claimed = await asyncio.gather(*(relays[n % len(relays)].claim(ME) for n in range(60)))
    one_time = [signed for signed in claimed if signed != last]
    assert sorted(filter(None, one_time)) == sorted(some)
    assert claimed.count(last) == 30


async def test_an_identity_has_a_hundred_packages_at_most(bench: Bench) -> None:
    relay = await bench.relay()
    await relay.publish(ME, hundred()[:60], None)
    assert await refused(relay.publish(ME, hundred()[50:], None)) is Reason.TOO_MANY_REQUESTS
    await relay.publish(ME, hundred()[:100], None)  # those that it knows do not count twice
    claimed = await claims(relay, 101)
    assert sorted(filter(None, claimed)) == sorted(hundred()[:100])


async def test_claims_at_other_relays_make_room_here(tmp_path: Path) -> None:
    bench = Bench(tmp_path, MemoryRows(shared=True), settings=OFTEN)
    one, other = await bench.relay(), await bench.relay()
    await one.publish(ME, hundred()[:100], None)
    await other.claim(ME)
    await one.publish(ME, hundred()[100:], None)


async def test_what_has_expired_is_not_given_and_makes_room(bench: Bench) -> None:
    relay = await bench.relay()
    await relay.publish(ME, hundred()[:100], package(last_resort=True))
    bench.clock.advance(7 * DAY + 1)
    await claims(relay, 40)
    bench.clock.advance(PACKAGE_LIFETIME - 7 * DAY)
    assert await claims(relay, 2) == [None, None]
    await relay.publish(ME, fresh := [package(bench.clock.now()) for _ in range(3)], None)
    assert sorted(filter(None, await claims(relay, 4))) == sorted(fresh)
    bench.clock.advance(DAY)
    await relay.tick()
    assert {kept.hour for kept in bench.rows.rows} <= {
        (bench.clock.hour() // 24 + days) * 24 for days in range(1, 32)}  # fmt: skip


async def test_packages_expire_by_the_day_within_thirty_one(bench: Bench) -> None:
    relay = await bench.relay()
    lasting = package(START + 300 * DAY)  # of a device whose clock is wrong
    await relay.publish(ME, [hundred()[0], lasting], package(last_resort=True))
    hours = sorted(where.hour for where in bench.rows.rows)
    assert all(hour % 24 == 0 for hour in hours)
    now = START // HOUR
    assert now + 7 * 24 < hours[0] <= now + 8 * 24
    assert now + 30 * 24 <= hours[1] <= hours[2] <= now + 31 * 24


async def test_a_last_resort_package_is_replaced_by_a_later_one_only(bench: Bench) -> None:
    relay = await bench.relay()
    early, middle, late = (package(START + n * DAY, last_resort=True) for n in range(3))
    await relay.publish(ME, [], middle)
    for passed_over in (early, middle):
        await relay.publish(ME, [], passed_over)
        assert await relay.claim(ME) == middle
    await relay.publish(ME, [], late)
    assert await relay.claim(ME) == late
    await relay.publish(ME, [], middle)
    assert await (await bench.relay()).claim(ME) == late
    assert sum(not kept.blank for kept in bench.rows.rows.values()) == 1


async def test_a_replacement_that_broke_off_gives_the_later_package(bench: Bench) -> None:
    relay = await bench.relay()
    early, late = (package(START + n * DAY, last_resort=True) for n in range(2))
    await relay.publish(ME, [], early)
    bench.rows.failing.add("blank")
    assert await refused(relay.publish(ME, [], late)) is Reason.RELAY_BUSY
    bench.rows.failing.clear()
    assert await relay.claim(ME) == late
    later = package(START + 2 * DAY, last_resort=True)
    await relay.publish(ME, [], later)
    assert sum(not kept.blank for kept in bench.rows.rows.values()) == 1


def damaged() -> bytes:
    good = bytearray(package())
    good[-1] ^= 1
    return bytes(good)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (damaged, Reason.BAD_SIGNATURE),
        (lambda: b"\x00", Reason.BAD_FORM),
        (lambda: package(owner=IdentityKeys.generate(secrets.token_bytes)), Reason.WRONG_IDENTITY),
        (lambda: package(START - PACKAGE_LIFETIME - 1), Reason.EXPIRED),
        (lambda: package(last_resort=True), Reason.BAD_FORM),
    ],
)
async def test_one_bad_package_and_none_is_taken(
    bench: Bench, bad: Callable[[], bytes], reason: Reason
) -> None:
    relay = await bench.relay()
    assert await refused(relay.publish(ME, [hundred()[0], bad()], None)) is reason
    assert not bench.rows.rows
    assert await relay.claim(ME) is None


async def test_a_one_time_package_is_no_last_resort(bench: Bench) -> None:
    relay = await bench.relay()
    assert await refused(relay.publish(ME, [], package())) is Reason.BAD_FORM


async def test_claims_of_one_identity_are_bounded_in_a_minute(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settings=RelaySettings(claims_per_identity=6))
    relay = await bench.relay()
    await relay.publish(ME, hundred()[:20], None)
    assert None not in await claims(relay, 6)
    assert await refused(relay.claim(ME)) is Reason.TOO_MANY_REQUESTS
    assert await relay.claim(bytes(32)) is None  # another identity
    bench.clock.advance(10)
    assert None not in await claims(relay, 1)
    assert await refused(relay.claim(ME)) is Reason.TOO_MANY_REQUESTS
    bench.clock.advance(600)
    await relay.tick()
    assert not relay._packages._rate._left  # nor is it remembered for long
    assert None not in await claims(relay, 6)


async def test_past_the_bound_of_claims_the_last_resort_package_is_given(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settings=RelaySettings(claims_per_identity=6))
    relay = await bench.relay()
    last = package(last_resort=True)
    await relay.publish(ME, hundred()[:10], last)
    assert last not in await claims(relay, 6)
    assert await claims(relay, 50) == [last] * 50
    bench.clock.advance(60)
    assert (await claims(relay, 6)).count(last) == 2  # the four others were not used up


async def test_rows_that_are_no_packages_are_passed_over(bench: Bench) -> None:
    relay = await bench.relay()
    some = hundred()[:3]
    await relay.publish(ME, some, None)
    hour = next(iter(bench.rows.rows)).hour
    box = Names(RelayKeys.open(bench.folder / "keys").index).packages(ME)
    bench.rows.rows[place(box, hour, 1)].data = b"damaged"
    for again in (relay, await bench.relay()):
        await again.publish(ME, [], None)
    assert sorted(filter(None, await claims(relay, 4))) == sorted([some[0], some[2]])


async def test_a_package_is_lost_rather_than_given_twice_when_the_store_fails(
    bench: Bench,
) -> None:
    relay = await bench.relay()
    some = hundred()[:2]
    await relay.publish(ME, some, None)
    bench.rows.vague.add("blank")
    assert await refused(relay.claim(ME)) is Reason.RELAY_BUSY
    bench.rows.vague.clear()
    left = await claims(relay, 2)
    assert left[0] in some
    assert left[1] is None


async def test_nothing_of_an_identity_is_shown_at_rest(bench: Bench) -> None:
    relay = await bench.relay()
    await relay.publish(ME, hundred()[:3], None)
    await relay.claim(ME)
    at_rest = b"".join(where.name + kept.data for where, kept in bench.rows.rows.items())
    for shown in (ME, OWNER.identity.sign_key, OWNER.identity.dh_key, CONTACT.address):
        assert shown not in at_rest
        assert shown in hundred()[0] or shown == ME
