"""Homes in a temporary folder, and a passphrase."""

from pathlib import Path

import pytest

from tests.cli.cli_support import PASSPHRASE, Person, people


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("EVANESCE_PASSPHRASE", PASSPHRASE)
    monkeypatch.delenv("EVANESCE_HOME", raising=False)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Person, Person]:
    """Mina and Junho, who know each other."""
    mina, junho = people(tmp_path, "Mina", "Junho")
    return mina, junho
