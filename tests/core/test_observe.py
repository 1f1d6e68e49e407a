"""Observers: the result is always what SELECT gives, and the diff leads from one to the next."""

import asyncio

from helpers import Random, raises
from memory import open_store

from edge_peer.core import codec
from edge_peer.core.errors import QueryError
from edge_peer.core.query.execute import Executor
from edge_peer.core.query.observe import TOUCHED_COUNT_MAX
from edge_peer.observer import Observer


class Peer:
    def __init__(self):
        self.store = open_store()
        self.executor = Executor(self.store, codec)
        self.errors = []

    def execute(self, text, **arguments):
        return self.executor.execute(text, arguments)

    def observe(self, text, callback=None, **arguments):
        return Observer(self.store, codec, text, arguments, callback, self.errors.append)

    def put(self, id, **fields):
        fields["_id"] = id
        self.execute("INSERT INTO c DOCUMENTS (:d) ON ID CONFLICT DO UPDATE", d=fields)


class Copy:
    """What an application keeps that only ever applies the diffs."""

    def __init__(self):
        self.rows = []
        self.diffs = []

    def __call__(self, rows, diff):
        self.diffs.append(diff)
        left = [self.rows[i] for i in range(len(self.rows)) if i not in diff.deleted]
        moving = [self.rows[old] for old, _ in diff.moved]
        left = [row for row in left if not any([row is one for one in moving])]
        into = sorted(diff.inserted + [new for _, new in diff.moved])
        for place in into:
            left.insert(place, rows[place])
        for place in diff.updated:
            left[place] = rows[place]
        self.rows = left


def test_a_callback_is_told_the_result_and_then_each_change():
    peer = Peer()
    peer.put("b", n=2)
    told = []
    observer = peer.observe(
        "SELECT n FROM c WHERE n < 10 ORDER BY n",
        lambda rows, diff: told.append((list(rows), diff)),
    )
    peer.put("a", n=1)
    peer.put("b", n=3)
    peer.put("c", n=99)
    peer.put("a", n=5)
    peer.execute("DELETE FROM c WHERE n = 3")
    assert [rows for rows, _ in told] == [
        [{"n": 2}],
        [{"n": 1}, {"n": 2}],
        [{"n": 1}, {"n": 3}],
        [{"n": 3}, {"n": 5}],
        [{"n": 5}],
    ]
    assert [tuple(diff) for _, diff in told] == [
        ([0], [], [], []),
        ([0], [], [], []),
        ([], [1], [], []),
        ([], [1], [], [(0, 1)]),
        ([], [], [0], []),
    ]
    observer.cancel()
    observer.cancel()
    peer.put("d", n=1)
    assert len(told) == 5 and peer.errors == []


def test_what_does_not_change_the_result_is_not_told():
    peer = Peer()
    peer.put("a", n=1, other=1)
    copy = Copy()
    peer.observe("SELECT n FROM c WHERE n = 1", copy)
    peer.put("a", other=2)
    peer.put("b", n=2)
    peer.execute("INSERT INTO d DOCUMENTS ({n: 1})")
    assert len(copy.diffs) == 1


def test_the_diffs_lead_from_each_result_to_the_next():
    statements = (
        "SELECT * FROM c",
        "SELECT _id, n FROM c WHERE n >= 2 ORDER BY n DESC",
        "SELECT _id, n, m FROM c WHERE m IS NOT MISSING ORDER BY m, n DESC",
        "SELECT _id, n FROM c ORDER BY n LIMIT 4",
        "SELECT _id, n FROM c WHERE m < 3 ORDER BY n DESC LIMIT 3 OFFSET 2",
    )
    for seed in range(12):
        random = Random(seed)
        peer = Peer()
        watched = [(Copy(), text) for text in statements]
        for copy, text in watched:
            peer.observe(text, copy)
        for step in range(40):
            fields = {"n": random.below(5)}
            if random.below(2):
                fields["m"] = random.choice((1, 2, None, "text"))
            id = "d%d" % random.below(12)
            kind = random.below(8)
            if kind == 0:
                peer.execute("DELETE FROM c WHERE _id = :id", id=id)
            elif kind == 1:
                peer.execute("UPDATE c SET n = :n WHERE m = 1", n=random.below(5))
            else:
                peer.put(id, **fields)
            for copy, text in watched:
                rows = peer.execute(text).items
                label = "seed %d, step %d, %s" % (seed, step, text)
                if "LIMIT" not in text:
                    assert sorted([str(row["_id"]) for row in copy.rows]) == sorted(
                        [row["_id"] for row in rows]
                    ), label
                for row in copy.rows:
                    assert "LIMIT" in text or row in rows, label
                if "ORDER" in text:
                    assert [row["n"] for row in copy.rows] == [row["n"] for row in rows], label
        assert peer.errors == []


def test_a_callback_may_write_and_is_told_of_that_when_it_has_returned():
    peer = Peer()
    depth = []
    told = []

    def count_up(rows, diff):
        assert not depth
        depth.append(1)
        told.append([row["n"] for row in rows])
        if rows[0]["n"] < 3:
            peer.put("a", n=rows[0]["n"] + 1)
        depth.pop()

    peer.put("a", n=0)
    peer.observe("SELECT n FROM c", count_up)
    assert told == [[0], [1], [2], [3]] and peer.errors == []


def test_a_callback_that_fails_harms_neither_the_write_nor_what_is_told_next():
    peer = Peer()
    told = []

    def fail(rows, diff):
        told.append(len(rows))
        raise ValueError("the application's")

    peer.observe("SELECT * FROM c", fail)
    peer.put("a", n=1)
    peer.put("b", n=1)
    assert told == [0, 1, 2] and len(peer.errors) == 3


def test_iterating_gives_fewer_and_larger_changes_to_a_slow_reader():
    peer = Peer()

    async def main():
        observer = peer.observe("SELECT n FROM c ORDER BY n")
        seen = []
        async for rows, diff in observer:
            seen.append((list(rows), tuple(diff)))
            if len(seen) == 1:
                for n in range(5):
                    peer.put("d%d" % n, n=n)
                peer.execute("DELETE FROM c WHERE n = 0")
            elif len(seen) == 2:
                peer.put("d1", n=9)
            else:
                observer.cancel()
        return seen

    assert asyncio.run(main()) == [
        ([], ([], [], [], [])),
        ([{"n": n} for n in (1, 2, 3, 4)], ([0, 1, 2, 3], [], [], [])),
        ([{"n": n} for n in (2, 3, 4, 9)], ([], [3], [], [(0, 3)])),
    ]


def test_more_changes_than_are_noted_are_looked_at_together():
    peer = Peer()
    peer.put("old", n=0)

    async def main():
        observer = peer.observe("SELECT n FROM c WHERE n < 2")
        await observer.__anext__()
        documents = [{"n": i % 4} for i in range(TOUCHED_COUNT_MAX + 10)]
        peer.execute("INSERT INTO c DOCUMENTS (:d)", d=documents)
        peer.execute("DELETE FROM c WHERE _id = 'old'")
        return await observer.__anext__()

    rows, diff = asyncio.run(main())
    count = (TOUCHED_COUNT_MAX + 10 + 3) // 4 + (TOUCHED_COUNT_MAX + 10 + 2) // 4
    assert len(rows) == count == len(diff.inserted) and len(diff.deleted) == 1


def test_what_is_no_list_of_rows_is_refused():
    peer = Peer()
    for text in (
        "SELECT COUNT(*) FROM c",
        "SELECT DISTINCT n FROM c",
        "SELECT n FROM c GROUP BY n",
        "DELETE FROM c",
        "SELECT * FROM c WHERE n = :missing",
    ):
        with raises(QueryError):
            peer.observe(text, lambda rows, diff: None)
    assert peer.store._listeners == []


def test_rows_are_read_like_a_list():
    peer = Peer()
    for n in range(5):
        peer.put("d%d" % n, n=n)
    rows = peer.observe("SELECT n FROM c ORDER BY n LIMIT 3 OFFSET 1", lambda rows, diff: None).rows
    assert len(rows) == 3 and rows[0] == {"n": 1} and rows[-1] == {"n": 3}
    assert rows.ids() == ["d1", "d2", "d3"]
    with raises(IndexError):
        rows[3]
