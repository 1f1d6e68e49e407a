"""The few things that portable tests share. Runs on CPython and MicroPython."""


class raises:
    """Assert that the block raises `expected` (pytest.raises exists on one runtime only)."""

    def __init__(self, expected, text=""):
        self._expected = expected
        self._text = text

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _traceback):
        assert kind is not None, "did not raise " + self._expected.__name__
        if not issubclass(kind, self._expected):
            return False
        assert self._text in str(error), str(error)
        return True


class Random:
    """The same numbers from the same seed on every runtime (Park and Miller, CACM 31(10), 1988)."""

    def __init__(self, seed):
        self._state = seed % 2147483646 + 1

    def below(self, limit):
        self._state = self._state * 48271 % 2147483647
        return self._state % limit

    def bytes(self, size):
        return bytes([self.below(256) for _ in range(size)])

    def choice(self, items):
        return items[self.below(len(items))]


try:
    from pytest import mark

    slow = mark.slow
except ImportError:

    def slow(test):
        """Mark a test that takes more than a few seconds; a board knows no marks."""
        return test
