"""Hypothesis profiles.

``ci`` is the default. With ``CI=true`` its examples are the same in every run; elsewhere each run
draws new ones, and a failure prints the blob that replays it. ``EVANESCE_PROFILE=long`` draws ten
times as many, always new ones. A test that sets its own ``max_examples`` is not scaled.
"""

import os
from typing import Final

from hypothesis import settings

EXAMPLES: Final = 100

settings.register_profile(
    "ci",
    max_examples=EXAMPLES,
    deadline=None,
    print_blob=True,
    derandomize=os.environ.get("CI") == "true",
)
settings.register_profile(
    "long",
    max_examples=10 * EXAMPLES,
    deadline=None,
    print_blob=True,
    derandomize=False,
)
settings.load_profile(os.environ.get("EVANESCE_PROFILE", "ci"))
