"""Whom a request comes from, where a proxy that is believed has passed it on.

A server's own handling of proxies keeps thousands of addresses in a cache: what a relay remembers
of an address is a keyed hash (REQ-RELAY-14).
"""

from __future__ import annotations

import ipaddress
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["BehindProxies", "Proxies"]

_FORWARDED: Final = b"x-forwarded-for"


class Proxies:
    """Addresses and networks, with commas, of those whose X-Forwarded-For is believed."""

    def __init__(self, names: str) -> None:
        """Raise `ValueError` for what is neither."""
        parts = filter(None, (each.strip() for each in names.split(",")))
        self._networks = [ipaddress.ip_network(part, strict=False) for part in parts]

    def __contains__(self, host: str | None) -> bool:
        try:
            address = ipaddress.ip_address(host or "")
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._networks)

    def client(self, forwarded: str) -> str | None:
        """Who has asked: the last of these that is no proxy of ours; None where none is told."""
        told = [_without_port(each.strip()) for each in forwarded.split(",")]
        others = (host for host in reversed(told) if host not in self)
        return next(others, told[0]) or None


class BehindProxies:
    """The application, told who has asked a proxy and not which proxy asks."""

    def __init__(self, app: ASGIApp, proxies: Proxies) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on."""
        client = scope.get("client")
        if client is not None and client[0] in self._proxies:
            told = b",".join(value for name, value in scope["headers"] if name == _FORWARDED)
            host = self._proxies.client(told.decode("latin-1"))
            if host is not None:
                scope["client"] = (host, 0)
        await self._app(scope, receive, send)


def _without_port(told: str) -> str:
    if told.startswith("["):
        return told[1:].partition("]")[0]
    host, colon, port = told.partition(":")
    return host if colon and port.isdecimal() else told
