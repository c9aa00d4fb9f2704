"""The limits of a relay, at them and past them (spec 15.7)."""

from __future__ import annotations

from pathlib import Path
from secrets import token_bytes

import pytest

from evanesce.errors import LocalError, Reason, RemoteError
from evanesce.identity import IdentityKeys
from evanesce.keypackage import KeyPackageKeys
from evanesce.limits import DAY, HOUR, MAX_PUBLISHED, NOTICE_LIFETIME, QUARTER
from evanesce.mailbox import MailboxKeys
from evanesce.relay.settings import RelaySettings
from tests.relay.relay_support import START, Bench, all_of, make, new_id, put


@pytest.mark.parametrize("hours", [47, 73])
def test_no_relay_keeps_for_less_or_longer_than_it_may(hours: int) -> None:
    """REQ-LIMIT-30, REQ-LIMIT-41."""
    with pytest.raises(LocalError):
        RelaySettings(retention_hours=hours)


@pytest.mark.parametrize("hours", [48, 72])
async def test_an_envelope_waits_until_its_hour_and_no_longer(tmp_path: Path, hours: int) -> None:
    """REQ-LIMIT-30, REQ-LIMIT-41."""
    bench = Bench(tmp_path, settings=RelaySettings(retention_hours=hours))
    relay = await bench.relay()
    (box,) = await make(relay)
    await put(relay, box, new_id())
    left = START // HOUR * HOUR + hours * HOUR - START
    bench.clock.advance(left - 1)
    await relay.tick()
    assert len(await all_of(relay, box)) == 1
    bench.clock.advance(1)
    await relay.tick()
    assert await all_of(relay, box) == []


async def test_a_mailbox_is_kept_for_a_quarter_after_it_was_made_and_not_for_two(
    tmp_path: Path,
) -> None:
    """REQ-LIMIT-42, whatever day its own quarter begins on."""
    bench = Bench(tmp_path)
    relay = await bench.relay()
    used, *unused = await make(relay, 20)
    bench.clock.advance(QUARTER)
    await relay.tick()
    assert all([await relay.has_mailbox(box.address) for box in unused])
    await relay.make_mailbox(used.address, used.hash)
    bench.clock.advance(QUARTER // 2)
    await relay.tick()
    some = [await relay.has_mailbox(box.address) for box in unused]
    assert any(some) and not all(some), "all go on one day"  # noqa: PT018
    bench.clock.advance(QUARTER // 2)
    await relay.tick()
    assert not any([await relay.has_mailbox(box.address) for box in unused])
    assert await relay.has_mailbox(used.address)


async def test_a_notice_waits_for_weeks_and_for_90_days_at_most(tmp_path: Path) -> None:
    """REQ-LIMIT-43."""
    bench = Bench(tmp_path)
    relay = await bench.relay()
    (box,) = await make(relay)
    assert await relay.leave_notice(box.address, b"statement")
    await relay.make_mailbox(box.address, box.hash)
    bench.clock.advance(NOTICE_LIFETIME - 31 * DAY)
    await relay.tick()
    await relay.make_mailbox(box.address, box.hash)
    assert [each.data for each in await all_of(relay, box)] == [b"statement"]
    bench.clock.advance(31 * DAY)
    await relay.tick()
    assert await all_of(relay, box) == []


async def test_a_relay_keeps_100_packages_of_one_identity(tmp_path: Path) -> None:
    """REQ-LIMIT-39, REQ-RELAY-07."""
    bench = Bench(tmp_path, settings=RelaySettings(claims_per_identity=200))
    relay = await bench.relay()
    owner = IdentityKeys.generate(token_bytes)
    contact = MailboxKeys.generate(token_bytes).mailbox
    fingerprint = owner.identity.fingerprint

    def package(*, last_resort: bool = False) -> bytes:
        keys = KeyPackageKeys.generate(owner, contact, START, token_bytes,
                                       last_resort=last_resort)  # fmt: skip
        return keys.package.signed

    packages = [package() for _ in range(MAX_PUBLISHED)]
    await relay.publish(fingerprint, packages[:99], package(last_resort=True))
    await relay.publish(fingerprint, packages[98:], None)  # one of them is known
    more = package()
    with pytest.raises(RemoteError) as refused:
        await relay.publish(fingerprint, [more], None)
    assert refused.value.reason is Reason.TOO_MANY_REQUESTS
    await relay.publish(fingerprint, packages, None)  # all are known
    given = await relay.claim(fingerprint)
    await relay.publish(fingerprint, [more], None)
    rest = [await relay.claim(fingerprint) for _ in range(MAX_PUBLISHED)]
    assert sorted([given or b"", *(each or b"" for each in rest)]) == sorted([*packages, more])
