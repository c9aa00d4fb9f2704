"""The error tree and the closed set of reason codes (spec 02)."""

import copy
import pickle
import re

import pytest

import evanesce.errors as module
from evanesce.errors import (
    EvanesceError,
    HeldError,
    LocalError,
    Reason,
    RemoteError,
    StorageError,
)

ERRORS = [EvanesceError, LocalError, RemoteError, HeldError, StorageError]


def test_every_reason_is_its_name_in_kebab_case_and_unique() -> None:
    names = Reason.__members__
    assert len(names) == len(list(Reason)) > 40  # equal values would be aliases of one member
    for name, reason in names.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", reason.value)
        assert reason.value == name.lower().replace("_", "-")
        assert Reason(reason.value) is reason


def test_the_set_of_reasons_is_closed() -> None:
    with pytest.raises(ValueError, match="no-such-reason"):
        Reason("no-such-reason")


def test_the_tree_is_the_one_that_the_docstring_draws() -> None:
    assert EvanesceError.__bases__ == (Exception,)
    assert LocalError.__bases__ == (EvanesceError,)
    assert RemoteError.__bases__ == (EvanesceError,)
    assert HeldError.__bases__ == (RemoteError,)
    assert StorageError.__bases__ == (EvanesceError,)
    drawn = re.findall(r"^ *[│ ]*(?:[├└]── )?(\w+Error)\b", module.__doc__ or "", re.MULTILINE)
    assert sorted(drawn) == sorted(error.__name__ for error in ERRORS)
    defined = {
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, BaseException)
    }
    assert defined == set(ERRORS)


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_says_its_reason_and_detail(error: type[EvanesceError]) -> None:
    assert str(error(Reason.TOO_DEEP, "five arrays")) == "too-deep: five arrays"
    plain = error(Reason.TOO_DEEP)
    assert str(plain) == "too-deep"
    assert (plain.reason, plain.detail) == (Reason.TOO_DEEP, "")


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("reason", [Reason.REPLAY, Reason.BAD_STORE])
@pytest.mark.parametrize("detail", ["", "some detail"])
def test_an_error_survives_pickling_and_copying(
    error: type[EvanesceError], reason: Reason, detail: str
) -> None:
    original = error(reason, detail)
    for again in (
        *(pickle.loads(pickle.dumps(original, p)) for p in range(pickle.HIGHEST_PROTOCOL + 1)),
        copy.copy(original),
        copy.deepcopy(original),
    ):
        assert type(again) is error
        assert again.reason is reason
        assert again.detail == detail
        assert str(again) == str(original)


def test_a_local_error_is_never_caught_as_a_remote_one() -> None:
    assert not issubclass(LocalError, RemoteError)
    assert not issubclass(RemoteError, LocalError)
    assert not issubclass(StorageError, LocalError | RemoteError)
