"""What holds for all tests: how properties are tried."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "coterie",
    # How long an example takes says how busy the machine is, not whether the code is right.
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    # What fails where nobody can look must fail again, here too.
    derandomize="CI" in os.environ,
    print_blob=True,
)
settings.load_profile("coterie")
