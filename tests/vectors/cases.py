"""
Read the vector files of this folder. Runs on CPython and MicroPython.

JSON has fewer values than documents, so one that it lacks, or that would fill the
file, stands as a map with one key that begins with `$` (see `value`).
"""

import json
import struct
from binascii import unhexlify

FOLDER = __file__.rsplit("/", 1)[0]


def load(name):
    with open(FOLDER + "/" + name + ".json") as file:
        return json.load(file)


def value(form):
    """Build the value that a vector file describes."""
    if isinstance(form, list):
        return [value(item) for item in form]
    if not isinstance(form, dict):
        return form
    for key in form:
        if key in _BUILD:
            return _BUILD[key](form[key])
    return {key: value(form[key]) for key in form}


def same(one, other):
    """Equal in type too, at every depth: 1, 1.0 and True are three values."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all([same(one[i], other[i]) for i in range(len(one))])
    if isinstance(one, dict):
        return sorted(one) == sorted(other) and all([same(one[key], other[key]) for key in one])
    return one == other


def _nest(form):
    depth, kind = form
    inner = []
    for _ in range(depth - 1):
        inner = [inner] if kind == "array" else {"m": inner}
    return inner


def _attachment(form):
    from edge_peer.core.kinds import Attachment

    return Attachment(unhexlify(form[0]), form[1], form[2])


_BUILD = {
    "$attachment": _attachment,
    "$bin": unhexlify,
    "$float": lambda form: struct.unpack(">d", unhexlify(form))[0],  # the bits, as JSON rounds
    "$text": lambda form: form[0] * form[1],
    "$zeros": lambda form: bytes(form),
    "$array": lambda form: [form[0]] * form[1],
    "$map": lambda form: {"%05d" % i: None for i in range(form)},
    "$nest": _nest,
}
