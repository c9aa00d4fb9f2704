"""A harness that answers rightly, but for what its argument says: what a runner has to cope with.

    python scripted.py ANSWERS BEHAVIOUR [PID_FILE]

ANSWERS is a JSON file: for each id the right answer, without the id. BEHAVIOUR is one of the
cases below; it is what happens with a case whose id begins with `bad`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ANSWERS: dict[str, dict[str, Any]] = json.loads(Path(sys.argv[1]).read_bytes())
BEHAVIOUR = sys.argv[2]
HELLO = {
    "protocol": 1,
    "name": "scripted",
    "version": "0",
    "spec": "1.0-draft.1",
    "operations": ["hash", "session"],
    "features": [],
}


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def answer(case_id: str, **members: Any) -> None:
    say(json.dumps({"id": case_id, **members}) + "\n")


def sleeper() -> None:
    """A child that would outlive us, and says where it is."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(sys.argv[3]).write_text(str(child.pid))


def misbehave(case_id: str, right: dict[str, Any]) -> None:
    """Not even an answer."""
    match BEHAVIOUR:
        case "crash":
            sys.stderr.write("about to fall \x1b[31mred\x1b[0m <b>bold</b>\n")
            sys.stderr.flush()
            os._exit(3)
        case "signal":
            os.kill(os.getpid(), 11)
        case "hang":
            sleeper()
            time.sleep(60)
        case "child holds output":
            sleeper()
            os._exit(4)
        case "too much":
            say('{"id": "' + "x" * 300_000)
            time.sleep(60)
        case "garbage":
            say("<script>alert(1)</script>\n")
        case "not utf-8":
            sys.stdout.buffer.write(b'{"id": "\xff"}\n')
            sys.stdout.flush()
        case "nested":
            say("[" * 200_000 + "\n")
        case "twice":
            say(2 * (json.dumps({"id": case_id, **right}) + "\n"))
        case "wrong id":
            answer(case_id + "!", **right)
        case "two kinds":
            answer(case_id, ok={}, reject="bad-key")
        case "twice a member":
            say(f'{{"id": "{case_id}", "ok": {{}}, "ok": {{}}}}\n')
        case _:
            answer_badly(case_id, right)


def answer_badly(case_id: str, right: dict[str, Any]) -> None:
    """An answer, but not the right one, or not only that."""
    match BEHAVIOUR:
        case "skip":
            answer(case_id, skip="no such thing here")
        case "error":
            answer(case_id, error="boom ]]> & <i>\u202e")
        case "wrong reason":
            answer(case_id, reject="bad-input")
        case "wrong trace":
            answer(case_id, ok={"output": "ff"}, trace=[["second", "beffee"]])
        case "right, wrong trace":
            answer(case_id, **right, trace=[["second", "beffee"]])
        case "hostile":
            answer(case_id, ok={"<script>": "\ud800\u0000</pre><img src=https://x.example>|`*_"})
        case "noise":
            sys.stderr.write("n" * 5_000_000 + "the end\n")
            sys.stderr.flush()
            answer(case_id, reject="bad-input")
        case "digest changes" | "constant digest" | "no digest":
            results = [dict(result) for result in right["ok"]]
            for index, result in enumerate(results):
                result["digest"] = str(index) if BEHAVIOUR == "digest changes" else "same"
            if BEHAVIOUR == "no digest":
                del results[1]["digest"]
            answer(case_id, ok=results)
        case other:
            raise SystemExit(f"no such behaviour: {other}")


def main() -> int:
    if BEHAVIOUR == "exit at hello":
        sys.stderr.write("no licence\n")
        return 7
    for line in sys.stdin:
        request = json.loads(line)
        if "hello" in request:
            hello = HELLO | ({"protocol": 2} if BEHAVIOUR == "other protocol" else {})
            if BEHAVIOUR == "hostile name":
                hello = hello | {"name": "<script>alert(1)</script>\x1b[2J"}
            say(json.dumps({"hello": hello}) + "\n")
            if BEHAVIOUR == "does not read":
                time.sleep(60)
            continue
        case_id = request["id"]
        if BEHAVIOUR == "wrong reason":
            print(f"log of {case_id}", file=sys.stderr, flush=True)
        if case_id.startswith("bad") and BEHAVIOUR not in {"right", "bad exit", "hostile name"}:
            misbehave(case_id, ANSWERS[case_id])
        else:
            answer(case_id, **ANSWERS[case_id])
    return 5 if BEHAVIOUR == "bad exit" else 0


if __name__ == "__main__":
    sys.exit(main())
