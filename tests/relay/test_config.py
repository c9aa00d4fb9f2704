"""The configuration: what goes before what, and where what is wrong came from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

import evanesce.relay
from evanesce.errors import LocalError, Reason
from evanesce.relay.config import KEYS, RelayConfig, load_config, state_folder
from evanesce.relay.nats_rows import NatsRows
from evanesce.relay.settings import RelaySettings
from evanesce.relay.stores import make_store


def write(folder: Path, text: str) -> Path:
    file = folder / "relay.toml"
    file.write_text(text)
    return file


def test_flags_go_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, 'port = 1\nhost = "file"\nretention_hours = 50\nstop_seconds = 3\n')
    environment = {"EVANESCE_RELAY_PORT": "2", "EVANESCE_RELAY_RETENTION_HOURS": "60", "PATH": "/"}
    config = load_config({"port": 3, "host": None}, environment, file)
    assert (config.port, config.host, config.settings.retention_hours) == (3, "file", 60)
    assert (config.stop_seconds, config.body_seconds) == (3, RelayConfig().body_seconds)
    assert load_config({}, {}) == RelayConfig()


def test_the_environment_may_name_the_file_and_a_flag_goes_before(tmp_path: Path) -> None:
    file = write(tmp_path, "port = 1\n")
    environment = {"EVANESCE_RELAY_CONFIG": str(file)}
    assert load_config({}, environment).port == 1
    other = tmp_path / "other.toml"
    other.write_text("port = 2\n")
    assert load_config({}, environment, other).port == 2


def test_everything_may_be_chosen_in_every_way(tmp_path: Path) -> None:
    others: dict[str, Any] = {
        "store": "nats://a,b,c", "log_level": "error", "nats_encrypted": "aes",
        "retention_hours": 48, "nats_replicas": 1, "trusted_proxies": "10.0.0.0/8, ::1",
    }  # fmt: skip
    for name, key in KEYS.items():
        value = others.get(name)
        if value is None:
            number = key.default + 1 if type(key.default) is int else 1
            value = {int: number, bool: True, str: "text", Path: "/p"}[key.kind]
        if name.startswith("tls_"):
            continue  # only both together
        kind = {bool: str(value).lower(), int: value}.get(key.kind, f'"{value}"')
        by_file = load_config({}, {}, write(tmp_path, f"{name} = {kind}\n"))
        by_environment = load_config({}, {f"EVANESCE_RELAY_{name.upper()}": str(value)})
        by_flag = load_config({name: Path(str(value)) if key.kind is Path else value}, {})
        assert by_file == by_environment == by_flag != RelayConfig(), name
    fields = {f.name for f in dataclasses.fields(RelayConfig)} - {"settings"}
    assert set(KEYS) == fields | {f.name for f in dataclasses.fields(RelaySettings)}
    assert all(key.said for key in KEYS.values())


@pytest.mark.parametrize(("text", "said"), [
    ("prot = 1", "relay.toml: there is no 'prot' to choose"),
    ("settings = 1", "relay.toml: there is no 'settings' to choose"),
    ('port = "1"', "relay.toml: port: expected a number"),
    ("port = true", "relay.toml: port: expected a number"),
    ("port = 65536", "relay.toml: port: a port is at most 65535"),
    ("port = -1", "relay.toml: port: at least 0"),
    ("stop_seconds = 0", "relay.toml: stop_seconds: at least 1"),
    ("retention_hours = 47", "relay.toml: retention_hours: retention is 48 to 72 hours"),
    ("retention_hours = 73", "relay.toml: retention_hours: retention is 48 to 72 hours"),
    ('log_level = "loud"', "relay.toml: log_level: one of debug, info, warning, error"),
    ('store = "postgres://a"', "relay.toml: store: sqlite, or nats://HOST,HOST,HOST"),
    ('store = "nats://a,,b"', "relay.toml: store: sqlite, or nats://HOST,HOST,HOST"),
    ('store = "nats://a,tls://b"', "relay.toml: store: sqlite, or nats://HOST,HOST,HOST"),
    ('tls_key = "k"', "relay.toml: tls_key: a certificate needs its key, and a key its"),
    ('data = "/a"\nkeys = "/a"', "the keys must not be in the folder of the data"),
    ('data = "/a"\nkeys = "/a/keys"', "the keys must not be in the folder of the data"),
    ('data = ""', "relay.toml: data: expected a path"),
    ("port = ", "relay.toml: "),
    ('trusted_proxies = "*"', "trusted_proxies: '*' is neither an address nor a network"),
    ('trusted_proxies = "10.0.0.1, proxy"', "'proxy' is neither an address nor a network"),
])  # fmt: skip
def test_what_may_not_be_chosen_in_a_file_is_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(LocalError) as refused:
        load_config({}, {}, write(tmp_path, text + "\n"))
    assert refused.value.reason is Reason.BAD_INPUT
    assert said in refused.value.detail


@pytest.mark.parametrize(("variable", "value", "said"), [
    ("EVANESCE_RELAY_PROT", "1", "EVANESCE_RELAY_PROT: there is no such variable"),
    ("EVANESCE_RELAY_Port", "1", "EVANESCE_RELAY_Port: there is no such variable"),
    ("EVANESCE_RELAY_PORT", "many", "EVANESCE_RELAY_PORT: 'many' is not a number"),
    ("EVANESCE_RELAY_PORT", "", "EVANESCE_RELAY_PORT: '' is not a number"),
    ("EVANESCE_RELAY_ACCEPT_CLOCK", "maybe", "'maybe' is neither true nor false"),
    ("EVANESCE_RELAY_KEYS", "", "EVANESCE_RELAY_KEYS: expected a path"),
])  # fmt: skip
def test_what_may_not_be_chosen_in_the_environment_is_told(
    variable: str, value: str, said: str
) -> None:
    with pytest.raises(LocalError) as refused:
        load_config({}, {variable: value})
    assert said in refused.value.detail


def test_a_flag_is_named_as_it_is_given() -> None:
    with pytest.raises(LocalError, match="--puts-per-client: at least 1"):
        load_config({"puts_per_client": 0}, {})


def test_a_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_config({}, {}, tmp_path / "none.toml")


def test_the_folders_are_in_the_state_or_where_it_was_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config({"state": tmp_path}, {})
    assert config.data_folder == tmp_path / "data"
    assert config.keys_folder == tmp_path / "keys"
    assert config.ledger_folder == tmp_path / "ledger"
    apart = load_config({"state": tmp_path, "keys": "/run/keys"}, {})
    assert (apart.keys_folder, apart.data_folder) == (Path("/run/keys"), tmp_path / "data")
    assert state_folder({"XDG_STATE_HOME": "/s"}) == Path("/s/evanesce-relay")
    monkeypatch.setenv("HOME", "/home/h")
    expected = Path("/home/h/.local/state/evanesce-relay")
    assert state_folder({}) == state_folder({"XDG_STATE_HOME": "relative"}) == expected


def test_the_example_is_a_configuration(tmp_path: Path) -> None:
    folder = Path(evanesce.relay.__file__).parent / "operating"
    config = load_config({}, {}, folder / "relay.toml")
    assert config.store == "sqlite"
    assert config.keys_folder != config.data_folder
    assert config.settings.retention_hours == 72
    # What stands there as a comment is right as well, without what stands in its place.
    text = (folder / "relay.toml").read_text().replace('store = "sqlite"', "", 1)
    loose = [line.removeprefix("#: ") for line in text.splitlines()]
    other = load_config({}, {}, write(tmp_path, "\n".join(loose)))
    assert other.store.count(",") == 2
    assert other.nats_encrypted == "chacha"
    assert other.tls_cert is not None


@pytest.mark.parametrize("given", ["nats://a:1,b:2, c:3", "nats://a:1,nats://b:2, nats://c:3"])
def test_each_of_several_servers_is_found_however_they_are_told(given: str) -> None:
    store = make_store(load_config({"store": given, "nats_encrypted": "aes"}, {}))
    assert isinstance(store, NatsRows)
    assert store._urls == ["nats://a:1", "nats://b:2", "nats://c:3"]
