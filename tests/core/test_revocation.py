"""Revocation lists: one encoding, only newer ones, and only what the authority has signed."""

from binascii import unhexlify

from helpers import Random, raises
from vectors.cases import load

from edge_peer.core.errors import FormatError
from edge_peer.security.revocation import (
    SIGNATURE_SIZE,
    SIZE_MAX,
    Revocations,
    decode,
    encode_body,
    message_of,
)

VECTORS = load("revocation")
APP_ID = unhexlify(VECTORS["app_id"])
LISTS = [unhexlify(case["hex"]) for case in VECTORS["lists"]]
SIGNED = [(unhexlify(case["message"]), raw[-64:]) for case, raw in zip(VECTORS["lists"], LISTS)]


def verify(signature, message):
    yield
    return (message, signature) in SIGNED


def taken(revocations, raw):
    """Return what `take` returns, after all its steps."""
    steps = revocations.take(raw, verify)
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return end.value


def keeper(raw=None):
    """Return a peer's list, and what it has kept."""
    kept = []
    return Revocations(APP_ID, raw, kept.append), kept


def test_lists_are_what_the_specification_says():
    for i in range(len(LISTS)):
        case = VECTORS["lists"][i]
        body = encode_body(case["version"], case["issued_s"], case["floor"], case["serials"])
        assert body == LISTS[i][:-SIGNATURE_SIZE], case["name"]
        assert message_of(APP_ID, body) == unhexlify(case["message"])
        one = decode(LISTS[i])
        assert (one.version, one.issued_s, one.floor) == (
            case["version"],
            case["issued_s"],
            case["floor"],
        )
        assert list(one.serials) == case["serials"]


def test_what_is_no_list_is_refused():
    for case in VECTORS["refused"]:
        with raises(FormatError):
            decode(unhexlify(case["hex"]))


def test_a_list_that_is_cut_anywhere_is_refused():
    for raw in LISTS[:5]:
        for size in range(len(raw)):
            with raises(FormatError):
                decode(raw[:size])


def test_a_newer_list_counts_and_is_kept_first():
    revocations, kept = keeper()
    assert revocations.version == 0 and not revocations.is_revoked(7)
    assert taken(revocations, LISTS[1]) and taken(revocations, LISTS[2])
    assert kept == [LISTS[1], LISTS[2]]
    assert [serial for serial in range(12) if revocations.is_revoked(serial)] == [0, 7, 8, 9]


def test_an_older_list_never_comes_back():
    revocations, kept = keeper(LISTS[2])
    for raw in LISTS[:3]:
        assert not taken(revocations, raw)
    assert revocations.version == 3 and not kept


def test_of_two_that_are_checked_at_once_the_newer_one_stays():
    revocations, kept = keeper()
    older = revocations.take(LISTS[1], verify)
    next(older)
    assert taken(revocations, LISTS[2])
    with raises(StopIteration):
        next(older)
    assert revocations.version == 3 and kept == [LISTS[2]]


def test_what_another_authority_has_signed_changes_nothing():
    revocations, kept = keeper(LISTS[2])
    assert not taken(revocations, unhexlify(VECTORS["forged"]))
    changed = bytearray(LISTS[3])
    changed[4] ^= 8
    assert not taken(revocations, changed)
    assert revocations.version == 3 and not kept


def test_a_list_that_cannot_be_kept_does_not_count():
    def full(raw):
        raise OSError("no room")

    revocations = Revocations(APP_ID, None, full)
    with raises(OSError):
        taken(revocations, LISTS[1])
    assert revocations.version == 0


def test_all_below_the_floor_are_revoked():
    revocations, _ = keeper(LISTS[4])
    voided = [
        serial for serial in (1, 998, 999, 1000, 1001, 1005) if revocations.is_revoked(serial)
    ]
    assert voided == [1, 998, 999, 1000, 1005]
    assert encode_body(1, 0, 5, [3, 4, 5]) == encode_body(1, 0, 5, [5, 5])


def test_a_list_that_no_link_would_carry_is_not_made():
    with raises(ValueError, "too long"):
        encode_body(1, 0, 1, list(range(1, SIZE_MAX)))


def test_any_bytes_are_read_as_they_are_or_refused():
    random = Random(3)
    for _ in range(400):
        raw = bytearray(random.choice(LISTS[:6]))
        for _ in range(1 + random.below(2)):
            raw[random.below(len(raw) - SIGNATURE_SIZE)] = random.below(256)
        try:
            one = decode(raw)
        except FormatError:
            continue
        body = encode_body(one.version, one.issued_s, one.floor, list(one.serials))
        assert body == bytes(raw[:-SIGNATURE_SIZE])
