"""The grammar of sync and of the link, held to tests/vectors/messages.json."""

import json
import struct
from binascii import hexlify, unhexlify

from helpers import Random, raises

from edge_peer.core import codec
from edge_peer.core import document as documents
from edge_peer.core.errors import FormatError
from edge_peer.core.ids import automatic_id
from edge_peer.core.packing import Reader
from edge_peer.core.sync.column_reader import take_column
from edge_peer.core.sync.column_writer import FRESH, put_column
from edge_peer.core.sync.link import ESTABLISHED, Link
from edge_peer.core.sync.messages import (
    AGAIN,
    AUTHOR_SLOTS,
    DELTA,
    DURABLE,
    KNOW,
    SHAPE_SLOTS,
    VECTOR_PART_MAX,
    Again,
    Ask,
    Decoder,
    Delta,
    Done,
    Durable,
    Encoder,
    Fetch,
    Fetched,
    Hello,
    Know,
    Partly,
    Same,
)
from edge_peer.core.sync.repair import put_message

A = unhexlify("a1a2a3a4a5a6a7a8")
ROOM = 8192
STAMP = 0x190000000000


def vectors():
    with open("tests/vectors/messages.json") as file:
        return json.load(file)


def named(authors, vector):
    return {unhexlify(authors[name]): vector[name] for name in vector}


def decode_all(author, messages):
    decoder = Decoder(author, ROOM)
    found = []
    for message in messages:
        found += list(decoder.messages(message))
    return found


def document(fields, stamp, author, seq):
    return documents.make(documents.flatten(fields, codec.pack), stamp, author, seq)


def delta(encoder, part, size_max=4096):
    """What says this Delta. The last put has the cursor; which one that is, nobody hears."""
    puts = [(record[0], record[1], part.cursor, b"") for record in part.records]
    return encoder.delta(part.previous, puts, [record[2] for record in part.records], size_max)


def test_the_vectors_mean_what_they_say():
    known = vectors()
    authors = known["authors"]
    parts = decode_all(A, [unhexlify(case["hex"]) for case in known["messages"]])
    assert len(parts) == len(known["messages"])
    for case, part in zip(known["messages"], parts):
        assert type(part).__name__.lower() == case["name"]
        if "vector" in case:
            assert part.vector == named(authors, case["vector"])
        elif case["name"] == "hello":
            wanted = [(text, unhexlify(raw), hops) for text, raw, hops in case["subscriptions"]]
            names = (
                "flags",
                "epoch",
                "resume",
                "base",
                "sender_epoch",
                "known",
                "digest",
                "durable",
            )
            assert part == Hello(*([case[name] for name in names] + [tuple(wanted)]))
        elif case["name"] == "fetch":
            assert part.asked == [((one[0], one[1]), one[2]) for one in case["asked"]]
        elif case["name"] == "partly":
            assert part.entries == [(unhexlify(authors[e[0]]), e[1], e[2]) for e in case["entries"]]
        elif case["name"] == "fetched":
            assert part.count == case["count"]
        elif case["name"] in ("same", "again"):
            assert part == (Same(case["check"]) if "check" in case else Again())
        elif case["name"] == "ask":
            assert part == Ask(tuple([unhexlify(authors[name]) for name in case["authors"]]))
        elif case["name"] == "done":
            entries = [(unhexlify(authors[e[0]]), e[1], e[2]) for e in case["entries"]]
            assert part == Done(case["previous"], case["cursor"], case["own_seq"], entries)
        else:
            assert part[:2] == (case["previous"], case["cursor"])
            found = [(record[:2], hexlify(documents.encode(record[2]))) for record in part.records]
            wanted = [((r["collection"], r["id"]), r["document"]) for r in case["records"]]
            assert found == [(key, body.encode()) for key, body in wanted]


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
        elif isinstance(part, Same):
            message = encoder.same(part.check)
        elif isinstance(part, Again):
            message = bytes([AGAIN])
        elif isinstance(part, Ask):
            message = encoder.ask(part.authors)
        elif isinstance(part, Done):
            message = encoder.done(part)
        elif isinstance(part, Partly):
            message = encoder.partly(part)
        elif isinstance(part, (Fetch, Fetched)):
            message = put_message(part)
        else:
            message = delta(encoder, part)
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
        a.receive_frame(frame, 0)  # what is said again is answered again
    assert a.state == ESTABLISHED
    assert [hexlify(frame).decode() for frame in a.frames_to_send(0)] == [wanted["opened"]]
    a.send_message(b"hello")
    assert hexlify(a.frames_to_send(0)[0]).decode() == wanted["data"]
    a.close("done")
    assert hexlify(a.frames_to_send(0)[0]).decode() == wanted["close"]


def test_every_prefix_of_a_message_is_refused():
    decoder = Decoder(A, ROOM)
    for case in vectors()["messages"]:
        message = unhexlify(case["hex"])
        for size in range(1, len(message)):
            fresh = decode_before(case)
            with raises(FormatError):
                list(fresh.messages(message[:size]))
        list(decoder.messages(message))


def decode_before(case):
    """A decoder that has read everything that stands before this case."""
    decoder = Decoder(A, ROOM)
    for earlier in vectors()["messages"]:
        if earlier == case:
            return decoder
        list(decoder.messages(unhexlify(earlier["hex"])))


def test_more_authors_and_shapes_than_slots_still_arrive():
    encoder, decoder = Encoder(A), Decoder(A, ROOM)
    for n in range(3 * max(AUTHOR_SLOTS, SHAPE_SLOTS)):
        author = bytes([n]) * 8
        body = document({"f%d" % n: n, "same": 1}, STAMP + n, author, n + 1)
        part = Delta(n, n + 1, [("c", "id%d" % n, body)])
        assert list(decoder.messages(delta(encoder, part))) == [part]


def test_a_slot_that_was_never_defined_is_refused():
    for message in (bytes([KNOW, 1, 5 << 1, 1]), bytes([DELTA, 0, 1, 1, 1, 3 << 1])):
        with raises(FormatError, "never defined"):
            list(Decoder(A, ROOM).messages(message))


def test_counts_above_their_limits_are_refused():
    with raises(FormatError, "count"):
        list(Decoder(A, ROOM).messages(bytes([KNOW, VECTOR_PART_MAX + 1])))
    with raises(FormatError, "count"):
        list(Decoder(A, ROOM).messages(bytes([DELTA, 0, 1, 255, 255, 3])))


def test_an_unknown_kind_is_refused():
    for kind in (0, 7, 255):
        with raises(FormatError, "kind"):
            list(Decoder(A, ROOM).messages(bytes([kind])))


def readings(count, fields):
    """A Delta of so many documents of A's; fields(n) -> fields."""
    found = []
    for n in range(count):
        stamp = STAMP + (n << 8)
        found.append(("c", automatic_id(stamp, A), document(fields(n), stamp, A, n + 1)))
    return Delta(0, count, found)


def test_few_bytes_are_no_more_documents_than_the_link_carries():
    part = readings(64, lambda n: {"a": 1, "b": 2})
    size = sum([len(documents.encode(record[2])) for record in part.records])
    message = delta(Encoder(A), part)
    assert len(message) < 60
    assert list(Decoder(A, size).messages(message)) == [part]
    with raises(FormatError, "more documents"):
        list(Decoder(A, size // 2).messages(message))


def test_what_takes_too_many_bytes_is_not_said_and_leaves_no_trace():
    first = readings(8, lambda n: {"text": "ab" * n, "n": n * n})
    second = readings(8, lambda n: {"text": "abc" * n, "n": n, "m": [n, "x" * 9]})
    encoder, other, decoder = Encoder(A), Encoder(A), Decoder(A, ROOM)
    for part in (first, second, first):
        assert delta(encoder, second, 30) == b""
        message = delta(encoder, part)
        assert message == delta(other, part)
        assert list(decoder.messages(message)) == [part]


def test_decimals_are_the_same_bytes_wherever_they_are_read():
    values = []
    for text in ("0", "-0.01", "21.53", "1e9", "52.520008", "-13.4049540", "0.1", "123456.7"):
        values += [struct.pack(">d", float(text)), struct.pack(">f", float(text))]
    values += [b"\x80" + bytes(7), b"\x7f\xef" + b"\xff" * 6, b"\x00" * 7 + b"\x01", b"\x3f" * 8]
    for raw in values:
        head = b"\xcb" if len(raw) == 8 else b"\xca"
        column = [head + raw] * 3
        out = bytearray()
        put_column(out, column, FRESH)
        assert take_column(Reader(out), 3, FRESH, 0)[0] == column


def test_columns_of_anything_come_back_as_they_went_in():
    random = Random(5)
    pools = [
        [codec.pack(n) for n in (0, 1, -1, 127, 128, -32, -33, 1 << 40, -(1 << 63), (1 << 63) - 1)],
        [codec.pack("v%03d" % n) for n in range(12)] + [codec.pack("v1"), codec.pack("")],
        [codec.pack(x) for x in (None, True, False, [1, 2], {"a": "b"}, b"raw", "x" * 40)],
        [codec.pack(n / 4) for n in range(-8, 8)],
        [b"\xcc\x05", b"\xd0\x05", b"\xd9\x01a"],  # not the shortest form: to be kept
    ]
    for _ in range(200):
        column = after = FRESH
        for _ in range(4):
            pool = pools[random.below(len(pools))]
            values = [pool[random.below(len(pool))] for _ in range(1 + random.below(20))]
            out = bytearray()
            column = put_column(out, values, column)
            read, after = take_column(Reader(bytes(out)), len(values), after, 0)
            assert read == values and after == column
            assert len(out) <= 1 + sum([len(value) for value in values])
