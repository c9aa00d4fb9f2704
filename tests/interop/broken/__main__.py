"""A harness with a mistake in it: python -m tests.interop.broken NAME."""

import sys

from evanesce.conformance import harness
from tests.interop.broken import FLAWS, patched

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in FLAWS:
        raise SystemExit(f"the name of a flaw is needed: {', '.join(FLAWS)}")
    with patched(sys.argv[1]):
        status = harness.main()
    raise SystemExit(status)
