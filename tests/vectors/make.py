"""
Write the vector files beside this one. Run by hand, when a format changes:

    .venv/bin/python tests/vectors/make.py

What the files say must not follow from the code that they test, so nothing of
edge_peer is imported here: MessagePack is the msgpack package's, CRC-32 is
zlib's, and COBS is written once more, as its source (Cheshire and Baker 1999)
tells it; so are documents, in make_documents.py. Read the diff before you commit it.
"""

import hashlib
import json
import pathlib
import struct
import sys
import zlib

import msgpack

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

import cases  # noqa: E402
from make_documents import document  # noqa: E402

HEX_BYTES_MAX = 128  # what is longer stands in the file as its size and SHA-256


def main():
    for name, content in (("codec", codec()), ("document", document()), ("frame", frame())):
        (HERE / f"{name}.json").write_text(lines(content))


def lines(content):
    """JSON with a line for each case, so that a diff shows which ones changed."""
    parts = []
    for key, item in content.items():
        if isinstance(item, list):
            item = (
                "[\n"
                + ",\n".join("  " + json.dumps(case, ensure_ascii=False) for case in item)
                + "\n ]"
            )
        else:
            item = json.dumps(item, ensure_ascii=False)
        parts.append(f" {json.dumps(key)}: {item}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


# MessagePack


def codec():
    values = [
        ("nil", None),
        ("true", True),
        ("false", False),
        *[(f"int {n}", n) for n in INTEGERS],
        *[(f"float {x}", {"$float": struct.pack(">d", x).hex()}) for x in FLOATS],
        ("text empty", ""),
        ("text with NUL", "a\0b"),
        ("text of 2, 3 and 4 byte characters", "\u00e9\u20ac\U0001f600"),
        (
            "text at the edges of UTF-8",
            "\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff",
        ),
        *[(f"text of {n}", {"$text": ["a", n]}) for n in (31, 32, *LENGTHS)],
        ("text of 64 three-byte characters", {"$text": ["\u20ac", 64]}),
        ("bin empty", {"$bin": ""}),
        ("bin", {"$bin": "00ff80"}),
        *[(f"bin of {n}", {"$zeros": n}) for n in LENGTHS],
        ("array empty", []),
        ("array", [1, "two", None, [True, {"three": -3}]]),
        *[(f"array of {n}", {"$array": [None, n]}) for n in (15, 16, *LENGTHS)],
        ("map empty", {}),
        ("map, keys in no order", {"b": 1, "a": {"z": [], "y": {}}, "": 0, "ab": 2, "B": 3}),
        ("map, keys by UTF-8 bytes", {"\uffff": 1, "\U00010000": 2, "\u00e9": 3, "z": 4}),
        *[(f"map of {n}", {"$map": n}) for n in (15, 16, *LENGTHS)],
        ("arrays nested 33 deep", {"$nest": [33, "array"]}),
        ("maps nested 32 deep around an array", {"$nest": [33, "map"]}),
    ]
    return {
        "about": "MessagePack, canonical: both codecs write these bytes and read them back.",
        "values": [_codec_case(name, form) for name, form in values],
        "read_only": [{"name": name, "hex": data, "value": form} for name, data, form in READ_ONLY],
        "refused": [{"name": name, "hex": data} for name, data in REFUSED],
    }


INTEGERS = sorted(
    {0, 1, 127, 128, 255, 256, 65535, 65536, 2**31, 2**32 - 1, 2**32, 2**53, 2**63 - 1, 2**63}
    | {2**64 - 1, -1, -32, -33, -127, -128, -129, -32768, -32769, -65536, -(2**31)}
    | {-(2**31) - 1, -(2**63)}
)
FLOATS = (0.0, -0.0, 1.0, -1.5, 0.1, 21.5, 1e300, 5e-324, 1.7976931348623157e308, 3.14159265358979)
LENGTHS = (127, 128, 255, 256, 65535, 65536)

READ_ONLY = [  # legal MessagePack that we do not write
    ("float of 32 bits", "ca41ac0000", {"$float": struct.pack(">d", 21.5).hex()}),
    ("0 in 8 bits", "cc00", 0),
    ("127 in 16 bits", "cd007f", 127),
    ("1 in 32 bits", "ce00000001", 1),
    ("1 in 64 bits", "cf0000000000000001", 1),
    ("-1 in 8 bits", "d0ff", -1),
    ("5 in signed 16 bits", "d10005", 5),
    ("-1 in 32 bits", "d2ffffffff", -1),
    ("-1 in 64 bits", "d3ffffffffffffffff", -1),
    ("text of 1 in 8 bits", "d90161", "a"),
    ("text of 1 in 16 bits", "da000161", "a"),
    ("text of 1 in 32 bits", "db0000000161", "a"),
    ("bin of 1 in 16 bits", "c5000161", {"$bin": "61"}),
    ("bin of 1 in 32 bits", "c60000000161", {"$bin": "61"}),
    ("array of 1 in 16 bits", "dc0001c0", [None]),
    ("array of 1 in 32 bits", "dd00000001c0", [None]),
    ("map of 1 in 16 bits", "de0001a16101", {"a": 1}),
    ("map of 1 in 32 bits", "df00000001a16101", {"a": 1}),
    ("map, keys in another order", "82a16201a16102", {"b": 1, "a": 2}),
    ("map with a key twice: the last counts", "82a16101a16102", {"a": 2}),
]

REFUSED = [
    ("nothing", ""),
    ("two values", "c0c0"),
    ("0xc1", "c1"),
    ("fixext 1", "d40100"),
    ("fixext 2", "d5010000"),
    ("fixext 4", "d60100000000"),
    ("fixext 8", "d7010000000000000000"),
    ("fixext 16", "d80100000000000000000000000000000000"),
    ("ext 8", "c7010100"),
    ("ext 16", "c800010100"),
    ("ext 32", "c9000000010100"),
    ("timestamp of 4 bytes", "d6ff00000000"),
    ("timestamp in an array", "91d6ff00000000"),
    ("ext in a map", "81a161d40100"),
    ("number cut short", "cd00"),
    ("float cut short", "cb00000000000000"),
    ("length cut short", "da00"),
    ("text cut short", "a261"),
    ("bin cut short", "c40261"),
    ("array cut short", "92c0"),
    ("map cut short", "82a161c0"),
    ("map without its value", "81a161"),
    ("array of 2**32 - 1 and nothing in it", "ddffffffff"),
    ("map of 2**32 - 1 and nothing in it", "dfffffffff"),
    ("text of 2**32 - 1 and nothing in it", "dbffffffff"),
    ("bin of 2**32 - 1 and nothing in it", "c6ffffffff"),
    ("key is an integer", "810101"),
    ("key is nil", "81c001"),
    ("key is bin", "81c4016101"),
    ("key is an array", "819001"),
    ("key is a map", "818001"),
    ("key is an extension", "81d4010001"),
    ("arrays nested 34 deep", "91" * 33 + "90"),
    ("an integer 33 deep", "91" * 33 + "00"),
    ("maps nested 34 deep", "81a16d" * 33 + "80"),
    ("arrays nested 2,000 deep", "91" * 2000 + "c0"),
    ("text: continuation byte alone", "a180"),
    ("text: cut in a character", "a1c3"),
    ("text: 0xff", "a1ff"),
    ("text: NUL in two bytes", "a2c080"),
    ("text: slash in two bytes", "a2c0af"),
    ("text: overlong in three bytes", "a3e0809f"),
    ("text: overlong in four bytes", "a4f0808080"),
    ("text: half a surrogate pair", "a3eda080"),
    ("text: a surrogate pair in six bytes", "a6eda0bdedb880"),
    ("text: above U+10FFFF", "a4f4908080"),
    ("text: 0xf5", "a4f5808080"),
    ("key is not UTF-8", "81a1ff01"),
]


def _codec_case(name, form):
    value = cases.value(form)
    data = msgpack.packb(_ordered(value))
    case = {"name": name, "value": form}
    if len(data) <= HEX_BYTES_MAX:
        case["hex"] = data.hex()
    else:
        case["size"] = len(data)
        case["sha256"] = hashlib.sha256(data).hexdigest()
    if isinstance(value, (list, dict)) and len(value) > 1000:
        case["host_only"] = True  # more than a board has room for
    return case


def _ordered(value):
    """msgpack packs a map in the dict's order; the canonical one is that of the UTF-8 bytes."""
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value, key=str.encode)}
    return [_ordered(item) for item in value] if isinstance(value, list) else value


# Frames


def frame():
    return {
        "about": "COBS without its closing zero; whole frames with CRC-32 and the zero.",
        "sources": [
            "paper: Cheshire and Baker, Consistent Overhead Byte Stuffing, 1999",
            "example: https://en.wikipedia.org/wiki/Consistent_Overhead_Byte_Stuffing",
        ],
        "cobs": [
            {"name": name, "data": data.hex(), "stuffed": stuffed.hex()}
            for name, data, stuffed in COBS
        ],
        "cobs_read_only": [  # encoders that leave out what the paper's puts behind a full block
            {
                "name": "example 7",
                "data": _span(1, 254).hex(),
                "stuffed": "ff" + _span(1, 254).hex(),
            },
            {
                "name": "example 8",
                "data": _span(0, 254).hex(),
                "stuffed": "01ff" + _span(1, 254).hex(),
            },
        ],
        "frames": [
            {"name": name, "frame": data.hex(), "wire": _wire(data).hex()}
            for name, data in FRAMES.items()
        ],
    }


def _span(first, last):
    return bytes(range(first, last + 1))


COBS = [
    (name, bytes.fromhex(data), bytes.fromhex(stuffed))
    for name, data, stuffed in (
        ("paper", "4500002c4c79000040064f37", "024501042c4c79010540064f37"),
        ("example 1", "00", "0101"),
        ("example 2", "0000", "010101"),
        ("example 3", "001100", "01021101"),
        ("example 4", "11220033", "0311220233"),
        ("example 5", "11223344", "0511223344"),
        ("example 6", "11000000", "0211010101"),
        ("example 9", _span(1, 255).hex(), "ff" + _span(1, 254).hex() + "02ff"),
        ("example 10", _span(2, 255).hex() + "00", "ff" + _span(2, 255).hex() + "0101"),
        ("example 11", _span(3, 255).hex() + "0001", "fe" + _span(3, 255).hex() + "0201"),
        ("nothing", "", "01"),
        ("253 bytes", "01" * 253, "fe" + "01" * 253),
        ("254 bytes", "01" * 254, "ff" + "01" * 254 + "01"),
        ("255 bytes", "01" * 255, "ff" + "01" * 254 + "0201"),
    )
]
FRAMES = {
    "the check value of CRC-32": b"123456789",
    "one byte": b"a",
    "one zero": b"\0",
    "zeros": bytes(16),
    "a block that the CRC makes full": b"\1" * 250,
    "a block that the CRC makes too long": b"\1" * 251,
    "zero in the CRC": next(
        bytes([n]) for n in range(256) if 0 in zlib.crc32(bytes([n])).to_bytes(4, "big")
    ),
}


def _wire(data):
    return _cobs(data + zlib.crc32(data).to_bytes(4, "big")) + b"\0"


def _cobs(data):
    """As the paper's StuffData: a full block is closed at once."""
    out = bytearray(1)
    code_at = 0
    for byte in data:
        if byte:
            out.append(byte)
        if not byte or len(out) - code_at == 255:
            out[code_at] = len(out) - code_at
            code_at = len(out)
            out.append(0)
    out[code_at] = len(out) - code_at
    return bytes(out)


assert all(_cobs(data) == stuffed for _, data, stuffed in COBS)

if __name__ == "__main__":
    main()
