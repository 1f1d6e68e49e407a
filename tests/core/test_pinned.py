"""open_pinned: making pins, power cuts meanwhile, and a log beside the files of a littlefs."""

import struct
import sys
from binascii import crc32

from helpers import Random, raises, slow
from lfs import LittleFs
from nor_flash import BLOCK_SIZE, TEARS, Flash

from edge_peer.board import storage
from edge_peer.board.pinned import find_files, open_pinned
from edge_peer.core.errors import ConfigError, StorageError
from edge_peer.core.limits import RELAYED, WHOLE
from edge_peer.core.store.log import FlashLog
from edge_peer.core.store.records import device_quota_bytes

FULL_RUN = sys.implementation.name == "cpython"  # elsewhere samples
FOLDER = "/lfs/edge_log"
PIN_COUNT = 8
PROGRAM_SIZE = 256


class Raw:
    """The flash past littlefs; once `allowed` is set, no other block may be touched."""

    def __init__(self, flash):
        self._flash = flash
        self.allowed = None
        self.read_bytes = 0
        self.read_blocks = set()

    def _look(self, block):
        assert self.allowed is None or block in self.allowed, block

    def readblocks(self, block, buffer, offset):
        self._look(block)
        self.read_bytes += len(buffer)
        self.read_blocks.add(block)
        self._flash.readblocks(block, buffer, offset)

    def writeblocks(self, block, buffer, offset):
        assert self.allowed is not None, "written before all pins were there"
        self._look(block)
        self._flash.writeblocks(block, buffer, offset)

    def ioctl(self, operation, argument):
        if operation == 6:
            assert self.allowed is not None, "erased before all pins were there"
            self._look(argument)
        return self._flash.ioctl(operation, argument)


def open_pins(flash, count=PIN_COUNT):
    return open_pinned(Raw(flash), FOLDER, count)


def open_log(device):
    return FlashLog(
        device,
        {WHOLE: (None, 150)},
        lambda collection, id, body, may_lose: True,
        lambda: [],
        PROGRAM_SIZE,
    )


def blocks_of(flash, count=PIN_COUNT):
    """Return the blocks of the pins, from the directory."""
    places = find_files(flash, "edge_log")
    assert all([places["%03d" % i][1] == BLOCK_SIZE for i in range(count)])
    return [places["%03d" % i][0] for i in range(count)]


def new_flash(block_count=24):
    """Return flash with a littlefs, pins, and a log in them."""
    flash = Flash(block_count, PROGRAM_SIZE)
    with LittleFs(flash, is_new=True):
        pins = open_pins(flash)
        pins._device.allowed = blocks_of(flash)
        open_log(pins).commit([("c", "a", 1, b"A")])
    return flash


def read(files, path):
    with files.open(path, "rb") as file:
        return file.read()


def write(files, path, data):
    with files.open(path, "wb") as file:
        file.write(data)


# Making and opening


def test_pins_and_map_lie_on_flash_as_specified():
    flash = Flash(24, PROGRAM_SIZE)
    with LittleFs(flash, is_new=True) as files:
        open_pins(flash)
        blocks = blocks_of(flash)
        assert len(set(blocks)) == PIN_COUNT
        for i in range(PIN_COUNT):
            start = blocks[i] * BLOCK_SIZE
            head = bytes(flash.image[start : start + 20])
            assert head[:8] == b"FLp1%03d\0" % i
            assert head[16:] == struct.pack("<I", crc32(head[:16]))
            assert flash.image[start + 20 : start + BLOCK_SIZE] == b"\xff" * (BLOCK_SIZE - 20)
        map = b"FLm1" + struct.pack("<H8H", PIN_COUNT, *blocks)
        assert read(files, FOLDER + "/map") == map + struct.pack("<I", crc32(map))
        assert b"do not" in read(files, FOLDER + "/README")


def test_opening_again_writes_nothing_and_reads_little():
    flash = Flash(120, PROGRAM_SIZE)
    with LittleFs(flash, is_new=True):
        open_pins(flash, 72)
    count = flash.operation_count
    with LittleFs(flash) as files:
        files.forbidden.update(blocks_of(flash, 72))
        pins = open_pins(flash, 72)
        assert pins.ioctl(4, 0) == 72
        assert pins._device.read_bytes < 12 * BLOCK_SIZE  # the folder's metadata, and the top's
    assert flash.operation_count == count


def test_a_higher_count_makes_more_pins_and_keeps_the_log():
    flash = new_flash()
    before = blocks_of(flash)
    with LittleFs(flash):
        assert open_log(open_pins(flash, 11)).get("c", "a") == b"A"
        assert blocks_of(flash, 11)[:PIN_COUNT] == before
        pins = open_pins(flash, 11)
        pins._device.allowed = blocks_of(flash, 11)
        log = open_log(pins)
        for i in range(2, 300):
            log.commit([("c", "%d" % i, i, bytes(100))])
        assert max(log._ring.used()) >= PIN_COUNT and log.get("c", "299") == bytes(100)
        with raises(StorageError, "cannot shrink"):
            open_pins(flash, 10)


def test_too_many_pins_are_refused_and_the_room_is_given_back():
    flash = Flash(24, PROGRAM_SIZE)
    with LittleFs(flash, is_new=True) as files:
        write(files, "/lfs/app", b"app" * 3000)
        with raises(StorageError, "room"):
            open_pins(flash, 24)
        write(files, "/lfs/more", b"more" * 10000)
        assert sorted(find_files(flash, "edge_log")) == ["README"]
        open_pins(flash, 6)
        assert read(files, "/lfs/app") == b"app" * 3000


def test_a_count_that_is_none_is_refused():
    for count in (0, 1001, "8"):
        with raises(ConfigError, "blocks"):
            open_pinned(Flash(8), FOLDER, count)


def test_the_folder_must_be_at_the_top_of_this_very_flash():
    flash = Flash(24, PROGRAM_SIZE)
    with LittleFs(flash, is_new=True) as files:
        files.mkdir("/lfs/deeper")
        with raises(StorageError, "no folder edge_log at the top"):
            open_pinned(Raw(flash), "/lfs/deeper/edge_log", 6)
        for other in (Flash(24), Flash(24, image=b"\0" * (24 * BLOCK_SIZE))):
            with raises(StorageError, "littlefs"):
                open_pinned(Raw(other), FOLDER, 6)
            assert other.operation_count == 0


# Power cuts


def cut_while_making(flash, number, random):
    """Make pins; return a label and the flash as the number-th power cut leaves it, or None."""
    made = flash.copy()
    images = []
    count = 0

    def take(operation):
        nonlocal count
        if count == number // len(TEARS):
            tear = TEARS[number % len(TEARS)]
            images.append(("%s: %s" % (number, tear), made.after(operation, tear, random)))
        count += 1

    with LittleFs(made):
        made.before_operation = take
        open_pins(made)
        made.before_operation = None
    return images[0] if images else None


def check_pins(flash, files, label):
    """The pins are files of one block each, the log takes documents, the rest is as it was."""
    pins = open_pins(flash)
    blocks = blocks_of(flash)
    assert len(set(blocks)) == PIN_COUNT, label
    for i in range(PIN_COUNT):
        start = blocks[i] * BLOCK_SIZE
        in_place = bytes(flash.image[start : start + BLOCK_SIZE])
        assert read(files, "%s/%03d" % (FOLDER, i)) == in_place, label
    pins._device.allowed = blocks
    open_log(pins).commit([("c", "a", 1, b"A")])
    assert read(files, "/lfs/keep") == b"keep" * 2000, label
    assert open_log(open_pins(flash)).get("c", "a") == b"A", label


def flash_without_pins():
    flash = Flash(24, PROGRAM_SIZE)
    with LittleFs(flash, is_new=True) as files:
        write(files, "/lfs/keep", b"keep" * 2000)
    return flash


@slow
def test_the_power_may_fail_at_every_operation_of_making_the_pins():
    start = flash_without_pins()
    random = Random(51)
    number = 0
    while True:
        image = cut_while_making(start, number, random)
        if image is None:
            break
        label, flash = image
        with LittleFs(flash) as files:
            check_pins(flash, files, label)
        number += 1 if FULL_RUN else 17
    assert number > 5 * 5 * PIN_COUNT


@slow
def test_however_often_the_power_fails_the_pins_get_made():
    random = Random(52)
    for turn in range(40 if FULL_RUN else 6):
        label, flash = "turn %d" % turn, flash_without_pins()
        for _ in range(7):
            image = cut_while_making(flash, random.below(80), random)
            if image is not None:
                label, flash = label + ", " + image[0], image[1]
        with LittleFs(flash) as files:
            check_pins(flash, files, label)


# Files and log on one littlefs


@slow
def test_files_and_log_share_one_littlefs_and_never_touch_each_other():
    flash = Flash(64, PROGRAM_SIZE)
    random = Random(53)
    contents = {}
    held = {}
    with LittleFs(flash, is_new=True) as files:
        write(files, "/lfs/first", b"first")
        open_pins(flash)
    for boot in range(4):
        with LittleFs(flash) as files:
            pins = open_pins(flash)
            pins._device.allowed = blocks_of(flash)
            files.forbidden.update(blocks_of(flash))
            log = open_log(pins)
            for i in range(1, 400 if FULL_RUN else 120):
                id = "%03d" % random.below(60)
                held[id] = random.bytes(random.below(150))
                log.commit([("c", id, 1000 * boot + i, held[id])])
                assert log.evicted_count == 0
                if i % 2:
                    _change_a_file(files, contents, random)
    with LittleFs(flash) as files:
        log = open_log(open_pins(flash))
        assert {id: body for id, body in log.scan("c")} == held and log.damaged_count == 0
        for path in contents:
            assert read(files, path) == contents[path], path
        assert read(files, "/lfs/first") == b"first"
        blocks = blocks_of(flash)
        for i in range(PIN_COUNT):
            start = blocks[i] * BLOCK_SIZE
            in_place = bytes(flash.image[start : start + BLOCK_SIZE])
            assert read(files, "%s/%03d" % (FOLDER, i)) == in_place


def _change_a_file(files, contents, random):
    """Write, move or remove a file beside the folder, or in it, as applications do."""
    paths = ["%s%d" % (start, i) for start in ("/lfs/file", FOLDER + "/x") for i in range(5)]
    path = random.choice(paths)
    if path in contents and random.below(4) == 0:
        files.remove(path)
        del contents[path]
        return
    size = random.below(9000) if random.below(3) else random.below(200)
    data = bytes([random.below(256)]) * size
    write(files, "/lfs/tmp", data)
    files.rename("/lfs/tmp", path)
    contents[path] = data


# Pins that are no longer what they were


def _truncate(files, path):
    write(files, path, read(files, path)[:100])


def _lengthen(files, path):
    with files.open(path, "ab") as file:
        file.write(b"x")


def _copy(files, path):
    write(files, "/lfs/copy", read(files, path))
    files.remove(path)
    files.rename("/lfs/copy", path)


def _rewrite(files, path):
    write(files, path, read(files, path))


def _swap(files, path):
    files.rename(path, "/lfs/other")
    files.rename(FOLDER + "/005", path)
    files.rename("/lfs/other", FOLDER + "/005")


def test_a_pin_that_is_not_where_it_was_is_refused_and_no_block_is_written():
    for change, text in (
        (lambda files, path: files.remove(path), "lacks the file 002"),
        (_truncate, "002 of another size"),
        (_lengthen, "002 of another size"),
        (_copy, "002 that was copied or written to"),
        (_rewrite, "002 that was copied or written to"),
        (_swap, "002 that was copied or written to"),
        (lambda files, path: write(files, FOLDER + "/map", b"FLm1"), "map"),
        (lambda files, path: files.remove(FOLDER + "/map"), "000 that is in use"),
    ):
        flash = new_flash()
        with LittleFs(flash) as files:
            change(files, FOLDER + "/002")
            with raises(StorageError, text):
                open_pins(flash)
            with raises(StorageError, "remove the folder"):
                open_pins(flash)


def test_once_the_folder_is_removed_the_log_begins_empty():
    flash = new_flash()
    with LittleFs(flash) as files:
        for name in sorted(find_files(flash, "edge_log")):
            files.remove(FOLDER + "/" + name)
        files.remove(FOLDER)
        assert open_log(open_pins(flash)).document_count() == 0


def test_a_damaged_directory_is_refused_or_shows_what_it_was_before():
    flash = new_flash()
    raw = Raw(flash)
    places = find_files(raw, "edge_log")
    image = bytes(flash.image)
    refused_count = 0
    for block in sorted(raw.read_blocks):
        start = block * BLOCK_SIZE
        size = len(image[start : start + BLOCK_SIZE].rstrip(b"\xff"))
        for at in range(start, start + size, 1 if FULL_RUN else 7):
            flash.image[at] ^= 1 << at % 8
            try:
                found = find_files(flash, "edge_log")
                for i in range(PIN_COUNT):
                    name = "%03d" % i
                    assert found.get(name, (-1, 0)) in (places[name], (-1, 0)), at
            except StorageError:
                refused_count += 1
            flash.image[at] = image[at]
    assert refused_count > 10


# Settings


class _Rp2:
    """The module `rp2` of a Pico."""

    def __init__(self, flash):
        self.Flash = lambda: flash


def test_a_pico_has_its_log_in_pinned_blocks_and_writes_whole_pages():
    flash = Flash(24, PROGRAM_SIZE)  # which asserts that
    sys.modules["rp2"] = _Rp2(flash)
    settings = {"pinned": FOLDER, "blocks": PIN_COUNT, "documents_max": 7}
    try:
        with LittleFs(flash, is_new=True):
            log = storage.open_log(
                settings, lambda collection, id, body, may_lose: True, lambda: []
            )
            for i in range(1, 300):
                log.commit([("c", "%d" % i, i, bytes(40))])
            again = storage.open_log(
                settings, lambda collection, id, body, may_lose: True, lambda: []
            )
            assert again.document_count() == log.document_count() <= 7
            assert again.get("c", "299") == bytes(40)
    finally:
        del sys.modules["rp2"]
    with raises(ConfigError, "partition"):
        storage.open_log({}, lambda collection, id, body, may_lose: True, lambda: [])


def test_pinned_collections_get_at_most_half_of_what_the_flash_gives():
    flash = Flash(24, PROGRAM_SIZE)
    sys.modules["rp2"] = _Rp2(flash)
    settings = {"pinned": FOLDER, "blocks": PIN_COUNT, "collections": {}}
    pins = settings["collections"]
    quota_bytes = device_quota_bytes(PIN_COUNT)
    try:
        with LittleFs(flash, is_new=True):
            pins["a"] = {"policy": "pin", "quota_bytes": quota_bytes // 2 - 1000}
            pins["b"] = {"policy": "pin", "quota_bytes": 1000}
            pins["c"] = {"policy": "drop-oldest", "documents_max": 9}
            settings["relayed"] = {"quota_bytes": 2000}
            limits = storage.open_log(settings, lambda *_: True, lambda: []).limits
            assert limits["a"] == (quota_bytes // 2 - 1000, None) and limits["c"] == (None, 9)
            assert limits[RELAYED] == (2000, None)
            assert limits[WHOLE] == (quota_bytes, storage.DOCUMENTS_MAX)
            pins["b"]["quota_bytes"] = 1002
            with raises(
                ConfigError, "%d bytes are pinned, of the %d" % (quota_bytes // 2 + 2, quota_bytes)
            ):
                storage.open_log(settings, lambda *_: True, lambda: [])
    finally:
        del sys.modules["rp2"]


def test_limits_that_are_no_limits_are_a_mistake_of_the_settings():
    for settings, text in (
        ({"quota_bytes": "1"}, "storage: quota_bytes"),
        ({"documents_max": 0}, "storage: quota_bytes and documents_max"),
        ({"relayed": 5}, "storage.relayed"),
        ({"collections": []}, "storage.collections"),
        ({"collections": {"c": {"quota_bytes": -1}}}, "storage.collections.c: quota_bytes"),
        ({"collections": {"c": {"policy": "pin"}}}, "c is pinned and needs a quota_bytes"),
        ({"collections": {"*": {}}}, "no name of a collection"),
    ):
        with raises(ConfigError, text):
            storage.open_log(settings, lambda *_: True, lambda: [])
