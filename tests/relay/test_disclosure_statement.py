"""The statement to the concerned user: strict, bounded, and readable without the extra."""

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evanesce.errors import EvanesceError, Reason, RemoteError
from evanesce.primitives import sign
from evanesce.relay.disclosure.signed_json import canonical, key_pair, unsigned
from evanesce.relay.disclosure.statement import (
    MAX_STATEMENT,
    Statement,
    make_statement,
    parse_statement,
    subject_of,
)

PRIVATE, PUBLIC = key_pair(bytes(range(32)))
ADDRESS, SALT = bytes([1] * 32), bytes([2] * 16)
STATEMENT = Statement(
    7, "KR", "search_seizure", 480_000, 480_100, 100, True, ("mailbox", "envelopes"), 3, SALT,
    subject_of(SALT, ADDRESS), 12, bytes([3] * 32), PUBLIC,
)  # fmt: skip
DATA = make_statement(STATEMENT, PRIVATE)


def altered(**changes: Any) -> bytes:
    """A statement with other fields, signed all the same; None removes one."""
    value = json.loads(DATA) | changes
    value = {name: item for name, item in value.items() if item != "REMOVED"}
    value["signature"] = sign(PRIVATE, b"disclosure statement", unsigned(value)).hex()
    return canonical(value)


def test_a_statement_is_read_as_it_was_made() -> None:
    """REQ-RELAY-25."""
    found = parse_statement(DATA)
    assert found == STATEMENT
    assert found.concerns(ADDRESS)
    assert not found.concerns(bytes(32))
    assert len(DATA) <= 2_000 < MAX_STATEMENT
    assert ADDRESS.hex().encode() not in DATA


def test_the_largest_statement_fits_a_notice() -> None:
    largest = replace(
        STATEMENT, handed_over=tuple("a" * 64 for _ in range(64)), jurisdiction="A" * 16,
        category="a" * 64, request=10**9, disclosed=0, told=10**9, delayed_hours=10**9,
    )  # fmt: skip
    data = make_statement(largest, PRIVATE)
    assert len(data) <= MAX_STATEMENT
    assert parse_statement(data) == largest


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, len(DATA) - 1), bit=st.integers(0, 7))
def test_a_changed_byte_is_refused(at: int, bit: int) -> None:
    """REQ-RELAY-25."""
    changed = bytearray(DATA)
    changed[at] ^= 1 << bit
    with pytest.raises(RemoteError):
        parse_statement(bytes(changed))


@pytest.mark.parametrize("name", sorted(json.loads(DATA).keys() - {"signature"}))
@pytest.mark.parametrize("wrong", [None, -1, 2**40, "", "Ä" * 8, "<b>", [], {}, [7], "REMOVED"])
def test_a_wrong_field_is_refused_though_signed(name: str, wrong: Any) -> None:
    """REQ-RELAY-25."""
    if (name, wrong) == ("handed_over", []):
        assert parse_statement(altered(handed_over=[])).handed_over == ()
        return
    with pytest.raises(RemoteError) as refused:
        parse_statement(altered(**{name: wrong}))
    assert refused.value.reason in {Reason.BAD_FORM, Reason.WRONG_VERSION}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 2}, Reason.WRONG_VERSION),
        ({"version": True}, Reason.WRONG_VERSION),
        ({"type": "evanesce disclosure"}, Reason.BAD_FORM),
        ({"extra": 1}, Reason.BAD_FORM),
        ({"delayed_hours": 99}, Reason.BAD_FORM),
        ({"gag_order": 1}, Reason.BAD_FORM),
        ({"envelopes": True}, Reason.BAD_FORM),
        ({"handed_over": ["a"] * 65}, Reason.BAD_FORM),
        ({"handed_over": ["Mailbox\n"]}, Reason.BAD_FORM),
        ({"ledger": {"entry": 1}}, Reason.BAD_FORM),
        ({"ledger": {"entry": 0, "head": "00" * 32}}, Reason.BAD_FORM),
        ({"salt": "00" * 15}, Reason.BAD_FORM),
        ({"salt": "AA" * 16}, Reason.BAD_FORM),
        ({"key": "00" * 32}, Reason.BAD_SIGNATURE),
    ],
)
def test_each_refusal_has_its_reason(changes: dict[str, Any], reason: Reason) -> None:
    """REQ-RELAY-25."""
    with pytest.raises(RemoteError) as refused:
        parse_statement(altered(**changes))
    assert refused.value.reason is reason


def test_what_is_no_canonical_json_is_refused() -> None:
    """REQ-RELAY-25."""
    for data, reason in (
        (json.dumps(json.loads(DATA)).encode(), Reason.NON_CANONICAL),
        (DATA + b"\n", Reason.NON_CANONICAL),
        (DATA[:-1], Reason.BAD_FORM),
        (b"", Reason.BAD_FORM),
        (b"[]", Reason.BAD_FORM),
        (b"null", Reason.BAD_FORM),
        (b"[" * 16_000, Reason.BAD_FORM),
        (b'"' + b"a" * MAX_STATEMENT + b'"', Reason.TOO_LARGE),
    ):
        with pytest.raises(RemoteError) as refused:
            parse_statement(data)
        assert refused.value.reason is reason


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_a_reason(data: bytes) -> None:
    with pytest.raises(EvanesceError):
        parse_statement(data)


def test_a_device_reads_it_without_the_extra() -> None:
    """Nothing of starlette, uvicorn, nats and the like is imported."""
    program = (
        "import sys\n"
        "import evanesce.relay.disclosure.statement as s\n"
        "bad = {'starlette','uvicorn','websockets','httpx2','nats','prometheus_client','h11'}\n"
        "assert not bad & set(sys.modules), bad & set(sys.modules)\n"
        "assert 'evanesce.relay.relay' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
