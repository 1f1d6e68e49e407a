"""boards/: data alone makes a board, and every folder is as boards/README.md says."""

import json
import shutil
import struct

import pytest

from edge_peer.config import LINK_KINDS
from edge_peer.core.errors import ConfigError
from edge_tools import boards, bundle, fit, image, uf2
from edge_tools.manifest import flashed_files
from edge_tools.places import BOARDS, MANIFEST
from edge_tools.places import FLASHED as FLASHED_FOLDER

EVERY = list(boards.every())
FLASHED = [board for board in EVERY if board.is_flashed]
LINKS = (["serial"], ["serial", "mqtt", "ble"])
PAGE = (BOARDS / "README.md").read_text()


def ids(some):
    return [board.name for board in some]


def test_the_boards_of_the_first_fleet_are_there():
    rp2 = {"RPI_PICO", "RPI_PICO_W", "RPI_PICO2_W"}
    esp = {"ESP32_GENERIC", "ESP32_GENERIC_S3", "ESP32_GENERIC_C3"}
    assert rp2 | esp | {"RASPBERRY_PI", "UNIX"} <= set(ids(EVERY))


@pytest.mark.parametrize("board", EVERY, ids=ids(EVERY))
def test_a_board_says_what_the_page_asks_for(board):
    own = json.loads((board.folder / "board.json").read_text())["edge_peer"]
    assert {f"`{name}`" for name in own} <= set(PAGE.replace("|", " ").split())
    assert set(board.transports) <= {*LINK_KINDS, "ble"}


@pytest.mark.parametrize("board", FLASHED, ids=ids(FLASHED))
def test_the_parts_of_a_flash_lie_behind_each_other(board):
    flash = board.flash
    assert flash.files_start + flash.files_bytes <= (flash.log_start or flash.bytes)
    assert flash.log_start + flash.log_bytes <= flash.bytes
    assert not (flash.files_start | flash.files_bytes | flash.log_start) % boards.BLOCK_BYTES
    assert {"flash", "usb", "heap"} <= set(board.sources)


@pytest.mark.parametrize("board", FLASHED, ids=ids(FLASHED))
def test_a_sensor_with_its_code_in_firmware_fits(board):
    memories = [
        fit.flash(board, {}, board.limits["log_block_count"]),
        fit.heap(board, ["serial"], fit.IN_PLACE),
    ]
    assert all(memory.free > 0 for memory in memories)


@pytest.mark.parametrize("board", FLASHED, ids=ids(FLASHED))
def test_its_firmware_carries_what_a_board_needs(board):
    carried = set(flashed_files(board.folder / "manifest.py"))
    assert carried == {*flashed_files(MANIFEST), *(FLASHED_FOLDER / name for name in bundle.BESIDE)}


def test_every_link_more_takes_heap():
    one, more = (fit.heap(boards.find("RPI_PICO_W"), links, fit.IN_PLACE) for links in LINKS)
    assert one.free - more.free > 2_000 and len(more.needs) == len(one.needs) + 2


def test_adding_a_board_is_adding_a_folder(tmp_path):
    shutil.copytree(BOARDS / "RPI_PICO_W", tmp_path / "MY_BOARD")
    path = tmp_path / "MY_BOARD/board.json"
    facts = json.loads(path.read_text())
    facts["product"] = "Mine"
    facts["edge_peer"]["flash"] |= {"bytes": 16 << 20, "files_bytes": 14 << 20}
    path.write_text(json.dumps(facts))
    board = boards.find("MY_BOARD", tmp_path)
    assert (board.product, board.flash.files_bytes) == ("Mine", 14 << 20)
    assert [one.name for one in boards.every(tmp_path)] == ["MY_BOARD"]
    [made] = image.images(board, {"main.py": b"print(1)"})
    assert made.name == "files.uf2"


def test_a_board_that_nobody_knows_is_answered_with_those_that_are():
    with pytest.raises(ConfigError, match="RPI_PICO_W"):
        boards.find("RPI_PICO_X")


def test_a_folder_with_a_mistake_names_its_file(tmp_path):
    (tmp_path / "BAD").mkdir()
    (tmp_path / "BAD/board.json").write_text('{"product": "p", "vendor": "v"}')
    with pytest.raises(ConfigError, match=r"BAD/board\.json: 'edge_peer'"):
        boards.find("BAD", tmp_path)


# Images


def test_a_uf2_carries_the_file_system_to_its_place():
    board = boards.find("RPI_PICO_W")
    files = {"main.py": b"print(1)", "a/big.bin": bytes(range(256)) * 40}
    [made] = image.images(board, files)
    flash = bytearray(b"\xff" * board.flash.bytes)
    assert uf2.decode(made.data, flash) == board.flash.uf2_family
    end = board.flash.files_start + board.flash.files_bytes
    assert flash[board.flash.files_start : end] == image.file_system(board, files)
    assert flash[: board.flash.files_start] == b"\xff" * board.flash.files_start


def test_the_same_files_are_the_same_bytes():
    board = boards.find("RPI_PICO")
    files = {f"f{n}": bytes([n]) * 100 * n for n in range(50)}
    again = dict(reversed(files.items()))
    assert image.images(board, files) == image.images(board, again)


def test_files_that_do_not_fit_are_refused_by_name():
    with pytest.raises(image.NoRoom, match="huge"):
        image.images(boards.find("RPI_PICO_W"), {"huge": bytes(900 << 10)})


@pytest.mark.parametrize("file", [b"", b"x" * 511, b"x" * 512, b"\n" * 1024])
def test_what_is_no_uf2_is_refused(file):
    with pytest.raises(ValueError):
        uf2.decode(file, bytearray(4096))


def test_an_esp32_has_a_partition_for_the_log_and_upstreams_others():
    board = boards.find("ESP32_GENERIC")
    files, table = image.images(board, {})
    rows = [struct.unpack_from("<2sBBII16sI", table.data, 32 * n) for n in range(5)]
    found = {row[5].rstrip(b"\0").decode(): (row[3], row[4]) for row in rows}
    assert found == {
        "nvs": (0x9000, 0x6000),
        "phy_init": (0xF000, 0x1000),
        "factory": (0x10000, 0x1F0000),
        "vfs": (0x200000, 0x160000),
        "edge_log": (0x360000, 0xA0000),
    }
    assert (files.start, len(files.data)) == found["vfs"]
    assert table.start == 0x8000 and len(table.data) == 0xC00
