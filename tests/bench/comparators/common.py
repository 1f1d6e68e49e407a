"""What the comparators share."""

import contextlib
import zlib

LEVEL = 6


class NotInstalled(Exception):
    """Says what is missing and how it can be had."""


@contextlib.contextmanager
def needing(package):
    """Turn a failing import into NotInstalled."""
    try:
        yield
    except ImportError as error:
        raise NotInstalled(f"{package} from PyPI, which `make bench-sync` installs") from error


def size(messages):
    return sum(map(len, messages))


def deflated_size(messages):
    """Return the bytes when each message is flushed and the window is kept (RFC 7692)."""
    stream = zlib.compressobj(LEVEL)
    return sum(
        len(stream.compress(message)) + len(stream.flush(zlib.Z_SYNC_FLUSH)) for message in messages
    )
