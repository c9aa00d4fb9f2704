# ruff: noqa: RUF009  # `_key` is `field`, and its values are frozen
"""What an operator has chosen: a TOML file, the environment and flags become one frozen object.

Flags go before the environment (`EVANESCE_RELAY_…`), that before the file, that before defaults. A
key that is not known and a value that may not be chosen are errors that name where they came from.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..errors import LocalError, Reason
from .settings import RelaySettings

__all__ = ["ENVIRONMENT", "KEYS", "Key", "RelayConfig", "load_config", "state_folder"]

ENVIRONMENT: Final = "EVANESCE_RELAY_"
LEVELS: Final = ("debug", "info", "warning", "error")
_MIB: Final = 1024 * 1024


def _key(default: Any, said: str, *, least: int | None = None) -> Any:
    return field(default=default, metadata={"said": said, "least": least})


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayConfig:
    """Everything that `evanesce relay` needs to know. Sizes in bytes, times in seconds."""

    host: str = _key("127.0.0.1", "address to listen on")
    port: int = _key(8420, "port to listen on; 0 takes a free one", least=0)
    state: Path | None = _key(None, "folder of data/, keys/ and ledger/")
    data: Path | None = _key(None, "folder of the rows; may be backed up and replicated")
    keys: Path | None = _key(
        None,
        "folder of the keys: on another disk than the data, where no backup "
        "and no snapshot of the data reaches; what is lost with it can never be read again",
    )
    ledger: Path | None = _key(None, "folder of the ledger of disclosures; to be backed up")
    store: str = _key("sqlite", "sqlite, or nats://HOST,HOST,HOST")
    nats_streams: int = _key(4, "streams that rows are spread over, 1 to 64; fixed", least=1)
    nats_replicas: int = _key(3, "servers that keep each row: 1, 3 or 5", least=1)
    nats_prefix: str = _key("evanesce", "what all names at the NATS servers begin with")
    nats_creds: Path | None = _key(None, "file of NATS credentials (.creds)")
    nats_ca: Path | None = _key(None, "file of certificates that the NATS servers are known by")
    nats_monitors: str = _key("", "monitoring URLs, with commas, of all NATS servers")
    nats_encrypted: str | None = _key(
        None, "aes or chacha: the cipher that the NATS servers encrypt what they keep with"
    )
    nats_synced: bool = _key(
        False, "that all NATS servers have sync_interval: always, where they cannot be asked"
    )
    tls_cert: Path | None = _key(None, "file with the certificate and its chain, PEM")
    tls_key: Path | None = _key(None, "file with its private key, PEM")
    admin_host: str = _key("127.0.0.1", "address for /metrics, /healthz and /readyz")
    admin_port: int | None = _key(None, "port for them; without it there are no metrics", least=0)
    trusted_proxies: str = _key(
        "", "addresses, with commas, of proxies whose X-Forwarded-For is believed"
    )
    log_level: str = _key("info", "debug, info, warning or error")
    accept_clock: bool = _key(False, "start although the clock is behind the last hour seen")
    requests_in_flight: int = _key(256, "requests answered at a time; past it, busy", least=1)
    body_bytes: int = _key(256 * _MIB, "memory for the bodies of requests", least=8 * _MIB)
    body_seconds: int = _key(30, "until a body must have come", least=1)
    take_seconds: int = _key(30, "until a reader must have taken what was sent", least=1)
    undrained_bytes: int = _key(
        256 * _MIB, "memory for what readers have not taken", least=8 * _MIB
    )
    ping_seconds: int = _key(20, "between pings, and until one must be answered", least=1)
    stop_seconds: int = _key(20, "for what is under way when it stops", least=1)
    settings: RelaySettings = field(default_factory=RelaySettings)

    @property
    def data_folder(self) -> Path:
        """Where the rows are."""
        return self.data or self._state / "data"

    @property
    def keys_folder(self) -> Path:
        """Where the keys are."""
        return self.keys or self._state / "keys"

    @property
    def ledger_folder(self) -> Path:
        """Where the ledger is."""
        return self.ledger or self._state / "ledger"

    @property
    def _state(self) -> Path:
        return self.state or state_folder(os.environ)


def state_folder(environment: Mapping[str, str]) -> Path:
    """Where a relay's state is when nothing else was said."""
    base = environment.get("XDG_STATE_HOME")
    home = Path(base) if base and Path(base).is_absolute() else Path.home() / ".local" / "state"
    return home / "evanesce-relay"


@dataclass(frozen=True, slots=True)
class Key:
    """One thing that may be chosen."""

    name: str
    kind: type
    default: Any
    said: str
    least: int | None
    is_setting: bool  # a field of `RelaySettings`


_SETTINGS_SAID: Final = {
    "retention_hours": "hours that an envelope is kept, at most: 48 to 72",
    "mailboxes": "mailboxes that the table is made for; fixed when a relay is made",
    "store_bytes": "bytes of envelopes, key packages and blobs that are kept",
    "sessions": "WebSockets at a time",
    "session_mailboxes": "mailboxes read over one WebSocket",
    "puts_per_client": "envelopes put a minute, from one network address",
    "put_bytes_per_client": "bytes of bodies taken a minute, from one network address",
    "mailboxes_per_client": "mailboxes made a minute, from one network address",
    "claims_per_identity": "key packages of one identity handed out a minute",
    "claims_per_client": "key packages claimed a minute, from one network address",
    "publishes_per_client": "publishes a minute, from one network address",
    "blobs_per_client": "blobs put, fetched or deleted a minute, from one network address",
    "sessions_per_client": "WebSockets begun a minute, from one network address",
    "open_sessions_per_client": "WebSockets at a time, from one network address",
    "connections_per_client": "connections at a time, from one network address but a proxy's",
    "proofs_per_client": "proofs looked at a minute, from one network address; more wait",
    "frames_per_client": "other frames read a minute, from one network address; more wait",
}


def _keys() -> dict[str, Key]:
    keys = {}
    for each in dataclasses.fields(RelayConfig):
        if each.name != "settings":
            kind = next(k for k in (bool, int, Path, str) if k.__name__ in str(each.type))
            keys[each.name] = Key(
                each.name, kind, each.default, each.metadata["said"], each.metadata["least"], False
            )
    for each in dataclasses.fields(RelaySettings):
        said = _SETTINGS_SAID.get(each.name, "a bound; see the specification, chapter 22")
        keys[each.name] = Key(each.name, int, each.default, said, 1, True)
    return keys


KEYS: Final = _keys()
"""All that may be chosen. The environment has the names in capitals, flags with hyphens."""


def load_config(
    flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None = None
) -> RelayConfig:
    """Put together what was chosen.

    `flags` holds what was given, None or nothing for what was not. The file is `file`, else the one
    that `EVANESCE_RELAY_CONFIG` names. Raise `OSError`; `LocalError` (bad-input), which names the
    origin of what is wrong.
    """
    chosen: dict[str, Any] = {}
    origins: dict[str, str] = {}

    def choose(name: str, value: Any, origin: str) -> None:
        chosen[name] = _checked(KEYS[name], value, origin)
        origins[name] = origin

    if file is None and environment.get(ENVIRONMENT + "CONFIG"):
        file = Path(environment[ENVIRONMENT + "CONFIG"])
    for name, value in _read(file).items() if file else ():
        if name not in KEYS:
            raise _bad(f"{file}: there is no {name!r} to choose")
        choose(name, value, f"{file}: {name}")
    for variable, text in sorted(environment.items()):
        name = variable.removeprefix(ENVIRONMENT).lower()
        if not variable.startswith(ENVIRONMENT) or name == "config":
            continue
        if name not in KEYS or variable != ENVIRONMENT + name.upper():
            raise _bad(f"{variable}: there is no such variable")
        choose(name, _from_text(KEYS[name], text, variable), variable)
    for name, value in flags.items():
        if value is not None and name in KEYS:
            choose(name, value, "--" + name.replace("_", "-"))
    return _made(chosen, origins)


def _made(chosen: dict[str, Any], origins: dict[str, str]) -> RelayConfig:
    settings = {name: value for name, value in chosen.items() if KEYS[name].is_setting}
    try:
        made = RelaySettings(**settings)
    except LocalError as error:
        for name, value in settings.items():  # which of them it was
            try:
                RelaySettings(**{name: value})
            except LocalError:
                raise _bad(f"{origins[name]}: {error.detail}") from None
        raise
    own = {name: value for name, value in chosen.items() if name not in settings}
    config = RelayConfig(**own, settings=made)
    if (config.tls_cert is None) != (config.tls_key is None):
        origin = origins.get("tls_cert") or origins["tls_key"]
        raise _bad(f"{origin}: a certificate needs its key, and a key its certificate")
    if config.keys_folder.absolute().is_relative_to(config.data_folder.absolute()):
        raise _bad("the keys must not be in the folder of the data")
    return config


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _bad(f"{file}: {error}") from None


def _from_text(key: Key, text: str, origin: str) -> Any:
    if key.kind is int:
        if not (text.isascii() and text.isdecimal()):
            raise _bad(f"{origin}: {text!r} is not a number")
        return int(text)
    if key.kind is bool:
        if text.lower() not in {"true", "false", "1", "0", "yes", "no"}:
            raise _bad(f"{origin}: {text!r} is neither true nor false")
        return text.lower() in {"true", "1", "yes"}
    return text


def _checked(key: Key, value: Any, origin: str) -> Any:
    if key.kind is Path and isinstance(value, str):
        value = Path(value).expanduser() if value else None
    if not isinstance(value, key.kind) or (key.kind is int and isinstance(value, bool)):
        raise _bad(f"{origin}: expected {_KINDS[key.kind]}")
    if isinstance(value, int):
        _check_number(key, value, origin)
    if key.name in _CHOICES and value not in _CHOICES[key.name]:
        raise _bad(f"{origin}: one of {', '.join(_CHOICES[key.name])}")
    if key.name == "store" and value != "sqlite" and not _is_nats(str(value)):
        raise _bad(f"{origin}: sqlite, or nats://HOST,HOST,HOST")
    if key.name == "trusted_proxies":
        _check_networks(str(value), origin)
    return value


def _check_networks(value: str, origin: str) -> None:
    """No `*`: whoever is believed can take any address that it likes."""
    for part in filter(None, (each.strip() for each in value.split(","))):
        try:
            ipaddress.ip_network(part, strict=False)
        except ValueError:
            raise _bad(f"{origin}: {part!r} is neither an address nor a network") from None


def _check_number(key: Key, value: int, origin: str) -> None:
    if key.least is not None and value < key.least:
        raise _bad(f"{origin}: at least {key.least}")
    if key.name.endswith("port") and value > 65_535:
        raise _bad(f"{origin}: a port is at most 65535")


_CHOICES: Final = {"log_level": LEVELS, "nats_encrypted": ("aes", "chacha")}
_KINDS: Final = {int: "a number", bool: "true or false", str: "a text", Path: "a path"}


def _is_nats(value: str) -> bool:
    scheme, _, rest = value.partition("://")
    parts = [part.strip().removeprefix(f"{scheme}://") for part in rest.split(",")]
    return scheme in {"nats", "tls"} and all(part and "://" not in part for part in parts)


def _bad(what: str) -> LocalError:
    return LocalError(Reason.BAD_INPUT, what)
