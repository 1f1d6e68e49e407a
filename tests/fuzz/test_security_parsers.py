"""The parsers of what is signed, on anything: they read it exactly, or refuse it as documented."""

from app import body_of
from gated import BIG_PEER, RELAY, App, Line, Peer, linked
from hypothesis import example, given
from hypothesis import strategies as st
from vectors.cases import load

from edge_peer.core.document import SEAL
from edge_peer.core.errors import (
    CertificateError,
    ConfigError,
    FormatError,
    QueryError,
    RemoteProtocolError,
)
from edge_peer.core.limits import AUTHORS
from edge_peer.core.packing import Reader
from edge_peer.core.sync.messages import REFUSED, RENEWED, REVOKED, Told
from edge_peer.host import permissions as json_permissions
from edge_peer.security import identity as identities
from edge_peer.security import permission, refusals, revocation
from edge_peer.security.certificate import SIGNATURE_SIZE, decode, elide, restore
from edge_peer.security.guard import finished
from edge_peer.security.seal import proven

RULES = [bytes.fromhex(case["hex"]) for case in load("permission")["encoded"]]
LISTS = [bytes.fromhex(case["hex"]) for case in load("revocation")["lists"]][:6]
REFUSALS = [
    refusals.encode(
        [
            refusals.Refusal(b"author-a", 7, 1, "readings", "i"),
            refusals.Refusal(bytes(8), 1 << 40, 2, "", ""),
        ]
    ),
    refusals.encode([]),
]
CERTIFICATES = [bytes.fromhex(case["certificate"]) for case in load("certificate")["certificates"]]


@st.composite
def damaged(draw, samples, size_max=4):
    """One of the samples with a few bytes changed, cut out or put in."""
    raw = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(raw)))
        raw[at : at + draw(st.integers(0, size_max))] = draw(st.binary(max_size=size_max))
    return bytes(raw)


@given(damaged(CERTIFICATES) | st.binary(max_size=220))
@example(b"\xc1" * 118)
def test_a_certificate_has_one_encoding(raw):
    try:
        certificate = decode(raw)
    except CertificateError:
        return
    assert body_of(certificate) == raw[:-SIGNATURE_SIZE]
    assert restore(elide(raw), certificate.app + bytes(12), certificate.key) == certificate


@given(
    damaged([elide(raw) for raw in CERTIFICATES]) | st.binary(max_size=180),
    st.binary(min_size=32, max_size=32),
)
def test_what_a_handshake_carries_is_a_certificate_of_that_key_or_refused(elided, key):
    try:
        certificate = restore(elided, bytes(16), key)
    except CertificateError:
        return
    assert certificate.key == key and elide(certificate.raw) == elided


@given(damaged(RULES) | st.binary(max_size=80))
def test_permissions_have_one_encoding_and_judge_anything(raw):
    try:
        rules = permission.decode(raw)
        assert permission.encode(rules) == raw
        one = permission.Permissions(raw, "pump")
    except (FormatError, QueryError):
        return
    for fields in ({}, {"site": "A", "a": 1, "b": None, "device": "pump", "x": [{"y": 1.5}]}):
        one.may_read("readings", "i", fields)
        one.may_write(bytes(8), "readings", "i", fields, {})
    assert json_permissions.packed(json_permissions.unpacked(raw)) == raw


@given(damaged(LISTS) | st.binary(max_size=120))
def test_a_revocation_list_has_one_encoding(raw):
    try:
        one = revocation.decode(raw)
    except FormatError:
        return
    body = revocation.encode_body(one.version, one.issued_s, one.floor, list(one.serials))
    assert body == raw[: -revocation.SIGNATURE_SIZE]


@given(st.text(max_size=300) | damaged([b'{"app_id": "00", "seed": 7}']).map(repr))
def test_an_identity_is_read_or_refused(text):
    try:
        identities.from_text(text)
    except ConfigError:
        pass


@given(damaged(REFUSALS) | st.binary(max_size=60))
def test_refusals_are_read_exactly_or_refused(raw):
    reader = Reader(raw)
    try:
        found = refusals.decode(reader)
    except FormatError:
        return
    assert refusals.encode(found) == raw[: reader.position]


APP = App()
TOLD = (
    [b"\7" + raw for raw in LISTS]
    + REFUSALS
    + CERTIFICATES
    + [APP.certificate("board").raw, b"\1" + APP.revoked(9)]
)


@given(st.lists(st.tuples(st.sampled_from((REVOKED, REFUSED, RENEWED)), damaged(TOLD)), max_size=4))
def test_whatever_a_neighbour_tells_is_taken_or_ends_the_link(all_told):
    """And nothing of it makes a peer believe what its authority has not signed."""
    board, relay = Peer(APP, "board"), Peer(APP, "relay", RELAY)
    line = Line(board, relay)
    gate = line.syncs[0].gate
    for kind, data in all_told:
        try:
            finished(gate.receive(Told(kind, data)))
        except RemoteProtocolError:
            break
        assert len(gate.next_message(1024)) <= 1024
    assert board.guard.list_version <= APP.version
    assert board.guard.certificate.key == board.certificate.key
    assert len(board.guard.refusals.kept) <= 8 and len(board.guard.refusals.waiting) <= 64
    line.close()


_BIG, _GATEWAY = Peer(APP, "sealing", BIG_PEER), Peer(APP, "carrying", RELAY)
_BIG.insert("settings", _id="s", lit=True)
_GATEWAY.wanted = (("SELECT * FROM settings", b"", 0),)
linked(_BIG, _GATEWAY)
_DOCUMENT = _GATEWAY.store.get("settings", "s")


@given(
    damaged([_DOCUMENT[SEAL].value]) | st.binary(max_size=120),
    damaged([_DOCUMENT["lit"].value]) | st.binary(max_size=9),
)
def test_a_seal_covers_what_it_was_made_for_or_nothing(seal, value):
    """Whatever stands in its place, and whatever in that of what it covers."""
    fresh = Peer(APP, "taking", RELAY)
    for id, _ in _GATEWAY.store.scan(AUTHORS):
        fresh.store.merge([(AUTHORS, id, _GATEWAY.store.get(AUTHORS, id))])
    document = dict(_DOCUMENT)
    for path, bytes_of in ((SEAL, seal), ("lit", value)):
        document[path] = document[path]._replace(value=bytes_of)
    paths = finished(proven(fresh.guard, "settings", "s", document))
    whole = {path for path in document if document[path] == _DOCUMENT[path]}
    assert paths == (whole if SEAL in whole else set())
