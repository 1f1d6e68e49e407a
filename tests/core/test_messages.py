"""The grammar of sync and of the link, held to tests/vectors/messages.json."""

import json
from binascii import hexlify, unhexlify

from helpers import raises

from edge_peer.core import codec
from edge_peer.core import document as documents
from edge_peer.core.errors import FormatError
from edge_peer.core.link import ESTABLISHED, Link
from edge_peer.core.messages import (
    AUTHOR_SLOTS,
    DURABLE,
    KNOW,
    SHAPE_SLOTS,
    VECTOR_PART_MAX,
    Decoder,
    Delta,
    Done,
    Durable,
    Encoder,
    Hello,
    Know,
)
from edge_peer.core.view import view

A = unhexlify("a1a2a3a4a5a6a7a8")
STAMP = 0x190000000000


def vectors():
    with open("tests/vectors/messages.json") as file:
        return json.load(file)


def named(authors, vector):
    return {unhexlify(authors[name]): vector[name] for name in vector}


def decode_all(author, messages):
    decoder = Decoder(author)
    found = []
    for message in messages:
        found += list(decoder.messages(message))
    return found


def document(fields, stamp, author, seq):
    return documents.make(documents.flatten(fields, codec.pack), stamp, author, seq)


def test_the_vectors_mean_what_they_say():
    known = vectors()
    authors = known["authors"]
    parts = decode_all(A, [unhexlify(case["hex"]) for case in known["messages"]])
    assert len(parts) == len(known["messages"])
    for case, part in zip(known["messages"], parts):
        kind = {"know": Know, "hello": Hello, "durable": Durable, "delta": Delta, "done": Done}
        assert type(part) is kind[case["name"]]
        if "vector" in case:
            assert part.vector == named(authors, case["vector"])
        elif case["name"] == "hello":
            wanted = [(text, unhexlify(raw)) for text, raw in case["subscriptions"]]
            numbers = [case[name] for name in ("flags", "epoch", "resume", "base", "sender_epoch")]
            assert part == Hello(*(numbers + [tuple(wanted)]))
        elif case["name"] == "done":
            entries = [(unhexlify(authors[e[0]]), e[1], e[2]) for e in case["entries"]]
            assert part == Done(case["previous"], case["cursor"], case["own_seq"], entries)
        else:
            assert part.previous == case["previous"]
            for record, wanted in zip(part.records, case["records"]):
                assert record[:3] == (wanted["arrival"], wanted["collection"], wanted["id"])
                assert view(record[3], codec.unpack) == wanted["fields"]


def test_messages_encode_to_the_vectors():
    known = vectors()
    parts = decode_all(A, [unhexlify(case["hex"]) for case in known["messages"]])
    encoder = Encoder(A)
    for case, part in zip(known["messages"], parts):
        if isinstance(part, Know):
            message = encoder.vector(KNOW, part.vector)
        elif isinstance(part, Durable):
            message = encoder.vector(DURABLE, part.vector)
        elif isinstance(part, Hello):
            message = encoder.hello(part)
        elif isinstance(part, Done):
            message = encoder.done(part)
        else:
            puts = [(record[1], record[2], record[0], b"") for record in part.records]
            message = encoder.delta(part.previous, puts, [record[3] for record in part.records])
        assert hexlify(message).decode() == case["hex"], case["name"]


def test_link_frames_are_the_vectors():
    wanted = vectors()["link"]
    a = Link(b"me", 0x11223344, 0, 256, 1024)
    b = Link(b"you", 0xA0B0C0D0, 0, 256, 1024)
    first = a.frames_to_send(0)
    assert hexlify(first[0]).decode() == wanted["open"]
    b.receive_frame(first[0], 0)
    for frame in b.frames_to_send(0):
        a.receive_frame(frame, 0)
    assert a.state == ESTABLISHED
    assert [hexlify(frame).decode() for frame in a.frames_to_send(0)] == [wanted["opened"]]
    a.send_message(b"hello")
    assert hexlify(a.frames_to_send(0)[0]).decode() == wanted["data"]
    a.close("done")
    assert hexlify(a.frames_to_send(0)[0]).decode() == wanted["close"]


def test_every_prefix_of_a_message_is_refused():
    decoder = Decoder(A)
    for case in vectors()["messages"]:
        message = unhexlify(case["hex"])
        for size in range(1, len(message)):
            fresh = decode_before(case)
            with raises(FormatError):
                list(fresh.messages(message[:size]))
        list(decoder.messages(message))


def decode_before(case):
    """A decoder that has read everything that stands before this case."""
    decoder = Decoder(A)
    for earlier in vectors()["messages"]:
        if earlier == case:
            return decoder
        list(decoder.messages(unhexlify(earlier["hex"])))


def test_more_authors_and_shapes_than_slots_still_arrive():
    encoder, decoder = Encoder(A), Decoder(A)
    for n in range(3 * max(AUTHOR_SLOTS, SHAPE_SLOTS)):
        author = bytes([n]) * 8
        body = document({"f%d" % n: n, "same": 1}, STAMP + n, author, n + 1)
        message = encoder.delta(n, [("c", "id%d" % n, n + 1, b"")], [body])
        assert list(decoder.messages(message)) == [Delta(n, [(n + 1, "c", "id%d" % n, body)])]


def test_a_slot_that_was_never_defined_is_refused():
    for message in (bytes([KNOW, 1, 5 << 1, 1]), bytes([4, 0, 1, 3, 1, 2, 3 << 1])):
        with raises(FormatError, "never defined"):
            list(Decoder(A).messages(message))


def test_counts_above_their_limits_are_refused():
    with raises(FormatError, "count"):
        list(Decoder(A).messages(bytes([KNOW, VECTOR_PART_MAX + 1])))
    with raises(FormatError, "count"):
        list(Decoder(A).messages(bytes([4, 0, 65])))


def test_an_unknown_kind_is_refused():
    for kind in (0, 6, 255):
        with raises(FormatError, "kind"):
            list(Decoder(A).messages(bytes([kind])))


def test_arrival_numbers_must_rise():
    body = document({"n": 1}, STAMP, A, 7)
    message = bytearray(Encoder(A).delta(6, [("c", "x", 7, b"")], [body]))
    message[4] = 0  # arrival - previous
    with raises(FormatError, "rise"):
        list(Decoder(A).messages(bytes(message)))
