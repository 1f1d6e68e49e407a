"""FlashLog: the contract of every log, its layout, space, wear, and flash that fails."""

import struct
import sys
from binascii import crc32, hexlify

from helpers import Random, raises, slow
from log_contract import contents, fill, keep_all, keep_none, nothing, run_all
from nor_flash import BLOCK_SIZE, ERASE, PROGRAM, Flash

from edge_peer.core.errors import StorageError, StoreFull
from edge_peer.core.limits import WHOLE
from edge_peer.core.store.log import COLLECTION_COUNT_MAX, META, META_BYTES_MAX, FlashLog

FULL_RUN = sys.implementation.name == "cpython"  # elsewhere samples
BLOCK_COUNT = 8
DOCUMENT_COUNT_MAX = 150
OPENED_AT = 12  # of a segment's head, and 28 of its copy
RECORDS_AT = 44


def open_log(flash, evict=keep_all, before_erase=nothing, limits=()):
    limits = dict(limits) or {WHOLE: (None, DOCUMENT_COUNT_MAX)}
    return FlashLog(flash, limits, evict, before_erase, flash.program_size)


def new_medium():
    flash = Flash(BLOCK_COUNT)
    return lambda evict, before_erase, limits=(): open_log(flash, evict, before_erase, limits)


def fill_ring(log, seed, count=400):
    """Insert and change documents of mixed sizes; return {id: body} of what is left."""
    random = Random(seed)
    first = log.arrival_max + 1
    for arrival in range(first, first + 3 * count, 3):
        puts = []
        for i in range(1 + 2 * (arrival % 4 == 0)):
            id = "id%03d" % random.below(120)
            size = random.below(120) if random.below(10) else random.below(900)
            puts.append(("c", id, arrival + i, random.bytes(size)))
        log.commit(puts)
    return {id: body for id, body in log.scan("c")}


def test_it_keeps_the_contract_of_every_log():
    run_all(new_medium)


# Layout


def test_records_lie_on_flash_as_specified():
    flash = Flash(6)
    log = open_log(flash)
    log.commit([("c", "a", 7, b"hello")])
    log.commit([(META, "s", 8, b"x"), ("c", "b", 9, b"")])
    assert _hex(flash.image[:100]) == (
        "464c6332" "01000000" "79fa46e4"  # erased once
        "01000000" "00000000" "0000" "0000" "008a70e0"  # segment 1
        "01000000" "00000000" "0000" "0000" "008a70e0"
        "0900" "61" "02" "07000000" "23ba9e1c" "0161" "0163" "68656c6c6f" "000000"
        "0300" "c1" "02" "08000000" "c75adf76" "0073" "78" "00"
        "0400" "21" "02" "09000000" "dbdfbad7" "0162" "0163"
    )  # fmt: skip
    log.commit([("c", "d", 10, b"")], [10])
    assert _hex(flash.image[100:116]) == "020043020a0000000adbad2501640000"
    assert flash.image[116:] == b"\xff" * (len(flash.image) - 116)


def test_dropped_documents_are_runs_of_words_with_what_the_store_says_about_them():
    flash = Flash(6)
    log = open_log(flash, keep_none, lambda: [(META, "e", 0, b"E")])
    arrival = 1
    while not log.evicted_count:
        log.commit([("c", "%03d" % arrival, arrival, bytes(100))])
        arrival += 1
    at = flash.image.index(b"\x00eE")
    body_size, kind, key_size = struct.unpack_from("<HBB", flash.image, at + 4)
    assert (body_size, kind, key_size) == (4, 2, 0)
    words = (log.evicted_count * 116 + 2 * 4) >> 2  # the first two say the name
    assert struct.unpack_from("<I", flash.image, at + 16)[0] == words << 20 | RECORDS_AT >> 2
    assert log.get("c", "%03d" % (log.evicted_count - 1)) is None
    assert log.get("c", "%03d" % (log.evicted_count + 1)) == bytes(100)


def test_another_version_is_refused_and_left_alone():
    for version, text in ((b"3", "a newer version"), (b"1", "an older version")):
        flash = Flash(6)
        open_log(flash).commit([("c", "a", 1, b"A")])
        head = b"FLc" + version + bytes(flash.image[4:8])
        flash.image[:12] = head + struct.pack("<I", crc32(head))
        flash.image[12:44] = b"another layout! " * 2
        _expect_refused(flash, text)


def test_flash_that_holds_something_else_is_refused_and_left_alone():
    for block in (0, 5):
        flash = Flash(6)
        flash.image[block * BLOCK_SIZE + 1000] = 0
        _expect_refused(flash, "something else")


def test_a_device_of_too_few_or_too_many_blocks_is_refused():
    for count in (5, 1025):
        flash = Flash(1)
        flash.block_count = count
        _expect_refused(flash, "blocks")


def _expect_refused(flash, text):
    before = bytes(flash.image)
    with raises(StorageError, text):
        open_log(flash)
    assert flash.image == before


def _hex(data):
    return hexlify(data).decode()


# What is in RAM, and what is on flash


def test_opening_writes_nothing():
    flash = Flash(BLOCK_COUNT)
    open_log(flash)
    assert flash.operation_count == 0
    fill_ring(open_log(flash, keep_none), 1, 100)
    count = flash.operation_count
    open_log(flash)
    assert flash.operation_count == count


def test_ram_holds_what_reading_the_flash_again_finds():
    for seed, program_size in ((21, 1), (22, 256)):
        flash = Flash(BLOCK_COUNT, program_size)
        log = open_log(
            flash,
            lambda collection, id, body, may_lose: len(body) % 4 > 0,
            lambda: [(META, "e", 0, bytes(99))],
        )
        for step in range(40):
            label = "seed %d, step %d" % (seed, step)
            try:
                fill_ring(log, seed + step, 10)
            except StoreFull:
                pass
            again = open_log(flash.copy())
            assert contents(again) == contents(log), label
            assert again.damaged_count == 0, label
            assert again.get(META, "e") == log.get(META, "e"), label


# Space and wear


def test_a_refused_commit_costs_the_flash_nothing():
    flash = Flash(BLOCK_COUNT)
    log = open_log(flash, lambda collection, id, body, may_lose: len(body) == 1)
    log.commit([("c", "may go", 1, b"x")])
    arrival = fill(log, 2)
    count = flash.operation_count
    for one in (log, open_log(flash, lambda collection, id, body, may_lose: len(body) == 1)):
        for size in (100, 1000, 1025):
            for _ in range(20):
                with raises(StoreFull):
                    one.commit([("c", "new", arrival, bytes(size))])
        with raises(StoreFull):
            one.commit([("c", "%d" % i, arrival, bytes(900)) for i in range(5)])
        with raises(StoreFull):
            one.commit([(META, "too large", arrival, bytes(META_BYTES_MAX))])
    assert flash.operation_count == count


def test_collections_are_bounded():
    log = open_log(Flash(BLOCK_COUNT))
    for i in range(COLLECTION_COUNT_MAX):
        log.commit([("c%d" % i, "a", i + 1, b"")])
    with raises(StoreFull, "collections"):
        log.commit([("c0", "b", 98, b""), ("one more", "a", 99, b"")])
    assert log.document_count() == len(log.collections()) == COLLECTION_COUNT_MAX
    log.commit([("c0", "b", 98, b"")])


@slow
def test_at_the_quota_it_goes_on_for_thousands_of_inserts_and_wears_all_blocks_alike():
    for program_size, block_count in ((1, 6), (256, 8), (1, 16)):
        flash = Flash(block_count, program_size)
        log = open_log(flash, keep_none, lambda: [(META, "e", 0, bytes(150))])
        random = Random(block_count)
        count = 3000 if FULL_RUN else 600
        for i in range(1, count):
            size = random.below(200) if i % 7 else random.below(1025)
            log.commit([("readings", "%019d" % i, i, bytes(size))])
        assert log.get("readings", "%019d" % i) == bytes(size)
        assert max(flash.erase_counts) - min(flash.erase_counts) <= 2, flash.erase_counts


def test_an_insert_at_the_quota_costs_less_than_four_hundredths_of_an_erase():
    flash = Flash(12)
    log = open_log(flash, keep_none, lambda: [(META, "e", 0, bytes(100))])
    before = None
    for i in range(1, 2000):
        if log.evicted_count and before is None:
            before = (i, sum(flash.erase_counts), flash.programmed_bytes)
        log.commit([("readings", "%019d" % i, i, bytes(100))])
    count = i - before[0]
    assert sum(flash.erase_counts) - before[1] < 0.04 * count + 1  # segments are whole
    assert flash.programmed_bytes - before[2] < 1.3 * (100 + 19 + 8) * count


@slow
def test_documents_that_must_stay_are_copied_on_for_ever_and_never_in_the_way():
    """The worst mixture: full of what must stay, and every change is as large as it can be."""
    for block_count in (6, 9, 12):
        flash = Flash(block_count)
        log = open_log(flash)
        random = Random(block_count)
        arrival = 1
        for size in (1024, 1024, 700, 1):
            arrival = fill(log, arrival, size)
        documents = {id: body for id, body in log.scan("c")}
        for i in range(500 if FULL_RUN else 100):
            arrival += 1
            id = random.choice(sorted(documents))
            documents[id] = bytes([i & 255]) + bytes(len(documents[id]) - 1)
            before = flash.operation_count
            log.commit([("c", id, arrival, documents[id]), (META, "s", arrival, bytes(2900))])
            assert flash.operation_count - before < 20 * block_count
        assert {id: body for id, body in log.scan("c")} == documents, block_count
        _check_since(log)
        assert max(flash.erase_counts) - min(flash.erase_counts) <= 2, flash.erase_counts


def test_large_commits_and_large_states_leave_room_to_copy():
    for seed in range(6 if FULL_RUN else 2):
        flash = Flash(11)
        log = open_log(
            flash,
            lambda collection, id, body, may_lose: body[0] == 1,
            lambda: [(META, "e", 0, bytes(2900))],
        )
        random = Random(seed)
        arrival = 1
        for _ in range(400 if FULL_RUN else 150):
            puts = []
            for _ in range(1 + random.below(4)):
                id = "%d" % random.below(90)
                size = random.below(950) if random.below(2) else 30
                puts.append(("c", id, arrival + len(puts), bytes([random.below(4) > 0]) * size))
            try:
                log.commit([put for put in puts if put[3]])
            except StoreFull:
                log.evict_again()
            arrival += 4
        assert log.evicted_count > 0, seed


def _check_since(log):
    """Copying on leaves no order of arrival in the log; `since` keeps it all the same."""
    expected = log.since(0, 1000)
    assert [put[2] for put in expected] == sorted([put[2] for put in expected])
    found = []
    for _ in range(0, len(expected), 3):
        found += log.since(found[-1][2] if found else 0, 3)
    assert found == expected


def test_looking_for_documents_to_evict_reads_little():
    flash = Flash(16)
    log = open_log(flash, lambda collection, id, body, may_lose: body[0] == 1)
    for i in range(1, 1000):
        if i == 900:
            flash.read_bytes = 0
        log.commit([("c", "%d" % i, i, bytes([i % 20 > 0]) + bytes(200))])
    assert flash.read_bytes < 100 * 2 * BLOCK_SIZE, flash.read_bytes


def test_a_log_of_small_documents_is_bounded_by_their_number():
    flash = Flash(32)
    log = open_log(flash, keep_none)
    for i in range(1, 1000):
        log.commit([("c", "%d" % i, i, b"")])
        assert log.document_count() <= DOCUMENT_COUNT_MAX
    assert contents(open_log(flash)) == contents(log)


def test_a_smaller_quota_takes_effect_with_the_next_document():
    flash = Flash(8)
    log = open_log(flash)
    fill(log, 1, 10)
    count = log.document_count()
    log = FlashLog(flash, {WHOLE: (None, 20)}, keep_all, nothing)
    log.commit([(META, "s", 1000, b"")])
    with raises(StoreFull):
        log.commit([("c", "new", 1000, b"")])
    assert log.document_count() == count
    log = FlashLog(flash, {WHOLE: (None, 20)}, keep_none, nothing)
    log.commit([("c", "new", 1000, b"")])
    assert log.document_count() <= 20


# Flash that fails


@slow
def test_a_failing_operation_leaves_all_or_nothing_and_the_log_usable():
    for program_size in (1, 256):
        for number in range(1, 120, 1 if FULL_RUN else 13):
            flash = Flash(6, program_size)
            log = open_log(flash, keep_none, lambda: [(META, "e", 0, b"E")])
            flash.failing = (number, number + 1)
            random = Random(number)
            held = {}
            arrival = 0
            while flash.operation_count < number + 20:
                arrival += 2
                ids = ["%d" % random.below(40) for _ in "ab"]
                puts = [("c", ids[i], arrival + i, random.bytes(90)) for i in (0, 1)]
                try:
                    log.commit(puts)
                except StorageError:
                    assert flash.operation_count in flash.failing
                    if log.get("c", ids[1]) != puts[1][3]:
                        continue
                held.update({put[1]: put[3] for put in puts})
            for id, body in log.scan("c"):
                assert held[id] == body, number
            assert contents(open_log(flash)) == contents(log), number
            assert log.document_count() > 10 or not log.evicted_count, number


def test_flash_that_does_not_keep_what_is_written_is_noticed():
    flash = Flash(6)
    log = open_log(flash)
    log.commit([("c", "a", 1, b"A")])
    flash.image[100] = 0  # cells that went bad in the erased part
    with raises(StorageError):
        log.commit([("c", "b", 2, b"\xff" * 40)])
    log.commit([("c", "b", 3, b"\xff" * 40)])
    assert [put[:3] for put in log.since(0, 9)] == [("c", "a", 1), ("c", "b", 3)]


def _flash_to_damage():
    """Return flash with documents, batches, changes and evictions, and what it holds and held."""
    flash = Flash(6)
    log = open_log(flash, lambda collection, id, body, may_lose: body[0] == 1)
    versions = {}
    for i in range(1, 130):
        puts = [("c", "%03d" % (i % 80), 3 * i, bytes([i < 70]) + b"%05d" % i + bytes(40))]
        if i % 5 == 0:
            puts += [("b", "%d" % (i % 35 + n), 3 * i + n, b"\0" + b"%d" % i) for n in (1, 2)]
        log.commit(puts)
        for name, id, _, body in puts:
            versions.setdefault((name, id), []).append(body)
    assert log.evicted_count > 0
    log.commit([("c", "last", 1000, b"\0last")])
    versions["c", "last"] = [b"\0last"]
    return flash, {(name, id): body for name, id, _, body in log.since(0, 999)}, versions


@slow
def test_one_damaged_byte_loses_one_document_at_most_and_is_reported():
    flash, held, versions = _flash_to_damage()
    image = bytes(flash.image)
    end = len(image.rstrip(b"\xff"))
    counts = [0, 0, 0, 0, 0]
    for at in range(3, end + 100, 29 if FULL_RUN else 1501):
        flash.image[:] = image
        flash.image[at] ^= 0xFF if at & 1 else 1 << at % 8
        log = open_log(flash, lambda collection, id, body, may_lose: body[0] == 1)
        found = {(name, id): body for name, id, _, body in log.since(0, 999)}
        missing = [key for key in held if key not in found]
        older = [key for key in held if found.get(key, held[key]) != held[key]]
        back = [key for key in found if key not in held]  # a list of drops was hit
        assert len(missing) + len(older) <= 1, at
        assert log.damaged_count or not missing + older + back, at
        for key in found:
            assert found[key] in versions[key], at
        assert log.arrival_max >= 1000 or ("c", "last") in missing, at
        log.commit([("c", "after", 2000, b"\0after")])
        assert open_log(flash).get("c", "after") == b"\0after", at
        for i in range(5):
            counts[i] += (True, missing, older, back, log.damaged_count)[i] not in ([], 0)
    assert counts[0] > counts[4] > counts[1] > 0, counts


def test_arrival_numbers_go_on_above_those_of_a_lost_record():
    flash = Flash(6)
    log = open_log(flash)
    log.commit([("c", "a", 1, b"A")])
    log.commit([("c", "%d" % i, 2 + i, b"") for i in range(100)])
    flash.image[RECORDS_AT + 30] ^= 1
    log = open_log(flash)
    assert [put[1] for put in log.since(0, 9)] == ["a"]
    assert log.arrival_max > 101 and log.damaged_count == 1
    log.commit([("c", "b", log.arrival_max + 1, b"B")])
    assert open_log(flash).arrival_max == log.arrival_max  # said once, kept for good


def test_a_record_that_goes_bad_while_the_log_is_open_is_lost_alone():
    flash = Flash(6)
    log = open_log(flash, keep_none)
    log.commit([("c", "a", 1, b"A" * 50), ("c", "b", 2, b"B" * 50), ("c", "d", 3, b"D" * 50)])
    flash.image[flash.image.index(b"B" * 50)] = 0
    assert log.get("c", "b") is None
    assert sorted(log.scan("c")) == [("a", b"A" * 50), ("d", b"D" * 50)]
    log.commit([("c", "b", 4, b"new")])
    arrival = 5
    while sum(flash.erase_counts) < 12:
        log.commit([("c", "x", arrival, bytes(50))])
        arrival += 1
        assert sorted([id for id, _ in log.scan("c")]) == ["a", "b", "d", "x"]
    assert log.get("c", "b") == b"new" and log.damaged_count == 1


def test_damage_inside_a_commit_spares_the_rest_of_it_if_anything_was_written_behind():
    flash = Flash(6)
    log = open_log(flash)
    log.commit([("c", "abc"[i], i + 1, b"ABC"[i : i + 1] * 50) for i in range(3)])
    end = len(flash.image.rstrip(b"\xff"))
    log.commit([("c", "de"[i], i + 4, b"DE"[i : i + 1] * 50) for i in range(2)])
    image = bytes(flash.image)
    for damaged, left in (("B", "acde"), ("A", "bcde"), ("C", "abde"), ("BE", "ac"), ("E", "abc")):
        flash.image[:] = image
        for letter in damaged:
            flash.image[flash.image.index(letter.encode() * 50)] = 0
        log = open_log(flash)
        assert "".join([id for id, _ in sorted(log.scan("c"))]) == left, damaged
        assert log.damaged_count == len(damaged), damaged
    flash.image[:] = image
    flash.image[end:] = b"\xff" * (len(image) - end)  # nothing behind it: the same as torn
    flash.image[flash.image.index(b"B" * 50)] = 0
    assert open_log(flash).document_count() == 0


def test_erased_cells_are_erased_again_unless_they_are_known_to_be_clean():
    flash = Flash(6)
    log = open_log(flash)
    operations = []
    flash.before_operation = lambda operation: operations.append(operation[:3])
    log.commit([("c", "a", 1, b"A")])
    assert operations == [
        (ERASE, 0, 0),
        (PROGRAM, 0, 0),
        (PROGRAM, 0, OPENED_AT),
        (PROGRAM, 0, RECORDS_AT),
    ]
