"""
What holds for the store of a Big Peer, however the batches of its neighbours come.

Each check is given stores: one, or several workers of one database. Batches come in another
order, twice, in other pieces, and where there are several workers at the same time.
"""

import threading
from random import Random

from memory import open_log

from edge_peer.core import document as documents
from edge_peer.core.query.execute import Executor
from edge_peer.core.store.store import Store
from edge_peer.host import codec

NOW_MS = 1_700_000_000_000
AUTHOR_COUNT, STEP_COUNT, DOCUMENT_COUNT = 4, 40, 12
_STATEMENTS = (
    "UPDATE r SET a = :n WHERE _id = :id",
    "UPDATE r SET b = :n, m.x = :n WHERE _id = :id",
    "DELETE FROM r WHERE _id = :id",
)


def check_batches_in_any_order_and_twice_make_the_same(stores):
    for seed in range(3):
        random = Random(seed)
        batches = made(random, f"order{seed}")
        expected = in_order(batches)
        shuffled = batches + random.sample(batches, len(batches) // 2)
        random.shuffle(shuffled)
        for batch in shuffled:
            random.choice(stores).merge(records_of(batch))
        for store in stores:
            assert documents_of(store, f"order{seed}") == expected, f"seed {seed}"


def check_batches_at_the_same_time_make_the_same(stores):
    random = Random(7)
    batches = made(random, "together")
    expected = in_order(batches)
    shares = [random.sample(batches, len(batches)) for _ in stores]  # each worker gets them all

    def merge(store, share):
        for batch in share:
            store.merge(records_of(batch))

    at_once([lambda pair=pair: merge(*pair) for pair in zip(stores, shares, strict=True)])
    for store in stores:
        assert documents_of(store, "together") == expected


def check_a_reader_passes_nothing_over(stores):
    """It reads on from the arrival it has come to, while all others write."""
    *writers, reader = stores if len(stores) > 1 else stores * 2
    seen, done = {}, threading.Event()

    def write(store, name):
        for n in range(60):
            execute(store, "INSERT INTO feed DOCUMENTS (:d)", d=[{"_id": f"{name}-{n}", "n": n}])
            execute(store, "UPDATE feed SET n = :n WHERE _id = :id", n=-n, id=f"{name}-{n // 2}")

    def read():
        cursor, last = 0, False
        while not last:
            last = done.is_set()
            while puts := reader.log.since(cursor, 16):
                assert [put[2] for put in puts] == sorted({put[2] for put in puts})
                assert puts[0][2] > cursor
                cursor = puts[-1][2]
                seen.update({put[1]: put[2] for put in puts})

    def write_all():
        at_once([lambda n=n: write(writers[n], f"w{n}") for n in range(len(writers))])
        done.set()

    if reader is writers[0]:  # SQLite: one connection, one thread
        write_all()
        read()
    else:
        at_once([write_all, read])
    arrivals = {put[1]: put[2] for put in reader.log.since(0, 1_000_000) if put[0] == "feed"}
    assert {id: seen[id] for id in arrivals} == arrivals


def check_what_workers_insert_has_ids_and_numbers_of_its_own(stores):
    at_once([lambda store=store: [insert(store) for _ in range(100)] for store in stores])
    rows = documents_of(stores[0], "ids")
    assert len(rows) == 100 * len(stores)
    seqs = [
        cell.seq
        for _, body in stores[0].scan("ids")
        for path, cell in documents.decode(body).items()
        if path == "n"
    ]
    assert len(set(seqs)) == len(seqs)


def check_what_was_not_committed_leaves_no_trace(stores):
    class Stop(Exception):
        pass

    store = stores[0]
    before = store.log.since(0, 1_000_000)[-1:]
    told = []
    store.on_commit(lambda puts, gone: told.extend(puts))
    try:
        with store.batch():
            insert(store)
            raise Stop
    except Stop:
        pass
    assert store.log.since(0, 1_000_000)[-1:] == before and not told
    insert(stores[-1])
    insert(store)
    assert told
    assert len({put[2] for put in stores[-1].log.since(0, 1_000_000)}) == len(
        stores[-1].log.since(0, 1_000_000)
    )


CHECKS = {name[6:]: check for name, check in globals().items() if name.startswith("check_")}


def made(random, collection):
    """Return batches of (collection, id, body): what several authors wrote, having met or not."""
    authors = [
        Store(open_log, f"author {n}".encode(), lambda: NOW_MS, random.randbytes)
        for n in range(AUTHOR_COUNT)
    ]
    batches = []
    for step in range(STEP_COUNT):
        author = authors[step % AUTHOR_COUNT]
        before, id = author.arrival, str(random.randrange(DOCUMENT_COUNT))
        if author.get(collection, id) is None:
            statement = "INSERT INTO r DOCUMENTS ({'_id': :id, 'a': :n}) ON ID CONFLICT DO NOTHING"
        else:
            statement = random.choice(_STATEMENTS)
        execute(author, statement.replace(" r ", f" {collection} "), id=id, n=step)
        batch = [put for put in author.log.since(before, 100) if put[0] == collection]
        batches.append([(put[0], put[1], put[3]) for put in batch])
        if random.random() < 0.5:
            random.choice(authors).merge(records_of(batches[-1]))
    return [batch for batch in batches if batch]


def in_order(batches):
    """Return what these make on a store in memory."""
    store = Store(open_log, b"big", lambda: NOW_MS, lambda n: bytes(n), True)
    for batch in batches:
        store.merge(records_of(batch))
    return documents_of(store, batches[0][0][0])


def records_of(batch):
    return [(collection, id, documents.decode(body)) for collection, id, body in batch]


def documents_of(store, collection):
    return Executor(store, codec).execute(f"SELECT * FROM {collection} ORDER BY _id").items


def execute(store, statement, **arguments):
    turn = getattr(store, "turn", None)
    if turn is None:
        return Executor(store, codec).execute(statement, arguments)
    with turn():
        return Executor(store, codec).execute(statement, arguments)


def insert(store):
    execute(store, "INSERT INTO ids DOCUMENTS ({'n': 1})")


def at_once(functions):
    """Call all in threads of their own, or here if there is one; raise what they raised."""
    if len(functions) == 1:
        functions[0]()
        return
    errors = []

    def call(function):
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=call, args=(one,)) for one in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
