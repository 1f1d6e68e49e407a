"""
The power of a virtual Pico fails while it inserts and gives up old documents.

Sampled, on stock firmware and its own littlefs, by `make test-pico` (four minutes). The
exhaustive runs of the same code are tests/core/test_power_cuts.py and test_pinned.py.
"""

import json
from pathlib import Path

import pytest
from virtual_pico import image
from virtual_pico.pico import TEARS, Pico, PowerCut

PROGRAM = Path(__file__).with_name("power_cut_board.py")
FILLED = 160  # more than the store holds
UNSYNCED = 8

# From the first operations, those of opening the store, to a few segments later.
CUTS = [*zip((2, 5, 17, 30, 43, 52, 61, 74, 88, 97), TEARS * 2, strict=True)]


@pytest.fixture(scope="module")
def full_flash(tmp_path_factory):
    """A flash whose store is full and has given documents up."""
    path = tmp_path_factory.mktemp("pico") / "full.bin"
    program = {"cuts.mpy": image.module(PROGRAM, "cuts.py")}
    path.write_bytes(image.flash(image.edge_peer() | program))
    with Pico(path) as pico:
        pico.run(f"import cuts\npeer = cuts.open_peer()\ncuts.insert(peer, 0, {FILLED})")
        assert json.loads(pico.run("import json\nprint(json.dumps(peer.status()['evicted']))"))
    return path.read_bytes()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("die_after, tear", CUTS)
def test_what_was_acknowledged_survives_a_power_cut(full_flash, tmp_path, die_after, tear):
    flash = tmp_path / "flash.bin"
    flash.write_bytes(full_flash)
    acknowledged = [*range(FILLED)]
    with pytest.raises(PowerCut) as cut, Pico(flash, die_after, tear) as pico:
        pico.run(f"import cuts\ncuts.insert(cuts.open_peer(), {FILLED}, 400)")
    acknowledged += map(int, cut.value.printed.split("\n")[:-1])
    with Pico(flash) as pico:
        found = json.loads(pico.run("import cuts\npeer = cuts.open_peer()\ncuts.tell(peer)"))
        # Nothing is lost but from the old end, and at most one is there that was not told.
        assert set(found) <= {*acknowledged, acknowledged[-1] + 1}
        assert set(acknowledged[-2 * UNSYNCED :]) <= set(found)
        assert sorted(found) == [*range(min(found), max(found) + 1)]
        pico.run(f"cuts.insert(peer, {max(found) + 1}, 20)")
        assert max(found) + 20 in json.loads(pico.run("cuts.tell(peer)"))
