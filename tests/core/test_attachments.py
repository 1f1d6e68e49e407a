"""Attachments in a store: pieces beside documents, within a share of their own."""

import hashlib

from helpers import Random, raises
from nor_flash import TEARS, Flash, PowerCut

from edge_peer.attachments import Blob
from edge_peer.core import codec
from edge_peer.core.errors import QueryError, StoreFull
from edge_peer.core.kinds import Attachment
from edge_peer.core.limits import ATTACHMENTS, DROP_OLDEST, HIDDEN, PIECE_BYTES, PIECES, WHOLE
from edge_peer.core.query.execute import Executor
from edge_peer.core.store.log import FlashLog
from edge_peer.core.store.store import Store

QUOTA_BYTES = 20_000
SIZES = (0, 1, 511, 512, 513, 5_000)


class Source:
    """A file that gives little at a time, and may be another when it is read again."""

    def __init__(self, data, more=b""):
        self._data = data
        self._more = more
        self._place = 0

    def read(self, size):
        assert size <= PIECE_BYTES
        data = self._data[self._place : self._place + min(size, 100)]
        self._place += len(data)
        return data

    def seek(self, place):
        self._place = place
        self._data += self._more


def open_store(flash, quota_bytes=QUOTA_BYTES, documents_max=400, policies=None):
    limits = {WHOLE: (None, documents_max), ATTACHMENTS: (quota_bytes, None)}
    return Store(
        lambda evict, before_erase: FlashLog(flash, limits, evict, before_erase),
        b"device",
        lambda: 1_700_000_000_000,
        Random(1).bytes,
        policies=policies,
    )


def blob(size, seed=1):
    return Random(seed).bytes(size)


def read(store, token):
    return Blob(store.attachments, token).read()


def attach_until_full(store, size=3_000):
    tokens = []
    with raises(StoreFull):
        for seed in range(100):
            tokens.append(store.attachments.attach(blob(size, seed), "a/b"))
    assert tokens
    return tokens


def test_what_was_attached_is_read_back_also_after_a_restart():
    flash = Flash(16)
    store = open_store(flash)
    tokens = [store.attachments.attach(blob(size), "image/jpeg") for size in SIZES]
    for one in (store, open_store(flash)):
        for token in tokens:
            assert token.id == hashlib.sha256(blob(token.size)).digest()[:16]
            assert read(one, token) == blob(token.size)
            assert b"".join(list(Blob(one.attachments, token))) == blob(token.size)
        assert len(one.attachments.kept) == len(SIZES)


def test_a_blob_is_read_as_a_file_is():
    store = open_store(Flash(16))
    file = Blob(store.attachments, store.attachments.attach(blob(2_000), "a/b"))
    assert file.read(700) + file.read(0) + file.read(1_000) + file.read() == blob(2_000)
    assert file.read() == file.read(5) == b""
    file.seek(510)
    assert file.read(4) == blob(2_000)[510:514]


def test_a_file_is_attached_a_piece_at_a_time():
    store = open_store(Flash(16))
    assert read(store, store.attachments.attach(Source(blob(3_000)), "a/b")) == blob(3_000)


def test_a_source_that_changes_while_it_is_read_is_refused():
    store = open_store(Flash(16))
    with raises(ValueError, "changed"):
        store.attachments.attach(Source(blob(1_000), b"more"), "a/b")
    assert not store.attachments.kept


def test_the_same_blob_takes_its_room_once():
    store = open_store(Flash(16))
    store.attachments.attach(blob(5_000), "a/b")
    size = store.status()["attachment_bytes"]
    store.attachments.attach(blob(5_000), "a/b")
    assert store.status()["attachment_bytes"] == size


def test_nothing_that_reads_documents_sees_attachments():
    flash = Flash(16)
    store = open_store(flash)
    executor = Executor(store, codec)
    executor.execute("INSERT INTO c DOCUMENTS ({'n': 1})")
    before = store.status()
    store.attachments.attach(blob(5_000), "a/b")
    executor.execute("INSERT INTO c DOCUMENTS ({'n': 2})")
    for one in (store, open_store(flash)):
        assert [put[0] for put in one.log.since(0, 100)] == ["c", "c"]
        assert one.log.collections() == ["c"]
        assert one.status()["documents"] == 2
        assert one.status()["used_bytes"] == 2 * before["used_bytes"]
    for name in HIDDEN:
        with raises(QueryError, "expected a collection"):
            executor.execute("SELECT * FROM `%s`" % name)


def test_own_attachments_stay_until_the_big_peer_has_them():
    flash = Flash(20)
    store = open_store(flash)
    tokens = attach_until_full(store)
    for _ in range(2):
        assert [read(store, token) for token in tokens] == [
            blob(3_000, seed) for seed in range(len(tokens))
        ]
        with raises(StoreFull):
            store.attachments.attach(blob(3_000, 99), "a/b")
        store = open_store(flash)
    store.attachments.release(tokens[0].id)
    new = store.attachments.attach(blob(3_000, 99), "a/b")
    for token in tokens[1:] + [new]:
        assert store.attachments.read(token.id, 0) is not None
    assert read(store, new) == blob(3_000, 99)
    assert store.status()["evicted"] == 0


def test_neither_documents_nor_attachments_go_for_the_other():
    flash = Flash(20)
    store = open_store(flash, policies={WHOLE: DROP_OLDEST})
    executor = Executor(store, codec)
    for n in range(20):
        executor.execute("INSERT INTO c DOCUMENTS (:d)", {"d": {"n": n, "text": "x" * 300}})
    tokens = attach_until_full(store)
    assert store.status()["documents"] == 20
    for n in range(900):
        executor.execute("INSERT INTO c DOCUMENTS (:d)", {"d": {"n": n, "text": "x" * 300}})
        status = store.status()
        assert status["used_bytes"] <= status["quota_bytes"]
    assert status["evicted"] > 0
    for one in (store, open_store(flash)):
        for seed in range(len(tokens)):
            assert read(one, tokens[seed]) == blob(3_000, seed)


def test_the_quota_holds_at_every_write():
    flash = Flash(20)
    store = open_store(flash)
    for seed in range(40):
        token = store.attachments.attach(blob(100 + 137 * seed % 4_000, seed), "a/b")
        status = store.status()
        assert status["attachment_bytes"] <= status["attachment_bytes_max"] == QUOTA_BYTES
        assert read(store, token) == blob(token.size, seed)
        store.attachments.release(token.id)


def test_a_smaller_quota_than_what_is_stored_leaves_documents_their_room():
    flash = Flash(16)
    tokens = attach_until_full(open_store(flash))
    store = open_store(flash, 1_000)
    executor = Executor(store, codec)
    with raises(StoreFull):
        for n in range(1_000):
            executor.execute("INSERT INTO c DOCUMENTS (:d)", {"d": {"n": n, "text": "x" * 300}})
    for seed in range(len(tokens)):
        assert read(store, tokens[seed]) == blob(3_000, seed)


def test_a_store_without_a_share_for_attachments_says_so():
    store = open_store(Flash(16), 0)
    with raises(StoreFull, "attachments have 0"):
        store.attachments.attach(b"x", "a/b")


def test_what_can_be_no_attachment_is_refused():
    attachments = open_store(Flash(16)).attachments
    with raises(ValueError, "type"):
        attachments.attach(b"x", "a" * 65)
    with raises(StoreFull, "30000 bytes"):
        attachments.attach(bytes(30_000), "a/b")


def test_the_code_for_attachments_loads_with_the_first():
    flash = Flash(16)
    store = open_store(flash)
    assert not store.has_attachments
    store.attachments.attach(blob(600), "a/b")
    assert store.has_attachments and open_store(flash).has_attachments


def test_an_attachment_cut_anywhere_is_whole_or_nothing():
    for operation_count in range(60):
        flash = Flash(8)
        store = open_store(flash, 8_000)
        kept = store.attachments.attach(blob(1_500, 7), "a/b")
        flash.cut_at(1 + operation_count, TEARS[operation_count % len(TEARS)], Random(1))
        try:
            token = store.attachments.attach(blob(2_600), "a/b")
        except PowerCut:
            token = None
        flash.power_on()
        store = open_store(flash, 8_000)
        assert read(store, kept) == blob(1_500, 7)
        token = token or Attachment(hashlib.sha256(blob(2_600)).digest()[:16], 2_600, "a/b")
        if store.attachments.whole(token.id) is not None:
            assert read(store, token) == blob(2_600)
        assert store.attachments.attach(blob(2_600), "a/b") == token
        assert read(store, token) == blob(2_600)


def test_pieces_that_lie_in_a_log_are_told_from_documents_by_their_arrival():
    flash = Flash(8)
    store = open_store(flash, 8_000)
    store.attachments.attach(blob(1_000), "a/b")
    assert len(list(store.log.scan(PIECES))) == 2
    assert store.log.arrival_max == store.arrival
