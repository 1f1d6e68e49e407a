"""
Every parser, on anything: it reads or raises the error that it documents, and nothing else.

Each test states its invariant. The cases are the same in every run (tests/conftest.py);
`pytest tests/fuzz --hypothesis-profile=search` looks for new ones.
"""

import math
import struct

from hypothesis import example, given
from hypothesis import strategies as st
from memory import MemoryLog, open_store
from vectors.cases import load, same

from edge_peer.core import codec as portable
from edge_peer.core import document as documents
from edge_peer.core.errors import FormatError, QueryError
from edge_peer.core.kinds import Attachment, packed_token
from edge_peer.core.packing import Reader, put_text, put_varint, put_zigzag
from edge_peer.core.query.evaluate import MISSING, sort_key
from edge_peer.core.query.execute import Executor
from edge_peer.core.query.parser import parse
from edge_peer.core.query.view import fields_of, view
from edge_peer.core.sync.column_reader import take_column
from edge_peer.core.sync.column_writer import FRESH, NUMBERED, Column, put_column
from edge_peer.core.sync.decimals import SCALE_MAX, float_of, number_of
from edge_peer.core.sync.exchange import Exchange, put_message
from edge_peer.core.sync.frame import FrameDecoder
from edge_peer.core.sync.frame import encode as encode_frame
from edge_peer.core.sync.messages import (
    AGAIN,
    ALL_DURABLE,
    DIGEST,
    DURABLE,
    FOUND,
    HAVE,
    HOPS_MAX,
    KNOW,
    MORE,
    OFFER,
    PIECES,
    RECENT,
    RELAYS,
    WANT,
    WANTS_ALL,
    Again,
    Ask,
    Attached,
    Compared,
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
    Recent,
    Same,
)
from edge_peer.core.sync.presence import Link, Presence, Telling, take_entries
from edge_peer.core.sync.repair import put_message as put_repair
from edge_peer.core.unpack import value_end
from edge_peer.host import codec as host

A, B = b"author-a", b"author-b"
CODECS = (portable, host)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.binary(max_size=20)
)
names = st.sampled_from("abm") | st.text(min_size=1, max_size=8).filter(
    lambda name: "\0" not in name
)


def nested(keys, leaf_count_max):
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5),
        max_leaves=leaf_count_max,
    )


values = nested(st.text(max_size=8), 20)
all_fields = st.dictionaries(names, nested(names, 4), min_size=1, max_size=4)
stamps = st.integers(1, 8) | st.integers(1, documents.STAMP_MAX)
seqs = st.integers(1, 8) | st.integers(1, documents.SEQ_MAX)
authors = st.sampled_from([A, B]) | st.binary(min_size=8, max_size=8)


tokens = st.builds(
    Attachment,
    st.binary(min_size=16, max_size=16),
    st.integers(0, (1 << 63) - 1),
    st.text(max_size=16),
)
other_changes = (
    st.just((documents.REMOVED, None))
    | st.tuples(st.just(documents.COUNTER), st.integers(-9, 9) | st.integers(-(1 << 60), 1 << 60))
    | tokens.map(lambda token: (documents.ATTACHMENT, packed_token(token)))
)
lives = st.sampled_from(
    [
        {documents.LIFE: (documents.REMOVED, None)},
        {documents.BIRTH: documents.NIL},
        {documents.LIFE: (documents.REMOVED, None), documents.BIRTH: documents.NIL},
    ]
)


def changes_of(paths, packed):
    """What one write changes: registers, most often, and all that there is beside them."""
    return st.builds(
        lambda values, others, life: {**values, **others, **life},
        st.dictionaries(paths, packed, max_size=3),
        st.dictionaries(paths, other_changes, max_size=2),
        st.just({}) | lives,
    ).filter(bool)


@st.composite
def any_document(draw, changes=None, stamps=stamps, authors=authors, seqs=seqs):
    """Several writes, each by somebody who had the document at hand, or who had not."""
    document = {}
    for _ in range(draw(st.integers(1, 4))):
        if changes is None:
            change = {**draw(other_paths), **documents.flatten(draw(all_fields), host.pack)}
        else:
            change = draw(changes)
        old = dict(document) if draw(st.booleans()) else None
        stamp = max([draw(stamps)] + [cell.stamp for cell in (old or {}).values()])
        try:
            write = documents.make(change, stamp, draw(authors), draw(seqs), old)
        except ValueError as error:
            assert "counter" in str(error)  # too deep or too long a name, or 64 bits
            continue
        documents.merge(document, write)
    return document


other_paths = st.just({}) | changes_of(names, values.map(host.pack))


@st.composite
def damaged(draw, sources):
    """Good bytes with a few bytes changed, lost, added or repeated."""
    data = draw(sources)
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 8)))
        data = (
            data[:start] + draw(st.binary(max_size=8) | st.just(data[start:end] * 2)) + data[end:]
        )
    return data


def hexes(name, *kinds):
    return [
        bytes.fromhex(case["hex"]) for kind in kinds for case in load(name)[kind] if "hex" in case
    ]


def vector_bytes(name, *kinds):
    return st.sampled_from(hexes(name, *kinds))


def refused(read, data, error=FormatError):
    """Return what `read` makes of it, or None for the error that it documents."""
    try:
        return (read(data),)
    except error:
        return None


# Primitives


@given(st.binary(max_size=80), st.lists(st.sampled_from("bvzct"), max_size=20))
def test_a_reader_reads_forward_or_raises_format_error(data, calls):
    """Every read moves forward, never behind the end, and what it read is written as it was."""
    reader = Reader(data)
    out = bytearray()
    try:
        for call in calls:
            before = reader.position
            if call == "b":
                out.append(reader.byte())
            elif call == "v":
                put_varint(out, reader.varint())
            elif call == "z":
                put_zigzag(out, reader.zigzag())
            elif call == "c":
                taken = reader.take(reader.count(10))
                put_varint(out, len(taken))
                out += taken
            else:
                put_text(out, reader.text(10))
            assert before < reader.position <= len(data)
            assert out == data[: reader.position]
    except FormatError:
        assert reader.position <= len(data)


# MessagePack


@given(
    st.binary(max_size=100)
    | damaged(values.map(host.pack))
    | damaged(vector_bytes("codec", "values", "read_only", "refused"))
)
@example(b"\x91" * 33 + b"\x90")
@example(b"\xd6\xff\0\0\0\0")
def test_both_codecs_take_and_refuse_the_same_bytes(data):
    """For any bytes: both read equal values and write the same bytes of them, or both refuse."""
    ours, theirs = refused(portable.unpack, data), refused(host.unpack, data)
    assert (ours is None) == (theirs is None)
    if ours is None:
        return
    packed = portable.pack(ours[0])
    assert packed == host.pack(theirs[0]) == host.pack(ours[0])
    for each in CODECS:
        assert each.pack(each.unpack(packed)) == packed
        if not math.isnan(hold_nan(ours[0])):
            assert same(each.unpack(packed), ours[0])
            assert same(theirs[0], ours[0])


def hold_nan(value):
    """NaN if there is one anywhere in the value, else 0."""
    if isinstance(value, float):
        return value if math.isnan(value) else 0.0
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(hold_nan(item) for item in inner)


@given(values)
def test_both_codecs_write_any_value_alike(value):
    """For any value of a document: the same bytes from both, which both read as that value."""
    data = portable.pack(value)
    assert host.pack(value) == data
    for each in CODECS:
        assert same(each.unpack(data), value)


@given(
    st.binary(max_size=100)
    | damaged(values.map(host.pack))
    | damaged(vector_bytes("codec", "values", "read_only", "refused")),
    st.integers(0, 3),
)
def test_a_value_ends_exactly_where_it_can_be_read(data, position):
    """value_end finds an end if and only if both codecs read what stands before it, and
    no number in it is one that a document refuses."""
    found = refused(lambda data: value_end(data, position), data)
    if found is not None:
        assert position < found[0] <= len(data)
        for each in CODECS:
            each.unpack(data[position : found[0]])
    elif position == 0:
        for end in range(len(data) + 1):
            read = refused(portable.unpack, data[:end])
            assert read is None or not all(is_storable(number) for number in numbers_in(read[0]))


def numbers_in(value):
    """Yield every number in a value, however deep."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from numbers_in(item)
    elif isinstance(value, (int, float)):
        yield value


def is_storable(number):
    return math.isfinite(number) and (isinstance(number, float) or number < 1 << 63)


# Documents


@given(
    st.binary(max_size=100)
    | damaged(any_document().map(documents.encode))
    | damaged(vector_bytes("document", "documents", "refused"))
)
def test_a_document_is_read_or_refused(data):
    """Any bytes are one document, which is written as the same bytes again, or FormatError."""
    found = refused(documents.decode, data)
    if found is not None:
        assert documents.encode(found[0]) == data


# Few names, stamps and values, so that most writes meet others.
crowded = any_document(
    changes_of(
        st.sampled_from(["a", "b", "m", "m\0a", "m\0b"]),
        st.sampled_from([b"\x01", b"\x02", b"\x80", host.pack(0.1), b"\xca\x3d\xcc\xcc\xcd"]),
    ),
    st.integers(1, 4),
    st.sampled_from([A, B]),
    st.integers(1, 3),
)


@given(crowded | any_document(), crowded | any_document(), crowded | any_document())
def test_merging_any_documents_gives_the_same_bytes(a, b, c):
    """merge is commutative, associative and idempotent, to the byte; so is what is seen."""
    expected = documents.encode(merged(a, b, c))
    seen = view(merged(a, b, c), host.unpack)
    for order in ((c, b, a), (b, a, c), (merged(b, c), a), (a, merged(a, b), merged(c, c), b)):
        assert documents.encode(merged(*order)) == expected
        assert same(view(merged(*order), host.unpack), seen)


@given(crowded | any_document())
def test_any_document_is_the_same_in_cells_bytes_and_queries(document):
    """What is written reads back, and queries see of the bytes what a view shows of the cells."""
    data = documents.encode(document)
    assert documents.decode(data) == document
    assert documents.encode(dict(reversed(document.items()))) == data
    fields = fields_of(data, host.unpack)
    assert (fields is None) == documents.is_deleted(document)
    assert same(fields or {}, view(document, portable.unpack))


@given(all_fields)
def test_any_fields_come_back_as_they_were_written(fields):
    """What flatten takes, view gives back; what it refuses is a TypeError or ValueError."""
    try:
        flat = documents.flatten(fields, host.pack)
    except ValueError:
        return
    document = documents.decode(documents.encode(documents.make(flat, 1, A, 1)))
    assert same(view(document, portable.unpack), fields)


def merged(*all_documents):
    result = {}
    for document in all_documents:
        documents.merge(result, document)
    return result


# Frames


@given(st.binary(max_size=300) | st.lists(st.sampled_from([b"\0", b"\1", b"\xff"])).map(b"".join))
def test_a_frame_decoder_takes_any_bytes(data):
    """Whole or byte by byte: the same frames and count, none too long, and the next is found."""
    whole, bytewise = FrameDecoder(30), FrameDecoder(30)
    frames = whole.receive(data)
    assert frames == [frame for byte in data for frame in bytewise.receive(bytes([byte]))]
    assert whole.damaged_count == bytewise.damaged_count
    assert all(0 < len(frame) <= 30 for frame in frames)
    assert whole.receive(b"\0" + encode_frame(b"next"))[-1] == b"next"


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5), st.lists(st.integers(0, 2000)))
def test_frames_arrive_however_they_are_cut(frames, cuts):
    """Any frames, cut anywhere, arrive in their order, and nothing is counted as damaged."""
    wire = b"".join(encode_frame(frame) for frame in frames)
    decoder = FrameDecoder(300)
    found = []
    start = 0
    for end in [*sorted(min(cut, len(wire)) for cut in cuts), len(wire)]:
        found += decoder.receive(wire[start:end])
        start = end
    assert found == frames
    assert decoder.damaged_count == 0


# Statements

WORDS = (
    "SELECT INSERT INTO DOCUMENTS FROM WHERE ORDER BY LIMIT OFFSET AND OR NOT IN LIKE BETWEEN IS"
    " NULL MISSING TRUE AS ASC DESC COUNT ON ID CONFLICT DO NOTHING UPDATE a b _id x :p :q : . ,"
    " GROUP HAVING DISTINCT SUM SET APPLY INCREMENT BY UNSET DELETE EVICT CREATE DROP INDEX IF"
    " EXISTS EXPLAIN INITIAL"
    " ( ) [ ] { } = != <> < <= > >= + - * / % || 0 1 2.5 1e3 9999999999 'text' \"t%_\" `q` ' ` é ;"
)
OPERATORS = "= != < <= > >= + - * / % || AND OR IN LIKE"
atoms = st.sampled_from(
    ["1", "2.5", "0", "1e308", "'a'", "'%a_'", "NULL", "TRUE", "a", "m.x", "q", "_id", ":p", ":q"]
)
expressions = st.recursive(
    atoms,
    lambda inner: (
        st.tuples(inner, st.sampled_from(OPERATORS.split(" ")), inner)
        .map(" ".join)
        .map("({})".format)
        | inner.map("(NOT {})".format)
        | atoms.map("(-{})".format)
        | inner.map("({} IS MISSING)".format)
        | inner.map("({} IS NOT NULL)".format)
        | st.tuples(inner, inner, inner).map(lambda three: "({} BETWEEN {} AND {})".format(*three))
        | st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]")
        | inner.map("{{k: {}}}".format)
    ),
    max_leaves=12,
)


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(WORDS.split(" ")), max_size=20).map(" ".join)
    | st.text(max_size=20).map("SELECT * FROM x WHERE {}".format)
    | expressions.map("SELECT * FROM x WHERE {}".format)
    | expressions.map("INSERT INTO x DOCUMENTS ({})".format)
    | expressions.map("UPDATE x SET a = 1, b.c = {}".format)
    | expressions.map("EXPLAIN SELECT SUM({0}) FROM x GROUP BY a HAVING {0} ORDER BY {0}".format)
)
def test_a_statement_is_parsed_or_refused(text):
    """Any text is a statement, or QueryError with a column inside it."""
    try:
        statement = parse(text)
    except QueryError as error:
        assert 0 <= error.column <= len(text) + 1
    else:
        assert isinstance(statement[0], str)
        assert parse(text + " ; ") == statement


@given(
    expressions,
    expressions,
    st.dictionaries(
        st.sampled_from("pq"), nested(st.text(max_size=8), 4) | st.tuples(scalars), max_size=2
    ),
    st.lists(st.dictionaries(st.sampled_from("amq"), nested(names, 4), min_size=1), max_size=3),
)
def test_what_is_parsed_is_executed_or_refused(expression, order, arguments, rows):
    """Any expression, on any documents and arguments: rows in order, or QueryError."""
    executor = Executor(open_store(), host)
    executor.execute("INSERT INTO x DOCUMENTS (:rows)", {"rows": rows})
    try:
        found = executor.execute(f"SELECT {order} AS r FROM x ORDER BY {order}", arguments).items
        taken = executor.execute(f"SELECT _id FROM x WHERE {expression}", arguments).items
        count = executor.execute(f"SELECT COUNT(*) FROM x WHERE {expression}", arguments).items
        refused = executor.execute(f"SELECT _id FROM x WHERE NOT {expression}", arguments).items
    except QueryError as error:
        assert "no argument" in str(error)
        return
    assert len(found) == len(rows)
    keys = [sort_key(row["r"]) for row in found if "r" in row]
    assert keys == sorted(keys)
    assert count == [{"count": len(taken)}]
    ids = [row["_id"] for row in taken + refused]
    assert len(ids) == len(set(ids))  # nothing is both true and false


@given(expressions, st.lists(st.dictionaries(st.sampled_from("amq"), scalars, min_size=1)))
def test_every_document_is_in_one_group(expression, rows):
    executor = Executor(open_store(), host)
    executor.execute("INSERT INTO x DOCUMENTS (:rows)", {"rows": rows})
    arguments = {"p": 1, "q": "a"}
    group = f"SELECT {expression} AS g, COUNT(*) AS c FROM x GROUP BY {expression}"
    groups = executor.execute(group, arguments).items
    distinct = executor.execute(f"SELECT DISTINCT {expression} AS g FROM x", arguments).items
    assert sum(one["c"] for one in groups) == len(rows)
    keys = [sort_key(one.get("g", MISSING)) for one in groups]
    assert sorted(keys) == sorted(sort_key(one.get("g", MISSING)) for one in distinct)


@given(
    expressions,
    expressions,
    st.lists(st.dictionaries(st.sampled_from("amq"), nested(names, 4), min_size=1), max_size=3),
)
def test_an_update_is_seen_or_refused_with_nothing_changed(expression, where, rows):
    executor = Executor(open_store(), host)
    executor.execute("INSERT INTO x DOCUMENTS (:rows)", {"rows": rows})
    arguments = {"p": 1, "q": "a"}
    everything = "SELECT * FROM x ORDER BY _id"
    before = executor.execute(everything).items
    asked = f"SELECT _id, {expression} AS r FROM x WHERE {where} ORDER BY _id"
    expected = executor.execute(asked, arguments).items
    try:
        ids = executor.execute(f"UPDATE x SET new = {expression} WHERE {where}", arguments).ids
    except QueryError:
        assert executor.execute(everything).items == before
        return
    assert set(ids) <= {row["_id"] for row in expected}
    for row in expected:
        found = executor.execute("SELECT new FROM x WHERE _id = :id", {"id": row["_id"]}).items
        assert found == [{"new": row["r"]} if "r" in row else {}]


@given(expressions, st.dictionaries(st.sampled_from("pq"), nested(names, 4), max_size=2))
def test_what_is_inserted_is_found_or_refused(expression, arguments):
    """Any expression as a document: it is there under its id afterwards, or QueryError."""
    executor = Executor(open_store(), host)
    try:
        ids = executor.execute(f"INSERT INTO x DOCUMENTS ({expression})", arguments).ids
    except QueryError:
        assert executor.execute("SELECT * FROM x").items == []
        return
    rows = executor.execute("SELECT * FROM x").items
    assert sorted(row["_id"] for row in rows) == sorted(ids)


# What neighbours say

numbers = st.integers(0, 200) | st.integers(0, (1 << 48) - 1)
vectors = st.dictionaries(authors, numbers, max_size=4)


@st.composite
def hellos(draw):
    flags, resume = draw(st.integers(0, 4_095)), draw(numbers)
    digest = draw(st.integers(0, (1 << 32) - 1)) if flags & DIGEST else 0
    durable = 0 if flags & ALL_DURABLE else draw(numbers)
    request = st.tuples(st.text(max_size=20), st.binary(max_size=20), st.integers(0, HOPS_MAX))
    wanted = draw(st.lists(request, max_size=2))
    others = draw(numbers), resume, draw(numbers), draw(numbers), draw(numbers)
    return Hello(flags, *others, digest, durable, tuple(wanted))


asks = st.lists(authors, max_size=4).map(lambda found: Ask(tuple(found)))


@st.composite
def deltas(draw):
    previous = draw(st.integers(0, 50))
    records = [
        (draw(st.sampled_from("xy")), draw(st.text(min_size=1, max_size=9)), draw(any_document()))
        for _ in range(draw(st.integers(1, 3)))
    ]
    return Delta(previous, previous + draw(st.integers(1, 9)), records)


@given(st.lists(st.lists(scalars.map(host.pack), min_size=1, max_size=9), min_size=1, max_size=4))
def test_columns_of_any_values_come_back_as_they_went_in(columns):
    written = read = FRESH
    for values in columns:
        out = bytearray()
        written = put_column(out, values, written)
        found, read = take_column(Reader(bytes(out)), len(values), read, 0)
        assert found == values and read == written


@given(st.integers(-(1 << 50), 1 << 50), st.integers(0, SCALE_MAX))
def test_a_decimal_is_the_nearest_float(number, scale):
    """As CPython's own division and strtod round it, which are correct to the last bit."""
    assert float_of(number, scale, 8) == struct.pack(">d", number / 10**scale)
    assert float_of(number, scale, 8) == struct.pack(">d", float(f"{number}e-{scale}"))


@given(st.floats(width=64, allow_nan=False, allow_infinity=False), st.integers(0, SCALE_MAX))
def test_a_float_is_a_decimal_only_if_that_gives_the_same_bytes_back(value, scale):
    for raw in struct.pack(">d", value), struct.pack(">f", 0 if abs(value) > 1e38 else value):
        number = number_of(raw, scale)
        assert number is None or float_of(number, scale, len(raw)) == raw


@given(st.binary(max_size=40), st.integers(1, 40), st.integers(-5, 5), st.booleans())
def test_any_column_is_read_or_refused_and_small(data, count, last, has_table):
    """No value is more than 31 bytes larger than all that it was read from."""
    column = Column(NUMBERED | 1 << 4, last, b"\xa2a", (b"\xa1x",) if has_table else ())
    answer = refused(lambda it: take_column(Reader(it), count, column, 0), data)
    found = answer[0][0] if answer else []
    assert sum(len(value) for value in found) <= 32 * count + len(data)
    for value in found:
        portable.unpack(value)


@st.composite
def dones(draw):
    previous, more = draw(numbers), draw(st.integers(0, 100))
    own_seq = draw(st.integers(0, previous + more))
    entries = draw(st.lists(st.tuples(authors, numbers, numbers), max_size=3))
    return Done(previous, previous + more, own_seq, entries)


@given(st.binary(max_size=200))
def test_any_description_of_a_mesh_is_taken_or_refused_and_stays_bounded(data):
    answer = refused(lambda it: take_entries(Reader(it)), data)
    presence = Presence(A, "a", 64)
    presence.note_links([Link(B, "b", "lan", 3)])
    presence.take(answer[0] if answer else [], B, True)
    assert len(presence.graph()) <= 17
    message = Telling(presence, B).next_message(1024, 0)
    assert not message or take_entries(Reader(message[1:]))


blob_ids = st.sampled_from([A + A, A + B]) | st.binary(min_size=16, max_size=16)


@st.composite
def attached(draw):
    kind = draw(st.sampled_from([WANT, PIECES, OFFER, HAVE]))
    number = 0 if kind == HAVE else draw(st.integers(0, 20) | st.integers(0, 1 << 24))
    runs, data = [], b""
    if kind == WANT:
        end, last = 0, (number + 511) // 512
        while end < last and draw(st.booleans()) and len(runs) < 16:
            start = draw(st.integers(end, last - 1))
            runs.append((start, draw(st.integers(1, min(256, last - start)))))
            end = sum(runs[-1])
    elif kind == PIECES:
        data = bytes(draw(st.integers(0, 4) | st.sampled_from([512, 1024, 1030])))
    return Attached(kind, draw(blob_ids), number, runs, data)


sames = st.builds(Same, st.integers(0, 0xFFFFFFFF)) | st.just(Again())
conversations = st.lists(
    st.tuples(st.just(KNOW), vectors)
    | st.tuples(st.just(DURABLE), vectors)
    | st.tuples(st.none(), hellos() | deltas() | dones() | asks | attached() | sames),
    max_size=4,
)


def said(encoder, part):
    kind, content = part
    if kind is not None:
        return encoder.vector(kind, content)
    if isinstance(content, Hello):
        return encoder.hello(content)
    if isinstance(content, Done):
        return encoder.done(content)
    if isinstance(content, Same):
        return encoder.same(content.check)
    if isinstance(content, Again):
        return bytes([AGAIN])
    if isinstance(content, Attached):
        return put_message(content)
    if isinstance(content, Ask):
        return encoder.ask(content.authors)
    if isinstance(content, Recent):
        return encoder.recent(content.writes) or bytes([RECENT, 0])
    if isinstance(content, Partly):
        return encoder.partly(content)
    if isinstance(content, (Fetch, Fetched)):
        return put_repair(content)
    if isinstance(content, Compared):
        return put_compared(content)
    puts = [(record[0], record[1], content.cursor, b"") for record in content.records]
    bodies = [record[2] for record in content.records]
    return encoder.delta(content.previous, puts, bodies, 1 << 20)


def put_compared(part):
    out = bytearray([part.kind])
    put_varint(out, part.number)
    if part.kind not in (MORE, FOUND):
        put_varint(out, len(part.items))
    size = 3 if part.kind == FOUND else 8
    for item in part.items or ():
        out += item if isinstance(item, bytes) else item.to_bytes(size, "big")
    return bytes(out)


def told(part):
    """A message without the order of its documents, which a sender changes."""
    if not isinstance(part, Delta):
        return part
    return part._replace(
        records=sorted(part.records, key=lambda put: (*put[:2], documents.encode(put[2])))
    )


@given(conversations)
def test_what_is_said_is_what_is_heard(conversation):
    """Any messages of any contents, in any order on one link, are read as they were meant."""
    encoder, decoder = Encoder(A), Decoder(A, 1 << 20)
    for part in conversation:
        (heard,) = decoder.messages(said(encoder, part))
        assert told(heard) == (told(part[1]) if part[0] is None else (part[1],))


@st.composite
def wires(draw):
    """Messages of one direction of a link; one of them perhaps damaged, or all of them noise."""
    encoder = Encoder(A)
    found = [said(encoder, part) for part in draw(conversations)]
    if not found or draw(st.integers(0, 9)) == 0:
        return draw(st.lists(st.binary(max_size=60), max_size=3))
    i = draw(st.integers(0, len(found) - 1))
    found[i] = draw(damaged(st.just(found[i])))
    return found


def hear(decoder, wire):
    """Return (messages, whether the whole wire was legal)."""
    heard = []
    try:
        for message in decoder.messages(wire):
            heard.append(message)
    except FormatError:
        return heard, False
    return heard, True


@given(wires() | vector_bytes("messages", "messages").map(lambda wire: [wire]))
def test_any_bytes_from_a_neighbour_are_messages_or_a_format_error(all_wires):
    """What is heard can be said again, to be heard the same; every value in it can be read."""
    decoder = Decoder(A, 1 << 20)
    encoder, echo = Encoder(A), Decoder(A, 1 << 20)
    for wire in all_wires:
        heard, whole = hear(decoder, wire)
        for message in heard:
            kind = {Know: KNOW, Durable: DURABLE}.get(type(message))
            again = said(encoder, (kind, message if kind is None else message.vector))
            (echoed,), is_legal = hear(echo, again)
            assert is_legal and told(echoed) == told(message)
            for record in message.records if isinstance(message, Delta) else ():
                for cell in record[2].values():
                    assert host.pack(portable.unpack(cell.value)) == host.pack(
                        host.unpack(cell.value)
                    )
        if not whole:
            break


class Neighbour:
    their_flags = RELAYS | WANTS_ALL


@given(st.sampled_from([0, RELAYS, WANTS_ALL]), st.lists(attached(), max_size=12), wires())
def test_whatever_a_neighbour_says_of_attachments_is_taken_and_bounded(flags, said, noise):
    """What it makes us keep in memory has a limit, and what we answer is legal."""
    store = open_store(keeps_all=flags == WANTS_ALL)
    own = store.attachments.attach(bytes(1_500), "a/b")
    for wire in noise:
        said += [one for one in hear(Decoder(A, 1 << 20), wire)[0] if isinstance(one, Attached)]
    exchange = Exchange(store.attachments, Neighbour, flags, 4_096)
    for now_ms, message in enumerate(said):
        exchange.take(message, now_ms)
        answer = exchange.next_message(2_048, now_ms)
        assert len(answer) <= 2_048
        assert hear(Decoder(A, 1 << 20), answer)[1]
        assert len(store.attachments.wants) <= 16 and len(store.attachments.offers) <= 32
        due_ms = exchange.deadline_ms()
        assert due_ms is None or due_ms > now_ms
    assert all(store.attachments.read(own.id, number) is not None for number in range(3))
    exchange.close()
    while exchange.next_message(2_048, 100_000):
        pass
    assert not [want for want in store.attachments.wants.values() if want.asked_of(exchange, 0)]


def varints(*numbers):
    out = bytearray()
    for number in numbers:
        put_varint(out, number)
    return bytes(out)


# One record of a new shape: collection x, an automatic id, one run of one field, n.
DELTA_OF_N = b"\x04" + varints(0, 1, 1, 1) + b"\x01\x01x\x03\x01\x04n"


@given(wires())
@example([b"\x05" + varints((1 << 63) - 1, (1 << 63) - 1, 0, 0)])  # a cursor of 64 bits
@example([b"\x05" + varints(1 << 62, 1 << 62, 1 << 62, 0)])
@example([b"\x04" + varints((1 << 63) - 2, 1, 0)])  # a cursor of 63
@example([DELTA_OF_N + b"\x01\x00" + varints((1 << 63) - 2, 0) + b"\x00\x01"])  # a seq of 62
@example([DELTA_OF_N + b"\x01\x00" + varints(2, 2 * documents.STAMP_MAX) + b"\x00\x01"])
def test_whatever_a_neighbour_says_the_store_opens_again(all_wires):
    """What was taken from a neighbour is there after a restart, and can be read and updated."""
    log = MemoryLog()
    store = open_store(log)
    decoder = Decoder(A, 1 << 20)
    for wire in all_wires:
        heard, whole = hear(decoder, wire)
        for message in heard:
            if isinstance(message, Delta):
                store.merge(message.records)
                store.set_cursor(A, (message.previous, message.previous, 1))
            elif isinstance(message, Done):
                store.set_cursor(A, (message.cursor, message.cursor, 1))
                store.learn({A: message.own_seq})
            elif isinstance(message, Durable):
                store.learn_durable(message.vector)
        if not whole:
            break
    for collection in log.collections():
        before = list(store.scan(collection))
        store = open_store(log)
        assert list(store.scan(collection)) == before
        executor = Executor(store, host)
        for id, _ in before:
            update = f"INSERT INTO `{collection}` DOCUMENTS (:d) ON ID CONFLICT DO UPDATE"
            executor.execute(update, {"d": {"_id": id, "updated": True}})
        store = open_store(log)
        rows = Executor(store, host).execute(f"SELECT * FROM `{collection}`").items
        assert [row["updated"] for row in rows] == [True] * len(before)
    open_store(log)
