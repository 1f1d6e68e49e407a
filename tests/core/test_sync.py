"""Sync: what travels between stores, what does not, and what a broken link leaves behind."""

from app import App, device
from helpers import Random, raises
from linked import BIG, GATEWAY, MEDIUM, Peer, Wire, messages_of, open_only

from edge_peer.core import codec
from edge_peer.core import document as documents
from edge_peer.core.errors import RemoteProtocolError, StoreFull
from edge_peer.core.sync.link import Closed
from edge_peer.core.sync.messages import DELTA, DURABLE, HELLO, KNOW, Encoder, Hello
from edge_peer.core.sync.session import Local, Medium
from edge_peer.core.sync.sync import Sync


def test_a_reading_reaches_the_gateway_and_the_big_peer():
    board, gateway, big = Peer("board"), Peer("gateway", GATEWAY), Peer("big", BIG)
    board.insert(n=1)
    down, up = Wire(board, gateway), Wire(gateway, big)
    down.run()
    up.run()
    assert gateway.readings() == [1]
    assert big.readings() == [1]


def test_documents_written_while_the_link_is_up_follow():
    board, big = Peer("board"), Peer("big", BIG)
    wire = Wire(board, big)
    wire.run()
    for n in range(100):
        board.insert(n=n)
    wire.run()
    assert big.readings() == list(range(100))


def test_what_the_big_peer_has_is_durable_two_hops_away():
    board, gateway, big = Peer("board"), Peer("gateway", GATEWAY), Peer("big", BIG)
    board.insert(n=1)
    down, up = Wire(board, gateway), Wire(gateway, big)
    for _ in range(3):
        down.run()
        assert board.store.unsynced_count() == 1 or up.now_ms
        up.run()
    assert board.store.unsynced_count() == 0
    assert gateway.store.durable_seq(board.store.author) == board.store.own_seq


def test_documents_are_the_same_bytes_everywhere():
    board, gateway, big = Peer("board"), Peer("gateway", GATEWAY), Peer("big", BIG)
    for n in range(20):
        board.insert(n=n, place={"room": "kitchen", "shelf": n}, tags=["a", 1.5, None])
    Wire(board, gateway).run()
    Wire(gateway, big).run()
    for id, _ in board.store.scan("readings"):
        assert board.store.log.get("readings", id) == big.store.log.get("readings", id)


def test_a_link_that_breaks_anywhere_loses_nothing():
    for seed in range(30):
        random = Random(seed)
        board, big = Peer("board"), Peer("big", BIG)
        written = 0
        for _ in range(40):
            for _ in range(random.below(10)):
                board.insert(n=written)
                written += 1
            Wire(board, big).run(frame_count_max=random.below(20))
        Wire(board, big).run()
        assert big.readings() == list(range(written)), seed


def test_a_broken_link_goes_on_where_it_was():
    board, big = Peer("board"), Peer("big", BIG)
    for n in range(200):
        board.insert(n=n)
    wire = Wire(board, big)
    wire.run(frame_count_max=30)
    have = len(big.readings())
    assert 0 < have < 200
    rest = Wire(board, big)
    rest.run()
    assert len(big.readings()) == 200
    assert rest.sessions[1].sync.received_count() <= 200 - have


def test_a_second_session_with_nothing_new_carries_no_documents():
    board, big = Peer("board"), Peer("big", BIG)
    for n in range(50):
        board.insert(n=n)
    Wire(board, big).run()
    again = Wire(board, big)
    again.run()
    assert again.sessions[0].sync.sent_count() == 0


def test_a_small_peer_gets_nothing_that_it_did_not_ask_for():
    board, big = Peer("board"), Peer("big", BIG)
    big.insert(n=1)
    wire = Wire(board, big)
    wire.run()
    assert board.readings() == []
    assert wire.sessions[1].sync.sent_count() == 0


def test_a_subscription_brings_what_it_matches_and_no_more():
    board, big = Peer("board"), Peer("big", BIG)
    for n in range(10):
        big.insert(n=n)
    board.wanted = (("SELECT * FROM readings WHERE n >= :low", codec.pack({"low": 7}), 0),)
    Wire(board, big).run()
    assert board.readings() == [7, 8, 9]


def test_a_big_peer_does_not_send_a_gateway_what_is_durable():
    gateway, big = Peer("gateway", GATEWAY), Peer("big", BIG)
    for n in range(10):
        big.insert(n=n)
    Wire(gateway, big).run()
    assert gateway.readings() == []


def test_an_update_on_the_gateway_reaches_the_big_peer_as_one_document():
    gateway, big = Peer("gateway", GATEWAY), Peer("big", BIG)
    statement = "INSERT INTO readings DOCUMENTS (:d) ON ID CONFLICT DO UPDATE"
    gateway.executor.execute(statement, {"d": {"_id": "x", "n": 1, "unit": "C"}})
    wire = Wire(gateway, big)
    wire.run()
    gateway.executor.execute(statement, {"d": {"_id": "x", "n": 2}})
    wire.run()
    rows = big.executor.execute("SELECT * FROM readings").items
    assert rows == [{"_id": "x", "n": 2, "unit": "C"}]


def test_what_a_neighbour_already_knows_is_not_sent_back_however_late_we_hear_of_its_author():
    board, relay, gateway = Peer("board"), Peer("relay", GATEWAY), Peer("gateway", GATEWAY)
    for n in range(100):
        board.insert(n=n)
    Wire(board, relay).run()
    wire = Wire(relay, gateway)
    wire.run()
    assert gateway.readings() == list(range(100))
    assert [session.sync.sent_count() for session in wire.sessions] == [100, 0]


def test_what_comes_from_a_neighbour_goes_not_back_to_it_even_if_it_lacks_what_went_before():
    relay, gateway = Peer("relay", GATEWAY), Peer("gateway", GATEWAY)
    for n in range(2, 102):  # the first one of this author went another way
        stranger = documents.make({"n": codec.pack(n)}, n << 40, b"stranger", n)
        relay.store.merge([("readings", "x%d" % n, stranger)])
    gateway.insert(n=1)
    wire = Wire(relay, gateway)
    wire.run()
    assert gateway.readings() == list(range(1, 102))
    assert [session.sync.sent_count() for session in wire.sessions] == [100, 1]


def test_what_nobody_asked_about_is_not_remembered():
    board, big = Peer("board"), Peer("big", BIG)
    authors = [n.to_bytes(8, "big") for n in range(3 * board.store.log.authors_max)]
    sync = started(board, big)
    encoder = Encoder(big.store.author)
    for start in range(0, len(authors), 64):
        part = {author: 5 for author in authors[start : start + 64]}
        sync.receive(encoder.vector(KNOW, part), 0)
    assert list(sync._sender._their_knowledge) == [board.store.author]


def started(peer, neighbour):
    """A Sync of `peer` that has heard the neighbour's HELLO, and said its own."""
    flags = peer.local.flags
    sync = Sync(peer.store, neighbour.store.author, flags, peer.executor.matcher, 0, 0, 1024)
    hello = Hello(neighbour.local.flags, 1, 0, 0, 0, 0, 0, 0, ())
    sync.receive(Encoder(neighbour.store.author).hello(hello), 0)
    sync.next_message(1024, 0)
    return sync


def test_a_hundred_authors_are_asked_about_before_anything_of_theirs_is_sent():
    relay, big = Peer("relay", GATEWAY), Peer("big", BIG)
    for n in range(300):
        author = b"author%02d" % (n % 100)
        document = documents.make({"n": codec.pack(n)}, (n + 1) << 20, author, n + 1)
        relay.store.merge([("readings", "x%d" % n, document)])
        if n % 100 < 50:
            big.store.merge([("readings", "x%d" % n, document)])
            big.store.learn({author: n + 1})
    wire = Wire(relay, big)
    wire.run()
    assert big.readings() == list(range(300))
    assert wire.sessions[0].sync.sent_count() == 150


def test_a_document_of_more_authors_than_anybody_remembers_still_arrives():
    relay, big = Peer("relay", GATEWAY), Peer("big", BIG)
    document = {}
    for n in range(250):
        author = b"auth%04d" % n
        document.update(documents.make({"f%d" % n: codec.pack(n)}, n + 9, author, 1))
    document.update(documents.make({"n": codec.pack(1)}, 1, b"another1", 1))
    for n in range(3):
        stranger = documents.make({"n": codec.pack(9)}, 1, b"other%03d" % n, 1)
        relay.store.merge([("readings", "y%d" % n, stranger)])
    relay.store.merge([("readings", "x", document)])
    Wire(relay, big, Medium("wide", 1, 256, 16_384, 5_000, 100)).run(for_ms=9_000)
    assert big.readings() == [1, 9, 9, 9]
    assert big.store.get("readings", "x") == relay.store.get("readings", "x")


def test_who_has_no_news_says_hello_and_nothing_else():
    writer, big, reader = Peer("writer"), Peer("big", BIG), Peer("reader")
    reader.wanted = (("SELECT * FROM readings", b"", 0),)
    strangers = {n.to_bytes(8, "big"): n for n in range(1, 90)}
    big.store.learn(strangers)
    for n in range(50):
        writer.insert(n=n)
    for peer in (writer, reader, writer, reader):
        Wire(peer, big).run()
    assert len(reader.store.knowledge) >= 90
    for peer in (writer, reader):
        found = messages_of(open_only(Wire(peer, big)))
        assert [message[0] for message in found] == [HELLO, HELLO]
        assert sum([len(message) for message in found]) < 34 + len(str(peer.wanted))
    writer.insert(n=50)
    found = messages_of(open_only(Wire(writer, big)))
    assert [message[0] for message in found] == [HELLO, HELLO, DELTA, DURABLE]


def test_what_was_learned_since_is_told_and_no_more():
    big, reader = Peer("big", BIG), Peer("reader")
    reader.wanted = (("SELECT * FROM readings", b"", 0),)
    big.store.learn({n.to_bytes(8, "big"): n for n in range(1, 90)})
    big.insert(n=1)
    Wire(reader, big).run()
    stranger = documents.make({"n": codec.pack(7)}, 1 << 40, b"stranger", 5)
    big.store.merge([("readings", "x", stranger)])
    big.store.learn({b"stranger": 5})
    wire = Wire(reader, big)
    before = sum([len(message) for message in messages_of(open_only(wire))])
    assert reader.readings() == [1, 7] and reader.store.known(b"stranger") == 5
    assert before < 170


def test_a_relay_hears_what_became_durable_of_what_it_holds_for_others():
    board, relay, other, big = Peer("b"), Peer("r", GATEWAY), Peer("o", GATEWAY), Peer("big", BIG)
    board.insert(n=1)
    Wire(board, relay).run()
    Wire(relay, other).run()
    Wire(other, big).run()
    assert not relay.store.is_durable(relay.store.get("readings", relay_id(relay)))
    Wire(relay, other).run()
    assert relay.store.is_durable(relay.store.get("readings", relay_id(relay)))


def relay_id(relay):
    return list(relay.store.scan("readings"))[0][0]


def refuse_documents(store):
    """Fill a store up; return how to make room again."""
    commit = store.log.commit

    def refuse(puts, relayed=()):
        if [put for put in puts if put[0]]:
            raise StoreFull("no room")
        commit(puts)

    def make_room():
        store.log.commit = commit

    store.log.commit = refuse
    return make_room


def test_a_relay_without_room_loses_nothing_and_goes_on_when_there_is_room():
    board, gateway = Peer("board"), Peer("gateway", GATEWAY)
    for n in range(100):
        board.insert(n=n)
    wire = Wire(board, gateway)
    wire.run(for_ms=2_500, frame_count_max=6)
    make_room = refuse_documents(gateway.store)
    wire.run(for_ms=5_000)
    assert len(gateway.readings()) < 100
    assert wire.sessions[1].sync.refused_count() > 0
    make_room()
    wire.run(for_ms=5_000)
    assert gateway.readings() == list(range(100))


def test_a_big_peer_without_room_says_so_and_acknowledges_nothing():
    board, big = Peer("board"), Peer("big", BIG)
    wire = Wire(board, big)
    wire.run()
    board.insert(n=1)
    make_room = refuse_documents(big.store)
    with raises(StoreFull):
        wire.run()
    make_room()
    Wire(board, big).run()
    assert big.readings() == [1]


def test_a_document_too_large_for_a_link_is_never_taken_for_delivered():
    gateway, relay, big = Peer("gateway", GATEWAY), Peer("relay", GATEWAY), Peer("big", BIG)
    gateway.insert(n=1)
    gateway.insert(n=2, text="x" * 2000)
    gateway.insert(n=3)
    narrow, up = Wire(gateway, relay), Wire(relay, big)
    for _ in range(3):
        narrow.run()
        up.run()
    assert relay.readings() == big.readings() == [1, 3]
    assert narrow.sessions[0].sync.skipped_count() == 1
    assert gateway.store.unsynced_count() > 0
    direct = Wire(gateway, big, Medium("wide", 1, 64, 8192, 5_000, 100))
    direct.run()
    assert big.readings() == [1, 2, 3]
    assert gateway.store.unsynced_count() == 0


def test_a_neighbour_that_knows_everybody_makes_nobody_remember_them():
    board, big = Peer("board"), Peer("big", BIG)
    big.store.log.authors_max = 1000
    board.wanted = (("SELECT * FROM readings", b"", 0),)
    board.insert(n=1)
    for n in range(3 * board.store.log.authors_max):
        stranger = documents.make({"n": codec.pack(n)}, 1 << 40, b"author%02d" % (n % 100), n + 1)
        big.store.merge([("others", "id%d" % n, stranger)])
        big.store.learn({bytes([n & 255, n >> 8]) * 4: n + 1})
    wire = Wire(board, big)
    wire.run()
    assert big.readings() == [1]
    assert len(board.store.knowledge) <= board.store.log.authors_max
    assert len(board.store.durable) <= board.store.log.authors_max
    assert board.store.unsynced_count() == 0


def test_what_a_subscriber_holds_of_others_is_known_to_be_durable():
    board, big = Peer("board"), Peer("big", BIG)
    board.wanted = (("SELECT * FROM readings", b"", 0),)
    stranger = documents.make({"n": codec.pack(7)}, 1 << 40, b"stranger", 5)
    big.store.merge([("readings", "x", stranger)])
    big.store.learn({b"stranger": 5})
    Wire(board, big).run()
    assert board.readings() == [7]
    assert board.store.is_durable(board.store.get("readings", "x"))


def test_a_document_too_large_for_a_store_is_left_out_and_never_taken_for_stored():
    board, relay, big = Peer("board"), Peer("relay", GATEWAY), Peer("big", BIG)
    commit = relay.store.log.commit

    def bounded(puts, relayed=()):
        if max([len(put[3]) for put in puts if put[0]] or [0]) > 300:
            raise StoreFull("too large")
        commit(puts)

    relay.store.log.commit = bounded
    relay.store.log.document_bytes_max = 300
    board.insert(n=1)
    board.insert(n=2, text="x" * 400)
    board.insert(n=3)
    down, up = Wire(board, relay), Wire(relay, big)
    for _ in range(3):
        down.run()
        up.run()
    assert relay.readings() == big.readings() == [1, 3]
    assert relay.store.oversized_count == 1
    assert down.sessions[0].sync.sent_count() == 3  # not again and again
    assert board.store.unsynced_count() > 0


def test_a_peer_of_another_app_is_turned_away():
    board, other = Peer("board"), Peer("big", BIG, app=App("another"))
    board.insert(n=1)
    wire = Wire(board, other)
    wire.run()
    assert other.readings() == []
    assert not wire.events and not wire.sessions[0].sync and not wire.sessions[1].sync


def test_a_device_that_calls_itself_a_big_peer_or_a_relay_is_turned_away():
    for flags, role in ((BIG, 0), (GATEWAY, 0), (BIG, GATEWAY)):
        liar, board = Peer("liar", flags), Peer("board")
        liar.local = Local(
            device("liar", role), flags, liar.store, liar.executor.matcher, Random(3).bytes
        )
        board.insert(n=1)
        wire = Wire(board, liar)
        wire.run()
        assert liar.readings() == [] and board.store.unsynced_count() == 1
        assert "role" in wire.sessions[0].close_reason


def test_an_author_follows_from_the_key_that_the_certificate_names():
    board, big = Peer("board"), Peer("big", BIG)
    wire = Wire(board, big)
    wire.run()
    assert [s.neighbour for s in wire.sessions] == [big.store.author, board.store.author]
    assert [s.neighbour_name for s in wire.sessions] == ["big", "board"]
    thief = Peer("thief")
    thief.store.author, thief.store._incarnation = board.store.author, board.store.incarnation
    wire = Wire(thief, big)
    wire.run()
    assert wire.sessions[1].neighbour != board.store.author


def test_no_frame_says_anything_before_both_sides_have_proven_themselves():
    board, big = Peer("board"), Peer("big", BIG)
    board.insert(secret="in the clear")
    frames = []
    for wire in (Wire(board, big), Wire(board, big)):
        for session in wire.sessions:
            frames_to_send = session.frames_to_send

            def noting(now_ms, session=session, frames_to_send=frames_to_send):
                found = frames_to_send(now_ms)
                frames.extend([(frame, session._channel.is_ready) for frame in found])
                return found

            session.frames_to_send = noting
        wire.run()
        for frame, is_ready in frames:
            assert frame[0] >= 0x80 or frame[0] & 7 in (1, 2, 3, 4, 5)
            assert b"clear" not in frame and b"readings" not in frame
            assert b"board" not in frame and board.store.author not in frame
            assert frame[0] < 0x80 or is_ready
        assert len(frames) > 6


def test_a_peer_that_started_again_is_waited_for_and_taken_back():
    board, big = Peer("board"), Peer("big", BIG)
    wire = Wire(board, big)
    wire.run()
    board = Peer("board", seed=77)
    board.insert(n=1)
    wire.sessions[0] = wire._session(board, MEDIUM)
    wire.run(10_000)
    assert wire.sessions[1].close_reason == "the other side started again"
    wire.sessions[1] = wire._session(big, MEDIUM)
    wire.run(20_000)
    assert big.readings() == [1]


def test_somebody_who_says_that_he_started_again_is_not_believed():
    board, big = Peer("board"), Peer("big", BIG)
    wire = Wire(board, big)
    wire.run()
    other = Peer("other").local.keyring.channel(256, False, False, 0, 0)
    while other.step(0):
        pass
    for frame in other.frames_to_send(0):
        wire.sessions[1].receive_frame(frame, wire.now_ms)
    board.insert(n=1)
    wire.run(30_000)
    assert big.readings() == [1]
    assert not [e for e in wire.events if isinstance(e, Closed)]


def test_a_peer_that_meets_itself_is_turned_away():
    board = Peer("board")
    wire = Wire(board, board)
    wire.run()
    assert [e for e in wire.events if isinstance(e, Closed)]


def test_documents_before_hello_are_the_remotes_mistake():
    board, big = Peer("board"), Peer("big", BIG)
    sync = Sync(big.store, board.store.author, BIG, big.executor.matcher, 0, 0, 1024)
    board.insert(n=1)
    put = board.store.log.since(0, 1)[0]
    document = board.store.get(put[0], put[1])
    with raises(RemoteProtocolError, "waiting"):
        sync.receive(Encoder(board.store.author).delta(0, [put], [document], 1024), 0)
    assert big.readings() == []


def test_documents_that_nobody_asked_for_are_the_remotes_mistake():
    board, big = Peer("board"), Peer("big", BIG)
    sync = started(board, big)
    encoder = Encoder(big.store.author)
    big.insert(n=1)
    put = big.store.log.since(0, 1)[0]
    with raises(RemoteProtocolError, "asked"):
        sync.receive(encoder.delta(0, [put], [big.store.get(put[0], put[1])], 1024), 0)


def test_a_reading_costs_few_bytes():
    """About 60 bytes as JSON, in a session of a hundred; link headers included."""
    board, big = Peer("board"), Peer("big", BIG)
    medium = Medium("test", 1, 256, 1024, 5_000, 250)
    wire = Wire(board, big, medium)
    wire.run()
    before = wire.bytes
    for n in range(100):
        board.insert(sensor="seattle-1", temp=n / 10, ts=1_262_304_000 + 3600 * n)
    wire.run()
    assert len(big.executor.execute("SELECT * FROM readings").items) == 100
    assert (wire.bytes - before) / 100 < 36, wire.bytes - before


def test_what_the_big_peer_has_is_durable_behind_two_relays():
    board, big = Peer("board"), Peer("big", BIG)
    near, far = Peer("near", GATEWAY), Peer("far", GATEWAY)
    board.insert(n=1)
    wires = [Wire(board, near), Wire(near, far), Wire(far, big)]
    for _ in range(3):
        for wire in wires:
            wire.run()
    assert big.readings() == [1]
    assert board.store.unsynced_count() == 0


def test_documents_for_an_earlier_hello_do_not_pass_for_those_of_a_later_one():
    board, big = Peer("board"), Peer("big", BIG)
    for n in range(3):
        big.insert(n=n)
    few = (("SELECT * FROM readings WHERE n = 1", b"", 0),)
    board.wanted = few
    wire = Wire(board, big)
    wire.run()
    board.store.forget_knowledge()
    sync = wire.sessions[0].sync
    sync.subscribe(few, wire.now_ms)
    wire.run(frame_count_max=1)  # a HELLO is under way
    board.store.forget_knowledge()
    sync.subscribe((("SELECT * FROM readings", b"", 0),), wire.now_ms)
    wire.run()
    assert board.readings() == [0, 1, 2]


def test_a_neighbour_that_stops_wanting_leaves_nothing_to_wait_for():
    board, big = Peer("board"), Peer("big", BIG)
    board.wanted = (("SELECT * FROM readings", b"", 0),)
    wire = Wire(board, big, MEDIUM)
    wire.run()
    big.insert(n=1)
    wire.sessions[1].frames_to_send(wire.now_ms)
    wire.sessions[0].sync.subscribe((), wire.now_ms)
    wire.run()
    deadline_ms = wire.sessions[1].sync.deadline_ms()
    assert deadline_ms is None or deadline_ms > wire.now_ms
