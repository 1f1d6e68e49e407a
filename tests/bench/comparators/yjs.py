"""
Yjs, by its Rust implementation (PyPI: pycrdt).

A map from id to the reading as one value, which costs it least. What counts are the
sync messages of both sides: a state vector each, and the update that answers it.
"""

import json
import random

from comparators.common import deflated_size, needing, size


def measure(readings, changed, plan, folder):
    """Return {figure: bytes}. Raises NotInstalled."""
    with needing("pycrdt"):
        from pycrdt import Doc, Map

    def peer(entries, client_id):
        doc = Doc(client_id=client_id)
        doc["readings"] = Map()
        write(doc, entries)
        return doc

    def write(doc, entries):
        with doc.transaction():
            for reading in entries:
                doc["readings"][reading["_id"]] = reading

    def sync(one, other):
        """Both ways; return the messages."""
        messages = [one.get_state(), other.get_state()]
        messages += [one.get_update(messages[1]), other.get_update(messages[0])]
        one.apply_update(messages[3])
        other.apply_update(messages[2])
        return messages

    writer, empty = peer(readings, 1), peer([], 2)
    full = sync(writer, empty)
    assert json.loads(str(empty["readings"])) == {one["_id"]: one for one in readings}
    idle = size(sync(writer, empty))
    write(writer, changed)
    figures = {
        "full_copy_bytes": size(full),
        "full_copy_deflated_bytes": deflated_size(full),
        "idle_reconnect_bytes": idle,
        "ten_changed_bytes": size(sync(writer, empty)),
    }
    mixed = list(readings)
    random.Random(plan.seed).shuffle(mixed)
    figures["full_copy_random_order_bytes"] = size(sync(peer(mixed, 1), peer([], 2)))
    for number in range(plan.author_count):
        author = peer(
            [{"_id": f"a{number:05}", "temp": 20.25}], random.Random(number).getrandbits(32)
        )
        writer.apply_update(author.get_update())
    sync(writer, empty)
    figures["idle_reconnect_many_authors_bytes"] = size(sync(writer, empty))
    return figures
