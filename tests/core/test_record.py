"""Sealed records: order, replay, new keys, and what was not sealed by the other side."""

from app import crypto
from helpers import Random, raises

from edge_peer.core.errors import RemoteProtocolError
from edge_peer.security.record import (
    EPOCH_BITS,
    FORGERIES_MAX,
    OVERHEAD_BYTES,
    WINDOW,
    Opener,
    Sealer,
    next_key,
)

KEY = bytes(range(20))
EPOCH = 1 << EPOCH_BITS


def pair(is_ordered=False):
    return Sealer(crypto, KEY), Opener(crypto, KEY, is_ordered)


def far(counter, is_ordered=False):
    """A pair that has come so far, the epochs' keys derived on the way."""
    sealer, opener = pair(is_ordered)
    for epoch in range(1, (counter >> EPOCH_BITS) + 1):
        for start in (EPOCH * epoch - 1, EPOCH * epoch):
            sealer.counter = start
            opener._newest = start - 1
            assert opener.open(sealer.seal(b"")) == b""
    sealer.counter = counter
    opener._newest = counter - 1
    opener._seen = 1
    return sealer, opener


def test_a_record_is_eleven_bytes_longer_than_its_payload():
    sealer, opener = pair()
    for size in (0, 1, 64, 244, 1024):
        payload = bytes(size)
        record = sealer.seal(payload)
        assert len(record) == size + OVERHEAD_BYTES == size + 11
        assert opener.open(record) == payload


def test_a_record_is_opened_once():
    sealer, opener = pair()
    record = sealer.seal(b"once")
    assert opener.open(record) == b"once"
    for _ in range(3):
        assert opener.open(record) is None
    assert opener.refused_count == 3


def test_records_may_come_in_any_order_within_the_window():
    sealer, opener = pair()
    records = [sealer.seal(bytes((i,))) for i in range(200)]
    for i in (3, 1, 2, 0, 70, 69, 7, 8, 199, 150):
        assert opener.open(records[i]) == bytes((i,))
    for i in (6, 100, 199 - WINDOW, 150):
        assert opener.open(records[i]) is None
    assert opener.open(records[199 - WINDOW + 1]) == bytes((199 - WINDOW + 1,))


def test_any_shuffle_gives_each_payload_at_most_once():
    for seed in range(20):
        random = Random(seed)
        sealer, opener = pair()
        waiting, got = [], []
        for number in range(150):
            waiting.append(sealer.seal(bytes((number,))))
            if random.below(3):
                record = waiting[random.below(len(waiting))]  # it stays: it may come again
                payload = opener.open(record)
                if payload is not None:
                    got.append(payload[0])
        assert len(set(got)) == len(got) > 40, seed


def test_a_changed_record_is_refused_and_the_true_one_still_opens():
    sealer, opener = pair()
    opener.open(sealer.seal(b"first"))
    record = sealer.seal(b"second")
    for i in range(8 * len(record)):
        changed = bytearray(record)
        changed[i >> 3] ^= 1 << (i & 7)
        assert opener.open(bytes(changed)) is None, i
    for size in range(len(record)):
        assert opener.open(record[:size]) is None
    assert opener.open(record + b"\0") is None
    assert opener.open(record) == b"second"


def test_records_of_the_other_direction_do_not_open():
    sealer = Sealer(crypto, next_key(KEY))
    assert pair()[1].open(sealer.seal(b"reflected")) is None


def test_an_ordered_transport_ends_with_whatever_is_out_of_order():
    for case in ("lost", "twice", "changed", "short"):
        sealer, opener = pair(is_ordered=True)
        first = sealer.seal(b"1")
        assert opener.open(first) == b"1"
        if case == "lost":
            sealer.seal(b"2")
        record = {
            "lost": sealer.seal(b"3"),
            "twice": first,
            "changed": first[:-1] + b"\0",
            "short": b"\x80",
        }[case]
        with raises(RemoteProtocolError, "did not seal"):
            opener.open(record)


def test_forgeries_without_end_end_the_link():
    _, opener = pair()
    opener.refused_count = FORGERIES_MAX
    with raises(RemoteProtocolError):
        opener.open(bytes(20))


def test_each_epoch_has_a_key_of_its_own():
    sealer, opener = far(EPOCH - 2)
    records = [sealer.seal(bytes((i,))) for i in range(5)]
    assert [record[0] for record in records] == [0x80, 0x80, 0xC0, 0xC0, 0xC0]
    for i in range(5):
        assert opener.open(records[i]) == bytes((i,))
    cipher = crypto.RecordCipher(KEY[:16], KEY[16:])
    assert cipher.open(records[1], EPOCH - 1) == b"\1"
    assert cipher.open(records[2], EPOCH) is None
    again = next_key(KEY)
    assert crypto.RecordCipher(again[:16], again[16:]).open(records[2], EPOCH) == b"\2"


def test_late_records_of_the_epoch_before_still_open():
    sealer, opener = far(EPOCH - 3)
    old = [sealer.seal(b"old") for _ in range(3)]
    new = [sealer.seal(b"new") for _ in range(WINDOW + 1)]
    assert opener.open(new[0]) == b"new"
    assert opener.open(old[0]) == opener.open(old[2]) == b"old"
    assert opener.open(new[WINDOW]) == b"new"
    assert opener.open(old[1]) is None  # outside the window, and its key is gone
    assert opener._previous is None


def test_epochs_go_on():
    for ordered in (False, True):
        sealer, opener = far(5 * EPOCH - 2, ordered)
        for i in range(6):
            assert opener.open(sealer.seal(bytes((i,)))) == bytes((i,))
        assert opener._epoch == 5


def test_a_forged_claim_of_the_next_epoch_changes_nothing():
    sealer, opener = far(EPOCH - 2)
    assert opener.open(bytes((0xC0, 0x80, 0x00)) + bytes(30)) is None
    for i in range(4):
        assert opener.open(sealer.seal(bytes((i,)))) == bytes((i,))
