"""
The field: what tests/bench/sync.py compares edge-peer with.

Each is optional. install.py brings them into .cache/bench/, away from the project's own
packages; what could not be had is named in the report and left out.
"""

import sys
from functools import partial
from typing import NamedTuple

from comparators import loro_map, mqtt_json, node, yjs
from comparators.install import PYTHON_PACKAGES

sys.path.append(str(PYTHON_PACKAGES))


class Comparator(NamedTuple):
    title: str
    measure: object  # (readings, changed readings, plan, folder) -> {figure: bytes}


ALL = (
    Comparator("Automerge", partial(node.measure, "automerge.mjs")),
    Comparator("Loro", loro_map.measure),
    Comparator("Yjs", yjs.measure),
    Comparator("MQTT", mqtt_json.measure),
    Comparator("PouchDB", partial(node.measure, "pouchdb.mjs")),
)
