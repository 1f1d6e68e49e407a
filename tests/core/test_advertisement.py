"""What a peer says of itself over BLE, to the byte."""

from edge_peer.transport import advertisement


def test_an_advertisement_fits_and_reads_back():
    app = advertisement.app_hash(bytes(16))
    raw = advertisement.encode(app, 0x12345)
    assert len(raw) == 31
    assert raw[:5] == b"\x02\x01\x06\x11\x07" and raw[21:25] == b"\x09\xff\xff\xff"
    assert advertisement.decode(raw) == advertisement.Heard(app, 0x2345)
    assert advertisement.decode(memoryview(raw)) == advertisement.Heard(app, 0x2345)


def test_what_others_advertise_is_nothing_to_us():
    raw = advertisement.encode(b"app", 1)
    for other in (
        b"",
        raw[:-1],
        raw + b"x",
        raw[:25] + b"\x02" + raw[26:],
        b"\x02\x01\x05" + raw[3:],
    ):
        assert advertisement.decode(other) is None


def test_a_long_name_is_cut_between_characters():
    assert advertisement.encode_name("pump") == b"\x05\x09pump"
    assert len(advertisement.encode_name("x" * 64)) == 31
    cut = advertisement.encode_name("é" * 40)
    assert cut[2:].decode() == "" or set(cut[2:].decode()) == {"é"}
    assert 2 <= len(cut) <= 31
