"""The demo over a real relay process, and the disclosure that it ends with."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from evanesce.demo import relayed
from evanesce.demo.play import Outcome
from evanesce.demo.relayed import play_over_relay
from evanesce.demo.report import as_text
from evanesce.demo.script import parse_script
from evanesce.transport.relay import RelayTransport

SCRIPT = b"""
== Two
Mina: the first secret
Jun: the second secret

== Three
+Mina
+Jun
+Sora
Sora: hello to both
-Jun
Mina: Jun is gone
"""


def _play() -> Outcome:
    return asyncio.run(play_over_relay(parse_script(SCRIPT)))


def _failed(outcome: Outcome) -> set[str]:
    return {claim.id for claim in outcome.claims if not claim.holds}


def _children() -> set[str]:
    """Relays of demos that run on this machine."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes()
        except OSError:
            continue
        if b"evanesce-demo-" in line:
            found.add(entry.parent.name)
    return found


def test_the_command_plays_it_and_every_mailbox_is_empty(tmp_path: Path) -> None:
    script = tmp_path / "script.txt"
    script.write_bytes(SCRIPT)
    before = _children()
    done = subprocess.run(
        [sys.executable, "-m", "evanesce.cli", "demo", "--relay", "--json",
         "--script", str(script)],
        capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    data = json.loads(done.stdout)
    assert data["ok"] is True
    claims = {claim["id"]: claim["holds"] for claim in data["claims"]}
    assert {"delivered", "opaque", "evaporated", "disclosure-control", "forgotten",
            "accounted"} <= set(claims)  # fmt: skip
    assert len(data["disclosed"]) >= data["transport"]["mailboxes"] >= 6
    for mailbox in data["disclosed"]:
        assert mailbox["envelopes"] == 0
        assert "envelopes" not in mailbox["held"]
    assert _children() <= before, "a relay was left behind"


def test_a_relay_that_does_not_erase_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ack(self: RelayTransport, ids: Sequence[bytes]) -> None:
        """The device believes that it was erased."""

    monkeypatch.setattr(RelayTransport, "ack", ack)
    outcome = _play()
    assert _failed(outcome) == {"forgotten"}
    assert not outcome.ok
    assert sum(mailbox.envelopes for mailbox in outcome.disclosed) > 0
    shown = as_text(outcome, colour=False)
    assert "✗ What the relay discloses of every mailbox" in shown
    for mailbox in outcome.disclosed:
        assert mailbox.address.hex()[:16] in shown


async def test_the_relay_ends_when_the_play_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    urls: list[str] = []

    async def fails(*_: object, wire: object, **__: object) -> Outcome:
        urls.append(wire._url)  # type: ignore[attr-defined]
        async with RelayTransport(urls[0]) as transport:
            assert await transport.about()
        raise RuntimeError("in the middle")

    monkeypatch.setattr(relayed, "play", fails)
    with pytest.raises(RuntimeError, match="in the middle"):
        await play_over_relay(parse_script(SCRIPT))
    async with RelayTransport(urls[0]) as transport:
        with pytest.raises(OSError, match="reached"):
            await transport.about()


async def test_a_relay_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relayed, "_COMMAND", (sys.executable, "-c", "raise SystemExit('no luck')"))
    with pytest.raises(OSError, match="no luck"):
        await play_over_relay(parse_script(SCRIPT))
