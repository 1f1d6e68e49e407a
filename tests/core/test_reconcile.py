"""Peers that have documents in common, and nothing that says so."""

import json
from binascii import unhexlify

from helpers import Random, raises
from linked import BIG, GATEWAY, Peer, Wire, messages_of, open_only

from edge_peer.core import codec
from edge_peer.core.errors import FormatError, RemoteProtocolError
from edge_peer.core.sync.messages import FOUND, MORE, SYMBOLS, Compared, Decoder
from edge_peer.core.sync.reconcile import ASKED_MAX, RUNS_MAX, SET_SIZE_MIN, Finding, Offering
from edge_peer.core.sync.symbols import Difference, Symbols, key_of

ALL = (("SELECT * FROM readings", b"", 0),)
KINDS = {"more": MORE, "symbols": SYMBOLS, "no more symbols": SYMBOLS}


def vectors():
    with open("tests/vectors/reconcile.json") as file:
        return json.load(file)


def test_symbols_are_those_of_the_specification():
    found = vectors()
    salt = unhexlify(found["salt"])
    symbols = Symbols(salt, len(found["symbols"]))
    for one in found["documents"]:
        key = key_of(salt, (one["collection"], one["id"], 1, unhexlify(one["hex"])))
        assert key == unhexlify(one["key"])
        symbols.add(key)
    assert [row.to_bytes(8, "big") for row in symbols.rows] == [
        unhexlify(one) for one in found["symbols"]
    ]


def test_messages_are_those_of_the_specification():
    for one in vectors()["messages"]:
        (part,) = list(Decoder(b"neighbor", 1024).messages(unhexlify(one["hex"])))
        assert (part.kind, part.number) == (KINDS.get(one["name"], FOUND), one["number"])
        has_items = one["name"] not in ("more", "nothing found out")
        assert has_items == (part.items is not None)


def test_a_message_cut_short_is_refused_and_so_is_one_of_any_length():
    for one in vectors()["messages"]:
        raw = unhexlify(one["hex"])
        for end in range(1, len(raw)):
            with raises(FormatError):
                list(Decoder(b"neighbor", 1024).messages(raw[:end]))
    for raw in (b"\x18\x7f", b"\x19\x01\x7f", b"\x1a\xff\x7f"):
        with raises(FormatError, "above"):
            list(Decoder(b"neighbor", 1024).messages(raw))


def test_what_two_sets_do_not_share_is_found_out_whatever_they_share():
    for seed in range(12):
        random = Random(seed)
        counts = [(0, 0), (1, 0), (0, 1), (3, 4), (20, 0), (30, 30)][seed % 6]
        salt = random.bytes(8)
        ours, theirs = Difference(salt, 256), Symbols(salt, 256)
        alone = [[random.bytes(6) for _ in range(count)] for count in counts]
        for _ in range(100):
            key = random.bytes(6)
            ours.add(key)
            theirs.add(key)
        for key in alone[0]:
            ours.add(key)
        for key in alone[1]:
            theirs.add(key)
        at = 0
        while not ours.take(list(theirs.rows[at : at + 8])):
            at += 8
        assert sorted(ours.ours) == sorted(alone[0]), seed
        assert sorted(ours.theirs) == sorted(alone[1]), seed
        assert ours.taken_count <= 16 + 3 * sum(counts), seed


def test_symbols_that_are_made_up_lead_nowhere_and_end():
    for seed in range(20):
        random = Random(seed)
        difference = Difference(b"salt", 64)
        for _ in range(20):
            difference.add(random.bytes(6))
        made_up = [int.from_bytes(random.bytes(8), "big") for _ in range(64)]
        if seed % 2:  # each looks like one document, again and again
            one = Symbols(b"salt", 1)
            one.add(b"thekey")
            made_up = [one.rows[0]] * 64
        assert not difference.take(made_up)
        assert len(difference.ours) + len(difference.theirs) <= 64


def forgotten(count, flags=BIG):
    """Return a peer that has the same documents as another, and neither knows it."""
    board, other = Peer("board"), Peer("other", flags)
    for n in range(count):
        other.insert(n=n, text="some text that makes it longer")
    board.wanted = ALL
    other.wanted = ALL if flags != BIG else ()
    Wire(board, other).run()
    assert board.readings() == list(range(count))
    board.store.forget_knowledge()
    other.store.forget_knowledge()
    return board, other


def closed(wire):
    """Run a link to its end, which both sides note."""
    wire.run()
    for session in wire.sessions:
        session.close("done")


def test_peers_without_a_history_send_each_other_only_what_is_missing():
    for flags in (BIG, GATEWAY, 0):
        board, other = forgotten(200, flags)
        board.insert(n=200)
        other.insert(n=201)
        wire = open_only(Wire(board, other))
        wire.bytes = 0
        wire.run()
        assert board.readings() == list(range(202))
        assert other.readings() == list(range(202))
        sent = [session.sync.sent_count() for session in wire.sessions]
        assert sum(sent) <= 4, (flags, sent)
        assert wire.bytes < 1_200, (flags, wire.bytes)


def test_afterwards_they_have_cursors_and_knowledge_and_the_next_link_is_idle():
    board, big = forgotten(100)
    closed(Wire(board, big))
    assert board.store.cursors[big.store.author][:2] == (big.store.arrival, big.store.arrival)
    assert board.store.known(big.store.author) == big.store.own_seq
    found = messages_of(open_only(Wire(board, big)))
    assert sum([len(one) for one in found]) < 20, found


def test_who_has_nothing_in_common_is_sent_everything():
    board, big = Peer("board"), Peer("big", BIG)
    board.wanted = ALL
    for n in range(100):
        big.insert(n=n)
        board.insert(n=100 + n)
    Wire(board, big).run()
    assert board.readings() == big.readings() == list(range(200))


def test_too_many_differences_are_walked_through():
    board, big = forgotten(100)
    for n in range(100, 1_000):
        big.insert(n=n)
    found = messages_of(open_only(Wire(board, big)), 20_000)
    assert board.readings() == list(range(1_000))
    assert any([bytes([FOUND, 0]) == message[:2] for message in found])


def test_a_link_that_breaks_anywhere_loses_nothing_and_does_not_begin_with_everything():
    for frame_count in range(0, 60, 3):
        board, big = forgotten(120)
        for n in range(120, 130):
            big.insert(n=n)
        Wire(board, big).run(frame_count_max=frame_count)
        wire = Wire(board, big)
        wire.run()
        assert board.readings() == list(range(130)), frame_count
        assert wire.sessions[1].sync.sent_count() <= 10, frame_count


def test_what_is_written_meanwhile_arrives():
    board, big = forgotten(60)
    wire = Wire(board, big)
    written = 60
    while wire.now_ms < 3_000:
        wire.run(for_ms=100, frame_count_max=1)
        if written < 90:
            big.insert(n=written)
            written += 1
        wire.now_ms += 1
    wire.run()
    assert board.readings() == list(range(written))


def test_a_subscription_that_grows_is_sent_what_is_new_in_it():
    board, big = Peer("board"), Peer("big", BIG)
    for n in range(200):
        big.insert(n=n, text="some text that makes it longer")
    few = (("SELECT * FROM readings WHERE n < 100", b"", 0),)
    board.wanted = few
    wire = Wire(board, big)
    wire.run()
    assert board.readings() == list(range(100))
    before = wire.sessions[1].sync.sent_count()
    board.wanted = few + (("SELECT * FROM readings WHERE n >= 150", b"", 0),)
    board.store.forget_knowledge((few[0][:2],))
    wire.sessions[0].sync.subscribe(board.wanted, wire.now_ms)
    wire.run()
    assert board.readings() == list(range(100)) + list(range(150, 200))
    assert wire.sessions[1].sync.sent_count() - before == 50


def test_a_changed_document_is_a_difference_and_the_newer_one_stays():
    board, big = forgotten(64)
    ids = [row["_id"] for row in big.executor.execute("SELECT * FROM readings").items]
    for peer, id, n in ((board, ids[0], 1_000), (big, ids[1], 1_001)):
        peer.executor.execute("UPDATE readings SET n = :n WHERE _id = :id", {"id": id, "n": n})
    Wire(board, big).run()
    assert board.readings() == big.readings()
    assert board.readings()[-2:] == [1_000, 1_001]


def test_two_that_both_have_forgotten_find_out_in_both_directions():
    boards = Peer("left"), Peer("right")
    for peer in boards:
        peer.wanted = ALL
        for n in range(100):
            peer.insert(n=n if peer is boards[0] else 100 + n)
    Wire(boards[0], boards[1]).run(10_000)
    for peer in boards:
        peer.store.forget_knowledge()
    wire = open_only(Wire(boards[0], boards[1]))
    wire.run(10_000)
    assert boards[0].readings() == boards[1].readings() == list(range(200))
    assert [session.sync.sent_count() for session in wire.sessions] == [0, 0]


# A neighbour that means harm


def run(steps):
    for _ in steps:
        pass


def finding(count=64):
    peer = Peer("peer", BIG)
    for n in range(count):
        peer.insert(n=n)
    side = Finding(peer.store, b"salt", 1024, b"neighbor")
    side.begin((ALL[0][:2],), lambda collection, id, document: True, 1, count)
    return side


def test_symbols_without_end_are_refused_or_cost_no_more_than_is_asked_for():
    side, asked = finding(), 0
    random = Random(1)
    while side.is_waiting:
        count = side.next_message(1024)[1]
        symbols = [int.from_bytes(random.bytes(8), "big") for _ in range(count)]
        run(side.take(Compared(SYMBOLS, 64, symbols)))
        asked += count
    assert asked <= 64 and side.next_message(1024) == bytes([FOUND, 0])
    assert side.held is None
    with raises(RemoteProtocolError, "asked"):
        run(side.take(Compared(SYMBOLS, 64, [1])))
    side = finding()
    with raises(RemoteProtocolError, "asked"):
        run(side.take(Compared(SYMBOLS, 64, [1] * ASKED_MAX)))


def test_who_says_hello_again_and_again_is_found_out_about_a_few_times():
    side = finding()
    for epoch in range(2, 20):
        side.begin((ALL[0][:2],), lambda collection, id, document: True, epoch, 64)
        assert side.is_waiting == (epoch <= RUNS_MAX)
    assert side.next_message(1024) == bytes([FOUND, 0])


def test_a_lie_about_the_set_ends_it():
    side = finding()
    count = side.next_message(1024)[1]
    run(side.take(Compared(SYMBOLS, 1 << 60, [0x1234567890ABCDE1] * count)))
    assert not side.is_waiting and side.held is None


def test_nobody_is_told_symbols_that_were_not_offered():
    peer = Peer("board")
    side = Offering(peer.store, b"salt", 1024)
    with raises(RemoteProtocolError, "offers"):
        run(side.take(Compared(MORE, 20, None)))
    with raises(RemoteProtocolError, "looking"):
        run(side.take(Compared(FOUND, 1, [])))
    board, big = Peer("board"), Peer("big", BIG)
    wire = Wire(board, big)
    wire.run()
    for message in (bytes([MORE, 20]), bytes([SYMBOLS, 1, 0]), bytes([FOUND, 1])):
        with raises(RemoteProtocolError):
            wire.sessions[1].sync.receive(message, wire.now_ms)


def test_a_set_too_small_to_be_worth_it_is_not_offered():
    board, big = forgotten(SET_SIZE_MIN - 1)
    found = messages_of(open_only(Wire(board, big)))
    assert not [message for message in found if message[0] == SYMBOLS and message[2]]
    assert board.readings() == list(range(SET_SIZE_MIN - 1))


def test_a_full_copy_to_an_empty_peer_knows_nothing_of_it():
    board, big = Peer("board"), Peer("big", BIG)
    for n in range(100):
        big.insert(n=n)
    board.wanted = ALL
    found = messages_of(open_only(Wire(board, big)))
    assert not [message for message in found if message[0] in (MORE, SYMBOLS, FOUND)]


def test_a_value_of_a_subscription_counts():
    board, big = Peer("board"), Peer("big", BIG)
    for n in range(100):
        big.insert(n=n)
    board.wanted = (("SELECT * FROM readings WHERE n >= :low", codec.pack({"low": 40}), 0),)
    Wire(board, big).run()
    board.store.forget_knowledge()
    wire = Wire(board, big)
    wire.run()
    assert board.readings() == list(range(40, 100))
    assert wire.sessions[1].sync.sent_count() == 0
