"""What goes when a limit is reached, what must stay, and what is counted as lost."""

from helpers import raises
from nor_flash import Flash

from edge_peer.core import codec
from edge_peer.core import document as documents
from edge_peer.core.clock import INITIAL_STAMP, STAMP_MAX
from edge_peer.core.document import BIRTH, LIFE, NIL, REMOVED
from edge_peer.core.errors import StoreFull
from edge_peer.core.limits import WHOLE
from edge_peer.core.query.execute import Executor
from edge_peer.core.store.log import FlashLog
from edge_peer.core.store.store import Store

OTHER = b"neighbor"


def open_store(flash, policies=None, limits=None, keeps_all=False):
    limits = limits or {WHOLE: (None, 40)}
    return Store(
        lambda evict, before_erase: FlashLog(flash, limits, evict, before_erase),
        b"device",
        lambda: None,
        lambda n: bytes(n),
        keeps_all,
        policies,
    )


def new_store(policies=None, **options):
    return open_store(Flash(8), policies, **options)


def insert(store, count, collection="c"):
    return [store.write([(collection, None, {"v": b"\x01"})])[0] for _ in range(count)]


def held(store, ids, collection="c"):
    return [id for id in ids if store.get(collection, id) is not None]


def all_durable(store):
    store.learn_durable({store.author: store.own_seq})


def test_what_no_policy_names_is_refused_and_nothing_is_lost():
    store = new_store()
    ids = insert(store, 40)
    with raises(StoreFull):
        insert(store, 1)
    assert held(store, ids) == ids and store.status()["lost_writes"] == 0


def test_what_is_durable_goes_before_anything_is_lost():
    store = new_store({"c": "drop-oldest"})
    ids = insert(store, 20)
    all_durable(store)
    ids += insert(store, 40)
    assert held(store, ids[20:]) == ids[20:]
    assert store.status()["lost_writes"] == 0


def test_the_oldest_are_lost_where_the_policy_says_so_and_are_counted():
    flash = Flash(8)
    store = open_store(flash, {"c": "drop-oldest"})
    ids = insert(store, 100)
    for one in (store, open_store(flash, {"c": "drop-oldest"})):
        left = held(one, ids)
        assert left == ids[-len(left) :] and 30 < len(left) <= 40
        assert one.status()["lost_writes"] == 100 - len(left)
        assert one.evicted[one.author] >= 100 - len(left)


def test_a_policy_of_one_collection_loses_nothing_of_another():
    store = new_store({"c": "drop-oldest"})
    kept = insert(store, 10, "d")
    insert(store, 100)
    assert held(store, kept, "d") == kept
    with raises(StoreFull):
        insert(store, 60, "d")


def test_a_star_is_the_policy_of_every_other_collection():
    store = new_store({"*": "drop-oldest", "d": "refuse"})
    insert(store, 100)
    kept = insert(store, 20, "d")
    insert(store, 100)
    assert held(store, kept, "d") == kept


def test_what_others_wrote_and_is_not_durable_is_never_lost():
    store = new_store({"*": "drop-oldest"})
    for n in range(30):
        theirs = documents.make({"v": b"\x01"}, 100 + n, OTHER, 1 + n)
        store.merge([("c", "theirs%d" % n, theirs)])
    insert(store, 100)
    assert len(held(store, ["theirs%d" % n for n in range(30)])) == 30


def test_what_was_read_since_stays_once():
    store = new_store({"c": "drop-least-recent"})
    ids = insert(store, 40)
    assert store.get("c", ids[0]) and store.get("c", ids[1])
    insert(store, 1)
    assert store.log.get("c", ids[0]) and store.log.get("c", ids[1])
    assert not store.log.get("c", ids[2])
    insert(store, 60)
    assert not store.log.get("c", ids[0])


def test_downsampling_thins_the_oldest_most():
    store = new_store({"c": "downsample"})
    ids = insert(store, 400)
    at = [ids.index(id) for id in held(store, ids)]
    assert 30 < len(at) <= 40 and at[-1] == 399
    steps = [at[i + 1] - at[i] for i in range(len(at) - 1)]
    third = len(steps) // 3
    assert sum(steps[:third]) > 2 * sum(steps[-third:]), at
    assert store.status()["lost_writes"] == 400 - len(at)


def test_pinned_documents_stay_even_when_they_are_durable():
    store = new_store({"settings": "pin"})
    kept = insert(store, 5, "settings")
    all_durable(store)
    for _ in range(5):
        insert(store, 30)
        all_durable(store)
    assert held(store, kept, "settings") == kept
    with raises(StoreFull):
        for _ in range(50):
            insert(store, 1, "settings")
            all_durable(store)


def test_a_limit_of_a_collection_is_kept_by_its_own_policy():
    store = new_store({"c": "drop-oldest"}, limits={WHOLE: (None, 100), "c": (None, 8)})
    others = insert(store, 20, "d")
    for _ in range(30):
        assert store.get("c", insert(store, 1)[0]) is not None
        assert store.log.totals("c")[0] <= 8
    assert held(store, others, "d") == others


# Evicting by name


def test_what_is_durable_can_be_evicted_and_costs_neither_knowledge_nor_cursors():
    flash = Flash(8)
    store = open_store(flash)
    ids = insert(store, 10)
    store.learn_durable({store.author: 6})
    store.set_cursor(OTHER, (5, 5, 1))
    assert store.evict([("c", id) for id in ids] + [("c", "no such")]) == 5
    for one in (store, open_store(flash)):
        assert held(one, ids) == ids[6:]
        assert one.evicted == {one.author: 6} and one.own_seq == 10
        assert one.status()["lost_writes"] == 0


def test_a_big_peer_evicts_nothing():
    store = new_store(keeps_all=True)
    ids = insert(store, 3)
    assert store.evict([("c", id) for id in ids]) == 3
    assert held(store, ids) == ids


def test_listeners_hear_what_has_gone():
    store = new_store({"c": "drop-oldest"})
    heard = []
    store.on_commit(lambda puts, gone: heard.append(([put[1] for put in puts], gone)), True)
    ids = insert(store, 42)
    gone = [key for _, keys in heard for key in keys]
    assert gone == [("c", id) for id in ids if id not in held(store, ids)] and gone
    store.learn_durable({store.author: 1000})
    last = heard[-1]
    store.evict([("c", ids[-1])])
    assert heard[-1] == ([], [("c", ids[-1])]) and heard[-1] != last


# Tombstones


def test_a_deleted_document_is_gone_for_queries_and_known_to_sync():
    flash = Flash(8)
    store = open_store(flash)
    ids = insert(store, 2)
    store.write([("c", ids[0], {LIFE: (REMOVED, None)})])
    for one in (store, open_store(flash)):
        assert one.get("c", ids[0]) is None and one.get("c", ids[1]) is not None
        assert len(one.log.since(0, 10)) == 2
    store = open_store(flash)
    store.write([("c", ids[0], {"w": b"\x02"})])
    assert store.get("c", ids[0]) is None
    store.write([("c", ids[0], {BIRTH: NIL, "w": b"\x02"})])
    assert sorted(store.get("c", ids[0])) == [LIFE, BIRTH, "w"]


def test_an_insert_shows_at_a_peer_with_the_tombstone_that_its_writer_has_evicted():
    device, big = new_store(), new_store(keeps_all=True)
    execute = Executor(device, codec).execute
    text = "INSERT INTO c DOCUMENTS ({_id: 'x', v: %d})"
    execute(text % 1)
    execute("DELETE FROM c")
    big.merge([("c", "x", documents.decode(device.body("c", "x")))])
    all_durable(device)
    assert device.evict([("c", "x")]) == 0 and device.body("c", "x") is None
    execute(text % 2)
    big.merge([("c", "x", documents.decode(device.body("c", "x")))])
    assert sorted(big.get("c", "x")) == [LIFE, BIRTH, "v"]


def test_a_count_does_not_go_on_from_an_older_copy_that_comes_back():
    flash = Flash(8)
    device, big = open_store(flash), new_store(keeps_all=True)
    add = "UPDATE c APPLY n INCREMENT BY %d"

    def sent():
        return [("c", "x", documents.decode(device.body("c", "x")))]

    def shown(store):
        return Executor(store, codec).execute("SELECT n FROM c").items

    Executor(device, codec).execute("INSERT INTO c DOCUMENTS ({_id: 'x', n: 0})")
    Executor(device, codec).execute(add % 3)
    older = sent()
    Executor(device, codec).execute(add % 2)
    big.merge(sent())
    all_durable(device)
    assert device.evict([("c", "x")]) == 0
    device = open_store(flash)
    device.merge(older)  # from a third peer
    assert shown(device) == [{"n": 3}]
    Executor(device, codec).execute(add % 1)
    big.merge(sent())
    assert shown(big) == [{"n": 6}]
    Executor(device, codec).execute(add % 1)
    big.merge(sent())
    assert shown(big) == [{"n": 7}] and len(documents.decode(big.body("c", "x"))) == 4


def test_documents_of_more_authors_than_there_is_room_for_can_go():
    flash = Flash(8)
    store = open_store(flash)
    store.learn({b"known%03d" % i: 9 for i in range(store.log.authors_max - 5)})
    for i in range(300):
        author = b"other%03d" % i
        store.merge([("c", "x%d" % i, documents.make({"v": b"\x01"}, 5, author, 7))])
        store.durable = {author: 7}
        assert store.evict([("c", "x%d" % i)]) == 0
    insert(store, 1)
    all_durable(store)
    assert store.evict([("c", id) for id, _ in store.scan("c")]) == 0
    store = open_store(flash)
    others = sorted(set(store.evicted) - set([store.author]))
    assert others == [b"other%03d" % i for i in range(5)] and store.evicted[store.author] > 0
    store.learn({b"other%03d" % i: 7 for i in range(300)})
    assert sorted(set(store.knowledge) & set(store.evicted)) == others
    assert len(store.knowledge) == store.log.authors_max
    store.forget_knowledge()
    assert list(store.evicted) == [store.author]


def test_a_tombstone_goes_when_it_is_durable_even_of_a_pinned_collection():
    store = new_store({"c": "pin"})
    ids = insert(store, 1)
    store.write([("c", ids[0], {LIFE: (REMOVED, None)})])
    all_durable(store)
    insert(store, 30, "d")
    all_durable(store)
    insert(store, 30, "d")
    assert store.body("c", ids[0]) is None
    assert store.status()["lost_writes"] == 0


def test_a_big_peer_tells_of_a_tombstone_again_when_a_write_meets_it():
    big = new_store(keeps_all=True)
    first = documents.make({"v": b"\x01"}, 100, OTHER, 1)
    big.merge([("c", "x", first)])
    big.write([("c", "x", {LIFE: (REMOVED, None)})])
    before = documents.decode(big.body("c", "x"))[LIFE]
    for stamp, seq in ((50, 2), (1 << 46, 3)):  # dead already, and hidden
        late = documents.make({"v": b"\x02"}, stamp, b"offline!", seq)
        assert big.merge([("c", "x", late)]) == 1
        life = documents.decode(big.body("c", "x"))[LIFE]
        assert life.seq == big.arrival == big.own_seq > before.seq
        assert documents.order(life)[:2] == documents.order(before)[:2]
        assert documents.order(life) > documents.order(before) and big.get("c", "x") is None
        before = life
        big.learn({b"offline!": seq})
        assert big.merge([("c", "x", late)]) == 0  # known by now


# Batches


def test_a_batch_is_one_commit_and_can_be_read_before():
    flash = Flash(8)
    store = open_store(flash)
    old = insert(store, 1)[0]
    commits = []
    store.on_commit(lambda puts, gone: commits.append(len(puts)))
    with store.batch():
        new = insert(store, 2)
        store.write([("c", new[0], {"w": b"\x02"}), ("c", old, {"v": b"\x03"})])
        assert store.get("c", old)["v"].value == b"\x03"
        assert sorted([id for id, _ in store.scan("c")]) == sorted([old] + new)
        assert commits == [] and len(store.log.since(0, 9)) == 1
    assert commits == [3]
    for one in (store, open_store(flash)):
        assert one.get("c", old)["v"].value == b"\x03"
        assert one.get("c", new[0])["w"].value == b"\x02"
        assert sorted([id for id, _ in one.scan("c")]) == sorted([old] + new)


def test_a_batch_that_fails_leaves_nothing():
    store = new_store()
    old = insert(store, 1)[0]
    with raises(KeyError), store.batch():
        store.write([("c", old, {"v": b"\x03"})])
        raise KeyError("the application's")
    assert store.get("c", old)["v"].value == b"\x01" and store.own_seq == 1
    with raises(StoreFull), store.batch():
        insert(store, 100)
    assert len(list(store.scan("c"))) == 1 and store.own_seq == 1
    insert(store, 1)


def test_what_a_link_brings_during_a_batch_comes_before_it():
    store = new_store()
    with store.batch():
        id = insert(store, 1)[0]
        store.merge([("c", "theirs", documents.make({"v": b"\x01"}, 5, OTHER, 1))])
    assert [(put[1], put[2]) for put in store.log.since(0, 9)] == [("theirs", 1), (id, 2)]
    assert store.get("c", id)["v"].seq == 2


def test_an_update_of_a_batch_does_not_bring_back_what_a_link_deleted_meanwhile():
    store = new_store()
    first = documents.make({"v": b"\x01"}, 5, OTHER, 1)
    store.merge([("c", "x", first), ("c", "y", first)])
    gone = documents.make({LIFE: (REMOVED, None)}, 6, OTHER, 2)
    with store.batch():
        store.write([("c", "x", {"v": b"\x02"}), ("c", "new", {BIRTH: NIL, "v": b"\x03"})])
        store.write([("c", "y", {LIFE: (REMOVED, None)})])
        store.write([("c", "y", {BIRTH: NIL, "v": b"\x04"})])
        store.merge([("c", one, gone) for one in ("x", "y", "new")])
    assert store.get("c", "x") is None
    assert store.get("c", "y")["v"].value == b"\x04"  # deleted and created by the batch itself
    assert store.get("c", "new")["v"].value == b"\x03"


def test_what_waits_in_a_batch_is_not_evicted():
    store = new_store()
    id = store.write([("c", None, {"v": b"\x01", "w": b"\x01"})])[0]
    all_durable(store)
    with store.batch():
        store.write([("c", id, {"v": b"\x02"})])
        assert store.evict([("c", id)]) == 1
    assert sorted(store.get("c", id)) == ["v", "w"]


def test_initial_documents_of_a_batch_wait_for_its_end_too():
    store = new_store()
    with raises(KeyError), store.batch():
        Executor(store, codec).execute("INSERT INTO c INITIAL DOCUMENTS ({_id: 'x', a: 1})")
        assert store.body("c", "x") is not None
        raise KeyError("the application's")
    assert store.body("c", "x") is None
    with store.batch():
        Executor(store, codec).execute("INSERT INTO c INITIAL DOCUMENTS ({_id: 'x', a: 1})")
    assert store.get("c", "x")["a"].stamp == INITIAL_STAMP


def test_a_mistake_of_a_listener_takes_back_nothing():
    store = new_store()

    def listener(puts, gone):
        raise StoreFull("what the listener writes has no room")

    store.on_commit(listener)
    with raises(StoreFull):
        insert(store, 1)
    store.off_commit(listener)
    assert store.own_seq == store.arrival == 1
    id = insert(store, 1)[0]
    assert store.get("c", id)["v"].seq == 2


def test_a_tombstone_from_the_end_of_time_can_be_met():
    big = new_store(keeps_all=True)
    gone = documents.make({LIFE: (REMOVED, None)}, STAMP_MAX, OTHER, 1)
    big.merge([("c", "x", gone)])
    big.merge([("c", "x", documents.make({"v": b"\x02"}, 9, b"offline!", 1))])
    assert documents.is_deleted(documents.decode(big.body("c", "x")))


# What cannot be read


class DamagedLog(FlashLog):
    """A log in which the bytes of one document are none, though its checksum is right."""

    def damage(self, collection, id):
        self.commit([(collection, id, self.arrival_max + 1, b"\x01damaged")])


def damaged_store():
    flash = Flash(8)

    def open_store():
        return Store(
            lambda evict, before_erase: DamagedLog(flash, {WHOLE: (None, 40)}, evict, before_erase),
            b"device",
            lambda: None,
            lambda n: bytes(n),
        )

    store = open_store()
    store.log.damage("c", "bad")
    store.arrival = store.log.arrival_max
    return store, open_store


def test_a_document_that_cannot_be_read_stays_and_hinders_nothing():
    store, again = damaged_store()
    ids = insert(store, 39)
    all_durable(store)
    ids += insert(store, 30)
    assert len(held(store, ids)) < 69
    assert store.log.get("c", "bad") == b"\x01damaged" and store.status()["unreadable"] == 1
    assert store.evict([("c", "bad"), ("c", ids[-1])]) == 2
    store = again()
    assert store.status()["unreadable"] == 1 and store.log.get("c", "bad") is not None
    insert(store, 1)


def test_a_neighbour_or_a_write_replaces_what_cannot_be_read():
    store = damaged_store()[0]
    assert store.merge([("c", "bad", documents.make({"v": b"\x01"}, 5, OTHER, 1))]) == 1
    assert store.get("c", "bad")["v"].value == b"\x01"
    store = damaged_store()[0]
    store.write([("c", "bad", {"v": b"\x02"})])
    assert store.get("c", "bad")["v"].value == b"\x02"
