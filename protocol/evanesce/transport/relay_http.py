"""Requests to a relay over HTTP (spec 22.1), with httpx2, the continuation of httpx.

Its transport is used without its client: so there are no cookies, no redirections, nothing from the
environment, and no line in a log that has a path in it. Each request has a deadline, and each
answer a size past which it is not read.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import ssl
from collections.abc import Hashable
from typing import Any, Final

from ..errors import LocalError, Reason
from ..relay_formats import MEDIA_TYPE
from .relay_faults import MISSING, RelayRefusal, lost, reason_of, silent, unreachable
from .relay_pauses import Manners, Pause

try:
    import httpx2
except ModuleNotFoundError as error:  # pragma: no cover  the extra is missing
    raise ModuleNotFoundError(MISSING, name=error.name) from None

__all__ = ["USER_AGENT", "RelayHttp", "base_address"]

USER_AGENT: Final = "evanesce"  # the same for all, in all versions
_REFUSED: Final = {429: Reason.TOO_MANY_REQUESTS, 503: Reason.RELAY_BUSY, 507: Reason.RELAY_FULL}
_PASSING: Final = frozenset(_REFUSED)
_FINAL: Final = frozenset({400, 403, 404, 405, 408, 413, 415})  # REQ-RELAY-02
_WHOLE: Final = "the whole relay"
_REFUSAL_BYTES: Final = 4_096
_DETAIL: Final = 200  # characters of a stranger's text
_TRIES: Final = 3


def base_address(url: str, *, plain: bool = False) -> str:
    """The base address of a relay, without a slash at its end.

    Raise `LocalError` (bad-input) for what is none. `http` shows the network who writes and reads
    which mailbox: it is for the same machine and for onion services, unless `plain` is given, for
    what adds TLS or the like on its way.
    """
    try:
        parsed = httpx2.URL(url)
        port = parsed.port
    except (httpx2.InvalidURL, ValueError, TypeError):
        raise LocalError(Reason.BAD_INPUT, "not the URL of a relay") from None
    host = parsed.host
    if parsed.scheme not in ("http", "https") or not host or parsed.userinfo:
        raise LocalError(Reason.BAD_INPUT, "a relay has an https URL, without user or password")
    if parsed.query or parsed.fragment:
        raise LocalError(Reason.BAD_INPUT, "the URL of a relay has no ? and no #")
    if parsed.scheme == "http" and not plain and not _at_home(host):
        raise LocalError(Reason.BAD_INPUT, "without TLS only to a relay on this machine: use https")
    shown = f"[{host}]" if ":" in host else host
    at = "" if port is None else f":{port}"
    return f"{parsed.scheme}://{shown}{at}{parsed.raw_path.decode('ascii').rstrip('/')}"


def _at_home(host: str) -> bool:
    if host == "localhost" or host.endswith(".onion"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class RelayHttp:
    """Requests to one relay. Used in one event loop."""

    def __init__(
        self, base: str, manners: Manners, *, tls: ssl.SSLContext | None, proxy: str | None,
        patience: float,
    ) -> None:  # fmt: skip
        self._base = base
        self._manners = manners
        self._tls = tls
        self._proxy = proxy
        self._patience = patience
        self._transport: Any = None
        self._closed = False

    async def close(self) -> None:
        """Close the connections."""
        self._closed = True
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.aclose()

    async def post(
        self, path: str, body: bytes, *, most: int = 0, again: bool = True, about: Hashable = None
    ) -> bytes:
        """Post an object; return the body of the answer, of `most` bytes at most.

        With `again` it is repeated when the connection is lost. `about` is what a refusal with 429
        is limited to. Raise `RelayRefusal`, `OSError`.
        """
        headers = {"Content-Type": MEDIA_TYPE}
        return await self._ask("POST", path, headers, body, most, again=again, about=about)

    async def get(self, path: str, *, kind: str, most: int) -> bytes:
        """Get what is there. `kind` names the request where the path tells too much."""
        return await self._ask("GET", path, {}, b"", most, again=True, about=kind)

    async def _ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes, most: int, *,
        again: bool, about: Hashable,
    ) -> bytes:  # fmt: skip
        kind = (path if about is None else about,)
        self._manners.check(_WHOLE, kind)
        pause = Pause(0.2)
        while True:
            try:
                status, seconds, data = await self._once(method, path, headers, body, most)
                break
            except OSError as error:
                pause.failed()
                # A connection that never was has carried nothing, so that this is no repetition.
                repeatable = again or error.errno == unreachable("").errno
                if not repeatable or pause.failures >= _TRIES or isinstance(error, TimeoutError):
                    raise
            await asyncio.sleep(pause.left)
        if status in (200, 204):
            return data
        refusal = _refusal(status, seconds, data)
        self._manners.note(_WHOLE if status == 503 else kind, refusal)
        raise refusal

    async def _once(
        self, method: str, path: str, headers: dict[str, str], body: bytes, most: int
    ) -> tuple[int, int, bytes]:
        """Status, seconds of `Retry-After`, and body. Raise `OSError`."""
        if self._closed:
            raise lost(self._base, "this transport is closed")
        if self._transport is None:
            tls = self._tls or ssl.create_default_context()
            self._transport = httpx2.AsyncHTTPTransport(
                verify=tls, trust_env=False, proxy=self._proxy
            )
        parts = dict.fromkeys(("connect", "read", "write", "pool"), self._patience)
        request = httpx2.Request(
            method, self._base + path, content=body, extensions={"timeout": parts},
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers},
        )  # fmt: skip
        try:
            async with asyncio.timeout(2 * self._patience):  # of one that sends a byte now and then
                response = await self._transport.handle_async_request(request)
                try:
                    limit = most if response.status_code == 200 else _REFUSAL_BYTES
                    data = bytearray()
                    async for piece in response.stream:
                        data += piece
                        if len(data) > limit:
                            raise RelayRefusal(Reason.TOO_LARGE, "the relay's answer is too long")
                finally:
                    await response.aclose()
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
            raise _unreachable(self._base, error) from None
        except (httpx2.TimeoutException, TimeoutError):
            raise silent(self._base) from None
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL) as error:
            raise lost(self._base, type(error).__name__) from None
        status = response.status_code
        return status, retry_after(status, response.headers.get("Retry-After")), bytes(data)


def _unreachable(base: str, error: BaseException) -> OSError:
    """Why there is no connection; a certificate that is not trusted says so."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return unreachable(base, f"its certificate is not trusted: {cause.verify_message}")
        cause = cause.__cause__ or cause.__context__
    return unreachable(base)


def retry_after(status: int, header: str | None) -> int:
    """The seconds that a refusal asks for: at least one where it has to ask."""
    if status not in _PASSING:
        return 0
    with contextlib.suppress(ValueError, TypeError):
        return max(1, int(str(header)[:10]))
    return 1


def _one_line(text: str) -> str:
    """A stranger's text, without what would move a cursor."""
    return "".join(c if c.isprintable() else "?" for c in text[:_DETAIL])


def _refusal(status: int, seconds: int, data: bytes) -> RelayRefusal:
    """What a status and its body say."""
    reason, detail = None, ""
    with contextlib.suppress(ValueError, RecursionError):
        body = json.loads(data)
        if isinstance(body, dict):
            reason, detail = body.get("reason"), _one_line(str(body.get("detail", "")))
    if status in _REFUSED:  # whatever the body says, it may pass
        return RelayRefusal(_REFUSED[status], detail, seconds)
    if status not in _FINAL:  # as of a proxy before the relay
        return RelayRefusal(Reason.RELAY_BUSY, f"status {status}")
    if reason is None:
        return RelayRefusal(Reason.BAD_FORM, f"no relay answers there (status {status})")
    return RelayRefusal(reason_of(reason), detail)
