"""What Big Peers write comes down through relays as they wrote it, or not at all."""

from binascii import hexlify

from gated import App, Line, Peer, linked

from edge_peer.core.codec import pack, unpack
from edge_peer.core.document import BIRTH, SEAL, Cell
from edge_peer.core.limits import AUTHORS
from edge_peer.security import seal
from edge_peer.security.certificate import BIG_PEER, RELAY
from edge_peer.security.guard import finished
from edge_peer.security.refusals import UNSIGNED

ALL_SETTINGS = (("SELECT * FROM settings", b"", 0),)


def net(*names):
    """Return an app's Big Peer, relays of these names, and a board that wants the settings."""
    app = App()
    board = Peer(app, "board")
    board.wanted = ALL_SETTINGS
    relays = [Peer(app, name, RELAY) for name in names]
    for relay in relays:
        relay.wanted = ALL_SETTINGS
    return [Peer(app, "big", BIG_PEER)] + relays + [board]


def carried(*peers):
    """Let each pair of neighbours talk."""
    for i in range(len(peers) - 1):
        linked(peers[i], peers[i + 1])


def judged(relay, receiver, id, document):
    """Return what a peer takes of one document that a relay says it has."""
    vouched = [
        (AUTHORS, one, relay.store.get(AUTHORS, one)) for one, _ in relay.store.scan(AUTHORS)
    ]
    line = Line(relay, receiver)
    gate = line.syncs[1].gate
    records = vouched + [("settings", id, document)]
    for _ in gate.prove(records):
        pass
    taken = [one[2] for one in gate.judged(records) if one[0] != AUTHORS]
    line.close()
    return taken[0] if taken else {}


def test_settings_come_down_through_relays():
    big, one, two, board = net("one", "two")
    big.insert("settings", _id="s", lit=True, every_s=60)
    big.insert("settings", n=[1, {"deep": 2.5}])
    carried(big, one, two, board)
    assert board.rows("settings") == big.rows("settings") == one.rows("settings")
    big.execute("UPDATE settings SET lit = FALSE, map.x = 1 WHERE _id = 's'")
    carried(big, one, two, board)
    assert board.rows("settings") == big.rows("settings") and not big.refused()
    big.execute("DELETE FROM settings WHERE _id = 's'")
    carried(big, one, two, board)
    assert len(board.rows("settings")) == 1 and not big.refused()


def test_only_relays_keep_a_seal():
    big, gateway, board = net("gateway")
    big.insert("settings", _id="s", lit=True)
    carried(big, gateway, board)
    assert [SEAL in peer.store.get("settings", "s") for peer in (big, gateway, board)] == [
        False,
        True,
        False,
    ]
    near = Peer(big.app, "near")
    near.wanted = ALL_SETTINGS
    line = linked(big, near)
    assert near.rows("settings") == big.rows("settings")
    assert sum([len(one) for one in line.said[0]]) < 120  # a seal alone has 64


def test_a_relay_cannot_write_in_the_big_peers_name():
    big, gateway, board = net("gateway")
    other = Peer(big.app, "other", RELAY)
    other.wanted = ALL_SETTINGS
    big.insert("settings", _id="s", lit=False)
    carried(big, gateway)
    author, stamp = big.store.author, big.store.next_stamp() + 1_000
    forged = {
        "lit": Cell(stamp, author, 9, 0, pack(True)),
        BIRTH: Cell(stamp, author, 9, 0, b"\xc0"),
    }
    gateway.store.merge([("settings", "forged", forged), ("settings", "s", dict(forged))])
    for peer in (board, other):
        linked(gateway, peer)
        assert peer.rows("settings") in ({}, {"s": {"lit": False}})
    linked(big, gateway)
    assert ("settings", "forged", UNSIGNED) in big.refused()


def test_what_others_overwrite_leaves_the_rest_proven():
    big, gateway, board = net("gateway")
    writer = Peer(big.app, "writer")
    writer.wanted = ALL_SETTINGS
    big.insert("settings", _id="s", a=1, b=1, c=1)
    carried(big, gateway, writer)
    writer.execute("UPDATE settings SET b = 2 WHERE _id = 's'")
    linked(writer, gateway)
    linked(gateway, board)
    assert board.rows("settings") == {"s": {"a": 1, "b": 2, "c": 1}}
    linked(gateway, big)
    big.execute("UPDATE settings SET c = 3 WHERE _id = 's'")
    carried(big, gateway, board)
    assert board.rows("settings") == {"s": {"a": 1, "b": 2, "c": 3}} and not big.refused()


def test_each_bit_of_a_seal_and_of_what_it_covers_matters():
    big, gateway, board = net("gateway")
    big.insert("settings", _id="s", lit=True)
    linked(big, gateway)
    document = gateway.store.get("settings", "s")
    assert sorted(judged(gateway, board, "s", document)) == [BIRTH, "lit"]
    value = unpack(document[SEAL].value)
    for at in range(seal.SIGNATURE_SIZE):
        bad = value[:at] + bytes([value[at] ^ 1 << at % 8]) + value[at + 1 :]
        assert judged(gateway, board, "s", altered(document, SEAL, value=pack(bad))) == {}, at
    for change in ({"seq": 2}, {"stamp": 1 << 40}, {"kind": 3}, {"value": pack(1)}):
        assert judged(gateway, board, "s", altered(document, "lit", **change)) == {
            BIRTH: document[BIRTH]
        }
    assert judged(gateway, board, "t", document) == {}  # another document
    away = {path: cell for path, cell in document.items() if path != SEAL}
    assert judged(gateway, board, "s", away) == {}
    for bad in (b"", bytes(64), bytes(74), value[:64], value[:-1], value + b"x", 5, "text", None):
        found = judged(gateway, board, "s", altered(document, SEAL, value=pack(bad)))
        assert found == {}, bad


def altered(document, path, **changes):
    """Return a document with one cell changed."""
    names = ("stamp", "author", "seq", "kind", "value")
    out = dict(document)
    out[path] = Cell(*[changes.get(name, getattr(document[path], name)) for name in names])
    return out


def test_no_seal_of_anybody_else_counts():
    """Not a relay's own, under its name or that of the Big Peer."""
    big, gateway, board = net("gateway")
    big.insert("settings", _id="s", lit=True)
    linked(big, gateway)
    document = gateway.store.get("settings", "s")
    names = unpack(document[SEAL].value)[seal.SIGNATURE_SIZE :]
    message = seal.message_of(big.app.app_id, "settings", "s", names)
    signature = finished(gateway.guard.keys.sign(message))
    cell = document[SEAL]
    mine = Cell(cell.stamp, gateway.store.author, 1, 0, pack(signature + names))
    assert judged(gateway, board, "s", document | {SEAL: mine}) == {}
    claimed = altered(document, SEAL, value=pack(signature + names))
    assert judged(gateway, board, "s", claimed) == {}


def test_a_seal_that_is_here_is_not_checked_again():
    big, one, two, _ = net("one", "two")
    big.insert("settings", _id="s", lit=True)
    carried(big, one, two)
    document = one.store.get("settings", "s")
    asked = []
    verify_of = two.guard.keys.verify_of
    two.guard.keys.verify_of = lambda *given: asked.append(1) or verify_of(*given)
    assert SEAL in judged(one, two, "s", document) and not asked
    assert SEAL in judged(one, two, "t", document) or asked


def test_a_document_that_moves_out_of_reach_says_so_with_its_proof():
    big, gateway, board = net("gateway")
    board.wanted = (("SELECT * FROM settings WHERE site = :s", pack({"s": "A"}), 0),)
    big.insert("settings", _id="s", site="A", lit=True)
    carried(big, gateway, board)
    assert board.rows("settings") == {"s": {"site": "A", "lit": True}}
    big.execute("UPDATE settings SET site = 'B' WHERE _id = 's'")
    carried(big, gateway, board)
    assert board.rows("settings") in ({}, {"s": {"site": "B", "lit": True}})


def test_a_restored_big_peer_proves_what_it_wrote_before():
    """It is another author with the same key; what the lost one wrote is proven by it."""
    big, gateway, board = net("gateway")
    big.insert("settings", _id="s", lit=True)
    linked(big, gateway)
    restored = Peer(big.app, "big", BIG_PEER, seed=1)
    assert restored.store.author != big.store.author
    for collection, id in (("settings", "s"), (AUTHORS, hexlify(big.store.author).decode())):
        holder = gateway if collection == AUTHORS else big
        restored.store.merge([(collection, id, holder.store.get(collection, id))])
    fresh = Peer(big.app, "fresh", RELAY)
    fresh.wanted = ALL_SETTINGS
    carried(restored, fresh, board)
    assert board.rows("settings") == {"s": {"lit": True}}
