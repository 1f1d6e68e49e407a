"""A neighbour that has a certificate and means harm: refused by name, bounded, others unharmed.

What it may claim at all by its role is in test_gate.py, frames of any kind in test_link.py.
"""

from helpers import raises
from linked import BIG, Peer, Wire

from edge_peer.core import codec
from edge_peer.core import document as documents
from edge_peer.core.errors import RemoteProtocolError
from edge_peer.core.packing import put_varint
from edge_peer.core.sync.link import Closed
from edge_peer.core.sync.messages import (
    HOPS_MAX,
    MOVED,
    PRESENCE,
    STATEMENT_BYTES_MAX,
    SUBSCRIPTION_COUNT_MAX,
    WANTS_ALL,
    Encoder,
    Hello,
)
from edge_peer.core.sync.sync import Sync

ALL = (("SELECT * FROM readings", b"", 0),)
FAR = (1 << 62) - 1  # as high as a number on the wire can be
LAST_YEAR = 0xF0 << 40  # a stamp near the end of the 69 years that there are


def met(peer, stranger=b"stranger", **hello):
    """Return the peer's side of a link whose other side has said HELLO, and its encoder."""
    sync = Sync(peer.store, stranger, peer.local.flags, peer.executor.matcher, 0, 0, 1024)
    sync.subscribe(peer.wanted, 0)
    encoder = Encoder(stranger)
    numbers = dict(flags=0, epoch=1, resume=0, base=0, sender_epoch=0, known=0)
    numbers.update(dict(digest=0, durable=0, subscriptions=ALL))
    numbers.update(hello)
    names = ("flags", "epoch", "resume", "base", "sender_epoch", "known", "digest", "durable")
    sync.receive(encoder.hello(Hello(*[numbers[name] for name in names + ("subscriptions",)])), 0)
    return sync, encoder


def all_of(sync):
    found = []
    for now_ms in range(0, 60_000, 500):
        message = sync.next_message(1024, now_ms)
        if message:
            found.append(message)
    return found


def delta(encoder, author, stamp, previous=0, seq=1, cursor=None):
    body = documents.make({"n": codec.pack(1)}, stamp, author, seq)
    put = ("readings", "x%d" % seq, seq if cursor is None else cursor, b"")
    return encoder.delta(previous, [put], [body], 1024)


def test_cursors_and_knowledge_from_the_future_hurt_who_claims_them_only():
    big, honest = Peer("big", BIG), Peer("honest")
    honest.wanted = ALL
    big.insert(n=1)
    sync, _ = met(big, resume=FAR, base=FAR, known=FAR, sender_epoch=big.store.epoch)
    said = all_of(sync)
    assert said and sum([len(message) for message in said]) < 100
    big.insert(n=2)
    all_of(sync)
    Wire(honest, big).run()
    assert honest.readings() == [1, 2]
    assert big.store.own_seq < 100 and big.store.knowledge.get(b"stranger", 0) == 0


def test_a_cursor_that_leaps_ahead_teaches_nothing_of_what_was_leapt_over():
    big = Peer("big", BIG)
    sync, encoder = met(big, subscriptions=())
    all_of(sync)
    with raises(RemoteProtocolError, "range"):
        sync.receive(delta(encoder, b"stranger", 1 << 20, previous=FAR >> 1, cursor=FAR), 0)
    sync, encoder = met(big, subscriptions=())
    all_of(sync)
    sync.receive(delta(encoder, b"stranger", 1 << 20, previous=1_000, cursor=1_001), 0)
    assert big.readings() == []
    sync.receive(delta(Encoder(b"stranger"), b"stranger", 1 << 20), 0)
    assert big.readings() == [1]


def test_a_subscription_of_any_length_is_refused_before_it_is_read():
    big = Peer("big", BIG)
    for text in ("SELECT * FROM c WHERE a = '" + "x" * STATEMENT_BYTES_MAX + "'", "x" * 100_000):
        with raises(RemoteProtocolError):
            met(big, subscriptions=((text, b"", 0),))
    many = tuple([("SELECT * FROM c%d" % n, b"", 0) for n in range(SUBSCRIPTION_COUNT_MAX + 1)])
    for wanted in (many, ((ALL[0][0], b"", HOPS_MAX + 1),), ((ALL[0][0], b"\xc1", 0),)):
        with raises(RemoteProtocolError):
            met(big, subscriptions=wanted)


def test_a_clock_that_is_decades_ahead_is_counted_and_moves_no_other_clock():
    big = Peer("big", BIG)
    sync, encoder = met(big, subscriptions=())
    all_of(sync)
    sync.receive(delta(encoder, b"stranger", LAST_YEAR), 0)
    assert big.store.future_count == 1
    id = big.insert(n=2)
    assert max([cell.stamp for cell in big.store.get("readings", id).values()]) < LAST_YEAR


def test_half_a_session_a_thousand_times_leaves_nothing_behind():
    big, honest = Peer("big", BIG), Peer("honest")
    honest.wanted = ALL
    for n in range(20):
        big.insert(n=n)
    for n in range(1_000):
        sync, encoder = met(big, b"half%04d" % n, resume=n % 20)
        sync.next_message(1024, 0)
        if n % 2:
            sync.receive(delta(encoder, b"half%04d" % n, 1 << 20, previous=3, cursor=9), 0)
        sync.close()
    log = big.store.log
    assert len(big.store.greetings) <= max(1, log.authors_max // 16)
    assert len(big.store.cursors) <= max(1, log.authors_max // 4)
    assert len(big.store.knowledge) <= log.authors_max
    Wire(honest, big).run()
    assert honest.readings() == list(range(20))


def test_answers_to_what_was_never_asked_are_refused_or_change_nothing():
    big = Peer("big", BIG)
    sync, encoder = met(big)
    sync.next_message(1024, 0)
    with raises(RemoteProtocolError, "answer to no HELLO"):
        sync.receive(encoder.vector(3, {}), 0)
    sync, encoder = met(big)
    for _ in range(1_000):
        sync.receive(encoder.vector(1, {b"nobody%02d" % n: FAR for n in range(60)}), 0)
    assert len(sync._sender._their_knowledge) < 10
    with raises(RemoteProtocolError, "does not hear"):
        sync.receive(bytes([PRESENCE, 0]), 0)


def test_what_moved_is_taken_of_nothing_that_is_not_here():
    board = Peer("board")
    board.wanted = ALL
    sync, encoder = met(board, flags=WANTS_ALL)
    sync.next_message(1024, 0)
    message = bytes([MOVED]) + delta(encoder, b"stranger", 1 << 20)[1:]
    sync.receive(message, 0)
    assert board.readings() == [] and board.store.log.status()["documents"] == 0


def test_a_delta_of_more_than_it_may_hold_closes_the_link():
    big = Peer("big", BIG)
    wire = Wire(Peer("a"), big)
    wire.run()
    sync = wire.sessions[1].sync
    out = bytearray([4])
    put_varint(out, 0)
    put_varint(out, 1)
    put_varint(out, 1 << 40)
    with raises(RemoteProtocolError):
        sync.receive(bytes(out), wire.now_ms)
    assert not [event for event in wire.events if isinstance(event, Closed)]
