"""What a neighbour may see, say and write, by certificates: enforced where it arrives."""

from gated import EVERYTHING, NOW_S, App, Line, Peer, linked
from helpers import raises
from memory import MemoryLog

from edge_peer.core.errors import CertificateError, RemoteProtocolError, StoreFull
from edge_peer.core.limits import AUTHORS
from edge_peer.core.store.log import META
from edge_peer.core.sync.messages import OFFER, RELAYS, WANT, WANTS_ALL, WANTS_UNDURABLE, Told
from edge_peer.security.certificate import BIG_PEER, RELAY, REVOKED
from edge_peer.security.guard import finished
from edge_peer.security.permission import READ, WRITE, Rule
from edge_peer.security.refusals import NOT_ALLOWED, UNKNOWN
from edge_peer.security.revocation import SIZE_MAX

SITE_A = [Rule(READ, "*", ""), Rule(WRITE, "readings", "site = 'A'")]
BAD_TELLINGS = ((12, b""), (12, b"\1\xd1"), (13, b"\1"), (13, b""), (13, b"\0more"))
ALL_READINGS = (("SELECT * FROM readings", b"", 0),)


def test_what_is_allowed_reaches_the_big_peer():
    app = App()
    board, big = Peer(app, "board", rules=SITE_A), Peer(app, "big", BIG_PEER)
    id = board.insert("readings", site="A", n=1)
    linked(board, big)
    assert big.rows("readings") == {id: {"site": "A", "n": 1}}
    assert board.store.unsynced_count() == 0 and not board.refused()


def test_what_is_not_allowed_is_refused_and_its_author_is_told():
    app = App()
    board, big = Peer(app, "board", rules=SITE_A), Peer(app, "big", BIG_PEER)
    good = board.insert("readings", site="A")
    bad = board.insert("readings", site="B")
    other = board.insert("settings", site="A")
    linked(board, big)
    assert list(big.rows("readings")) == [good] and not big.rows("settings")
    assert board.refused() == [("readings", bad, NOT_ALLOWED), ("settings", other, NOT_ALLOWED)]
    assert board.guard.refusals.count == 2
    assert sorted(board.rows("readings")) == sorted([good, bad])  # it stays visible there


def test_a_refusal_is_known_after_a_restart_and_counts_once():
    app = App()
    board, big = Peer(app, "board", rules=SITE_A), Peer(app, "big", BIG_PEER)
    board.insert("readings", site="B")
    linked(board, big)
    again = Peer(app, "board", rules=SITE_A, log=board.log)
    assert again.refused() == board.refused() and again.guard.refusals.count == 1
    for refusal in list(again.guard.refusals.kept):
        again.guard.refusals.note_own(refusal)
    assert again.guard.refusals.count == 1


def test_an_update_is_judged_by_what_the_receiver_has():
    app = App()
    admin, board = Peer(app, "admin"), Peer(app, "board", rules=SITE_A)
    big = Peer(app, "big", BIG_PEER)
    admin.insert("readings", _id="r", site="B", n=1)
    linked(admin, big)
    board.insert("readings", site="A")
    board.insert("readings", _id="r", site="A", n=2)  # later, and knows nothing of the other
    linked(board, big)
    assert big.rows("readings")["r"] == {"site": "B", "n": 1}
    assert board.refused() == [("readings", "r", NOT_ALLOWED)]


def test_a_document_is_not_pushed_out_of_reach_nor_deleted_there():
    app = App()
    admin, board = Peer(app, "admin"), Peer(app, "board", rules=SITE_A)
    big = Peer(app, "big", BIG_PEER)
    for id, site in (("mine", "A"), ("theirs", "B")):
        admin.insert("readings", _id=id, site=site)
    board.wanted = ALL_READINGS
    linked(admin, big)
    linked(board, big)
    board.execute("UPDATE readings SET site = 'B' WHERE _id = 'mine'")
    board.execute("DELETE FROM readings WHERE _id = 'theirs'")
    linked(board, big)
    assert big.rows("readings") == {"mine": {"site": "A"}, "theirs": {"site": "B"}}
    assert len(board.refused()) == 2
    admin.wanted = ALL_READINGS
    linked(admin, big)
    assert admin.rows("readings") == big.rows("readings")


def test_what_the_receiver_may_not_read_is_not_sent():
    app = App()
    big = Peer(app, "big", BIG_PEER)
    own = [Rule(READ, "readings", "site = 'A'")]
    admin, reader = Peer(app, "admin"), Peer(app, "reader", rules=own)
    shown = admin.insert("readings", site="A", secret="sesame")
    admin.insert("readings", site="B", secret="hidden word")
    linked(admin, big)
    reader.wanted = ALL_READINGS
    line = linked(reader, big)
    assert list(reader.rows("readings")) == [shown]
    assert b"sesame" in b"".join(line.said[1]) and b"hidden word" not in b"".join(line.said[1])


def test_a_relay_carries_what_devices_write_with_their_certificates():
    app = App()
    board, gateway = Peer(app, "board", rules=SITE_A), Peer(app, "gateway", RELAY)
    big = Peer(app, "big", BIG_PEER)
    id = board.insert("readings", site="A")
    linked(board, gateway)
    linked(gateway, big)
    linked(board, gateway)
    assert list(big.rows("readings")) == [id]
    assert len(big.rows(AUTHORS)) == 3  # of the board, the gateway, and its own
    assert board.store.unsynced_count() == 0


def test_a_relay_cannot_smuggle_what_the_author_may_not_write():
    """A gateway that judges nothing passes on what the board must not write."""
    app = App()
    board, gateway = Peer(app, "board", rules=SITE_A), Peer(app, "gateway", RELAY)
    big = Peer(app, "big", BIG_PEER)
    bad = board.insert("readings", site="B")
    line = Line(board, gateway)
    line.syncs[1].gate.judged = lambda records: records
    line.run().close()
    assert list(gateway.rows("readings")) == [bad]
    linked(gateway, big)
    assert not big.rows("readings")
    linked(board, gateway)
    assert board.refused() == [("readings", bad, NOT_ALLOWED)]


def test_a_refusal_finds_its_author_behind_two_relays():
    app = App()
    board, big = Peer(app, "board", rules=SITE_A), Peer(app, "big", BIG_PEER)
    one, two = Peer(app, "one", RELAY), Peer(app, "two", RELAY)
    bad = board.insert("readings", site="B")
    lines = [Line(board, one), Line(one, two), Line(two, big)]
    for line in lines[:2]:
        line.syncs[1].gate.judged = lambda records: records
    for _ in range(3):
        for line in lines:
            line.run(1_000)
    assert board.refused() == [("readings", bad, NOT_ALLOWED)]


def test_nobody_writes_in_the_name_of_an_author_without_a_certificate():
    app = App()
    gateway, big = Peer(app, "gateway", RELAY), Peer(app, "big", BIG_PEER)
    stranger = Peer(app, "stranger")
    stranger.insert("readings", n=1)
    gateway.guard.judge.meet = lambda author, incarnation, certificate: None
    linked(stranger, gateway)
    linked(gateway, big)
    assert len(gateway.rows("readings")) == 1 and not big.rows("readings")
    linked(stranger, gateway)
    assert [reason for _, _, reason in stranger.refused()] == [UNKNOWN]


def test_a_device_speaks_for_itself_alone():
    """What it passes on of others is not taken; their own link brings it."""
    app = App()
    one, two, big = Peer(app, "one"), Peer(app, "two"), Peer(app, "big", BIG_PEER)
    two.wanted = ALL_READINGS
    hers = one.insert("readings", n=1)
    linked(one, two)
    assert list(two.rows("readings")) == [hers]
    his = two.insert("readings", n=2)
    linked(two, big)
    assert list(big.rows("readings")) == [his]
    assert one.store.durable_seq(one.store.author) == 0
    linked(one, big)
    assert sorted(big.rows("readings")) == sorted([hers, his])
    assert not one.refused() and not two.refused()


def test_an_update_of_what_the_receiver_lacks_is_judged_as_its_writer_knows_it():
    app = App()
    one, big = Peer(app, "one"), Peer(app, "big", BIG_PEER)
    two = Peer(app, "two", rules=SITE_A)
    two.wanted = ALL_READINGS
    one.insert("readings", _id="r", site="A", n=1)
    linked(one, two)
    two.execute("UPDATE readings SET n = 2 WHERE _id = 'r'")
    linked(two, big)
    linked(one, big)
    assert big.rows("readings") == {"r": {"site": "A", "n": 2}} and not two.refused()


def test_only_its_role_makes_a_relay_or_a_big_peer():
    for role, flags, says in (
        (None, WANTS_ALL, "no Big Peer"),
        (None, WANTS_UNDURABLE, "no relay"),
        (None, RELAYS, "no relay"),
        (RELAY, WANTS_ALL, "no Big Peer"),
    ):
        app = App()
        liar = Peer(app, "liar") if role is None else Peer(app, "liar", role)
        liar.flags = flags
        with raises(RemoteProtocolError, says):
            linked(Peer(app, "other"), liar)


def test_a_device_cannot_say_that_something_is_durable():
    """It would let a writer forget what nobody has saved."""
    app = App()
    board, liar = Peer(app, "board"), Peer(app, "liar")
    board.insert("readings", n=1)
    liar.wanted = ALL_READINGS
    liar.store.learn_durable({board.store.author: 1_000})
    linked(board, liar)
    assert board.store.durable_seq(board.store.author) == 0


def test_a_device_cannot_teach_that_nothing_is_missing_of_others():
    app = App()
    liar, reader, writer = Peer(app, "liar"), Peer(app, "reader"), Peer(app, "writer")
    liar.wanted = reader.wanted = ALL_READINGS
    liar.store.learn({writer.store.author: 1_000})
    linked(liar, reader)
    assert reader.store.known(writer.store.author) == 0
    writer.insert("readings", n=1)
    linked(writer, reader)
    assert len(reader.rows("readings")) == 1


def test_a_certificate_that_ends_ends_the_link():
    app = App()
    board, big = Peer(app, "board", expiry_s=NOW_S + 5), Peer(app, "big", BIG_PEER)
    line = Line(board, big).run()
    big.now_s = NOW_S + 6
    board.insert("readings", n=1)
    line.run()
    assert "expired" in str(line.error) and not big.rows("readings")
    with raises(CertificateError, "expired"):
        Line(board, big)


def test_a_revocation_list_goes_through_the_mesh_and_cuts_links():
    app = App()
    bad, gateway, big = Peer(app, "bad"), Peer(app, "gateway", RELAY), Peer(app, "big", BIG_PEER)
    before = bad.insert("readings", n=1)
    down, up = Line(bad, gateway).run(), Line(gateway, big).run()
    closed = []
    gateway.guard.on_revoked = lambda: closed.append(gateway.guard.list_version)
    assert big.guard.take_list(app.revoked(bad.certificate.serial))
    up.run()
    assert closed == [1]
    bad.insert("readings", n=2)
    down.run()
    assert down.error.reason == REVOKED
    assert list(gateway.rows("readings")) == list(big.rows("readings")) == [before]
    with raises(CertificateError, "revoked"):
        Line(bad, gateway)


def test_the_newer_list_wins_from_whichever_side_and_is_kept():
    app = App()
    lists = [app.revoked(90), app.revoked(90, 91)]
    for older, newer in ((0, 1), (1, 0)):
        peers = [Peer(app, "one"), Peer(app, "two")]
        assert peers[older].guard.take_list(lists[0]) and peers[newer].guard.take_list(lists[1])
        line = linked(peers[0], peers[1])
        assert [peer.guard.list_version for peer in peers] == [2, 2]
        told = b"".join(line.said[0] + line.said[1])
        assert lists[0] not in told and lists[1] in told
        assert not peers[older].guard.take_list(lists[0])
        again = Peer(app, "one", log=peers[0].log)
        assert again.guard.is_revoked(91) and again.guard.list_version == 2


class FullLog(MemoryLog):
    """A log that has room for documents, and none for the store's own entries but its state."""

    def commit(self, puts, relayed=()):
        if puts[0][0] == META and puts[0][1] != "state":
            raise StoreFull("entries")
        MemoryLog.commit(self, puts, relayed)


def test_a_peer_without_room_to_keep_it_goes_by_a_list_all_the_same():
    app = App()
    one, two = Peer(app, "one", log=FullLog()), Peer(app, "two")
    assert two.guard.take_list(app.revoked(90))
    linked(one, two)
    assert one.guard.is_revoked(90)


def test_a_peer_without_room_to_keep_it_hears_of_a_refusal_all_the_same():
    app = App()
    board, big = Peer(app, "board", rules=SITE_A, log=FullLog()), Peer(app, "big", BIG_PEER)
    board.insert("readings", site="B")
    linked(board, big)
    assert board.guard.refusals.count == 1


def test_a_list_that_both_have_costs_its_number():
    app = App()
    raw = app.revoked(90)
    one, two = Peer(app, "one"), Peer(app, "two")
    assert one.guard.take_list(raw) and two.guard.take_list(raw)
    line = linked(one, two)
    assert raw not in b"".join(line.said[0] + line.said[1])


def test_the_longest_list_fits_a_message_of_a_serial_line():
    app = App()
    one, two = Peer(app, "one"), Peer(app, "two")
    raw = app.revoked(*[1_000 + 200 * i for i in range(460)])
    assert len(raw) > SIZE_MAX - 2 and one.guard.take_list(raw)
    line = linked(one, two)
    assert two.guard.is_revoked(1_000)
    assert max([len(message) for message in line.said[0]]) <= 1_024


def test_a_list_of_another_app_changes_nothing():
    app = App()
    one, two = Peer(app, "one"), Peer(app, "two")
    linked(one, two)
    assert not one.guard.take_list(App("other").revoked(one.certificate.serial))
    assert one.guard.list_version == 0


def test_a_certificate_document_is_proven_or_not_taken():
    app = App()
    board, gateway = Peer(app, "board"), Peer(app, "gateway", RELAY)
    linked(board, gateway)
    author, value = [(id, row["certificate"]) for id, row in gateway.rows(AUTHORS).items()][0]
    other = App("other").certificate("board")
    for bad in (b"", value[:-1], value[:-1] + bytes([value[-1] ^ 1]), value[:4] + other.raw, 7):
        big = Peer(app, "big", BIG_PEER)
        gateway.execute("UPDATE %s SET certificate = :v" % AUTHORS, v=bad)
        linked(gateway, big)
        assert author not in big.rows(AUTHORS)
    gateway.execute("UPDATE %s SET certificate = :v" % AUTHORS, v=value)
    linked(gateway, big)
    assert big.rows(AUTHORS)[author] == {"certificate": value}


def test_messages_that_are_not_as_they_should_be_end_the_link():
    app = App()
    board, big = Peer(app, "board"), Peer(app, "big", BIG_PEER)
    line = Line(board, big).run()
    gate = line.syncs[1].gate
    for kind, data in (
        (12, b""),
        (12, b"1234"),
        (13, b""),
        (13, b"\1\xd1"),
        (14, b"\1"),
        (14, b""),
    ):
        with raises(RemoteProtocolError):
            finished(gate.receive(Told(kind, data)))


def test_where_nobody_is_known_nothing_is_told_of_anybody():
    app = App()
    line = Line(Peer(app, "board"), Peer(app, "big", BIG_PEER)).run()
    line.syncs[1].gate = None
    with raises(RemoteProtocolError, "who we are"):
        line.syncs[1].receive(b"\x0c\1\1", 0)


def test_the_default_rules_allow_everything():
    app = App()
    board, big = Peer(app, "board", rules=EVERYTHING), Peer(app, "big", BIG_PEER)
    board.insert("anything", n=1)
    linked(board, big)
    assert len(big.rows("anything")) == 1


def renewed(app, peer, rules=None):
    """Return a newer certificate for a peer's key, as the authority issues it."""
    name = peer.certificate.name
    return app.certificate(name, peer.certificate.role, rules, expiry_s=NOW_S + 5_000)


def test_a_certificate_is_renewed_over_a_relay_without_touching_the_device():
    """The board wants no documents at all; it hears of this nevertheless."""
    app = App()
    board, gateway, big = (
        Peer(app, "board"),
        Peer(app, "gateway", RELAY),
        Peer(app, "big", BIG_PEER),
    )
    down, up = Line(board, gateway).run(), Line(gateway, big).run()
    new = renewed(app, board)
    kept = []
    board.guard.on_renewed = kept.append
    big.guard.judge.publish(board.store.author, board.store.incarnation, new)
    up.run()
    down.run()
    assert board.guard.certificate == new and kept == [new]


def test_a_newer_certificate_is_told_to_who_still_shows_an_older_one():
    app = App()
    board, big = Peer(app, "board"), Peer(app, "big", BIG_PEER)
    linked(board, big)
    new = renewed(app, board)
    big.guard.judge.publish(board.store.author, board.store.incarnation, new)
    linked(board, big)
    assert board.guard.certificate == new
    again = Peer(app, "board", log=board.log)  # with what was on its flash at first, but a serial
    assert again.certificate.serial > new.serial
    linked(again, big)
    assert again.guard.certificate == again.certificate


def test_nobody_renews_another_key_nor_without_the_authority():
    app = App()
    board, big = Peer(app, "board"), Peer(app, "big", BIG_PEER)
    line = Line(board, big).run()
    for wrong in (app.certificate("other"), App("other").certificate("board"), board.certificate):
        finished(line.syncs[0].gate.receive(Told(14, wrong.raw)))
    assert board.guard.certificate == board.certificate


def test_what_a_newer_certificate_forbids_an_older_one_does_not_allow():
    app = App()
    board, big = Peer(app, "board"), Peer(app, "big", BIG_PEER)
    line = Line(board, big).run()
    board.insert("readings", site="B", n=1)
    line.run()
    new = renewed(app, board, SITE_A)
    big.guard.judge.publish(board.store.author, board.store.incarnation, new)
    board.insert("readings", site="B", n=2)
    line.run()
    linked(board, big)  # it still shows the older one
    assert [row["n"] for row in big.rows("readings").values()] == [1]
    assert len(board.refused()) == 1


def test_a_certificate_that_was_replaced_does_not_come_back():
    app = App()
    board, big = Peer(app, "board"), Peer(app, "big", BIG_PEER)
    gateway = Peer(app, "gateway", RELAY)
    linked(board, gateway)
    linked(gateway, big)
    old = gateway.rows(AUTHORS)
    author = [id for id in old if id == board.store.author.hex()][0]
    new = renewed(app, board, SITE_A)
    big.guard.judge.publish(board.store.author, board.store.incarnation, new)
    gateway.execute(
        "UPDATE %s SET certificate = :v WHERE _id = :id" % AUTHORS,
        v=old[author]["certificate"],
        id=author,
    )
    linked(gateway, big)
    assert big.guard.judge.certificate_of(board.store.author) == new


def test_who_may_read_more_is_sent_what_it_was_not_sent_before():
    app = App()
    admin, big = Peer(app, "admin"), Peer(app, "big", BIG_PEER)
    reader = Peer(app, "reader", rules=[Rule(READ, "readings", "site = 'A'")])
    for site in ("A", "B"):
        admin.insert("readings", _id=site, site=site)
    linked(admin, big)
    reader.wanted = ALL_READINGS
    line = Line(reader, big).run()
    assert list(reader.rows("readings")) == ["A"]

    def read_again():  # as SmallPeer does
        reader.store.forget_knowledge()
        line.syncs[0].subscribe(reader.wanted, line.now_ms)

    reader.guard.on_widened = read_again
    new = renewed(app, reader, EVERYTHING)
    big.guard.judge.publish(reader.store.author, reader.store.incarnation, new)
    line.run()
    assert sorted(reader.rows("readings")) == ["A", "B"]
    line.close()


def test_attachments_are_for_who_may_read_and_of_who_may_write_something():
    app = App()
    big = Peer(app, "big", BIG_PEER)
    rules = {
        "sensor": [Rule(WRITE, "readings", "")],
        "display": [Rule(READ, "readings", "")],
        "nobody": [],
    }
    may = {}
    for name in rules:
        gate = Line(big, Peer(app, name, rules=rules[name])).syncs[0].gate
        may[name] = [gate.may_exchange(kind) for kind in (WANT, OFFER)]
    assert may == {"sensor": [False, True], "display": [True, False], "nobody": [False, False]}
