"""The WebSocket: what its owner may do, what nobody else may, and how much is pushed."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from evanesce.errors import Reason, RemoteError
from evanesce.primitives import H, sign
from evanesce.relay.relay import Cursor, Relay, Waiting
from evanesce.relay.settings import RelaySettings
from evanesce.relay.web.connections import CONTROLS
from evanesce.relay.web.face import Bounds
from evanesce.relay_formats import (
    ACK,
    CHALLENGE,
    CLAIM,
    CREDIT,
    DONE,
    MAKE_MAILBOX,
    PROVE,
    PUT,
    REMOVE_MAILBOX,
    SUBPROTOCOL,
    SUBSCRIBE,
    UNSUBSCRIBE,
)
from tests.relay.web_server import Box, memory_relay, outcomes, reading, served

OK = (None, 0)
DENIED = ("not-permitted", 0)


async def test_only_who_has_proved_may_do_anything_with_a_mailbox(tmp_path: Path) -> None:
    """REQ-RELAY-09."""
    box = Box()
    async with served(memory_relay(tmp_path)) as at, reading(at.base) as owner:
        await owner.make(box)
        async with reading(at.base) as other:
            own = Box()
            await other.make(own)
            capability = H(b"capability", bytes(16))
            assert await other.ask(MAKE_MAILBOX, box.address, capability) == DENIED
            assert await other.ask(SUBSCRIBE, box.address) == DENIED
            assert await other.ask(UNSUBSCRIBE, box.address) == DENIED
            assert await other.ask(ACK, box.address, [bytes(16)]) == DENIED
            assert await other.ask(REMOVE_MAILBOX, box.address) == DENIED
        assert await owner.ask(SUBSCRIBE, box.address) == OK


async def test_a_proof_holds_for_its_key_challenge_and_address_only(tmp_path: Path) -> None:
    """REQ-RELAY-09."""
    box, other = Box(), Box()
    async with (
        served(memory_relay(tmp_path)) as at,
        reading(at.base) as one,
        reading(at.base) as two,
    ):
        assert one.challenge != two.challenge
        borrowed = box.keys.reader().prove(two.challenge)
        key = box.keys.read_key
        assert await one.ask(PROVE, key, borrowed) == ("bad-signature", 0)
        assert await one.ask(PROVE, key, other.keys.reader().prove(one.challenge)) == (
            "bad-signature", 0)  # fmt: skip
        for_other = sign(box.keys.read_private.reveal(), b"read mailbox", other.address,
                         one.challenge)  # fmt: skip
        assert await one.ask(PROVE, key, for_other) == ("bad-signature", 0)
        right = box.keys.reader().prove(one.challenge)
        for at_bit in (0, 255, 511):
            bent = bytearray(right)
            bent[at_bit // 8] ^= 1 << at_bit % 8
            reason, _ = await one.ask(PROVE, key, bytes(bent))
            assert reason == "bad-signature"
        assert await one.ask(PROVE, bytes(32), right) == ("bad-key", 0)
        assert await one.ask(SUBSCRIBE, box.address) == DENIED
        assert await one.ask(PROVE, key, right) == OK
        assert await one.ask(PROVE, key, right) == OK
        assert await one.ask(SUBSCRIBE, box.address) == ("unknown-mailbox", 0)


async def test_frames_act_in_the_order_in_which_they_are_sent(tmp_path: Path) -> None:
    box = Box()
    async with served(memory_relay(tmp_path)) as at, reading(at.base) as reader:
        proof = box.keys.reader().prove(reader.challenge)
        capability = H(b"capability", box.capability)
        for frame in (
            PROVE.build(101, box.keys.read_key, proof),
            MAKE_MAILBOX.build(102, box.address, capability),
            SUBSCRIBE.build(103, box.address),
            REMOVE_MAILBOX.build(104, box.address),
            SUBSCRIBE.build(105, box.address),
            MAKE_MAILBOX.build(106, box.address, capability),
            SUBSCRIBE.build(107, box.address),
            UNSUBSCRIBE.build(108, box.address),
            SUBSCRIBE.build(109, box.address),
        ):
            await reader.socket.send(frame)
        told = {}
        for _ in range(9):
            number, reason, _ = DONE.parse(await reader.socket.recv())  # type: ignore[arg-type]
            told[number] = reason
        assert told == dict.fromkeys(range(101, 110)) | {105: "unknown-mailbox"}


async def test_what_waits_and_what_comes_is_pushed_once(tmp_path: Path) -> None:
    box, other = Box(), Box()
    async with served(memory_relay(tmp_path)) as at, reading(at.base) as reader:
        await reader.make(box, other)
        before = [box.item(b"%d" % n) for n in range(20)]
        assert outcomes(await at.post("/v1/put", PUT.build(before))) == [None] * 20
        await reader.grant()
        await reader.subscribe(box, box, other)
        after = [(box, other)[n % 2].item(b"%d" % n) for n in range(20, 40)]
        for item in after:
            assert outcomes(await at.post("/v1/put", PUT.build([item]))) == [None]
        await reader.until(40)
        await reader.quiet()
        expected = Counter((item[0], item[2], item[3]) for item in before + after)
        assert Counter(reader.got) == expected


async def test_what_is_acked_comes_no_more_and_what_is_not_comes_again(tmp_path: Path) -> None:
    box = Box()
    async with served(memory_relay(tmp_path)) as at:
        async with reading(at.base) as reader:
            await reader.make(box)
            await at.post("/v1/put", box.put(b"1", b"2", b"3"))
            await reader.grant()
            await reader.subscribe(box)
            await reader.until(3)
            await reader.ack(box, [id for _, id, envelope in reader.got if envelope != b"2"])
            await reader.ack(box, [id for _, id, envelope in reader.got if envelope != b"2"])
        async with reading(at.base) as reader:
            await reader.prove(box)
            await reader.grant()
            await reader.subscribe(box)
            await reader.until(1)
            await reader.quiet()
            assert [envelope for _, _, envelope in reader.got] == [b"2"]
            assert await reader.ask(UNSUBSCRIBE, box.address) == OK
            await at.post("/v1/put", box.put(b"4"))
            await reader.quiet()
            assert len(reader.got) == 1
            await reader.subscribe(box)  # anew: what still waits comes again
            await reader.until(3)
            await reader.quiet()
            assert sorted(envelope for _, _, envelope in reader.got) == [b"2", b"2", b"4"]


async def test_two_connections_are_both_sent_everything(tmp_path: Path) -> None:
    box = Box()
    async with (
        served(memory_relay(tmp_path)) as at,
        reading(at.base) as one,
        reading(at.base) as two,
    ):
        await one.make(box)
        await two.prove(box)
        for reader in (one, two):
            await reader.grant()
            await reader.subscribe(box)
        await at.post("/v1/put", box.put(b"1", b"2"))
        for reader in (one, two):
            await reader.until(2)


async def test_credit_is_never_exceeded(tmp_path: Path) -> None:
    """REQ-RELAY-10."""
    box = Box()
    async with served(memory_relay(tmp_path)) as at, reading(at.base) as reader:
        await reader.make(box)
        await at.post("/v1/put", box.put(*[bytes(100)] * 30))
        await reader.subscribe(box)
        for envelopes, octets, total in (
            (0, 0, 0),
            (10, 0, 0),  # no bytes
            (0, 250, 3),  # 100, 100, and one that overdraws by 50
            (0, 50, 3),  # what was overdrawn is paid first
            (0, 1, 4),  # one byte is enough to overdraw again
            (0, 10_000, 10),  # no envelopes left
            (5, 0, 15),
            (1_000, 10_000, 30),
        ):
            await reader.grant(envelopes, octets)
            await reader.until(total)
            await reader.quiet(0.1)
            assert len(reader.got) == total, (envelopes, octets)


async def test_credit_above_the_most_is_cut_off(tmp_path: Path) -> None:
    box = Box()
    async with served(memory_relay(tmp_path)) as at, reading(at.base) as reader:
        await reader.make(box)
        for _ in range(3):
            await reader.grant(1_000, 16_777_216)
        (session,) = at.app.face.sessions
        assert await reader.ask(SUBSCRIBE, box.address) == OK
        credit = session._credit
        assert (credit.envelopes, credit.octets) == (1_000, 16_777_216)
        await reader.socket.send(b"\x94\x01\x42\xcd\x03\xe9\x01")
        assert await reader.ended() == (1008, "bad-form")


@pytest.mark.parametrize(("frame", "reason"), [
    ("text", "bad-form"),
    (b"", "truncated"),
    (b"\x93\x01\x3d", "truncated"),
    (CREDIT.build(1, 1) + b"\x00", "trailing-bytes"),
    (CHALLENGE.build(bytes(32)), "wrong-type"),
    (CLAIM.build(bytes(32)), "wrong-type"),
    (b"\x94\x02\x42\x01\x01", "wrong-version"),
])  # fmt: skip
async def test_a_frame_that_cannot_be_read_ends_the_connection(
    tmp_path: Path, frame: Any, reason: str
) -> None:
    """REQ-RELAY-10."""
    async with served(memory_relay(tmp_path)) as at, reading(at.base) as reader:
        await reader.socket.send(frame)
        assert await reader.ended() == (1008, reason)


async def test_a_frame_that_is_too_long_is_not_kept(tmp_path: Path) -> None:
    async with served(memory_relay(tmp_path)) as at:
        async with reading(at.base) as reader:
            await reader.socket.send(bytes(8_193))
            assert (await reader.ended())[0] == 1009
        async with reading(at.base) as reader:
            await reader.socket.send([b""] * 500)  # fragments without end
            assert (await reader.ended())[0] in {1006, 0}


@pytest.mark.parametrize("offered", [None, ["evanesce.relay.2"], ["chat"]])
async def test_without_the_subprotocol_there_is_no_websocket(
    tmp_path: Path, offered: Sequence[Subprotocol] | None
) -> None:
    async with served(memory_relay(tmp_path)) as at:
        with pytest.raises(InvalidStatus) as refused:
            async with reading(at.base, subprotocols=offered):
                pass
        assert refused.value.response.status_code == 400
        assert b'"reason":"bad-form"' in (refused.value.response.body or b"")
        async with reading(at.base) as reader:
            assert reader.socket.subprotocol == SUBPROTOCOL
            assert reader.socket.response is not None
            assert "sec-websocket-extensions" not in reader.socket.response.headers


async def test_sessions_and_what_they_ask_for_are_bounded(tmp_path: Path) -> None:
    settings = RelaySettings(sessions=2, session_mailboxes=2, sessions_per_client=4,
                             mailboxes_per_client=4)  # fmt: skip
    boxes = [Box() for _ in range(4)]
    async with served(memory_relay(tmp_path, settings), settings) as at:
        async with reading(at.base) as one, reading(at.base):
            with pytest.raises(InvalidStatus) as refused:
                async with reading(at.base):
                    pass
            assert refused.value.response.status_code == 503
            assert int(refused.value.response.headers["retry-after"]) >= 1
            await one.make(*boxes)
            capability = H(b"capability", boxes[0].capability)
            await one.prove(boxes[0])  # those that were made last have taken its place
            again = await one.ask(MAKE_MAILBOX, boxes[0].address, capability)
            assert again == ("too-many-requests", 15)
            for box in boxes[:2]:
                await one.prove(box)
                await one.subscribe(box)
            await one.prove(boxes[3])
            reason, seconds = await one.ask(SUBSCRIBE, boxes[3].address)
            assert reason == "too-many-requests"
            assert seconds >= 1
            assert await one.ask(UNSUBSCRIBE, boxes[0].address) == OK
            assert await one.ask(SUBSCRIBE, boxes[3].address) == OK
        for _ in range(2):
            async with reading(at.base):
                pass
        with pytest.raises(InvalidStatus) as refused:
            async with reading(at.base):
                pass
        assert refused.value.response.status_code == 429
        assert refused.value.response.headers["retry-after"] == "15"


async def test_more_proofs_than_a_session_may_hold_forget_the_oldest_unused(
    tmp_path: Path,
) -> None:
    settings = RelaySettings(session_mailboxes=1)
    boxes = [Box() for _ in range(6)]
    async with served(memory_relay(tmp_path, settings), settings) as at, reading(at.base) as reader:
        await reader.make(boxes[0])
        await reader.subscribe(boxes[0])
        for box in boxes[1:]:
            await reader.prove(box)
        (session,) = at.app.face.sessions
        assert len(session._readings) == 2  # what is read, and the last
        assert await reader.ask(SUBSCRIBE, boxes[0].address) == OK
        assert await reader.ask(ACK, boxes[1].address, [bytes(16)]) == DENIED
        assert await reader.ask(ACK, boxes[5].address, [bytes(16)]) == OK


async def test_a_client_has_only_so_many_sessions_at_a_time(tmp_path: Path) -> None:
    settings = RelaySettings(open_sessions_per_client=2)
    async with served(memory_relay(tmp_path, settings), settings) as at:
        async with reading(at.base), reading(at.base):
            with pytest.raises(InvalidStatus) as refused:
                async with reading(at.base):
                    pass
            assert refused.value.response.status_code == 429
        while at.app.face.sessions_of:
            await asyncio.sleep(0.01)
        async with reading(at.base):
            pass


async def test_frames_past_a_clients_share_wait_and_are_done(tmp_path: Path) -> None:
    settings = RelaySettings(frames_per_client=240, proofs_per_client=240)
    box = Box()
    async with served(memory_relay(tmp_path, settings), settings) as at, reading(at.base) as reader:
        await reader.make(box)
        for is_proof in (False, True):
            for count in range(241):
                if count == 239:  # one is left of a minute's worth, or none; more come with time
                    began = time.monotonic()
                if is_proof:
                    assert await reader.prove(box) == OK
                else:
                    assert await reader.ask(UNSUBSCRIBE, box.address) == OK
            assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize("head", [b"\x89", b"\x8a"], ids=["pings", "pongs"])
async def test_who_sends_control_frames_without_end_is_cut_off(
    tmp_path: Path, head: bytes
) -> None:
    """And costs no memory: nothing of a pong waits for somebody who does not read."""
    async with served(memory_relay(tmp_path)) as at:
        for count, is_cut in ((CONTROLS - 8, False), (2 * CONTROLS, True)):
            async with reading(at.base, ping_interval=None) as reader:
                transport = reader.socket.transport
                transport.write((head + b"\xfd" + bytes(4) + bytes(125)) * count)
                await asyncio.sleep(0.1)
                if is_cut:
                    await asyncio.wait_for(reader.socket.wait_closed(), 5)
                    assert reader.socket.close_code == 1006
                else:
                    assert await reader.prove(Box()) == OK


async def test_what_is_fetched_for_a_reader_counts_before_it_is_written(tmp_path: Path) -> None:
    box = Box()
    held: list[int] = []
    async with served(memory_relay(tmp_path)) as at, reading(at.base) as reader:
        await reader.make(box)
        await at.post("/v1/put", box.put(bytes(40_000), bytes(50_000)))
        (session,) = at.app.face.sessions
        send = session._send_message

        async def sees(message: Any) -> None:
            held.append(at.app.face.undrained)
            await send(message)

        session._send_message = sees
        await reader.subscribe(box)
        held.clear()
        await reader.grant()
        await reader.until(2)
        assert held[:1] == [90_000]
        await reader.quiet()
        assert at.app.face.undrained == 0


async def test_no_mailbox_waits_for_another_that_is_full(tmp_path: Path) -> None:
    full, quick = Box(), Box()
    async with served(memory_relay(tmp_path)) as at, reading(at.base) as reader:
        await reader.make(full, quick)
        for _ in range(4):
            await at.post("/v1/put", full.put(*[bytes(1_000)] * 200))
        await at.post("/v1/put", quick.put(b"quick"))
        await reader.subscribe(full, quick)
        await reader.grant()
        while not any(address == quick.address for address, _, _ in reader.got):
            await reader.next()
        assert len(reader.got) < 100


async def test_notices_come_without_credit_and_take_none(tmp_path: Path) -> None:
    box = Box()
    relay = memory_relay(tmp_path)
    async with served(relay) as at, reading(at.base) as reader:
        await reader.make(box)
        assert await relay.leave_notice(box.address, b"first")
        await at.post("/v1/put", box.put(b"envelope"))
        await reader.subscribe(box)
        assert await relay.leave_notice(box.address, b"second")
        while len(reader.notices) < 2:
            await reader.next()
        await reader.quiet()
        assert {said for _, _, said in reader.notices} == {b"first", b"second"}
        assert reader.got == []
        await reader.grant(1, 1)
        await reader.until(1)
        await reader.ack(box, [id for _, id, _ in reader.notices])
        await reader.quiet()
        assert len(reader.notices) == 2


async def test_a_store_that_fails_ends_no_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evanesce.relay.web.session.BUSY_SECONDS", 0.05)
    failing = True

    class Failing(Relay):
        async def fetch(
            self, address: bytes, cursor: Cursor, envelopes: int, octets: int
        ) -> list[Waiting]:
            if failing:
                raise RemoteError(Reason.RELAY_BUSY)
            return await super().fetch(address, cursor, envelopes, octets)

        async def ack(self, address: bytes, ids: Sequence[bytes]) -> None:
            if failing:
                raise RuntimeError("unforeseen")
            await super().ack(address, ids)

    box = Box()
    relay = memory_relay(tmp_path)
    relay.__class__ = Failing
    async with served(relay) as at, reading(at.base) as reader:
        await reader.make(box)
        await reader.grant()
        await reader.subscribe(box)
        await at.post("/v1/put", box.put())
        reason, seconds = await reader.ask(ACK, box.address, [bytes(16)])
        assert reason == "relay-busy"
        assert seconds >= 1
        assert reader.got == []
        failing = False
        await reader.until(1)
        assert await reader.ask(ACK, box.address, [bytes(16)]) == OK


async def test_a_session_is_ended_when_the_relay_stops_and_finishes_its_frames(
    tmp_path: Path,
) -> None:
    go = asyncio.Event()

    class Slow(Relay):
        async def ack(self, address: bytes, ids: Sequence[bytes]) -> None:
            await go.wait()
            await super().ack(address, ids)

    box = Box()
    relay = memory_relay(tmp_path)
    relay.__class__ = Slow
    async with served(relay) as at, reading(at.base) as reader:
        await reader.make(box)
        await at.post("/v1/put", box.put())
        await reader.grant()
        await reader.subscribe(box)
        await reader.until(1)
        asked = asyncio.create_task(reader.ask(ACK, box.address, [reader.got[0][1]]))
        await asyncio.sleep(0.05)
        draining = asyncio.create_task(at.app.drain(5))
        await asyncio.sleep(0.05)
        assert not draining.done()
        go.set()
        assert await asked == OK
        assert await reader.ended() == (1001, "relay-busy")
        assert await draining
        assert await relay.fetch(box.address, Cursor(), 10, 1_000) == []


async def test_all_readers_together_have_a_bound(tmp_path: Path) -> None:
    """REQ-RELAY-10. Who has taken nothing for longest is cut off when all of them hold too much."""
    boxes = [Box() for _ in range(3)]
    bounds = Bounds(undrained_bytes=3_000_000)
    async with served(memory_relay(tmp_path), bounds=bounds) as at:
        async with reading(at.base, max_queue=1) as one, reading(at.base, max_queue=1) as two:
            for reader, box in zip((one, two), boxes, strict=False):
                await reader.make(box)
                await reader.subscribe(box)
                for _ in range(8):
                    await at.post("/v1/put", box.put(bytes(2_000_000)))
            await one.grant()
            await asyncio.sleep(0.3)
            assert len(at.app.face.sessions) == 2
            await two.grant()
            async with asyncio.timeout(5):
                while len(at.app.face.sessions) == 2:
                    await asyncio.sleep(0.02)
            (left,) = at.app.face.sessions
            assert two.challenge == left._challenge
            await two.until(8)
        assert 'evanesce_sessions_ended_total{code="1013"} 1.0' in at.metrics()
