"""
What every log is held to: core/store/log.py on flash, host/storage.py in SQLite.

Each `check_…(open_log)` starts on a medium of its own with a quota of a few
kilobytes. open_log(evict, before_erase) opens the log; called again it opens
the same medium again, as after a restart. new_medium() makes an open_log.
Each `limits_…(open_log)` gives limits, too: open_log(evict, before_erase, limits).
Runs on CPython and MicroPython.
"""

from helpers import Random, raises

from edge_peer.core.errors import StorageError, StoreFull
from edge_peer.core.limits import ATTACHMENTS, KEPT, PIECES, RELAYED, WHOLE
from edge_peer.core.store.log import META

LIMIT = 10_000  # more than a medium holds


def run_all(new_medium):
    checks = dict(CHECKS)
    checks.update(LIMIT_CHECKS)
    for name in sorted(checks):
        try:
            checks[name](new_medium())
        except Exception:
            print("the contract fails at", name)
            raise


def keep_all(collection, id, body, may_lose):
    return False


def keep_none(collection, id, body, may_lose):
    return True


def nothing():
    return []


def contents(log):
    """Return everything that can be asked of a log about its documents."""
    puts = log.since(0, LIMIT)
    names = sorted(log.collections())
    scanned = sorted([(name, id, body) for name in names for id, body in log.scan(name)])
    assert scanned == sorted([(name, id, body) for name, id, _, body in puts])
    for name in names:
        long = list(log.scan(name, lambda body: len(body) > 1))
        assert long == [pair for pair in log.scan(name) if len(pair[1]) > 1]
    assert [put[2] for put in puts] == sorted([put[2] for put in puts])
    for name, id, _, body in puts:
        assert log.get(name, id) == body
    status = log.status()
    assert status["documents"] == len(puts)
    return puts, names, status["used_bytes"], log.arrival_max


def fill(log, first_arrival=1, size=100):
    """Insert documents until StoreFull; return the next arrival number."""
    arrival = first_arrival
    try:
        while True:
            log.commit([("c", "id%05d" % arrival, arrival, bytes(size))])
            arrival += 1
            assert arrival < LIMIT, "never full"
    except StoreFull:
        return arrival


def check_a_new_log_is_empty(open_log):
    log = open_log(keep_all, nothing)
    assert contents(log) == ([], [], 0, 0)
    assert log.get("c", "id") is None and log.get(META, "state") is None
    assert list(log.scan("c")) == []
    status = log.status()
    assert status["quota_bytes"] > 0 and status["documents_max"] > 0
    assert status["evicted"] == status["damaged"] == 0


def check_what_is_committed_is_read_back_also_after_reopening(open_log):
    log = open_log(keep_all, nothing)
    log.commit([("readings", "a", 1, b"A")])
    log.commit([("readings", "b", 2, b"B"), ("größen", "ä/ü", 3, b"\0\xff" * 20)])
    expected = [("readings", "a", 1, b"A"), ("readings", "b", 2, b"B")]
    expected.append(("größen", "ä/ü", 3, b"\0\xff" * 20))
    for _ in range(3):
        puts, names, _, arrival_max = contents(log)
        assert puts == expected
        assert names == sorted(["readings", "größen"]) and arrival_max == 3
        assert log.get("readings", "c") is None and log.get("größen", "a") is None
        log = open_log(keep_all, nothing)


def check_a_put_replaces_the_document_of_the_same_id(open_log):
    log = open_log(keep_all, nothing)
    log.commit([("c", "a", 1, b"1"), ("d", "a", 2, b"other"), ("c", "b", 3, b"2")])
    before = log.status()["used_bytes"]
    log.commit([("c", "a", 4, b"3")])
    assert log.status()["used_bytes"] == before
    for _ in range(2):
        puts = [("d", "a", 2, b"other"), ("c", "b", 3, b"2"), ("c", "a", 4, b"3")]
        assert contents(log)[0] == puts
        log = open_log(keep_all, nothing)


def check_of_one_id_twice_in_a_commit_the_last_counts(open_log):
    log = open_log(keep_all, nothing)
    log.commit([("c", "a", 1, b"first"), ("c", "a", 2, b"last")])
    for _ in range(2):
        assert contents(log)[0] == [("c", "a", 2, b"last")]
        log = open_log(keep_all, nothing)


def check_an_empty_commit_changes_nothing(open_log):
    log = open_log(keep_all, nothing)
    log.commit([])
    assert contents(log) == ([], [], 0, 0)


def check_since_goes_on_from_any_cursor_in_steps_of_any_size(open_log):
    log = open_log(keep_all, nothing)
    random = Random(1)
    newest = {}
    for arrival in range(1, 150):
        id = "id%d" % random.below(60)
        log.commit([("c", id, arrival, b"%d" % arrival)])
        newest[id] = arrival
    expected = sorted(newest.values())
    for limit in (1, 7, LIMIT):
        cursor = 0
        found = []
        while True:
            puts = log.since(cursor, limit)
            assert len(puts) <= limit
            if not puts:
                break
            found += [put[2] for put in puts]
            cursor = puts[-1][2]
        assert found == expected, limit


def check_the_stores_own_entries_are_not_documents(open_log):
    log = open_log(keep_all, nothing)
    log.commit([(META, "state", 7, b"s" * 300), ("c", "a", 1, b"A")])
    log.commit([(META, "state", 8, b"t" * 300), (META, "more", 8, b"m")])
    for _ in range(2):
        assert log.get(META, "state") == b"t" * 300 and log.get(META, "more") == b"m"
        puts, names, used_bytes, arrival_max = contents(log)
        assert puts == [("c", "a", 1, b"A")] and names == ["c"] and arrival_max == 8
        assert used_bytes < 100
        log = open_log(keep_all, nothing)


def check_a_full_log_refuses_with_nothing_changed(open_log):
    log = open_log(keep_all, nothing)
    arrival = fill(log)
    before = contents(log)
    for _ in range(3):
        with raises(StoreFull):
            log.commit([("c", "one more", arrival, bytes(100))])
        with raises(StoreFull):
            log.commit([("new", "a", arrival, b""), ("c", "one more", arrival + 1, bytes(100))])
        assert contents(log) == before
    log = open_log(keep_all, nothing)
    assert contents(log) == before


def check_a_full_log_takes_changes_and_the_stores_own_entries(open_log):
    log = open_log(keep_all, nothing)
    arrival = fill(log)
    for i in range(3 * arrival):
        id = "id%05d" % (1 + i % (arrival - 1))
        log.commit([("c", id, arrival + i, b"%100d" % i), (META, "state", arrival + i, bytes(200))])
    assert log.get("c", id) == b"%100d" % i
    assert log.status()["documents"] == arrival - 1


def check_the_oldest_go_first(open_log):
    log = open_log(keep_none, nothing)
    count = 0
    while not log.status()["evicted"]:
        count += 1
        log.commit([("c", "id%05d" % count, count, bytes(100))])
    for _ in range(2):
        left = [put[2] for put in contents(log)[0]]
        assert left == list(range(left[0], count + 1)) and left[0] > 1
        assert log.get("c", "id%05d" % (left[0] - 1)) is None
        log = open_log(keep_none, nothing)


def check_only_documents_that_may_go_are_evicted(open_log):
    log = open_log(lambda collection, id, body, may_lose: body[0] == 1, nothing)
    for i in range(400):
        may_go = i % 10 > 0 or i > 100
        log.commit([("c", "id%05d" % i, i + 1, bytes([may_go]) + bytes(100))])
        status = log.status()
        assert status["used_bytes"] <= status["quota_bytes"]
    for _ in range(2):
        for i in range(0, 101, 10):
            assert log.get("c", "id%05d" % i) == bytes(101), i
        log = open_log(keep_all, nothing)


def check_the_entries_of_before_erase_are_there_when_documents_have_gone(open_log):
    asked = []

    def evict(collection, id, body, may_lose):
        asked.append(body)
        return True

    def before_erase():
        puts = [(META, "evicted", 5000, b"%d" % len(asked))] if asked else []
        return puts

    log = open_log(evict, before_erase)
    for i in range(1, 300):
        log.commit([("c", "id%05d" % i, i, bytes(100))])
        gone = i - log.status()["documents"]
        assert log.status()["evicted"] == gone
        if gone:
            assert int(log.get(META, "evicted")) >= gone
    log = open_log(evict, before_erase)
    assert int(log.get(META, "evicted")) >= gone > 0
    assert log.status()["documents"] == 299 - gone


def check_documents_that_had_to_stay_go_when_told_again(open_log):
    durable = []
    log = open_log(lambda collection, id, body, may_lose: bool(durable), nothing)
    arrival = fill(log)
    durable.append(True)
    with raises(StoreFull):
        log.commit([("c", "new", arrival, bytes(100))])
    log.evict_again()
    log.commit([("c", "new", arrival, bytes(100))])
    assert log.get("c", "new") == bytes(100) and log.get("c", "id00001") is None


def check_if_not_enough_may_go_nothing_goes(open_log):
    log = open_log(lambda collection, id, body, may_lose: body[0] == 1, nothing)
    log.commit([("c", "small", 1, b"\1")])
    arrival = fill(log, 2)
    before = contents(log)
    for _ in range(3):
        with raises(StoreFull):
            log.commit([("c", "large", arrival, bytes(log.document_bytes_max))])
        assert contents(log) == before
    log = open_log(lambda collection, id, body, may_lose: body[0] == 1, nothing)
    assert contents(log) == before


def check_a_document_that_may_go_and_is_replaced_stays(open_log):
    durable = []
    log = open_log(lambda collection, id, body, may_lose: body in durable, nothing)
    log.commit([("c", "a", 1, bytes(700))])
    arrival = fill(log, 2)
    durable.append(bytes(700))
    log.evict_again()
    with raises(StoreFull):
        log.commit([("c", "large", arrival, bytes(log.document_bytes_max))])
    log.commit([("c", "a", arrival, bytes(699) + b"!")])  # it was found to be one that may go
    before = contents(log)
    with raises(StoreFull):
        log.commit([("c", "large", arrival + 1, bytes(600))])
    assert contents(log) == before


def check_the_number_of_documents_is_bounded(open_log):
    may_go = []
    log = open_log(lambda collection, id, body, may_lose: bool(may_go), nothing)
    count_max = log.status()["documents_max"]
    for i in range(1, count_max + 1):
        log.commit([("c", "%d" % i, i, b"")])
    with raises(StoreFull):
        log.commit([("c", "one more", count_max + 1, b"")])
    log.commit([("c", "1", count_max + 2, b"changed")])
    may_go.append(True)
    log.evict_again()
    log.commit([("c", "one more", count_max + 3, b"")])
    assert log.status()["documents"] <= count_max
    assert log.get("c", "2") is None and log.get("c", "one more") == b""


def check_arrival_max_never_falls(open_log):
    log = open_log(keep_none, nothing)
    last = 0
    for i in range(1, 600):
        log.commit([("c", "id%05d" % i, i * 3, bytes(200))])
        if i % 50 == 0:
            log = open_log(keep_none, nothing)
        assert log.arrival_max >= i * 3 and log.arrival_max >= last
        last = log.arrival_max
    assert last == 599 * 3


def check_the_largest_names_and_documents_are_kept(open_log):
    log = open_log(keep_all, nothing)
    name, id, body = "ä" * 32, "ü" * 64, b"\xff" * log.document_bytes_max
    log.commit([(name, id, 1, body)])
    for _ in range(2):
        assert contents(log)[0] == [(name, id, 1, body)]
        log = open_log(keep_all, nothing)


def check_a_larger_document_is_refused(open_log):
    log = open_log(keep_none, nothing)
    log.commit([("c", "a", 1, b"A")])
    before = contents(log)
    with raises(StoreFull):
        log.commit([("c", "b", 2, b"B"), ("c", "c", 3, bytes(log.document_bytes_max + 1))])
    assert contents(log) == before


def check_a_log_holds_what_a_dict_would(open_log):
    """Random inserts, changes, refusals, evictions and restarts against a model."""
    for seed in (11, 12):
        _check_random(open_log, seed)


def _check_random(open_log, seed):
    random = Random(seed)
    durable = [0]
    model = {}

    def evict(collection, id, body, may_lose):
        return int(body[:6]) <= durable[0]

    log = open_log(evict, nothing)
    for name, id, number, body in log.since(0, LIMIT):
        model[name, id] = (number, body)
    arrival = log.arrival_max
    for step in range(600):
        puts = []
        for _ in range(1 + random.below(4)):
            arrival += 1
            name = random.choice(("readings", "settings", "c"))
            id = "%03d" % random.below(400)
            size = random.below(60) if random.below(8) else random.below(900)
            puts.append((name, id, arrival, b"%06d" % arrival + random.bytes(size)))
        try:
            log.commit(puts)
            for name, id, number, body in puts:
                model[name, id] = (number, body)
        except StoreFull:
            durable[0] = arrival - 20
            log.evict_again()
        if random.below(50) == 0:
            log = open_log(evict, nothing)
        if step % 20 == 0:
            _compare(log, model, durable[0], "seed %d, step %d" % (seed, step))
    _compare(open_log(evict, nothing), model, durable[0], "seed %d, at the end" % seed)


def _compare(log, model, durable, label):
    """The log must hold the model, except what may have been evicted; forget that."""
    held = {}
    for name, id, number, body in contents(log)[0]:
        held[name, id] = (number, body)
    for key in list(model):
        if key not in held and int(model[key][1][:6]) <= durable:
            del model[key]
    assert held == model, label
    status = log.status()
    assert status["used_bytes"] <= status["quota_bytes"], label
    assert status["documents"] <= status["documents_max"], label


def check_names_that_are_too_long_are_refused(open_log):
    log = open_log(keep_none, nothing)
    assert log.get("n" * 300, "a") is None and log.get("n", "a" * 300) is None
    for name, id in (("n" * 65, "a"), ("n" * 300, "a"), ("n", "a" * 129), ("n", "a" * 300)):
        with raises(StorageError):
            log.commit([("c", "b", 1, b"B"), (name, id, 2, b"")])
    assert contents(log) == ([], [], 0, 0)


# Limits by group: of the store, of a collection, of what is carried only for others


def put(arrival, name="c", size=100):
    return (name, "id%05d" % arrival, arrival, bytes(size))


def ids(log, name="c"):
    return sorted([id for id, _ in log.scan(name)])


def limits_totals_count_documents_and_bytes_of_each_group_also_after_reopening(open_log):
    log = open_log(keep_all, nothing)
    assert log.totals(WHOLE) == log.totals(RELAYED) == log.totals("c") == (0, 0)
    log.commit([put(1), put(2, "d"), (META, "state", 2, b"s")])
    log.commit([put(3), put(4)], [4])
    one = log.totals("d")[1]
    for _ in range(2):
        assert log.totals("c") == (3, 3 * one) and log.totals("d") == (1, one)
        assert log.totals(WHOLE) == (4, 4 * one) and log.totals(RELAYED) == (1, one)
        log = open_log(keep_all, nothing, {WHOLE: (None, 50), RELAYED: (9999, None)})
    log.commit([("c", "id00004", 5, bytes(100)), ("c", "id00003", 6, bytes(100))], [6])
    assert log.totals(RELAYED) == (1, one) and log.totals("c") == (3, 3 * one)
    log.commit([("c", "id00003", 7, bytes(100))])
    assert log.totals(RELAYED) == (0, 0)


def limits_a_collection_stays_within_its_own_and_the_others_are_not_asked(open_log):
    asked = []

    def evict(collection, id, body, may_lose):
        asked.append(collection)
        return True

    log = open_log(evict, nothing, {WHOLE: (None, 100), "c": (None, 5), "d": (1000, None)})
    log.commit([put(1, "other")])
    for arrival in range(2, 60):
        log.commit([put(arrival, "c" if arrival % 2 else "d")])
        assert log.totals("c")[0] <= 5 and log.totals("d")[1] <= 1000
    assert set(asked) == {"c", "d"} and ids(log, "other") == ["id00001"]
    assert ids(log)[-1] == "id00059" and log.totals("d")[0] >= 3


def limits_relayed_documents_have_a_share_of_their_own(open_log):
    log = open_log(keep_none, nothing, {WHOLE: (None, 100), RELAYED: (None, 5)})
    log.commit([put(1), put(2)])
    for arrival in range(3, 60):
        log.commit([put(arrival)], [arrival])
        assert log.totals(RELAYED)[0] <= 5
    assert "id00001" in ids(log) and "id00002" in ids(log) and "id00059" in ids(log)
    with raises(StoreFull, "5"):
        log.commit([put(arrival) for arrival in range(60, 66)], range(60, 66))
    log.commit([put(arrival) for arrival in range(60, 66)])


def limits_hold_for_a_commit_that_touches_several_groups(open_log):
    log = open_log(keep_none, nothing, {WHOLE: (None, 20), RELAYED: (None, 9), "c": (None, 6)})
    random = Random(4)
    arrival = 0
    for _ in range(200):
        puts = []
        for _ in range(1 + random.below(4)):
            arrival += 1
            puts.append((random.choice("cde"), "%d" % random.below(60), arrival, bytes(20)))
        log.commit(puts, [put[2] for put in puts if put[2] % 3 == 0])
        assert log.totals(WHOLE)[0] <= 20 and log.totals(RELAYED)[0] <= 9
        assert log.totals("c")[0] <= 6
        for name, id, number, _ in puts:
            last = [one[2] for one in puts if one[:2] == (name, id)][-1]
            assert number < last or log.get(name, id) == bytes(20)
    groups = (WHOLE, RELAYED, "c", "d", "e")
    again = open_log(keep_none, nothing)
    assert [log.totals(group) for group in groups] == [again.totals(group) for group in groups]


def limits_what_would_be_lost_goes_only_if_nothing_else_helps(open_log):
    asked = []

    def evict(collection, id, body, may_lose):
        asked.append((id, may_lose))
        return may_lose or body[0] == 1

    log = open_log(evict, nothing, {WHOLE: (None, 100), "c": (None, 10)})
    for arrival in range(1, 11):
        log.commit([("c", "%02d" % arrival, arrival, bytes([arrival % 5 == 0]))])
    log.commit([("c", "11", 11, b"\0")])
    assert ids(log)[:4] == ["01", "02", "03", "04"] and not any([one[1] for one in asked])
    for arrival in range(12, 15):
        log.commit([("c", "%02d" % arrival, arrival, b"\0")])
    left = ids(log)
    assert "05" not in left and "10" not in left and "01" not in left and "14" in left
    assert [one[0] for one in asked if one[1]] == ["01", "02"]  # and no more than it takes


def limits_documents_dropped_by_name_go_with_the_stores_own_entries(open_log):
    log = open_log(keep_all, lambda: [(META, "evicted", 9, b"E")])
    log.commit([put(arrival) for arrival in range(1, 9)])
    log.drop(
        [("c", "id00003"), ("c", "not here"), ("d", "id00004"), ("c", "id00008"), ("c", "id00003")]
    )
    for _ in range(2):
        assert ids(log) == ["id0000%d" % i for i in (1, 2, 4, 5, 6, 7)]
        assert log.get(META, "evicted") == b"E" and log.totals("c")[0] == 6
        log = open_log(keep_all, nothing)
    log.drop([])
    log.drop([("c", id) for id in ids(log)])
    assert log.totals(WHOLE) == (0, 0) and log.collections() == []


def limits_below_what_is_stored_open_and_name_both_figures(open_log):
    log = open_log(keep_all, nothing)
    log.commit([put(arrival) for arrival in range(1, 21)])
    size = log.totals("c")[1]
    log = open_log(keep_all, nothing, {WHOLE: (None, 100), "c": (size // 2, None)})
    assert len(ids(log)) == 20
    with raises(StoreFull, "%d" % (size // 2)):
        log.commit([put(21)])
    with raises(StoreFull, "%d" % (size + size // 20)):
        log.commit([put(21)])
    log.commit([("c", "id00001", 22, bytes(90)), put(23, "d")])  # takes no more than before
    log = open_log(keep_none, nothing, {WHOLE: (None, 100), "c": (size // 2, None)})
    log.commit([put(24)])
    assert log.totals("c")[1] <= size // 2 and "id00024" in ids(log)


def limits_of_bytes_hold_for_the_whole_store_below_what_the_medium_gives(open_log):
    log = open_log(keep_none, nothing, {WHOLE: (2000, None)})
    assert log.status()["quota_bytes"] == 2000
    for arrival in range(1, 60):
        log.commit([put(arrival)])
        assert log.totals(WHOLE)[1] <= 2000
    with raises(StoreFull):
        log.commit([put(arrival, "c", 150) for arrival in range(60, 75)])


def limits_pieces_of_attachments_are_a_group_apart_that_nobody_sees(open_log):
    limits = {WHOLE: (None, 50), ATTACHMENTS: (6_000, None)}
    asked = []

    def evict(collection, id, body, may_lose):
        asked.append(collection)
        return True

    log = open_log(evict, nothing, limits)
    for arrival in range(1, 11):
        log.commit([put(arrival)])
    for number in range(40):
        log.commit([(PIECES, "p%02d" % number, 0, bytes([number]) * 512), (KEPT, "k", 0, b"")])
        assert 0 < log.totals(ATTACHMENTS)[1] <= 6_000
    assert set(asked) <= {PIECES, KEPT} and log.get(PIECES, "p00") is None
    for _ in range(2):
        assert len(contents(log)[0]) == 10 and log.collections() == ["c"]
        assert log.status()["attachment_bytes"] == log.totals(ATTACHMENTS)[1]
        assert log.get(PIECES, "p39") == bytes([39]) * 512
        assert len(list(log.scan(PIECES))) + len(list(log.scan(KEPT))) == log.totals(ATTACHMENTS)[0]
        assert log.arrival_max == 10 and log.status()["evicted"] == 0
        log = open_log(evict, nothing, limits)
    log.drop([(PIECES, "p39")])
    assert log.get(PIECES, "p39") is None and log.get(KEPT, "k") == b""
    log.commit([(PIECES, "p39", 0, b"again"), (PIECES, "p39", 0, b"and again")])
    assert log.get(PIECES, "p39") == b"and again"


def limits_pieces_that_must_stay_let_no_more_come(open_log):
    log = open_log(keep_all, nothing, {WHOLE: (None, 10), ATTACHMENTS: (3_000, None)})
    log.commit([(PIECES, "p%d" % number, 0, bytes(512)) for number in range(3)])
    log.commit([put(1)])
    before = contents(log), log.totals(ATTACHMENTS)
    with raises(StoreFull, "3000"):
        log.commit([(PIECES, "q%d" % number, 0, bytes(512)) for number in range(4)])
    assert (contents(log), log.totals(ATTACHMENTS)) == before
    log.commit([put(2), (PIECES, "q", 0, bytes(512))])
    assert len(contents(log)[0]) == 2 and log.totals(ATTACHMENTS)[0] == 4


LIMIT_CHECKS = {name[7:]: check for name, check in globals().items() if name.startswith("limits_")}
CHECKS = {name[6:]: check for name, check in globals().items() if name.startswith("check_")}
