"""Secrets are not shown, copied or pickled, and can be erased (spec 03.7, REQ-PRIM-21)."""

import copy
import dataclasses
import pickle
import traceback

import pytest

from evanesce.errors import LocalError, Reason
from evanesce.secret import Secret

VALUE = bytes.fromhex("5ec2e7") + b"very visible"
TRACES = ["very", "visible", "5ec2e7", "\\xc2", str(len(VALUE)), VALUE.hex()]


@dataclasses.dataclass
class Holder:
    key: Secret


def shown(text: str) -> bool:
    return any(trace in text for trace in TRACES)


def test_the_bytes_come_back_by_reveal_only() -> None:
    secret = Secret(VALUE)
    assert secret.reveal() == VALUE
    assert not secret.erased
    with pytest.raises(TypeError):
        bytes(secret)  # type: ignore[call-overload]
    assert not hasattr(secret, "__dict__")


def test_no_printout_shows_the_bytes() -> None:
    secret = Secret(VALUE)
    assert repr(secret) == "Secret(…)"
    for text in (str(secret), f"{secret}", f"{secret!r}", f"{[secret]}", repr(Holder(secret))):
        assert "Secret(…)" in text
        assert not shown(text)
    assert not shown(repr(dataclasses.fields(Holder)))


def test_an_erased_secret_says_so() -> None:
    secret = Secret(VALUE)
    secret.erase()
    assert repr(secret) == "Secret(erased)"


def test_copying_and_pickling_are_refused() -> None:
    secret = Secret(VALUE)
    for attempt in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be copied"):
            attempt(secret)
        with pytest.raises(TypeError, match="cannot be copied"):
            copy.deepcopy([Holder(secret)])
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(secret, protocol)
    with pytest.raises(TypeError):
        dataclasses.asdict(Holder(secret))


def test_secrets_are_equal_if_their_bytes_are() -> None:
    assert Secret(b"a" * 32) == Secret(b"a" * 32)
    assert Secret(b"a" * 32) != Secret(b"a" * 31 + b"b")
    assert Secret(b"a") != Secret(b"aa")
    assert Secret(b"") == Secret(b"")


def test_a_secret_never_equals_bare_bytes() -> None:
    secret: object = Secret(VALUE)
    assert secret != VALUE
    assert secret not in (VALUE, None, VALUE.decode("latin-1"))
    assert Secret(VALUE).__eq__(VALUE) is NotImplemented


def test_a_secret_cannot_be_hashed() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Secret(VALUE))


def test_an_erased_secret_reveals_nothing() -> None:
    secret = Secret(VALUE)
    secret.erase()
    secret.erase()
    assert secret.erased
    with pytest.raises(LocalError) as caught:
        secret.reveal()
    assert caught.value.reason is Reason.EVAPORATED
    assert not shown("".join(traceback.format_exception_only(caught.value)))


def test_an_erased_secret_equals_only_itself() -> None:
    erased, other, live = Secret(VALUE), Secret(VALUE), Secret(VALUE)
    erased.erase()
    other.erase()
    assert erased == erased  # noqa: PLR0124
    assert erased != other
    assert erased != live
    assert live != erased
