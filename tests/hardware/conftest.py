"""Skip what needs an emulated board, unless `make test-pico` is running."""

import os

import pytest


def pytest_collection_modifyitems(items):
    reason = "takes minutes and a firmware build: run `make test-pico`"
    for item in items:
        if item.path.is_relative_to(os.path.dirname(__file__)):
            item.add_marker(pytest.mark.slow)
            name, why = "VIRTUAL_PICO", reason
            if item.path.name == "test_hil.py":
                name, why = "HIL_PORT", "needs a board: run `make hil`"
            item.add_marker(pytest.mark.skipif(name not in os.environ, reason=why))
