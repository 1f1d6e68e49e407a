"""Let every test import the portable tests' helpers by their bare name, as MicroPython does."""

import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "core")]
