"""What statements change beyond the table of vectors/dql.json: many, full, together, initial."""

from helpers import raises
from memory import MemoryLog, open_store
from nor_flash import Flash

from edge_peer.core import codec
from edge_peer.core.document import FIELD_COUNT_MAX, decode, encode
from edge_peer.core.errors import QueryError, StoreFull
from edge_peer.core.kinds import Attachment
from edge_peer.core.query.execute import Executor
from edge_peer.core.store.log import WHOLE, FlashLog
from edge_peer.core.store.record import META_BYTES_MAX
from edge_peer.core.store.store import Store
from edge_peer.subscriptions import Subscriptions

TOKEN = Attachment(bytes(range(16)), 3, "image/png")


def executor():
    return Executor(open_store(), codec)


def flash_store(limits=None):
    flash = Flash(12)
    limits = limits or {WHOLE: (None, 300)}
    return Store(
        lambda evict, before_erase: FlashLog(flash, limits, evict, before_erase),
        b"device",
        lambda: None,
        lambda n: bytes(n),
    )


def fill(run, count, **fields):
    for start in range(0, count, 10):
        rows = []
        for i in range(start, start + 10):
            rows.append({"_id": "d%03d" % i, "n": i})
            rows[-1].update(fields)
        run.execute("INSERT INTO x DOCUMENTS (:rows)", {"rows": rows})


def rows(run, text, arguments=None):
    return run.execute(text, arguments).items


def count(run, where):
    return rows(run, "SELECT COUNT(*) FROM x WHERE " + where)[0]["count"]


# Many


def test_more_than_a_commit_takes_is_changed_in_several():
    store = flash_store()
    run = Executor(store, codec)
    fill(run, 150, site="somewhere")
    commits = []
    store.on_commit(lambda puts, gone: commits.append(len(puts)))
    assert len(run.execute("UPDATE x SET n = n + 1000, site = {of: n}").ids) == 150
    assert sum(commits) == 150 and 1 < len(commits) < 50
    assert count(run, "n >= 1000") == 150
    assert rows(run, "SELECT n, site FROM x WHERE _id = 'd077'") == [
        {"n": 1077, "site": {"of": 77}}
    ]
    del commits[:]
    assert len(run.execute("DELETE FROM x WHERE site.of < 140").ids) == 140
    assert sum(commits) == 140
    assert count(run, "TRUE") == 10


def test_what_fits_is_one_commit():
    store = flash_store()
    run = Executor(store, codec)
    fill(run, 10)
    commits = []
    store.on_commit(lambda puts, gone: commits.append(len(puts)))
    run.execute("UPDATE x SET n = 0")
    run.execute("UPDATE x APPLY n INCREMENT BY 1")
    run.execute("DELETE FROM x")
    assert commits == [10, 10, 10]


def test_the_ids_are_those_of_what_was_changed_each_once():
    run = Executor(flash_store(), codec)
    fill(run, 60)
    for text in ("UPDATE x SET m = 1 WHERE n < 50", "DELETE FROM x WHERE n < 50"):
        ids = run.execute(text).ids
        assert sorted(ids) == ["d%03d" % i for i in range(50)]


def test_a_mistake_in_the_last_of_many_leaves_all():
    run = Executor(flash_store(), codec)
    fill(run, 60)
    run.execute("INSERT INTO x DOCUMENTS ({_id: 'z', n: 'text'})")
    before = rows(run, "SELECT * FROM x ORDER BY _id")
    with raises(QueryError, "n is no number"):
        run.execute("UPDATE x APPLY n INCREMENT BY 1 SET m = 2")
    assert rows(run, "SELECT * FROM x ORDER BY _id") == before


def test_a_store_that_is_full_on_the_way_says_how_far_it_came():
    run = Executor(flash_store({WHOLE: (4_200, 300)}), codec)
    fill(run, 60)
    before = rows(run, "SELECT * FROM x ORDER BY _id")
    try:
        run.execute("UPDATE x SET text = 'long enough to fill what there is'")
    except StoreFull as error:
        message = str(error)
    changed = count(run, "text IS NOT MISSING")
    assert 0 < changed < 60
    assert "after %d documents were changed" % changed in message
    assert rows(run, "SELECT _id, n FROM x ORDER BY _id") == before


def test_a_full_store_changes_nothing_of_what_is_one_commit():
    run = Executor(flash_store({WHOLE: (4_200, 300)}), codec)
    fill(run, 60)
    with raises(StoreFull):
        run.execute("UPDATE x SET text = :t WHERE n < 3", {"t": "t" * 900})
    assert count(run, "text IS NOT MISSING") == 0


def test_an_update_keeps_a_documents_bound():
    run = executor()
    fields = {"f%d" % i: i for i in range(FIELD_COUNT_MAX - 1)}
    fields["_id"] = "a"
    run.execute("INSERT INTO x DOCUMENTS (:d)", {"d": fields})
    run.execute("UPDATE x SET one = 1, f0 = 2")
    for change in ("SET two = 2", "APPLY hits INCREMENT BY 1", "APPLY f1 INCREMENT BY 1"):
        with raises(QueryError, "at most"):
            run.execute("UPDATE x " + change)
    run.execute("UPDATE x SET one = 3 UNSET f2")
    assert len(rows(run, "SELECT * FROM x")[0]) == FIELD_COUNT_MAX
    run.execute("DELETE FROM x")
    assert rows(run, "SELECT * FROM x") == []


def test_what_no_document_holds_is_refused_where_it_is_set():
    run = executor()
    run.execute("INSERT INTO x DOCUMENTS ({a: 1})")
    for bad in (object(), 1 << 70, {1: 2}, {"": 1}, [object()], {"a": {"b": len}}):
        with raises(QueryError, "column 21"):
            run.execute("UPDATE x SET a = 2, bad = :bad", {"bad": bad})
    with raises(QueryError, "column 14"):
        run.execute("UPDATE x SET `%s` = 2" % ("n" * 129))
    assert rows(run, "SELECT a FROM x") == [{"a": 1}]


# Together


def test_statements_of_a_batch_see_each_other_and_are_one_commit():
    store = open_store()
    run = Executor(store, codec)
    commits = []
    store.on_commit(lambda puts, gone: commits.append(len(puts)))
    with store.batch():
        run.execute("INSERT INTO x DOCUMENTS ({_id: 'a', n: 1}), ({_id: 'b', n: 2})")
        assert run.execute("UPDATE x SET n = n + 10 WHERE n = 2").ids == ["b"]
        assert rows(run, "SELECT _id FROM x WHERE n = 12") == [{"_id": "b"}]
        assert run.execute("DELETE FROM x WHERE _id = 'a'").ids == ["a"]
        assert commits == []
    assert commits == [2]
    assert rows(run, "SELECT * FROM x") == [{"_id": "b", "n": 12}]


# Counters of several peers


def test_what_two_peers_add_is_added_up():
    one, other = open_store(device_id=b"one"), open_store(device_id=b"other")
    first, second = Executor(one, codec), Executor(other, codec)
    first.execute("INSERT INTO x DOCUMENTS ({_id: 'a', hits: 10})")
    exchange(one, other)
    first.execute("UPDATE x APPLY hits INCREMENT BY 5")
    second.execute("UPDATE x APPLY hits INCREMENT BY -2")
    exchange(one, other)
    for run in (first, second):
        assert rows(run, "SELECT hits FROM x WHERE hits = 13") == [{"hits": 13}]


# INITIAL


def exchange(one, other):
    for here, there in ((one, other), (other, one)):
        there.merge(
            [(name, id, here.get(name, id)) for name, id, _, _ in here.log.since(0, 100) if name]
        )


def test_devices_that_begin_with_the_same_documents_agree():
    initial = "INSERT INTO x INITIAL DOCUMENTS ({_id: 'a', n: 0, m: {k: 1}})"
    stores = [open_store(device_id=b"device %d" % i, wall_ms=None) for i in range(3)]
    for store in stores:
        assert Executor(store, codec).execute(initial).ids == ["a"]
    for one in stores:
        for other in stores:
            exchange(one, other)
    assert len(set([encode(store.get("x", "a")) for store in stores])) == 1
    assert rows(Executor(stores[0], codec), "SELECT * FROM x") == [
        {"_id": "a", "n": 0, "m": {"k": 1}}
    ]


def test_any_write_is_above_an_initial_one_also_without_a_clock():
    for first, second in ((b"one", b"other"), (b"other", b"one")):
        one, other = open_store(device_id=first), open_store(device_id=second)
        Executor(one, codec).execute("INSERT INTO x INITIAL DOCUMENTS ({_id: 'a', n: 0, m: 0})")
        Executor(other, codec).execute("INSERT INTO x DOCUMENTS ({_id: 'a', n: 7})")
        exchange(one, other)
        for store in (one, other):
            assert rows(Executor(store, codec), "SELECT n, m FROM x") == [{"n": 7, "m": 0}]


def test_an_initial_document_that_was_deleted_elsewhere_stays_deleted():
    one, other = open_store(device_id=b"one"), open_store(device_id=b"other")
    initial = "INSERT INTO x INITIAL DOCUMENTS ({_id: 'a', n: 0})"
    Executor(one, codec).execute(initial)
    exchange(one, other)
    Executor(other, codec).execute("DELETE FROM x")
    body = other.body("x", "a")
    third = open_store(device_id=b"third")
    Executor(third, codec).execute(initial)
    third.merge([("x", "a", decode(body))])
    assert rows(Executor(third, codec), "SELECT * FROM x") == []
    assert Executor(third, codec).execute(initial).ids == []


def test_an_initial_document_moves_no_clock():
    store = open_store(log=MemoryLog())
    run = Executor(store, codec)
    run.execute("INSERT INTO x INITIAL DOCUMENTS (:d)", {"d": [{"_id": "a", "n": 1}]})
    run.execute("INSERT INTO x DOCUMENTS ({_id: 'b', n: 1})")
    assert store.get("x", "a")["n"].stamp == 1
    assert store.get("x", "b")["n"].stamp == 2


# Attachments


def test_an_attachment_is_a_value_whose_parts_can_be_asked_for():
    run = executor()
    run.execute("INSERT INTO x DOCUMENTS (:d)", {"d": {"_id": "a", "photo": TOKEN, "n": 1}})
    assert rows(run, "SELECT photo FROM x") == [{"photo": TOKEN}]
    assert rows(run, "SELECT photo.id AS i, photo.len AS l, photo.type AS t FROM x") == [
        {"i": bytes(range(16)), "l": 3, "t": "image/png"}
    ]
    for where, expected in (
        ("photo.len > 2", 1),
        ("photo.len > 3", 0),
        ("photo.type LIKE 'image/%'", 1),
        ("photo = :photo", 1),
        ("photo != :photo", 0),
        ("photo IS MISSING", 0),
        ("photo.name IS MISSING", 1),
    ):
        text = "SELECT COUNT(*) FROM x WHERE " + where
        assert rows(run, text, {"photo": TOKEN}) == [{"count": expected}], where


def test_an_attachment_is_set_copied_and_removed():
    run = executor()
    run.execute("INSERT INTO x DOCUMENTS ({_id: 'a', n: 1})")
    run.execute("UPDATE x SET of.face = :t", {"t": TOKEN})
    run.execute("UPDATE x SET copy = of.face, photos = {one: of.face}")
    assert rows(run, "SELECT copy, photos FROM x") == [{"copy": TOKEN, "photos": {"one": TOKEN}}]
    run.execute("UPDATE x SET copy = 1 UNSET photos")
    assert rows(run, "SELECT * FROM x") == [{"_id": "a", "n": 1, "copy": 1, "of": {"face": TOKEN}}]


def test_an_attachment_stands_in_no_array_and_is_whole():
    run = executor()
    for bad in ([TOKEN], {"a": [TOKEN]}, Attachment(b"short", 3, "t"), Attachment(b"", -1, 5)):
        with raises(QueryError):
            run.execute("INSERT INTO x DOCUMENTS (:d)", {"d": {"photo": bad}})
    assert rows(run, "SELECT * FROM x") == []


# What no argument can be


def test_nan_and_infinity_are_no_arguments_however_deep():
    run = executor()
    fill(run, 10)
    infinity = float("inf")
    for bad in (infinity, -infinity, infinity - infinity):
        for value in (bad, [1, bad], {"a": [bad]}):
            for text in (
                "SELECT * FROM x WHERE n = :p",
                "SELECT n FROM x ORDER BY :p LIMIT :one",
                "UPDATE x SET n = 1 WHERE n = :p",
                "DELETE FROM x WHERE n < :p",
                "EVICT FROM x WHERE n < :p",
                "EXPLAIN SELECT * FROM x WHERE n = :p",
                "INSERT INTO x DOCUMENTS ({a: 1 = :p})",
            ):
                with raises(QueryError, ":p"):
                    run.execute(text, {"p": value, "one": 1})
            with raises(QueryError, "NaN"):
                run.execute("INSERT INTO x DOCUMENTS (:p)", {"p": {"a": value}})
            with raises(QueryError, ":p"):
                run.matcher([("SELECT * FROM x WHERE n = :p", codec.pack({"p": value}))])
    assert count(run, "n < 5") == 5 and count(run, "TRUE") == 10
    endless = []
    endless += [endless, endless]
    with raises(QueryError, "nested"):
        run.execute("SELECT * FROM x WHERE n = :p", {"p": endless})


def test_half_a_surrogate_pair_names_no_document():
    half = "a" + chr(0xD800)
    for store in (open_store(), flash_store()):
        run = Executor(store, codec)
        run.execute("INSERT INTO x DOCUMENTS ({_id: 'a', n: 1})")
        assert rows(run, "SELECT * FROM x WHERE _id = :p", {"p": half}) == []
        found = rows(run, "SELECT n FROM x WHERE _id IN :p AND n = 1", {"p": [half, "a"]})
        assert found == [{"n": 1}]
        for text in ("UPDATE x SET n = 2", "DELETE FROM x", "EVICT FROM x"):
            assert run.execute(text + " WHERE _id = :p", {"p": half}).ids == []
        for conflict in ("", " ON ID CONFLICT DO UPDATE"):
            with raises(QueryError, "surrogate" if len(half.encode("utf-8", "ignore")) > 1 else ""):
                run.execute("INSERT INTO x DOCUMENTS (:p)" + conflict, {"p": {"_id": half, "n": 1}})
        assert count(run, "TRUE") == 1


def test_a_document_that_is_created_again_keeps_its_bound():
    run = executor()
    run.execute("INSERT INTO x DOCUMENTS ({_id: 'd', a: 1})")
    run.execute("DELETE FROM x")
    fields = {"f%d" % i: i for i in range(FIELD_COUNT_MAX + 1)}
    fields["_id"] = "d"
    with raises(QueryError, "at most"):
        run.execute("INSERT INTO x DOCUMENTS (:p)", {"p": fields})
    del fields["f0"]
    run.execute("INSERT INTO x DOCUMENTS (:p)", {"p": fields})
    assert rows(run, "SELECT * FROM x") == [fields]


class ScarceCodec:
    """A machine whose memory ends after so many values."""

    def __init__(self, value_count):
        self.value_count = value_count

    def pack(self, value):
        return codec.pack(value)

    def unpack(self, data):
        if not self.value_count:
            raise MemoryError("memory allocation failed")
        self.value_count -= 1
        return codec.unpack(data)


def test_memory_that_ends_is_a_query_error_with_nothing_changed():
    store = flash_store()
    run = Executor(store, codec)
    fill(run, 50)
    store.learn_durable({store.author: store.own_seq})
    for text in ("UPDATE x SET n = 1", "DELETE FROM x", "EVICT FROM x", "SELECT * FROM x"):
        with raises(QueryError, "memory"):
            Executor(store, ScarceCodec(20)).execute(text + " WHERE n >= 0")
    assert len(rows(run, "SELECT * FROM x")) == 50 and store.own_seq == store.arrival == 50


# Subscriptions, whose statements the store remembers


def test_a_subscription_that_finds_no_room_is_not_asked_for():
    store = flash_store()
    told = []
    run = Executor(store, codec)

    def settled():
        ours.settle(ours.wanted())
        return ours.wanted()

    ours = Subscriptions(store, codec, run.matcher, lambda: told.append(settled()))
    ours.add("SELECT * FROM x", {})
    with raises(StoreFull):
        ours.add("SELECT * FROM x WHERE a = :p", {"p": bytes(META_BYTES_MAX)})
    assert settled() == told[-1] and len(told) == 1
    ours.add("SELECT * FROM y", {}).cancel()
    assert settled() == told[0]
