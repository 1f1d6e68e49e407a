"""Which board is meant: ports by their USB ids, drives of boot loaders, and what is in the way."""

import errno
import subprocess
import sys

import pytest
from serial.tools.list_ports_common import ListPortInfo

from edge_peer.core.errors import ConfigError
from edge_tools import boards, flash, image, ports, repl, uf2
from edge_tools.errors import ToolError

PICO = boards.find("RPI_PICO")
ESP32 = boards.find("ESP32_GENERIC")


def port(path, usb, serial_number=""):
    info = ListPortInfo(path)
    info.vid, info.pid = (int(part, 16) for part in usb.split(":"))
    info.serial_number = serial_number
    return info


def test_the_only_board_of_its_kind_is_found_by_its_usb_ids():
    found = [
        port("/dev/ttyUSB0", "dead:beef"),
        port("/dev/ttyACM1", PICO.usb[0]),
        ListPortInfo("x"),
    ]
    assert ports.the_one(PICO, found) == "/dev/ttyACM1"


def test_no_board_is_answered_with_what_to_look_at():
    with pytest.raises(ConfigError, match="no RPI_PICO is plugged in.*BOOTSEL"):
        ports.the_one(PICO, [port("/dev/ttyUSB0", "dead:beef")])


def test_of_two_boards_none_is_chosen():
    two = [port("/dev/ttyACM0", PICO.usb[0], "E66"), port("/dev/ttyACM1", PICO.usb[0], "E67")]
    with pytest.raises(ConfigError, match="there are 2: .*E66.*E67.*--port.*--all"):
        ports.the_one(PICO, two)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "usermod -aG dialout"),
        (OSError(errno.EIO, "Input/output error"), "plug it in and run the same again"),
    ],
)
def test_what_stands_between_us_and_a_port_is_said_with_its_remedy(error, words):
    assert words in repl._advice(error, "/dev/ttyACM0")


def test_a_port_that_is_not_there_is_named():
    with pytest.raises(repl.BoardGone, match="no such port"):
        repl.SerialRepl("/dev/ttyNONE")


# Firmware, by a drive or by esptool


@pytest.fixture
def drive(tmp_path):
    """What a boot loader shows, beside a stick that is none."""
    found = tmp_path / "RPI-RP2"
    found.mkdir()
    (found / ports.INFO_FILE).write_text("UF2 Bootloader v3.0\nBoard-ID: RPI-RP2\n")
    (tmp_path / "stick").mkdir()
    assert ports.drives(sorted(tmp_path.iterdir())) == [found]
    return found


def test_firmware_goes_onto_the_drive_of_a_boot_loader(drive, tmp_path):
    firmware = tmp_path / "firmware.uf2"
    firmware.write_bytes(uf2.encode({0: b"code" * 2000}, PICO.flash.uf2_family))
    ports.copy_uf2(firmware, drive)
    flash = bytearray(1 << 20)
    assert uf2.decode((drive / "firmware.uf2").read_bytes(), flash) == PICO.flash.uf2_family
    assert bytes(flash[:8000]) == b"code" * 2000


def test_what_is_no_firmware_stays_off_the_drive(drive, tmp_path):
    (tmp_path / "firmware.bin").write_bytes(b"\x7fELF")
    with pytest.raises(ConfigError, match="no UF2 file"):
        ports.copy_uf2(tmp_path / "firmware.bin", drive)
    assert [one.name for one in drive.iterdir()] == [ports.INFO_FILE]


def test_firmware_that_is_not_there_is_answered_with_where_to_get_it(tmp_path):
    with pytest.raises(ConfigError, match="micropython.org/download/RPI_PICO/"):
        flash.write_firmware(PICO, tmp_path / "none.uf2", "")


def test_esptool_takes_our_command_and_its_failure_is_explained(tmp_path, capfd):
    firmware = tmp_path / "firmware.bin"
    firmware.write_bytes(b"\xe9" + bytes(4095))
    with pytest.raises(ToolError, match="hold BOOT"):
        flash.write_firmware(ESP32, firmware, str(tmp_path / "tty"))
    said = capfd.readouterr()
    assert "No such option" not in said.out + said.err and "tty" in said.out + said.err


def test_esptool_joins_our_images_at_their_places(tmp_path):
    images = image.images(ESP32, {"main.py": b"print(1)\n"})
    pairs = []
    for one in images:
        (tmp_path / one.name).write_bytes(one.data)
        pairs += [hex(one.start), one.name]
    command = [sys.executable, "-m", "esptool", "--chip", "esp32", "merge-bin", "-o", "all.bin"]
    done = subprocess.run([*command, *pairs], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    whole = (tmp_path / "all.bin").read_bytes()
    first = min(one.start for one in images)
    offset = 0 if len(whole) >= max(one.start + len(one.data) for one in images) else first
    for one in images:
        assert whole[one.start - offset :][: len(one.data)] == one.data
