"""What an author has signed goes through relays as it is, or not at all."""

from gated import App, Line, Peer, linked
from helpers import raises

from edge_peer.core.codec import pack
from edge_peer.core.document import BIRTH, Cell
from edge_peer.core.errors import FormatError
from edge_peer.core.limits import AUTHORS, SIGNED
from edge_peer.security import batch as batches
from edge_peer.security.certificate import BIG_PEER, DEVICE, RELAY
from edge_peer.security.guard import finished
from edge_peer.security.permission import READ, WRITE, Rule
from edge_peer.security.refusals import NOT_ALLOWED, UNKNOWN, UNSIGNED

SITE_A = [Rule(READ, "*", ""), Rule(WRITE, "readings", "site = 'A'")]
ALL_READINGS = (("SELECT * FROM readings", b"", 0),)


def net(*names, **rules):
    """Return an app's peers: a board that signs, relays of these names, a Big Peer."""
    app = App()
    board = Peer(app, "board", rules=rules.get("rules"), signs=True)
    return [board] + [Peer(app, name, RELAY) for name in names] + [Peer(app, "big", BIG_PEER)]


def carried(*peers):
    """Let each pair of neighbours talk, up and down again."""
    pairs = [(peers[i], peers[i + 1]) for i in range(len(peers) - 1)]
    for one, two in pairs + pairs[::-1]:
        linked(one, two)


def signed_by(peer):
    """Return [(id, document)] of the batches that a peer holds."""
    return [(id, peer.store.get(SIGNED, id)) for id, _ in peer.store.scan(SIGNED)]


def replaced(peer, id, data):
    """Put other bytes into a batch that a peer holds, as a relay with its own code could."""
    cell = peer.store.get(SIGNED, id)["b"]
    data = pack(data)
    peer.store.log.drop([(SIGNED, id)])
    peer.store.merge([(SIGNED, id, {"b": Cell(cell.stamp, cell.author, cell.seq, 0, data)})])


def test_what_a_board_signs_reaches_the_big_peer_through_relays():
    board, one, two, big = net("one", "two")
    ids = [board.insert("readings", n=n, site="A") for n in range(3)]
    board.execute("UPDATE readings SET n = 7 WHERE _id = :id", id=ids[0])
    carried(board, one, two, big)
    assert big.rows("readings") == board.rows("readings") == one.rows("readings")
    assert signed_by(one) and signed_by(one) == signed_by(two)
    assert not signed_by(big) and not signed_by(board)
    assert board.store.unsynced_count() == 0 and not board.refused()


def test_later_writes_to_a_document_go_on_what_was_signed_before():
    board, gateway, big = net("gateway")
    board.insert("readings", _id="r", n=1, site="A")
    carried(board, gateway, big)
    board.execute("UPDATE readings SET n = 2 WHERE _id = 'r'")
    board.execute("UPDATE readings APPLY sum INCREMENT BY 5 WHERE _id = 'r'")
    carried(board, gateway, big)
    assert big.rows("readings") == {"r": {"n": 2, "site": "A", "sum": 5}}
    board.execute("DELETE FROM readings WHERE _id = 'r'")
    carried(board, gateway, big)
    assert not big.rows("readings") and not gateway.rows("readings")


def test_documents_of_several_authors_merge_from_what_each_has_signed():
    app = App()
    one, two = Peer(app, "one", signs=True), Peer(app, "two", signs=True)
    gateway, big = Peer(app, "gateway", RELAY), Peer(app, "big", BIG_PEER)
    one.wanted = two.wanted = ALL_READINGS
    one.insert("readings", _id="r", a=1, b=1)
    carried(one, gateway, big)
    linked(two, gateway)
    two.execute("UPDATE readings SET b = 2, c = 2 WHERE _id = 'r'")
    carried(two, gateway, big)
    linked(one, gateway)
    one.execute("UPDATE readings SET a = 3 WHERE _id = 'r'")
    carried(one, gateway, big)
    linked(two, gateway)
    for peer in (one, two, gateway, big):
        assert peer.rows("readings") == {"r": {"a": 3, "b": 2, "c": 2}}
    assert not one.refused() and not two.refused()


def test_what_was_overwritten_at_the_relay_is_proven_all_the_same():
    """The relay holds half of what was signed; the batch has it all."""
    app = App()
    one, two = Peer(app, "one", signs=True), Peer(app, "two", signs=True)
    gateway, big = Peer(app, "gateway", RELAY), Peer(app, "big", BIG_PEER)
    one.insert("readings", _id="r", a=1, b=1)
    two.insert("readings", _id="r", b=2)
    linked(one, gateway)
    linked(two, gateway)
    linked(gateway, big)
    assert big.rows("readings") == gateway.rows("readings")
    assert not one.refused() and not two.refused()


def test_a_relay_cannot_invent_what_an_author_has_not_written():
    board, gateway, big = net("gateway")
    board.insert("readings", n=1)
    carried(board, gateway, big)
    honest = big.rows("readings")
    gateway.store.merge([("readings", "forged", written_by(board, n=666))])
    gateway.guard.judge.signs = lambda author: False  # it has code of its own
    linked(gateway, big)
    assert big.rows("readings") == honest
    linked(board, gateway)
    assert board.refused() == [("readings", "forged", UNSIGNED)]


def written_by(peer, **fields):
    """Return a document that looks as if a peer had written it just now."""
    stamp, seq = peer.store.next_stamp() + 1_000, peer.store.own_seq + 1
    cells = {name: Cell(stamp, peer.store.author, seq, 0, pack(fields[name])) for name in fields}
    cells[BIRTH] = Cell(stamp, peer.store.author, seq, 0, b"\xc0")
    return cells


def test_a_relay_can_change_no_byte_of_a_batch():
    board, gateway, _ = net("gateway")
    board.insert("readings", n=1, site="A")
    linked(board, gateway)
    id, document = signed_by(gateway)[0]
    data = document["b"].value[2:]
    app = board.app
    for at in range(len(data)):
        bad = data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]
        new_id = batches._id_of(bad)
        cell = document["b"]
        forged = {"b": Cell(cell.stamp, cell.author, cell.seq, 0, pack(bad))}
        big = Peer(app, "big", BIG_PEER)
        line = Line(gateway, big)
        gate = line.syncs[1].gate
        records = [record for record in vouched(gateway)] + [(SIGNED, new_id, forged)]
        for _ in gate.prove(records):
            pass
        assert [one for one in gate.judged(records) if one[0] != AUTHORS] == [], at
        line.close()


def vouched(peer):
    return [(AUTHORS, id, peer.store.get(AUTHORS, id)) for id, _ in peer.store.scan(AUTHORS)]


def test_a_batch_that_is_cut_or_is_none_is_refused():
    board, gateway, _ = net("gateway")
    board.insert("readings", n=1)
    linked(board, gateway)
    id, document = signed_by(gateway)[0]
    cell = document["b"]
    unpack = board.guard.unpack
    data = unpack(cell.value)
    assert batches.read(id, document, unpack).author == board.store.author

    def read(data, id=None):
        changed = Cell(cell.stamp, cell.author, cell.seq, cell.kind, pack(data))
        return batches.read(id or batches._id_of(data), {"b": changed}, unpack)

    for size in range(len(data)):
        with raises(FormatError):
            read(data[:size])
    for bad in (data + b"\0", data + data[64:]):
        with raises(FormatError):
            read(bad)
    with raises(FormatError):
        read(data, "another-id0")
    for wrong in (
        {},
        {"c": cell},
        {"b": cell, "c": cell},
        {"b": Cell(cell.stamp + 1, cell.author, cell.seq, 0, cell.value)},
        {"b": Cell(cell.stamp, cell.author, cell.seq + 1, 0, cell.value)},
        {"b": Cell(cell.stamp, cell.author, cell.seq, 2, cell.value)},
        {"b": Cell(cell.stamp, cell.author, cell.seq, 0, pack("text"))},
    ):
        with raises(FormatError):
            batches.read(id, wrong, unpack)


def test_a_batch_is_not_spliced_from_two():
    board, gateway, big = net("gateway")
    for n in range(2):
        board.insert("readings", n=n)
        linked(board, gateway)
    (_, one), (_, two) = signed_by(gateway)
    unpack = board.guard.unpack
    first, second = unpack(one["b"].value), unpack(two["b"].value)
    for data, cell in ((first[:64] + second[64:], two["b"]), (second[:64] + first[64:], one["b"])):
        document = {"b": Cell(cell.stamp, cell.author, cell.seq, 0, pack(data))}
        gateway.store.merge([(SIGNED, batches._id_of(data), document)])
    linked(gateway, big)
    assert big.rows("readings") == board.rows("readings")
    linked(board, gateway)
    assert [reason for _, _, reason in board.refused()] == [UNSIGNED, UNSIGNED]


def test_a_signature_of_somebody_else_proves_nothing():
    """A device of the app signs in another's name, and a relay lets it."""
    app = App()
    board, thief = Peer(app, "board", signs=True), Peer(app, "thief", signs=True)
    gateway, big = Peer(app, "gateway", RELAY), Peer(app, "big", BIG_PEER)
    board.insert("readings", n=1)
    linked(board, gateway)
    body, _ = batches.encode(
        board.store.author, [("readings", "r", 1, b"")], [written_by(board, n=2)]
    )
    message = batches.message_of(app.app_id, board.store.author, body)
    signature = finished(thief.guard.keys.sign(message))
    forged = batches.record_of(board.store.author, signature, body, [written_by(board, n=2)])
    gateway.store.merge([forged])
    linked(gateway, big)
    assert big.rows("readings") == board.rows("readings")


def test_a_batch_of_another_app_proves_nothing():
    board, gateway, _ = net("gateway")
    other = Peer(App("other"), "board", signs=True)
    other.guard.app_id, message_of = board.app.app_id, batches.message_of
    board.insert("readings", n=1)
    linked(board, gateway)
    batch = batches.read(*signed_by(gateway)[0], board.guard.unpack)
    keys, certificate = board.guard.keys, board.certificate
    for app_id, valid in ((board.app.app_id, True), (other.app.app_id, False)):
        message = message_of(app_id, batch.author, batch.body)
        assert finished(keys.verify_of(certificate, batch.signature, message)) == valid


def test_the_authors_certificate_says_what_counts_in_a_batch():
    board, gateway, big = net("gateway", rules=SITE_A)
    good = board.insert("readings", site="A")
    bad = board.insert("readings", site="B")
    line = Line(board, gateway)
    honest = line.syncs[1].gate.judged
    line.syncs[1].gate.judged = lambda records: honest(records) and records
    line.run().close()
    assert signed_by(gateway) and not gateway.rows("readings")
    linked(gateway, big)
    assert list(big.rows("readings")) == [good]
    linked(board, gateway)
    assert ("readings", bad, NOT_ALLOWED) in board.refused()


def test_the_base_of_an_update_travels_with_it():
    """The relay lacks what the board has changed; so the rule is judged by what the board knows."""
    app = App()
    admin, big = Peer(app, "admin"), Peer(app, "big", BIG_PEER)
    board = Peer(app, "board", rules=SITE_A, signs=True)
    gateway = Peer(app, "gateway", RELAY)
    admin.insert("readings", _id="r", site="A", n=1)
    linked(admin, big)
    board.wanted = ALL_READINGS
    linked(board, big)
    board.execute("UPDATE readings SET n = 2 WHERE _id = 'r'")
    carried(board, gateway, big)
    assert big.rows("readings") == {"r": {"site": "A", "n": 2}} and not board.refused()


def test_a_batch_of_an_author_of_whom_nothing_is_known_is_refused():
    board, gateway, big = net("gateway")
    board.insert("readings", n=1)
    linked(board, gateway)
    for id in gateway.rows(AUTHORS):
        gateway.store.log.drop([(AUTHORS, id)])
    linked(gateway, big)
    assert not big.rows("readings") and signed_by(gateway)
    linked(board, gateway)
    assert [reason for _, _, reason in board.refused()] == [UNKNOWN]


def test_a_device_is_sent_no_batches_and_takes_none():
    board, gateway, _ = net("gateway")
    reader = Peer(board.app, "reader")
    reader.wanted = ALL_READINGS + (("SELECT * FROM %s" % SIGNED, b"", 0),)
    board.insert("readings", n=1)
    linked(board, gateway)
    linked(reader, gateway)
    assert reader.rows("readings") == board.rows("readings") and not signed_by(reader)


def test_a_relay_signs_what_it_writes_for_other_relays_and_not_for_the_big_peer():
    app = App()
    one = Peer(app, "one", RELAY, signs=True)
    two, big = Peer(app, "two", RELAY), Peer(app, "big", BIG_PEER)
    direct = one.insert("readings", n=1)
    linked(one, big)
    assert list(big.rows("readings")) == [direct]
    one.insert("readings", n=2)
    linked(one, two)
    assert signed_by(two)
    carried(two, big)
    assert len(big.rows("readings")) == 2 and not one.refused()


def test_two_gateways_bring_it_once():
    board, one, two, big = net("one", "two")
    board.insert("readings", n=1)
    linked(board, one)
    linked(board, two)
    linked(one, big)
    line = linked(two, big)
    assert len(big.rows("readings")) == 1
    assert all([b"b" + data not in b"".join(line.said[0]) for data in [SIGNED.encode()]])


def test_what_the_big_peer_has_may_leave_a_relay_without_a_trace():
    board, gateway, big = net("gateway")
    board.insert("readings", n=1)
    carried(board, gateway, big)
    linked(gateway, big)
    gateway.execute("EVICT FROM %s" % SIGNED)
    assert not signed_by(gateway) and not gateway.store.evicted


def test_a_batch_has_at_most_32_documents_and_fits_every_link():
    board, gateway, big = net("gateway")
    for n in range(70):
        board.insert("readings", n=n, text="x" * (n % 50))
    for _ in range(4):  # a board rests after a signature
        carried(board, gateway, big)
    assert len(big.rows("readings")) == 70
    counts = []
    for id, document in signed_by(gateway):
        assert len(gateway.store.body(SIGNED, id)) <= 860
        counts.append(len(batches.read(id, document, board.guard.unpack).records))
    assert sum(counts) == 70 and max(counts) <= 32


def test_the_bytes_that_a_signature_costs_are_known():
    """32 readings, with and without: what each takes more on its way to the relay."""
    sizes = []
    for signs in (False, True):
        app = App()
        board, gateway = Peer(app, "board", DEVICE, signs=signs), Peer(app, "gateway", RELAY)
        line = Line(board, gateway).run()
        before = sum([len(one) for one in line.said[0]])
        board.execute(
            "INSERT INTO readings DOCUMENTS (:d)",
            d=[{"temp": 20 + n / 4, "humidity": 50 + n % 3, "n": n} for n in range(32)],
        )
        line.run()
        sizes.append(sum([len(one) for one in line.said[0]]) - before)
    assert (sizes[1] - sizes[0]) / 32 < 5


def test_what_others_wrote_to_a_document_follows_the_batch_of_a_relay():
    """A relay has signed half of it; of the other half its word is taken, by relays."""
    app = App()
    board, big = Peer(app, "board", signs=True), Peer(app, "big", BIG_PEER)
    one, two = Peer(app, "one", RELAY, signs=True), Peer(app, "two", RELAY)
    two.wanted = ALL_READINGS
    one.insert("readings", _id="r", a=1, b=1)
    board.wanted = ALL_READINGS
    linked(board, one)
    board.execute("UPDATE readings SET b = 2 WHERE _id = 'r'")
    linked(board, one)
    linked(one, big)
    linked(one, two)
    assert two.rows("readings") == big.rows("readings") == {"r": {"a": 1, "b": 2}}
    assert not one.refused() and not board.refused()


def test_two_batches_in_one_message_are_judged_one_after_the_other():
    app = App()
    board, gateway = Peer(app, "board", rules=SITE_A, signs=True), Peer(app, "gateway", RELAY)
    big = Peer(app, "big", BIG_PEER)
    board.insert("readings", _id="r", site="A", n=1)
    linked(board, gateway)
    board.execute("UPDATE readings SET n = 2 WHERE _id = 'r'")
    linked(board, gateway)
    assert len(signed_by(gateway)) == 2
    linked(gateway, big)
    assert big.rows("readings") == {"r": {"site": "A", "n": 2}} and not board.refused()


def test_a_relay_drops_batches_once_they_are_durable():
    board, gateway, big = net("gateway")
    for n in range(9):
        board.insert("readings", n=n)
        linked(board, gateway)
    assert len(signed_by(gateway)) == 9
    linked(gateway, big)
    linked(gateway, big)
    assert not signed_by(gateway) and not gateway.store.evicted
    assert len(big.rows("readings")) == len(gateway.rows("readings")) == 9


def test_certificates_count_wherever_in_a_message_they_stand():
    app = App()
    boards = [Peer(app, name, signs=True) for name in ("one", "two")]
    gateway, big = Peer(app, "gateway", RELAY), Peer(app, "big", BIG_PEER)
    for board in boards:
        board.insert("readings", n=1)
        linked(board, gateway)
    gate = Line(gateway, big).syncs[1].gate
    batches_first = [(SIGNED, id, document) for id, document in signed_by(gateway)]
    records = batches_first + vouched(gateway)
    for _ in gate.prove(records):
        pass
    assert len([one for one in gate.judged(records) if one[0] == "readings"]) == 2
