"""This library as a harness (spec 21): requests on standard input, answers on standard output.

    python -m evanesce.conformance.harness
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any, BinaryIO

from .. import __version__
from ..errors import LocalError, RemoteError
from .library import OPERATIONS

__all__ = ["FEATURES", "PROTOCOL", "SPEC", "BadRequest", "answer", "main", "serve"]

PROTOCOL = 1
SPEC = "1.0-draft.1"
NAME = "evanesce-python"
FEATURES = ("signed", "direct", "client", "relay", "large")
BAD_REQUEST = 2  # exit status

Json = dict[str, Any]


class BadRequest(Exception):  # noqa: N818  it is the runner's fault, not this program's
    """A line that is not a request: there is nobody to answer, so the harness ends."""


def _hello() -> Json:
    return {
        "hello": {
            "protocol": PROTOCOL,
            "name": NAME,
            "version": __version__,
            "spec": SPEC,
            "operations": sorted(OPERATIONS),
            "features": list(FEATURES),
        }
    }


def _case(name: str, op: str, given: Json) -> Json:
    """Run one case. A refusal is an answer; whatever else is raised is a fault of the library."""
    function = OPERATIONS.get(op)
    if function is None:
        return {"id": name, "skip": f"no operation {op!r}"}
    try:
        with contextlib.redirect_stdout(sys.stderr):  # standard output is for answers alone
            return {"id": name, "ok": function(given)}
    except (LocalError, RemoteError) as error:
        return {"id": name, "reject": str(error.reason)}
    except Exception as error:
        return {"id": name, "error": f"{type(error).__name__}: {error}"}


def answer(request: Any) -> Json:
    """Answer one request. Raise `BadRequest` for what is none."""
    match request:
        case {"hello": {"protocol": int()}}:
            return _hello()
        case {"id": str(name), "op": str(op), "in": dict(given)}:
            return _case(name, op, given)
    raise BadRequest("neither a hello nor a case")


def _line(made: Json) -> bytes:
    """An answer as it is written; an `out` that is not JSON is a fault of the library too."""
    try:
        text = json.dumps(made, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        text = json.dumps({"id": made["id"], "error": f"{type(error).__name__}: {error}"})
    return text.encode() + b"\n"


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer each line of `source` on `sink`, in lock step, until it ends.

    Raise `BadRequest` for a line that is not a request.
    """
    for number, line in enumerate(iter(source.readline, b""), 1):
        try:
            request = json.loads(line.decode("utf-8"))
            made = answer(request)
        except (ValueError, RecursionError, BadRequest) as error:
            raise BadRequest(f"line {number}: {error}") from error
        sink.write(_line(made))
        sink.flush()


def main() -> int:
    """Serve standard input and output; return the exit status."""
    try:
        serve(sys.stdin.buffer, sys.stdout.buffer)
    except BadRequest as error:
        print(f"harness: {error}", file=sys.stderr)
        return BAD_REQUEST
    except BrokenPipeError:  # the runner has gone, and needs no answer
        sys.stderr.close()
        return BAD_REQUEST
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
