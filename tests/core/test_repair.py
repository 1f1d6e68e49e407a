"""Documents of which a peer has no more than a part, and how it gets the rest."""

from helpers import Random, raises
from linked import BIG, GATEWAY, Peer, Wire, messages_of

from edge_peer.core.errors import FormatError, RemoteProtocolError
from edge_peer.core.store.fragments import BYTES_PER_AUTHOR, Fragments
from edge_peer.core.sync.messages import DELTA, FETCH, FETCHED, Decoder, Fetch, Fetched
from edge_peer.core.sync.repair import FETCH_COUNT_MAX, put_message

ALL = (("SELECT * FROM tasks", b"", 0),)


def put(peer, **fields):
    peer.executor.execute(
        "INSERT INTO tasks DOCUMENTS (:d) ON ID CONFLICT DO UPDATE", {"d": fields}
    )


def task(peer, id="a"):
    rows = peer.executor.execute("SELECT * FROM tasks WHERE _id = :id", {"id": id}).items
    return rows[0] if rows else None


def wanting(name, flags=0):
    peer = Peer(name, flags)
    peer.wanted = ALL
    peer.store.wants_of = lambda collection: [] if collection == "tasks" else None
    return peer


def evict(peer):
    peer.executor.execute("EVICT FROM tasks")
    assert task(peer) is None


def run(*wires):
    """Let peers that stand in a row exchange everything."""
    for _ in range(3):
        for wire in wires:
            wire.now_ms = max([one.now_ms for one in wires])
            wire.run(2_000)


def row():
    """A board, a relay and a Big Peer, all with the same task."""
    board, relay, big = wanting("board"), wanting("relay", GATEWAY), Peer("big", BIG)
    put(big, _id="a", title="dig", n=1)
    low, high = Wire(board, relay), Wire(relay, big)
    run(high, low)
    assert task(board) == task(relay) == {"_id": "a", "title": "dig", "n": 1}
    low, high = again(low, board, relay), again(high, relay, big)
    run(high, low)
    return board, relay, big, low, high


def again(wire, one, other):
    """Another link, over which it has been said what both know."""
    for session in wire.sessions:
        session.close("away")
    return Wire(one, other, now_ms=wire.now_ms)


def kinds(messages):
    return [message[0] for message in messages]


def test_who_writes_to_what_it_has_evicted_gets_the_rest_of_it():
    board, big = wanting("board"), Peer("big", BIG)
    put(big, _id="a", title="dig", n=1)
    wire = Wire(board, big)
    wire.run()
    wire = again(wire, board, big)
    wire.run()
    evict(board)
    put(board, _id="a", n=2)
    assert task(board) == {"_id": "a", "n": 2}
    wire.run()
    assert task(board) == task(big) == {"_id": "a", "title": "dig", "n": 2}


def test_the_rest_comes_through_a_relay_that_has_evicted_it_too():
    board, relay, big, low, high = row()
    evict(board)
    evict(relay)
    put(board, _id="a", n=2)
    run(low, high)
    assert task(board) == task(relay) == task(big) == {"_id": "a", "title": "dig", "n": 2}


def test_what_a_neighbour_has_less_of_than_was_evicted_is_completed():
    board, relay, big, low, high = row()
    other = wanting("other")
    third = Wire(other, relay)
    run(third, high)
    for session in third.sessions:
        session.close("away")
    put(board, _id="a", title="dig deep")
    run(low, high)
    evict(relay)
    put(other, _id="a", n=3)  # and knows nothing of the new title
    third = Wire(other, relay, now_ms=high.now_ms)
    run(third, high, low)
    whole = {"_id": "a", "title": "dig deep", "n": 3}
    assert task(relay) == task(big) == task(board) == task(other) == whole


def test_who_has_lost_power_in_between_still_asks():
    board = wanting("board")
    board.store.fragments.note(("tasks", "a"))
    board.store.fragments.save()
    again = Fragments(board.store, board.store.entry("fragments"))
    assert again.keys == [("tasks", "a")]


def test_more_fragments_than_there_is_room_for_are_no_more_than_noticed():
    board = wanting("board")
    count = 0
    while not board.store.fragments.overflowed:
        board.store.fragments.note(("tasks", "task %d" % count))
        count += 1
    assert 14 * count > BYTES_PER_AUTHOR * board.store.log.authors_max
    assert len(board.store.fragments.keys) == count - 1


def test_who_wants_everything_and_has_evicted_nothing_asks_nothing():
    board, relay, big, low, high = row()
    put(board, _id="b", n=1)
    assert not [one for one in kinds(messages_of(low)) if one in (FETCH, FETCHED)]


def test_what_is_whole_already_is_not_sent_again():
    board, big = wanting("board"), Peer("big", BIG)
    put(big, _id="a", n=1)
    wire = Wire(board, big)
    wire.run()
    evict(board)
    put(board, _id="b", n=2)
    messages = messages_of(wire)
    said = kinds(messages)
    assert FETCH in said and any([bytes([FETCHED, 1]) in one for one in messages])
    assert said.count(DELTA) == 1  # the board's
    assert not wire.sessions[0].sync.received_count() > 1


def test_a_relay_without_a_way_to_the_big_peer_waits_and_keeps_what_it_owes():
    board, relay, big, low, high = row()
    evict(board)
    high.sessions[0].close("away")
    put(board, _id="a", n=2)
    low.run()
    assert relay.store.fragments.is_owed(("tasks", "a"))
    assert task(board) == {"_id": "a", "n": 2}
    run(low, Wire(relay, big, now_ms=low.now_ms))
    assert task(board) == {"_id": "a", "title": "dig", "n": 2}
    assert not relay.store.fragments.is_owed(("tasks", "a"))


def test_nobody_waits_for_a_link_that_is_closed():
    board, relay, big, low, high = row()
    evict(board)
    high.sessions[0].close("away")
    put(board, _id="a", n=2)
    low.run()
    for session in low.sessions:
        session.close("away")
    assert relay.store.fragments.fetched == []


def test_what_was_not_asked_is_not_answered():
    board, relay, big, low, high = row()
    sync = low.sessions[0].sync
    with raises(RemoteProtocolError):
        sync.receive(put_message(Fetched(1)), low.now_ms)
    with raises(RemoteProtocolError):
        sync.receive(put_message(Fetch([(("tasks", "a"), 0)])), low.now_ms)


def test_who_asks_more_before_the_answer_is_refused():
    board, relay, big, low, high = row()
    asked = [(("tasks", "task %d" % n), 0) for n in range(FETCH_COUNT_MAX)]
    sync = low.sessions[1].sync
    sync.receive(put_message(Fetch(asked)), low.now_ms)
    with raises(RemoteProtocolError):
        sync.receive(put_message(Fetch(asked[:1])), low.now_ms)


def test_what_is_no_document_is_not_fetched():
    for collection in ("", "*pieces"):
        message = put_message(Fetch([((collection, "state"), 0)]))
        with raises(FormatError):
            list(Decoder(b"stranger", 1_024).messages(message))


def test_any_bytes_are_a_message_or_a_format_error():
    random = Random(29)
    whole = put_message(Fetch([(("tasks", "a"), 1), (("tasks", "b"), 2)]))
    for _ in range(500):
        message = bytearray(whole)
        message[1 + random.below(len(message) - 1)] = random.below(256)
        try:
            for one in Decoder(b"stranger", 1_024).messages(bytes(message)):
                assert len(one.asked) <= FETCH_COUNT_MAX
        except FormatError:
            pass


def test_what_is_durable_is_known_through_relays_that_have_evicted_what_came_before():
    """A relay that is new cannot know all that its neighbours had, and must not promise it."""
    board, relay, big, low, high = row()
    put(board, _id="b", n=1)
    run(low, high)
    run(again(low, board, relay), again(high, relay, big))
    assert not board.store.unsynced_count()
    evict(board)
    evict(relay)
    new = wanting("new", GATEWAY)
    new.covers_them = relay.covers_them = True
    put(board, _id="c", n=1)
    low, middle, high = Wire(board, new), Wire(new, relay), again(high, relay, big)
    run(low, middle, high)
    run(low, middle, high)
    assert task(big, "c") and board.store.evicted and relay.store.evicted
    assert new.store.known(board.store.author) < board.store.own_seq
    assert not board.store.unsynced_count()


def test_who_asks_after_a_relay_has_asked_is_asked_for_again():
    relay = wanting("relay", GATEWAY)
    fragments, key = relay.store.fragments, ("tasks", "a")
    fragments.owe(key)
    asked_at = fragments.owed_count
    fragments.owe(key)  # another neighbour, whose part the Big Peer may not have had
    fragments.settle([key], asked_at)
    assert fragments.waits_for(key)
    fragments.settle([key], fragments.owed_count)
    assert not fragments.waits_for(key)
