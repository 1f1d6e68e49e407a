"""The manifests of boards/, read by upstream's own reader: tools/manifestfile.py."""

import importlib.util

import pytest
from virtual_pico import firmware

from edge_tools import boards
from edge_tools.manifest import flashed_files

FLASHED = [board for board in boards.every() if board.is_flashed]


def upstreams_reading(path, port, folder):
    """Return what upstream would freeze; of micropython-lib, which is not here, nothing."""
    spec = importlib.util.spec_from_file_location(
        "manifestfile", firmware.MPY_TOOLS / "manifestfile.py"
    )
    upstream = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(upstream)
    sources = firmware.MPY_TOOLS.parent
    variables = {"MPY_DIR": str(sources), "PORT_DIR": str(sources / "ports" / port)}
    variables["MPY_LIB_DIR"] = ""
    manifest = upstream.ManifestFile(upstream.MODE_FREEZE, variables)
    outer = folder / "manifest.py"
    outer.write_text(f"include({str(path)!r}, upstream=False)\n")
    manifest.execute(str(outer))
    return list(manifest.files())


@pytest.mark.parametrize("board", FLASHED, ids=[board.name for board in FLASHED])
def test_upstream_reads_a_boards_manifest_as_we_do(board, tmp_path):
    path = board.folder / "manifest.py"
    found = upstreams_reading(path, board.port, tmp_path)
    assert {file.full_path for file in found} == {str(one) for one in flashed_files(path)}
    targets = {file.target_path for file in found}
    assert {"running.py", "edge_peer/peer.py", "edge_peer/board/serial.py"} <= targets


@pytest.mark.parametrize("board", FLASHED, ids=[board.name for board in FLASHED])
def test_the_manifest_that_it_begins_with_is_upstreams(board):
    text = (board.folder / "manifest.py").read_text()
    path = text.split('include("$(PORT_DIR)/')[1].split('"')[0]
    assert (firmware.MPY_TOOLS.parent / "ports" / board.port / path).exists()
