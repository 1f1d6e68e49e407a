"""SAME, the HELLO in a word: when it is said, and what happens where it is not understood."""

from helpers import Random, raises
from linked import BIG, GATEWAY, Peer, Wire, messages_of, open_only

from edge_peer.core.errors import RemoteProtocolError
from edge_peer.core.sync.messages import AGAIN, DELTA, DURABLE, HELLO, SAME

ALL = (("SELECT * FROM readings", b"", 0),)


def parted(a, b, now_ms=0):
    """Let two peers exchange all and part; return what they have said."""
    wire = open_only(Wire(a, b, now_ms=now_ms))
    said = messages_of(wire)
    for session in wire.sessions:
        session.close("done")
    return said


def kinds(messages):
    return [message[0] for message in messages]


def test_who_has_no_news_says_one_word():
    writer, big, reader = Peer("writer"), Peer("big", BIG), Peer("reader")
    reader.wanted = ALL
    writer.insert(n=1)
    for peer in (writer, reader):
        parted(peer, big)
        said = parted(peer, big)
        assert kinds(said) == [SAME, SAME]
        assert sum([len(message) for message in said]) == 10


def test_news_are_said_in_full_and_what_is_the_same_is_not():
    writer, big = Peer("writer"), Peer("big", BIG)
    parted(writer, big)
    parted(writer, big)
    writer.insert(n=1)
    assert kinds(parted(writer, big)) == [HELLO, SAME, DELTA, DURABLE]
    assert big.readings() == [1]


def test_who_has_forgotten_asks_again():
    writer, big, reader = Peer("writer"), Peer("big", BIG), Peer("reader")
    reader.wanted = ALL
    for peer in (writer, reader):
        parted(peer, big)
        parted(peer, big)
    big.store.greetings = {}
    writer.insert(n=1)
    parted(writer, big)
    assert kinds(parted(reader, big))[:4] == [SAME, AGAIN, HELLO, HELLO]
    assert reader.readings() == [1]
    reader.store.greetings = {}
    assert kinds(parted(reader, big)) == [HELLO, SAME, AGAIN, HELLO, HELLO, DURABLE, DURABLE]


def test_whoever_forgets_whatever_all_arrives():
    for seed in range(60):
        random = Random(seed)
        flags = (GATEWAY, GATEWAY) if random.below(2) else (0, BIG)
        peers = [Peer("a", flags[0], seed=seed + 1), Peer("b", flags[1], seed=seed + 1001)]
        written = 0
        for _ in range(8):
            for peer in peers:
                if random.below(3) == 0:
                    peer.store.greetings = {}
                if random.below(3) == 0:
                    peer.insert(n=written)
                    written += 1
            peers[0].wanted = ALL
            peers[1].wanted = ALL if flags[1] != BIG else ()
            wire = Wire(peers[0], peers[1])
            wire.run(3_000, 6 + random.below(30) if random.below(2) else None)
            assert not [session for session in wire.sessions if session.is_closed()], seed
            for session in wire.sessions:
                session.close("done")
        parted(peers[0], peers[1])
        assert peers[0].readings() == peers[1].readings() == list(range(written)), seed


def test_asking_again_for_what_was_said_in_full_is_the_remotes_mistake():
    writer, big = Peer("writer"), Peer("big", BIG)
    wire = Wire(writer, big)
    wire.run()
    with raises(RemoteProtocolError, "in full"):
        wire.sessions[0].sync.receive(bytes([AGAIN]), wire.now_ms)


def test_same_in_the_middle_is_the_remotes_mistake():
    writer, big = Peer("writer"), Peer("big", BIG)
    wire = Wire(writer, big)
    wire.run()
    with raises(RemoteProtocolError, "Same while started"):
        wire.sessions[1].sync.receive(bytes([SAME, 0, 0, 0, 0]), wire.now_ms)


def test_no_more_greetings_are_remembered_than_there_is_room_for():
    big = Peer("big", BIG)
    for n in range(9):
        parted(Peer("writer%d" % n), big)
    assert len(big.store.greetings) <= max(1, big.store.log.authors_max // 16)
