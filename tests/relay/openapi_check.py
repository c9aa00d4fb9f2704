"""Compares a running relay with its OpenAPI description, from the outside: schemathesis.

Usage: python -m tests.relay.openapi_check [EXAMPLES]. Needs schemathesis >= 4.32 beside the test
dependencies. It starts `evanesce relay serve`, and fails on every answer that the description does
not have: another status, media type, header or body. Too heavy for the test suite.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx2

from tests.relay.web_server import Process

ROOT = Path(__file__).parents[2]
CHECKS = ("not_a_server_error,status_code_conformance,content_type_conformance,"
          "response_headers_conformance,response_schema_conformance,unsupported_method,"
          "allow_header_conformance")  # fmt: skip
# Of rates and fullness, other tests speak: here nothing is to be refused for them.
PLENTY = [
    f"--{name}={10**9}"
    for name in ("puts-per-client", "claims-per-client", "claims-per-identity",
                 "publishes-per-client", "blobs-per-client", "sessions-per-client")
]  # fmt: skip


# So that it is not refusals alone that were compared.
WANTED = {"/v1/put 200", "/v1/recall 200", "/v1/publish 204", "/v1/claim 204", "/v1/blobs 204",
          "/v1/blobs/{hash} 404", "/v1/blobs/delete 404", "/v1/put 400", "/v1/put 405",
          "/v1/put 415", "/v1/mailboxes 426", "/v1/about 200", "/healthz 200", "/readyz 200",
          "/openapi.json 200"}  # fmt: skip


async def main(examples: int) -> int:
    """Run it; the exit code of schemathesis."""
    with tempfile.TemporaryDirectory() as folder:
        async with await Process.start(Path(folder), *PLENTY) as relay:
            command = [
                str(Path(sys.executable).with_name("schemathesis")), "run",
                relay.base + "/openapi.json", "--url", relay.base, "--checks", CHECKS,
                "--phases", "examples,coverage,fuzzing", "--max-examples", str(examples),
                "--seed", "1", "--no-color", "--continue-on-failure", "--warnings", "off",
                "--generation-database", "none",
            ]  # fmt: skip
            paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
            environment = os.environ | {
                "SCHEMATHESIS_HOOKS": "tests.relay.openapi_hooks",
                "PYTHONPATH": os.pathsep.join(paths),
            }
            run = await asyncio.to_thread(
                subprocess.run, command, env=environment, cwd=folder, check=False
            )
            failed = [f"the relay reported: {line}" for line in relay.logged()
                      if line["level"] == "error"]  # fmt: skip
            seen = await answered(relay)
            print("answered:", *sorted(seen))
            failed += [f"never answered: {answer}" for answer in sorted(WANTED - seen)]
            print(*failed, sep="\n", end="\n" if failed else "")
            return run.returncode or bool(failed)


async def answered(relay: Process) -> set[str]:
    """Which path was answered with which status, by the relay's own count."""
    async with httpx2.AsyncClient() as client:
        text = (await client.get(relay.admin + "/metrics")).text
    found = re.findall(r'^evanesce_requests_total\{path="(.*?)",status="(.*?)"\}', text, re.M)
    return {f"{path} {status}" for path, status in found}


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)))
