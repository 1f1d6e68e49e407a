"""Documents that leave what a neighbour wants, and documents that it brings in itself."""

from linked import BIG, GATEWAY, Peer, Wire, messages_of, open_only

from edge_peer.core.sync.messages import DELTA, MOVED

NORTH = (("SELECT * FROM tasks WHERE site = 'north'", b"", 0),)


def put(peer, id, **fields):
    peer.executor.execute(
        "INSERT INTO tasks DOCUMENTS (:d) ON ID CONFLICT DO UPDATE", {"d": dict(fields, _id=id)}
    )


def tasks(peer):
    """Return id -> site of what SELECT shows."""
    rows = peer.executor.execute("SELECT * FROM tasks").items
    return {row["_id"]: row.get("site") for row in rows}


def north_and_big():
    board, big = Peer("board"), Peer("big", BIG)
    board.wanted = NORTH
    put(big, "a", site="north", n=1)
    put(big, "b", site="south", n=2)
    wire = Wire(board, big)
    wire.run()
    assert tasks(board) == {"a": "north"}
    return board, big, wire


def kinds(messages):
    return [message[0] for message in messages]


def test_a_document_that_moves_away_goes_while_the_link_is_up():
    board, big, wire = north_and_big()
    put(big, "a", site="south", n=1)
    wire.run()
    assert tasks(board) == {}


def test_a_document_that_moved_away_goes_with_the_next_link():
    board, big, wire = north_and_big()
    for session in wire.sessions:
        session.close("done")
    put(big, "a", site="south", n=1)
    Wire(board, big, now_ms=wire.now_ms).run()
    assert tasks(board) == {}


def test_what_moves_back_comes_back_whole():
    board, big, wire = north_and_big()
    put(big, "a", site="south", n=1)
    wire.run()
    put(big, "a", n=5)
    put(big, "a", site="north")
    wire.run()
    rows = board.executor.execute("SELECT * FROM tasks").items
    assert rows == [{"_id": "a", "site": "north", "n": 5}]


def test_what_never_was_here_is_not_kept_when_it_moves_elsewhere():
    board, big, wire = north_and_big()
    put(big, "b", site="east")
    wire.run()
    assert board.store.log.get("tasks", "b") is None


def test_readings_of_elsewhere_cost_no_word():
    """Who gave an automatic id gave the first values, too: nothing has moved."""
    board, big, wire = north_and_big()
    big.executor.execute("INSERT INTO tasks DOCUMENTS (:d)", {"d": {"site": "south", "n": 9}})
    assert not [kind for kind in kinds(messages_of(wire)) if kind in (MOVED, DELTA)]
    assert tasks(board) == {"a": "north"}


def test_who_holds_nothing_is_told_of_no_move():
    board, big = Peer("board"), Peer("big", BIG)
    board.wanted = NORTH
    for n in range(20):
        put(big, "t%d" % n, site="south", n=n)
    assert MOVED not in kinds(messages_of(open_only(Wire(board, big))))


def test_who_moves_a_document_to_itself_gets_the_rest_of_it():
    board, big, wire = north_and_big()
    put(board, "b", site="north")
    wire.run()
    rows = board.executor.execute("SELECT * FROM tasks WHERE _id = 'b'").items
    assert rows == [{"_id": "b", "site": "north", "n": 2}]


def test_what_moves_away_goes_behind_a_relay_too():
    board, relay, big = Peer("board"), Peer("relay", GATEWAY), Peer("big", BIG)
    board.wanted = relay.wanted = NORTH
    put(big, "a", site="north", n=1)
    up, down = Wire(relay, big), Wire(board, relay)
    up.run()
    down.run()
    assert tasks(board) == {"a": "north"}
    put(big, "a", site="south")
    up.run()
    down.run()
    assert tasks(board) in ({}, {"a": "south"})


def test_what_moves_away_goes_behind_a_relay_that_has_evicted_it_too():
    board, relay, big = Peer("board"), Peer("relay", GATEWAY), Peer("big", BIG)
    board.wanted = relay.wanted = NORTH
    put(big, "a", site="north", n=1)
    up, down = Wire(relay, big), Wire(board, relay)
    up.run()
    down.run()
    relay.executor.execute("EVICT FROM tasks")
    assert tasks(relay) == {} and tasks(board) == {"a": "north"}
    put(big, "a", site="south")
    up.run()
    down.run()
    assert tasks(board) in ({}, {"a": "south"})
