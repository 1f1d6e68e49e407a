"""
Random choices that are the same on every Python, from one seed.

A world draws from one stream per wire, per peer and for its script, all derived from
its seed: an operation that is left out of the script then changes what depends on it
and little else, which is what makes a failure shrink. xorshift32: Marsaglia, "Xorshift
RNGs", Journal of Statistical Software 8(14), 2003.
"""

from binascii import crc32

_MASK = 0xFFFFFFFF


class Chance:
    def __init__(self, seed, stream=""):
        self._state = crc32(("%s/%s" % (seed, stream)).encode()) & _MASK or 1

    def below(self, limit):
        x = self._state
        x ^= x << 13 & _MASK
        x ^= x >> 17
        x ^= x << 5 & _MASK
        self._state = x
        return x % limit

    def between(self, low, high):
        """Return a number from low to high, both included."""
        return low + self.below(high - low + 1)

    def hits(self, per_mille):
        return per_mille > 0 and self.below(1000) < per_mille

    def choice(self, items):
        return items[self.below(len(items))]

    def some(self, items):
        """Return some of the items, at least one, in their order."""
        first = self.below(len(items))
        return [items[i] for i in range(len(items)) if i == first or self.below(2)]

    def bytes(self, size):
        return bytes([self.below(256) for _ in range(size)])
