"""
Make messages.json: what sync and the link say, byte by byte, as SPEC.md has it.

    .venv/bin/python tests/vectors/make_messages.py

Nothing of edge_peer is imported here: each message is put together from pieces that
say what they are, by the grammar in SPEC.md.
"""

import struct
import zlib

from make import HERE, lines

A, B = bytes.fromhex("a1a2a3a4a5a6a7a8"), bytes.fromhex("b1b2b3b4b5b6b7b8")
STAMP = 0x190000000000
ALPHABET = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
REGISTER, COUNTER, REMOVED = 0, 1, 2


def varint(*values):
    out = b""
    for value in values:
        while value > 127:
            out += bytes([value & 127 | 128])
            value >>= 7
        out += bytes([value])
    return out


def zigzag(*values):
    return varint(*(2 * value if value >= 0 else -2 * value - 1 for value in values))


def text(value):
    return varint(len(value.encode())) + value.encode()


def author(slot, defined=b""):
    return varint(slot << 1 | bool(defined)) + defined


def heads(*cells):
    """The cells of one run, in a shape."""
    return varint(len(cells)) + b"".join(
        varint(len(path.encode()) << 2 | kind) + path.encode() for path, kind in cells
    )


def document(*runs):
    """Runs of (author, seq, stamp, [(path, kind, value)]), as in SPEC.md, "Documents"."""
    out = varint(len(runs))
    for who, seq, stamp, cells in runs:
        out += who + varint(seq) + stamp.to_bytes(6, "big") + varint(len(cells))
        for path, kind, value in cells:
            raw = path.encode()
            out += varint(len(raw) << 2 | kind) + raw + varint(len(value)) + value
    return out


def automatic_id(stamp, who):
    number, digits = stamp << 64 | int.from_bytes(who, "big"), ""
    stamp_digits, author_digits = number >> 64, number & (1 << 64) - 1
    for value, count in ((author_digits, 11), (stamp_digits, 8)):
        for _ in range(count):
            digits = ALPHABET[value & 63] + digits
            value >>= 6
    return digits


def double(value):
    return b"\xcb" + struct.pack(">d", value)


def single(value):
    return b"\xca" + struct.pack(">f", value)


def case(name, *pieces, **meaning):
    return {"name": name} | meaning | {"hex": b"".join(pieces).hex()}


def records(*found):
    """Each: collection, id, document."""
    return [{"collection": c, "id": id, "document": body.hex()} for c, id, body in found]


def reading(seq, stamp, temp, ts):
    cells = [("temp", REGISTER, double(temp)), ("ts", REGISTER, b"\xce" + struct.pack(">I", ts))]
    return "readings", automatic_id(stamp, A), document((A, seq, stamp, cells))


def own_readings():
    pieces = [
        b"\x04" + varint(4, 2, 1),  # previous, cursor - previous, one group
        varint(2),  # records
        b"\x01" + text("readings"),  # shape 0, new
        varint(1 << 1 | 1) + heads(("temp", REGISTER), ("ts", REGISTER)),  # one run, id implied
        b"\x01" + author(0),  # dots: one author, the sender
        zigzag(5, 1),  # seqs
        zigzag(STAMP, 5 << 8),  # stamps
        b"\x22" + zigzag(3950, -25),  # temp: doubles, two decimals
        b"\x01" + zigzag(1262304000, 3600),  # ts: integers
    ]
    stamp = STAMP + (5 << 8)
    found = reading(5, STAMP, 39.5, 1262304000), reading(6, stamp, 39.25, 1262307600)
    about = "two documents of A's own, of one shape, with automatic ids"
    return case("delta", *pieces, about=about, previous=4, cursor=6, records=records(*found))


def one_more_reading():
    stamp = STAMP + (7 << 8) + 3
    pieces = [
        b"\x04" + varint(6, 1, 1),
        varint(1),
        b"\x00",  # shape 0
        b"\x01" + author(0) + zigzag(1),  # seq 7
        zigzag((2 << 8) + 3),
        b"\x22" + zigzag(-2),  # goes on at 39.25
        b"\x01" + zigzag(3600),
    ]
    found = records(reading(7, stamp, 39.23, 1262311200))
    about = "another one: each column goes on where its last one ended"
    return case("delta", *pieces, about=about, previous=6, cursor=7, records=found)


def two_writers():
    """A wrote the name, B the room; the last stamp is that of `one_more_reading`."""
    last, first = STAMP + (7 << 8) + 3, STAMP + (6 << 8)
    pieces = [
        b"\x04" + varint(7, 3, 1),
        varint(1),
        b"\x03" + text("things"),  # shape 1, new
        varint(2 << 1) + heads(("name", REGISTER)) + heads(("place\0room", REGISTER)),
        b"\x00\xa3box",  # the id, a column of one value
        b"\x01" + author(0) + zigzag(1) + zigzag(first - last),
        b"\x00\xa1x",
        b"\x01" + author(1) + zigzag(3) + zigzag(9 << 8),  # B was told in KNOW
        b"\x00\xa1k",
    ]
    runs = [
        (A, 8, first, [("name", REGISTER, b"\xa1x")]),
        (B, 3, first + (9 << 8), [("place\0room", REGISTER, b"\xa1k")]),
    ]
    found = records(("things", "box", document(*runs)))
    about = "one document that two authors wrote, with an id of the application's"
    return case("delta", *pieces, about=about, previous=7, cursor=10, records=found)


def five_of_two_authors():
    """In the order of (author, seq), whatever order they came in; single floats."""
    start, last = STAMP + (100 << 8), STAMP + (15 << 8)
    rows = [
        (A, 11, start, 7, "warm", 20.5),
        (A, 12, start + (10 << 8), 8, "warm", 20.25),
        (A, 13, start + (20 << 8), 9, "cold", 20.0),
        (B, 20, start + (31 << 8), 10, "warm", 19.75),
        (B, 21, start + (40 << 8), 12, "warm", 19.1),
    ]
    pieces = [
        b"\x04" + varint(10, 9, 1),
        varint(5),
        b"\x05" + text("states"),  # shape 2, new
        varint(1 << 1) + heads(("is", REGISTER), ("temp", REGISTER)),
        b"\xa4\x02\xa3s" + zigzag(7, 1, 1, 1, 2),  # ids: a new prefix, then two digits
        b"\x04",  # dots: an author each; stamps split
        author(0) + author(0) + author(0) + author(1) + author(1),
        zigzag(3, 1, 1, 17, 1),  # seqs, each above the last of its author
        zigzag((start - last) >> 8, 10, 10, 11, 9),  # ticks
        b"\x00\x04",  # counters: a zero and four more
        b"\x05\x00\x00" + zigzag(1, -1, 1) + b"\x00",  # choice: 0 1 0 1 1
        b"\xa4warm\xa4cold",
        b"\x23" + zigzag(2050, -25, -25, -25, -65),  # single floats, two decimals
    ]
    found = []
    for who, seq, stamp, number, state, temp in rows:
        value = bytes([0xA0 | len(state)]) + state.encode()
        cells = [("is", REGISTER, value), ("temp", REGISTER, single(temp))]
        found.append(("states", f"s{number:02}", document((who, seq, stamp, cells))))
    about = "documents of two authors, sorted; texts that come again, floats of 32 bits"
    return case("delta", *pieces, about=about, previous=10, cursor=19, records=records(*found))


def other_kinds():
    """A counter, a removed field, a tombstone: cells as any others, with a kind."""
    last = STAMP + (140 << 8)
    stamps = [last + 1, last + 2]
    entry = "n\0\0" + automatic_id(stamps[0], A)
    seen = b"\xc4\x0e" + STAMP.to_bytes(6, "big") + B
    pieces = [
        b"\x04" + varint(19, 2, 2),  # two groups
        varint(1),
        b"\x07" + text("things"),  # shape 3, new
        varint(1 << 1) + heads(("gone", REMOVED), (entry, COUNTER)),
        b"\x00\xa1c",
        b"\x01" + author(0) + zigzag(1) + zigzag(1),
        b"\x00" + seen,
        b"\x01" + zigzag(300),
        varint(1),
        b"\x09" + text("things"),  # shape 4, new
        varint(1 << 1) + heads(("", REMOVED)),
        b"\x00\xa1d",
        b"\x01" + author(0) + zigzag(1) + zigzag(1),
        b"\x00\xc0",
    ]
    cells = [("gone", REMOVED, seen), (entry, COUNTER, b"\xcd\x01\x2c")]
    found = [
        ("things", "c", document((A, 14, stamps[0], cells))),
        ("things", "d", document((A, 15, stamps[1], [("", REMOVED, b"\xc0")]))),
    ]
    about = "a removed field and a counter; a tombstone"
    return case("delta", *pieces, about=about, previous=19, cursor=21, records=records(*found))


def every_second():
    """A column of even steps, which second differences code in three bytes."""
    last, count = STAMP + (140 << 8) + 2, 20
    pieces = [
        b"\x04" + varint(21, count, 1),
        varint(count),
        b"\x0b" + text("ticks"),  # shape 5, new
        varint(1 << 1 | 1) + heads(("t", REGISTER)),
        b"\x0b" + author(0),  # dots: one author; second differences of seqs and stamps
        zigzag(1) + b"\x00" + varint(count - 2),
        zigzag(500 << 8) + b"\x00" + varint(count - 2),
        b"\x09" + zigzag(1000, -999) + b"\x00" + varint(count - 3),
    ]
    found = []
    for i in range(count):
        stamp = last + (i + 1) * (500 << 8)
        value = b"\xcd" + struct.pack(">H", 1000 + i)
        body = document((A, 16 + i, stamp, [("t", REGISTER, value)]))
        found.append(("ticks", automatic_id(stamp, A), body))
    about = "one document a second, counting"
    meaning = {"previous": 21, "cursor": 21 + count}
    return case("delta", *pieces, about=about, **meaning, records=records(*found))


def messages():
    know = b"\x01" + varint(2) + author(0) + varint(6) + author(1, B) + varint(300)
    statement, arguments = "SELECT * FROM c WHERE a = :a", b"\x81\xa1a\x01"
    both = text(statement) + varint(len(arguments)) + arguments + varint(0)
    passed_on = text("SELECT * FROM d") + varint(0, 2)
    hello = [
        b"\x02"
        + varint(22 + 128 + 256, 2, 5)
        + zigzag(5)
        + varint(7, 4),  # …, resume - base, …, known
        bytes.fromhex("89abcdef") + varint(3, 2) + both + passed_on,  # digest, durable
    ]
    numbers = {"flags": 22 + 128 + 256, "epoch": 2, "resume": 5, "base": 0, "sender_epoch": 7}
    numbers |= {"known": 4, "digest": 0x89ABCDEF, "durable": 3}
    wanted = [[statement, arguments.hex(), 0], ["SELECT * FROM d", "", 2]]
    short = [b"\x02\x08" + varint(2, 300) + zigzag(0) + varint(7, 299) + varint(0)]
    of_short = {"flags": 8, "epoch": 2, "resume": 300, "base": 300, "sender_epoch": 7}
    of_short |= {"known": 299, "digest": 0, "durable": 0, "subscriptions": []}
    check = zlib.crc32(b"".join(short))
    ask = b"\x06" + varint(2) + author(1) + author(0)
    durable = b"\x03" + varint(1) + author(0) + varint(6)
    done = b"\x05" + varint(41, 0, 6, 1) + author(1) + varint(22, 0)
    fetch = b"\x13" + varint(2) + b"\x06things\x03box" + struct.pack(">I", 0x12345678)
    fetch += b"\x06things\x03lid" + struct.pack(">I", 0)
    return [
        case("know", know, vector={"A": 6, "B": 300}),
        case("hello", *hello, **numbers, subscriptions=wanted),
        case("hello", *short, **of_short),
        case("same", b"\x0f" + struct.pack(">I", check), check=check),
        case("again", b"\x10"),
        case("ask", ask, authors=["B", "A"]),
        case("durable", durable, vector={"A": 6}),
        own_readings(),
        one_more_reading(),
        two_writers(),
        five_of_two_authors(),
        other_kinds(),
        every_second(),
        case("done", done, previous=41, cursor=41, own_seq=35, entries=[["B", 22, 0]]),
        case("fetch", fetch, asked=[["things", "box", 305419896], ["things", "lid", 0]]),
        case("partly", b"\x15" + varint(1) + author(1) + varint(40, 30), entries=[["B", 40, 30]]),
        case("fetched", b"\x14\x02", count=2),
    ]


LINK = {
    "about": "frames of a side whose nonce is 11223344 to one whose nonce is a0b0c0d0; "
    "identity 'me', 256 byte frames, 1024 byte messages",
    "open": "0101112233440000000004800280086d65",
    "opened": "020111223344a0b0c0d004800280086d65",
    "data": "03000068656c6c6f",
    "close": "05",
}


def main():
    content = {
        "authors": {"A": A.hex(), "B": B.hex()},
        "about": "What A says, in this order, on one link: slots, stamps, seqs and columns "
        'go on from one message to the next. Documents are as in SPEC.md, "Documents".',
        "messages": messages(),
        "link": LINK,
    }
    (HERE / "messages.json").write_text(lines(content))


if __name__ == "__main__":
    main()
