"""What the most expensive hostile input of each kind costs the device that takes it.

    python benchmarks/hostile.py
    python benchmarks/hostile.py --size 100 --json

Each input is built to be refused as late as possible, or to be accepted at the greatest cost. The
cost is counted, not timed: signatures verified, Diffie-Hellman operations, points checked, calls of
`KDF` and `H`, and bytes hashed, opened, decoded and read from the store. What each operation takes
here is measured once, which makes one figure of the counts: microseconds, and the ratio to a
normal input of the same kind and size. `bound` is what the limits of the protocol (spec 15)
allow for an input of these dimensions. ``--size`` is the number of members, operations and waiting
payloads.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a script: the modules beside this one are a package of the checkout
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.hostile_cases import CASES, NORMAL
from benchmarks.hostile_counts import MOST, OPERATIONS, run

from evanesce import primitives, wire

__all__ = ["estimate", "measure", "table", "units"]

# --- what an operation takes on this machine -----------------------------------------------------


def units() -> dict[str, float]:
    """Microseconds that each operation takes here; for bytes, those of one byte."""
    private, public = primitives.sign_keypair(lambda size: bytes(range(size)))
    scalar = bytes([8]) + bytes(30) + b"\x44"
    point = primitives.dh_public(scalar)
    signature = primitives.sign(private, b"x")
    big = bytes(1 << 20)
    sealed = primitives.encrypt(bytes(32), big)
    long = wire.encode([0] * 60_000)  # an item for each byte: the slowest to look at
    return {
        "verify": _time(lambda: primitives.verify(public, signature, b"x")),
        "dh": _time(lambda: primitives.dh(scalar, point)),
        "point": _time(lambda: primitives.check_sign_key(public)),
        "kdf": _time(lambda: primitives.KDF(bytes(32), b"chain", size=64)),
        "hash": _time(lambda: primitives.H(b"x")),
        "hashed": _time(lambda: primitives.H(b"x", big), 20) / len(big),
        "opened": _time(lambda: primitives.decrypt(bytes(32), sealed), 20) / len(big),
        "items": _time(lambda: wire.decode(long, limit=len(long)), 10) / len(long),
        "read": _time(lambda: primitives.decrypt(bytes(32), sealed), 20) / len(big),
    }


def _time(call: Callable[[], Any], times: int = 500) -> float:
    """Microseconds of a call: the least of five rounds."""
    rounds = []
    for _ in range(5):
        begun = time.process_time()
        for _ in range(times):
            call()
        rounds.append((time.process_time() - begun) / times)
    return 1e6 * min(rounds)


def estimate(counts: Mapping[str, int], unit: Mapping[str, float]) -> float:
    """Microseconds that these operations take."""
    return sum(counts[name] * unit[name] for name in unit)


# --- telling -------------------------------------------------------------------------------------


def measure(size: int = MOST, names: Sequence[str] = ()) -> dict[str, Any]:
    """Take every input once, and tell what it has cost."""
    unit = units()
    chosen = [case for case in CASES if not names or case.name in names]
    normal = {
        kind: run(case, size) for kind, case in NORMAL.items()
        if any(other.kind == kind for other in chosen)
    }  # fmt: skip
    rows = []
    for case in chosen:
        cost = run(case, size)
        usual = estimate(normal[case.kind].counts, unit)
        made = estimate(cost.counts, unit)
        rows.append({
            "name": case.name, "who": case.who, "ends": cost.ends, "bytes": cost.size,
            "counts": {name: cost.counts[name] for name in OPERATIONS},
            "bound": cost.bound, "estimate": made, "ratio": made / max(usual, 1e-9),
            "processor": 1e6 * cost.seconds,
        })  # fmt: skip
    return {
        "size": size, "python": platform.python_version(), "unit": unit,
        "normal": {
            kind: {"bytes": cost.size, "estimate": estimate(cost.counts, unit),
                   "processor": 1e6 * cost.seconds,
                   "counts": {name: cost.counts[name] for name in OPERATIONS}}
            for kind, cost in normal.items()
        },
        "rows": rows,
    }  # fmt: skip


def table(told: Mapping[str, Any]) -> str:
    """The figures for people: counts, and below them what is allowed."""
    short = ("verify", "dh", "point", "kdf", "hash")
    head = f"{'':44}{'bytes':>10}" + "".join(f"{name:>8}" for name in short)
    head += f"{'hashed':>12}{'read':>14}{'est. ms':>10}{'ratio':>9}{'cpu ms':>10}"
    lines = [f"size {told['size']}, Python {told['python']}", "", head]
    for kind, usual in told["normal"].items():
        lines.append(_line(f"normal: {kind}", usual, 1.0))
    for row in told["rows"]:
        lines.append(_line(f"{row['name']} ({row['ends']})", row, row["ratio"]))
        allowed = row["bound"]
        lines.append(f"{'':4}{'at most':50}" + "".join(f"{allowed[n]:>8}" for n in short)
                     + f"{allowed['hashed']:>12}{allowed['read']:>14}")  # fmt: skip
    return "\n".join(lines)


def _line(name: str, row: Mapping[str, Any], ratio: float) -> str:
    counts = row["counts"]
    short = "".join(f"{counts[n]:>8}" for n in ("verify", "dh", "point", "kdf", "hash"))
    more = f"{counts['hashed']:>12}{counts['read']:>14}{row['estimate'] / 1e3:>10.2f}"
    return f"{name:44}{row['bytes']:>10}{short}{more}{ratio:>9.1f}{row['processor'] / 1e3:>10.1f}"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="Take the most expensive hostile inputs.")
    parser.add_argument("--size", type=int, default=MOST, help="members, operations, payloads")
    parser.add_argument("--json", action="store_true")
    settings = parser.parse_args()
    told = measure(settings.size)
    print(json.dumps(told, indent=2) if settings.json else table(told))


if __name__ == "__main__":
    main()
