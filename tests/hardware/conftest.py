"""Skip what needs an emulated board, unless `make test-pico` is running."""

import os

import pytest


def pytest_collection_modifyitems(items):
    reason = "takes minutes and a firmware build: run `make test-pico`"
    for item in items:
        if item.path.is_relative_to(os.path.dirname(__file__)):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.skipif("VIRTUAL_PICO" not in os.environ, reason=reason))
