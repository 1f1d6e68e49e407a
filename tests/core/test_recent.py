"""What came from elsewhere, and K cannot claim, is not sent again."""

from helpers import raises
from linked import Peer, Wire

from edge_peer.core import document as documents
from edge_peer.core.errors import FormatError
from edge_peer.core.store.knowledge import RECENT_COUNT_MAX, check_of
from edge_peer.core.sync.messages import RECENT_PART_MAX, Decoder, Encoder, Recent

ALL = (("SELECT * FROM readings", b"", 0),)
SAME_IN_OTHER_WORDS = (("SELECT * FROM readings WHERE n >= 0", b"", 0),)
NEIGHBOUR = b"neighbor"


def by_a_roundabout_way():
    """Return a writer, and who has its documents from a third: nobody can know that of all."""
    writer, other, reader = Peer("writer"), Peer("other"), Peer("reader")
    other.wanted, reader.wanted = SAME_IN_OTHER_WORDS, ALL
    for n in range(5):
        writer.insert(n=n)
    Wire(writer, other).run()
    Wire(other, reader).run()
    assert reader.readings() == list(range(5))
    assert reader.store.known(writer.store.author) == 0
    return writer, reader


def test_a_writer_does_not_send_what_came_by_a_roundabout_way():
    writer, reader = by_a_roundabout_way()
    writer.insert(n=5)
    wire = Wire(writer, reader)
    wire.run()
    assert reader.readings() == list(range(6))
    assert wire.sessions[0].sync.sent_count() == 1
    assert reader.store.known(writer.store.author) == writer.store.own_seq
    assert reader.store.recent((writer.store.author,)) == []


def test_nor_does_anybody_else():
    writer, reader = by_a_roundabout_way()
    third = Peer("third")
    third.wanted = SAME_IN_OTHER_WORDS
    Wire(writer, third).run()
    wire = Wire(third, reader)
    wire.run()
    assert wire.sessions[0].sync.sent_count() == 0


def test_who_has_a_part_of_a_write_is_sent_all_of_it():
    writer, reader = Peer("writer"), Peer("reader")
    reader.wanted = ALL
    id = writer.insert(n=1, room="kitchen")
    whole = documents.decode(writer.store.body("readings", id))
    part = {path: cell for path, cell in whole.items() if path != "room"}
    reader.store.merge([("readings", id, dict(part))])
    reader.store.note_recent(part)
    wire = Wire(writer, reader)
    wire.run()
    assert wire.sessions[0].sync.sent_count() == 1
    assert reader.store.body("readings", id) == writer.store.body("readings", id)


def test_who_starts_over_says_nothing_of_what_was():
    writer, reader = by_a_roundabout_way()
    assert len(reader.store.recent((writer.store.author,))) == 5
    reader.store.forget_knowledge()
    assert reader.store.recent((writer.store.author,)) == []


def test_there_is_a_bound_to_what_is_remembered_and_said():
    store = Peer("peer").store
    for seq in range(1, 2 * RECENT_COUNT_MAX):
        store.note_recent({"n": documents.Cell(seq, NEIGHBOUR, seq, 0, b"\1")})
    found = store.recent((NEIGHBOUR,))
    assert len(found) == store.log.authors_max // 2
    assert found[-1] == (NEIGHBOUR, 2 * RECENT_COUNT_MAX - 1, check_of(["n"]))
    message = Encoder(b"somebody").recent(found[:RECENT_PART_MAX])
    assert list(Decoder(b"somebody", 1024).messages(message)) == [Recent(found[:RECENT_PART_MAX])]
    with raises(FormatError, "above"):
        list(Decoder(b"somebody", 1024).messages(bytes([message[0], RECENT_PART_MAX + 1])))
