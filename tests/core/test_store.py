"""Store on flash: dots and stamps, what survives, what may go, and what peers agree on."""

from helpers import Random, raises
from nor_flash import Flash

from edge_peer.core import document as documents
from edge_peer.core.errors import StorageError, StoreFull
from edge_peer.core.limits import WHOLE
from edge_peer.core.store.knowledge import AUTHORS_PER_CURSOR
from edge_peer.core.store.log import AHEAD_COUNT, META, FlashLog
from edge_peer.core.store.store import CHECKPOINT_ARRIVALS, Store

BLOCK_COUNT = 8
DOCUMENT_COUNT_MAX = 150
NOW_MS = 1_700_000_000_000


def open_store(flash, name=b"device", seed=1, wall_ms=None, keeps_all=False):
    random = Random(seed)
    return Store(
        lambda evict, before_erase: FlashLog(
            flash, {WHOLE: (None, DOCUMENT_COUNT_MAX)}, evict, before_erase
        ),
        name,
        lambda: wall_ms,
        random.bytes,
        keeps_all,
    )


def new_store(name=b"device", seed=1, **options):
    return open_store(Flash(BLOCK_COUNT), name, seed, **options)


def insert(store, value, id=None, path="v"):
    return store.write([("c", id, {path: value})])[0]


def everything(store):
    """Return all that a store holds and knows."""
    vectors = (store.knowledge, store.evicted, store.durable, store.cursors)
    counters = (store.own_seq, store.arrival, store._clock.last, store.author)
    return store.log.since(0, 1000), counters, [dict(vector) for vector in vectors]


def records(store):
    """Return its documents as they reach a neighbour."""
    return [(put[0], put[1], documents.decode(put[3])) for put in store.log.since(0, 1000)]


def bodies(store):
    return sorted([(put[0], put[1], put[3]) for put in store.log.since(0, 1000)])


def cells(store):
    return [cell for _, _, document in records(store) for cell in document.values()]


def fill(store, size=100):
    """Insert until StoreFull; return the ids."""
    ids = []
    try:
        while True:
            ids.append(insert(store, bytes(size)))
            assert len(ids) < 1000
    except StoreFull:
        return ids


# Writing


def test_what_is_inserted_is_there_after_reopening():
    flash = Flash(BLOCK_COUNT)
    store = open_store(flash)
    id = insert(store, b"1")
    assert store.write([("c", "mine", {"a": b"2", "b": b"3"}), ("d", id, {"a": b"4"})]) == [
        "mine",
        id,
    ]
    for _ in range(2):
        assert store.get("c", id)["v"].value == b"1"
        assert {path: cell.value for path, cell in store.get("c", "mine").items()} == {
            "a": b"2",
            "b": b"3",
        }
        assert sorted([id for id, _ in store.scan("c")]) == sorted([id, "mine"])
        assert store.get("d", id)["a"].value == b"4" and store.get("d", "mine") is None
        store = open_store(flash)


def test_an_update_keeps_the_other_fields_and_one_commit_sees_its_own_writes():
    store = new_store()
    store.write([("c", "x", {"a": b"1", "b": b"1"}), ("c", "x", {"a": b"2"})])
    insert(store, b"3", "x", "c")
    document = store.get("c", "x")
    assert [document[path].value for path in "abc"] == [b"2", b"1", b"3"]
    assert [document[path].seq for path in "bac"] == [1, 2, 3]
    assert store.log.document_count() == 1


def test_dots_and_stamps_never_repeat_over_reopening_without_a_clock():
    flash = Flash(BLOCK_COUNT)
    dots = set()
    stamps = []
    for round in range(40):
        store = open_store(flash)
        for i in range(round % 7):
            id = insert(store, b"x" * 30, "id%d" % (i % 3))
            cell = store.get("c", id)["v"]
            dots.add((cell.author, cell.seq))
            stamps.append(cell.stamp)
    assert len(dots) == len(stamps) == len(set(stamps))
    assert stamps == sorted(stamps)


def test_a_document_from_a_clock_that_is_ahead_can_still_be_changed():
    ahead, store = (
        new_store(b"ahead", wall_ms=NOW_MS + 10**11),
        new_store(b"here", wall_ms=NOW_MS),
    )
    insert(ahead, b"theirs", "x")
    store.merge(records(ahead))
    assert store.future_count == 1
    insert(store, b"ours", "x")
    assert store.get("c", "x")["v"].value == b"ours"
    insert(store, b"elsewhere", "y")
    assert store.get("c", "y")["v"].stamp < store.get("c", "x")["v"].stamp


def test_listeners_hear_of_every_commit():
    store, other = new_store(), new_store(b"other")
    heard = []
    store.on_commit(lambda puts, gone: heard.append([put[1] for put in puts]))
    store.write([("c", "a", {"v": b"1"}), ("c", "b", {"v": b"1"})])
    insert(other, b"1", "z")
    store.merge(records(other))
    store.merge(records(other))
    store.save()
    assert heard == [["a", "b"], ["z"]]


# What survives


def test_what_it_knows_survives_reopening():
    flash = Flash(BLOCK_COUNT)
    store = open_store(flash)
    author, neighbour = b"author--", b"neighbor"
    insert(store, b"1")
    store.set_cursor(neighbour, (7, 5, 3))
    store.learn({author: 12})
    store.learn_durable({store.author: 1, author: 9})
    store.save()
    before = everything(store)
    again = open_store(flash)
    assert again.knowledge == {author: 12} and again.own_seq == 1
    assert again.durable == {store.author: 1, author: 9} and again.cursors == {neighbour: (7, 5, 3)}
    assert again.epoch == store.epoch + 1
    assert everything(again) == before


def test_what_came_after_the_checkpoint_is_read_again():
    flash = Flash(BLOCK_COUNT)
    store, other = open_store(flash), new_store(b"other", wall_ms=NOW_MS)
    for i in range(CHECKPOINT_ARRIVALS + 3):
        insert(store, b"x", "id%d" % (i % 5))
    insert(other, b"1", "z")
    store.merge(records(other))
    saved = store.log.get(META, "state")
    again = open_store(flash)
    assert (again.own_seq, again.arrival) == (CHECKPOINT_ARRIVALS + 3, CHECKPOINT_ARRIVALS + 4)
    assert again._clock.last >= other.get("c", "z")["v"].stamp
    assert again.log.get(META, "state") != saved
    assert insert(again, b"y", "new") and again.get("c", "new")["v"].seq == again.own_seq


def test_a_checkpoint_without_room_leaves_the_documents_alone():
    flash = Flash(BLOCK_COUNT)
    store = open_store(flash)
    for i in range(100):  # more authors than the log has room for vectors
        store.knowledge[b"author%02d" % i] = store.durable[b"author%02d" % i] = 1 << 40
    for i in range(2 * CHECKPOINT_ARRIVALS):
        insert(store, b"%d" % i, "x")
    again = open_store(flash)
    assert again.get("c", "x")["v"].value == b"127"
    assert again.own_seq == 2 * CHECKPOINT_ARRIVALS


def test_wiped_flash_is_another_author():
    flash = Flash(BLOCK_COUNT)
    first = open_store(flash, seed=1)
    insert(first, b"1")
    assert open_store(flash, seed=2).author == first.author
    wiped = open_store(Flash(BLOCK_COUNT), seed=2)
    assert wiped.author != first.author and wiped.own_seq == 0


def test_a_newer_state_is_refused():
    flash = Flash(BLOCK_COUNT)
    store = open_store(flash)
    state = store.log.get(META, "state")
    store.log.commit([(META, "state", 1, bytes([state[0] + 1]) + state[1:])])
    with raises(StorageError, "newer"):
        open_store(flash)


def test_of_the_cursors_of_too_many_neighbours_the_one_used_longest_ago_goes():
    flash = Flash(BLOCK_COUNT)
    store = open_store(flash)
    count = store.log.authors_max // AUTHORS_PER_CURSOR
    for i in range(count):
        store.set_cursor(b"wiped%03d" % i, (i + 1, i, 1))
    store.set_cursor(b"wiped000", (9, 9, 1))
    store.save()
    assert len(store.cursors) == count
    store = open_store(flash)
    store.set_cursor(b"wiped001", (2, 2, 1))
    for i in range(count - 1):
        store.set_cursor(b"newer%03d" % i, (1, 1, 1))
    assert len(store.cursors) == count
    assert store.cursors[b"wiped001"] == (2, 2, 1) and b"wiped000" not in store.cursors
    store.forget_knowledge()
    store.set_cursor(b"wiped001", (1, 1, 1))
    assert len(store.cursors) == 1


def test_forgetting_what_it_knows_starts_a_new_epoch():
    flash = Flash(BLOCK_COUNT)
    store = open_store(flash)
    store.set_cursor(b"neighbor", (7, 5, 3))
    store.learn({b"author--": 12})
    epoch = store.epoch
    store.forget_knowledge()
    again = open_store(flash)
    assert again.knowledge == again.cursors == {} and again.epoch == epoch + 2


# Space


def test_a_full_store_refuses_with_nothing_changed():
    store, other = new_store(), new_store(b"other")
    fill(store)
    insert(other, bytes(400))
    store.learn_durable({store.author: 1})  # one may go, which is not enough
    before = everything(store)
    for _ in range(3):
        with raises(StoreFull):
            store.write([("new", None, {"v": bytes(100)}), ("c", "x", {"v": bytes(100)})])
        with raises(StoreFull):
            store.merge(records(other))
        assert everything(store) == before


def test_a_full_store_learns_what_is_durable_and_goes_on():
    flash = Flash(BLOCK_COUNT)
    store = open_store(flash)
    ids = fill(store)
    store = open_store(flash)
    with raises(StoreFull):
        insert(store, bytes(100))
    store.learn_durable({store.author: store.own_seq})
    new = insert(store, bytes(100))
    assert store.get("c", ids[0]) is None and store.get("c", new) is not None


def test_only_durable_documents_go_and_what_went_is_remembered():
    flash = Flash(BLOCK_COUNT)
    store = open_store(flash)
    random = Random(9)
    seqs = {}
    for i in range(1, 400):
        try:
            id = insert(store, random.bytes(random.below(150)))
            seqs[id] = store.own_seq
        except StoreFull:
            store.learn_durable({store.author: store.own_seq - 10})
        if i % 50 == 0:
            durable = store.durable_seq(store.author)
            store = open_store(flash)
            assert store.durable_seq(store.author) <= durable
        gone = [seqs[id] for id in seqs if store.get("c", id) is None]
        if gone:
            evicted = store.evicted[store.author]  # may say so a little ahead
            assert max(gone) <= evicted <= max(gone) + AHEAD_COUNT, "seed 9, step %d" % i
            assert max(gone) <= store.own_seq - 10, "seed 9, step %d" % i
    assert gone


def test_a_document_with_one_write_that_is_not_durable_stays():
    store = new_store()
    insert(store, b"1", "x", "a")
    insert(store, b"2", "x", "b")
    store.learn_durable({store.author: 1})
    assert not store.is_durable(store.get("c", "x"))
    fill(store)
    assert store.get("c", "x") is not None and store.evicted == {}


def test_the_big_peer_lets_nothing_go():
    store = new_store(keeps_all=True)
    ids = fill(store)
    assert not store.learn_durable({store.author: store.own_seq})
    with raises(StoreFull):
        insert(store, bytes(100))
    assert store.get("c", ids[0]) is not None and store.evicted == {}


# Merging


def test_merging_twice_changes_nothing():
    store, other = new_store(), new_store(b"other")
    for i in range(5):
        insert(other, b"%d" % i)
    assert store.merge(records(other)) == 5
    before = everything(store)
    assert store.merge(records(other)) == 0
    assert everything(store) == before


def test_more_than_one_commit_takes_is_merged_all_the_same():
    store, other = new_store(), new_store(b"other")
    for i in range(20):
        insert(other, bytes(220), "id%d" % i)
        insert(store, bytes(2), "id%d" % i, "more")
    assert store.merge(records(other)) == 20
    assert [len(document) for _, _, document in records(store)] == [2] * 20


def test_where_room_ends_what_came_before_is_kept():
    store, other = new_store(), new_store(b"other")
    fill(store, 800)
    for _ in range(30):
        insert(other, bytes(100))
    with raises(StoreFull):
        store.merge(records(other))
    count = len([cell for cell in cells(store) if cell.author == other.author])
    assert 0 < count < 30
    store.learn_durable({store.author: store.own_seq})
    assert store.merge(records(other)) == 30 - count


def test_stores_that_exchange_their_documents_end_with_the_same_bytes():
    for seed in range(5):
        random = Random(seed)
        flashes = [Flash(BLOCK_COUNT) for _ in range(3)]
        stores = [open_store(flashes[i], b"%d" % i, wall_ms=NOW_MS + i) for i in range(3)]
        for _ in range(150):
            at = random.below(3)
            if random.below(3):
                id = "id%d" % random.below(6)
                insert(stores[at], random.bytes(random.below(9)), id, random.choice("abc"))
            elif random.below(2):
                source = stores[random.below(3)]
                stores[at].merge(records(source)[random.below(4) :])
            else:
                stores[at] = open_store(flashes[at], b"%d" % at, wall_ms=NOW_MS + at)
        for _ in range(2):
            for store in stores:
                for other in stores:
                    store.merge(records(other))
        assert bodies(stores[0]) == bodies(stores[1]) == bodies(stores[2]), "seed %d" % seed
        assert len(bodies(stores[0])) > 0
