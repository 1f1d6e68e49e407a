"""Let every test import the portable tests' helpers by their bare name, as MicroPython does."""

import pathlib
import sys

from hypothesis import settings

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "core")]

# The same cases in every run: a failure is a change of ours, and no run is luckier than
# another. To look for new ones: pytest tests/fuzz --hypothesis-profile=search
settings.register_profile("steady", derandomize=True, deadline=None, max_examples=100)
settings.register_profile("search", max_examples=10_000, deadline=None)
settings.load_profile("steady")
