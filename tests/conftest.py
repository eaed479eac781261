"""Settings of all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# In CI the same examples each time: a new one is found on a laptop, where somebody looks at it.
settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")
