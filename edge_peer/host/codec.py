"""
MessagePack on a host: core/codec.py behind the same two functions, by the msgpack package.

The same bytes out, the same bytes refused (core/codec.py says which), several
times faster. The package knows no canonical order, no bound on nesting, and more types
than documents have, so what is not a plain scalar is walked here, on its way in
and on its way out.
"""

from collections.abc import Callable

import msgpack

from edge_peer.core.codec import DEPTH_MAX
from edge_peer.core.errors import FormatError

_SCALARS = frozenset((type(None), bool, int, float, str, bytes))

# One for all calls: to make a Packer takes three times as long as to use it.
_pack: Callable[[object], bytes] = msgpack.Packer().pack


def pack(value: object) -> bytes:
    """Encode one value; raise TypeError for what MessagePack or this subset lacks."""
    try:
        return _pack(value if type(value) in _SCALARS else _canonical(value, 0))
    except (OverflowError, ValueError) as error:
        raise TypeError(f"no MessagePack form: {error}") from error


def unpack(data: bytes) -> object:
    """Decode exactly one value; raise FormatError if `data` is anything else."""
    try:
        value: object = msgpack.unpackb(data)
    except ValueError as error:
        raise FormatError(f"not MessagePack: {error}") from error
    if type(value) not in _SCALARS:
        _check(value, 0)
    return value


def _canonical(value: object, depth: int) -> object:
    """Return what msgpack packs canonically: maps in the order of their keys."""
    if isinstance(value, bytearray):
        return value
    if isinstance(value, (dict, list, tuple)):
        if value and depth >= DEPTH_MAX:
            raise TypeError(f"value nested deeper than {DEPTH_MAX}")
        if not isinstance(value, dict):
            return [
                item if type(item) in _SCALARS else _canonical(item, depth + 1) for item in value
            ]
        fields = {}
        for key in sorted(value):
            if not isinstance(key, str):
                raise TypeError("a map key must be text")
            item = value[key]
            fields[key] = item if type(item) in _SCALARS else _canonical(item, depth + 1)
        return fields
    if isinstance(value, (bool, int, float, str, bytes)):  # a subclass, as enum.IntEnum
        return value
    raise TypeError(f"a {type(value).__name__} has no MessagePack form")


def _check(value: object, depth: int) -> None:
    """Refuse what msgpack decodes and this subset lacks."""
    if isinstance(value, dict):
        for key in value:
            if type(key) is not str:
                raise FormatError("a map key must be text")
        value = value.values()
    elif not isinstance(value, list):
        raise FormatError("MessagePack extension types are not used here")
    if value and depth >= DEPTH_MAX:
        raise FormatError(f"value nested deeper than {DEPTH_MAX}")
    for item in value:
        if type(item) not in _SCALARS:
            _check(item, depth + 1)
