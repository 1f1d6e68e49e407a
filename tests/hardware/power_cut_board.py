"""
What tests/hardware/test_power_cuts_on_pico.py runs on the virtual Pico.

Insert numbered documents, and print each number when its INSERT has returned. All
but the last UNSYNCED are durable elsewhere, so a full store gives old ones up.
"""

import json

from edge_peer.peer import SmallPeer

CONFIG = "/edge.json"
UNSYNCED = 8
STORAGE = {"pinned": "/edge_log", "blocks": 7, "documents_max": 400}


def open_peer():
    fields = {
        "app_id": "00" * 16,
        "device": {"id": "00" * 8, "name": "pico"},
        "storage": STORAGE,
        "links": [],
    }
    with open(CONFIG, "w") as file:
        json.dump(fields, file)
    return SmallPeer.open(CONFIG)


def insert(peer, start, count):
    store = peer.store
    for number in range(start, start + count):
        document = {"number": number, "text": "x" * (number % 150)}
        peer.execute("INSERT INTO readings DOCUMENTS (:d)", {"d": document})
        print(number)
        if number % UNSYNCED == 0:
            store.learn_durable({store.author: store.own_seq - UNSYNCED})


def tell(peer):
    """Print the numbers that are stored, whole."""
    found = peer.execute("SELECT * FROM readings").items
    print(json.dumps([one["number"] for one in found if len(one["text"]) == one["number"] % 150]))
