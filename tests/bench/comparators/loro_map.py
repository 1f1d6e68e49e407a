"""
Loro (PyPI: loro).

A map from id to the reading as one value, which costs it least. What counts are the
sync messages of both sides: a version vector each, and the updates that answer it.
"""

import random

from comparators.common import deflated_size, needing, size


def measure(readings, changed, plan, folder):
    """Return {figure: bytes}. Raises NotInstalled."""
    with needing("loro"):
        from loro import ExportMode, LoroDoc, VersionVector

    def peer(entries, peer_id):
        doc = LoroDoc()
        doc.peer_id = peer_id
        write(doc, entries)
        return doc

    def write(doc, entries):
        for reading in entries:
            doc.get_map("readings").insert(reading["_id"], reading)
        doc.commit()

    def sync(one, other):
        """Both ways; return the messages."""
        messages = [one.oplog_vv.encode(), other.oplog_vv.encode()]
        for doc, theirs in ((one, messages[1]), (other, messages[0])):
            messages.append(doc.export(ExportMode.Updates(VersionVector.decode(theirs))))
        one.import_(messages[3])
        other.import_(messages[2])
        return messages

    writer, empty = peer(readings, 1), peer([], 2)
    full = sync(writer, empty)
    assert empty.get_deep_value()["readings"] == {one["_id"]: one for one in readings}
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
        reading = {"_id": f"a{number:05}", "temp": 20.25}
        author = peer([reading], random.Random(number).getrandbits(64))
        writer.import_(author.export(ExportMode.Updates(VersionVector())))
    sync(writer, empty)
    figures["idle_reconnect_many_authors_bytes"] = size(sync(writer, empty))
    return figures
