"""The fuzzing finds faults: each rule of the oracle, broken in the library, is noticed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from evanesce import applying, speech, state, wire
from evanesce.chain import ReceivingChain
from evanesce.errors import HeldError, LocalError, Reason, RemoteError
from evanesce.transport import armor
from tests.fuzz import committing, corpus, decoders, devices, speaking
from tests.fuzz.choices import Choices, edited
from tests.fuzz.oracle import Fault, Refused, judged, judged_store
from tests.fuzz.ring import Ring
from tests.fuzz.run import _note
from tests.fuzz.targets import TARGETS


def dice(number: int) -> bytes:
    """Bytes that look random."""
    return hashlib.shake_256(number.to_bytes(4, "big")).digest(40)


def replay(name: str) -> list[str]:
    """The faults that the kept corpus of a target shows."""
    found = []
    for data in corpus.load(name).values():
        try:
            TARGETS[name].run(data)
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}")
    return found


def test_a_refusal_by_another_error_or_for_a_local_reason_is_a_fault() -> None:
    def raising(error: Exception) -> Callable[[], None]:
        def call() -> None:
            raise error

        return call

    answer = judged(raising(HeldError(Reason.UNKNOWN_EPOCH)))
    assert isinstance(answer, Refused)
    assert answer.reason is Reason.UNKNOWN_EPOCH
    with pytest.raises(Fault):
        judged(raising(RemoteError(Reason.BAD_INPUT)))
    with pytest.raises(Fault):
        judged(raising(RemoteError(Reason.REPLAY)), frozenset({Reason.BAD_FORM}))
    with pytest.raises(LocalError):
        judged(raising(LocalError(Reason.BAD_FORM)))
    with pytest.raises(KeyError):
        judged(raising(KeyError("x")))
    with pytest.raises(RemoteError):
        judged_store(raising(RemoteError(Reason.BAD_FORM)))


def test_a_decoder_that_takes_longer_forms_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    forms = [(width, 0 if width else least, kind) for width, least, kind in wire._FORMS]
    monkeypatch.setattr(wire, "_FORMS", forms)
    assert any("same bytes" in fault for fault in replay("wire"))


def test_a_decoder_that_does_not_look_at_sizes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_scan", lambda data: None)
    assert replay("wire")
    assert replay("forms")


def test_a_chain_that_is_kept_before_the_message_is_checked_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = vars(speech)["open_message"]
    receive = speech.receive_message
    current: list[Any] = []

    def watched(room: Any, data: bytes, now: int) -> Any:
        current[:] = [room]
        return receive(room, data, now)

    def early(message: Any, *args: Any) -> Any:
        room = current[0]
        epoch = room.epochs.get(message.header.prefix)
        if epoch is not None:
            chain = epoch.chains[message.header.sender]
            room.set_chain(epoch, message.header.sender, chain.at(message.header.number, 0)[1])
        return real(message, *args)

    monkeypatch.setattr(speech, "open_message", early)
    monkeypatch.setattr("evanesce.room.receive_message", watched)
    assert any("changed the state" in fault for fault in replay("receive"))


def test_a_message_that_may_be_read_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ReceivingChain.at
    monkeypatch.setattr(ReceivingChain, "at", lambda self, index, now: (
        real(self, index, now)[0], self))  # fmt: skip
    assert any("accepted twice" in fault for fault in replay("receive"))


def test_a_commit_that_is_refused_after_the_state_has_changed_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, apply = vars(applying)["check_confirmation"], applying.apply_commit
    touched: list[Any] = []

    def late(expected: bytes, received: bytes) -> None:
        for room in touched:
            room.refreshed += 1
        real(expected, received)

    def noting(room: Any, data: bytes, now: int) -> Any:
        touched[:] = [room]
        return apply(room, data, now)

    monkeypatch.setattr(applying, "check_confirmation", late)
    monkeypatch.setattr("evanesce.room.apply_commit", noting)
    assert any("changed the state" in fault for fault in replay("apply"))


def test_a_device_that_raises_or_writes_for_a_refused_envelope_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert replay("device") == []
    with monkeypatch.context() as patch:
        patch.setattr("evanesce.arrivals.peek_type", lambda data: 1 // len(data[:1]) + 15)
        assert replay("device")
    devices.stage().victim.restart()
    with monkeypatch.context() as patch:
        patch.setattr("evanesce.arrivals.Arrival.reject", _rejecting_and_writing)
        assert any("something has changed" in fault for fault in replay("device"))
    devices.stage().victim.restart()


def _rejecting_and_writing(arrival: Any, error: RemoteError, room: bytes | None) -> None:
    from evanesce.events import Rejected

    arrival.tx.put(b"refused", b"\x00")
    arrival.events.append(Rejected(error.reason, error.detail, room))


def test_a_restored_state_that_raises_something_else_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state, "EvanesceError", ZeroDivisionError)
    assert replay("records")


def test_an_armored_block_that_is_written_otherwise_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(armor, "_write", lambda data: "")
    assert any("not written so" in fault for fault in replay("text"))


def test_no_edits_leave_the_valid_thing() -> None:
    assert isinstance(speaking.receive(b""), speech.Received)
    assert isinstance(speaking.receive_direct(b""), speech.Received)
    assert isinstance(committing.apply(b""), applying.CommitApplied)
    assert not isinstance(committing.join(b""), Refused)
    assert not isinstance(decoders.rosters(b""), Refused)
    assert not isinstance(decoders.operations(b""), Refused)
    assert not isinstance(decoders.envelopes(b""), Refused)
    assert not isinstance(devices.records(b""), Refused)
    assert [type(event).__name__ for event in devices.device(b"\1")] == ["MessageArrived"]


def test_edits_reach_every_depth_and_stay_encodable() -> None:
    value: list[Any] = [1, 2, [b"x" * 32, [None, True, "s"]], 2**40]
    made = {wire.encode(edited(value, Choices(dice(n)), [b"pool"])) for n in range(400)}
    assert len(made) > 150
    assert all(wire.decode(data, limit=1 << 20) is not None for data in made)
    ring = Ring(pool=[b"pool"])
    assert ring.vary(wire.encode(value), Choices(b"")) == wire.encode(value)


def test_a_fault_is_written_down_with_its_smallest_input(tmp_path: Any) -> None:
    known: dict[str, int] = {}
    for data in (b"long input", b"short", b"longer input"):
        try:
            raise Fault("broken")
        except Fault as error:
            _note(tmp_path, known, data, error)
    (path,) = tmp_path.iterdir()
    assert b"short".hex() in path.read_text()


def test_an_input_is_kept_for_the_way_it_goes() -> None:
    kept, _ = corpus.minimised(decoders.wire, [b"\x00", b"\x01", b"\xc0\xc0", b"\xc0"], 10)
    assert list(kept.values()) == [b"\x00", b"\xc0", b"\xc0\xc0"]
