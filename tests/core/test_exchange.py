"""Attachments between peers: what travels, from whom, in which order, and what a cut leaves."""

import hashlib
from binascii import unhexlify

from app import compute, device
from helpers import Random, raises
from nor_flash import Flash

from edge_peer.attachments import Blob
from edge_peer.core import codec
from edge_peer.core.errors import FormatError, StoreFull
from edge_peer.core.kinds import Attachment
from edge_peer.core.limits import ATTACHMENTS, WHOLE
from edge_peer.core.query.execute import Executor
from edge_peer.core.store.log import FlashLog
from edge_peer.core.store.store import Store
from edge_peer.core.sync.exchange import OFFER_MS, put_message
from edge_peer.core.sync.link import Opened
from edge_peer.core.sync.messages import (
    DELTA,
    HAVE,
    OFFER,
    PIECES,
    RELAYS,
    WANT,
    WANTS_ALL,
    WANTS_UNDURABLE,
    Attached,
    Decoder,
)
from edge_peer.core.sync.session import Local, Medium, Session

MEDIUM = Medium("test", 1, 128, 1024, 5_000, 100)
GATEWAY = WANTS_UNDURABLE | RELAYS
BIG = WANTS_ALL
SIZE = 5_000


class Peer:
    def __init__(self, name, flags=0, flash=None, quota_bytes=30_000):
        self.flash = flash or Flash(24)
        limits = {WHOLE: (None, 100), ATTACHMENTS: (quota_bytes, None)}
        random = Random(sum(name.encode()))
        keyring = device(name, flags, random)
        self.store = Store(
            lambda evict, before_erase: FlashLog(self.flash, limits, evict, before_erase),
            keyring.certificate.key,
            lambda: 1_700_000_000_000,
            random.bytes,
            flags == BIG,
        )
        self.arguments = (name, flags, self.flash, quota_bytes)
        self.executor = Executor(self.store, codec)
        self.local = Local(keyring, flags, self.store, self.executor.matcher, random.bytes)

    def again(self):
        """The same peer after a restart."""
        return Peer(*self.arguments)

    def attach(self, size=SIZE, seed=1):
        return self.store.attachments.attach(blob(size, seed), "image/jpeg")

    def has(self, token, seed=1):
        attachments = self.store.attachments
        for number in range((token.size + 511) // 512):
            if attachments.read(token.id, number) is None:
                return False
        return Blob(attachments, token).read() == blob(token.size, seed)

    def insert(self, n):
        self.executor.execute("INSERT INTO c DOCUMENTS (:d)", {"d": {"n": n}})

    def count(self):
        return len(self.executor.execute("SELECT * FROM c").items)


class Net:
    """Links between peers, under one clock. A link that is cut carries nothing more."""

    def __init__(self, medium=MEDIUM):
        self.medium = medium
        self.now_ms = 0
        self.links = []
        self.messages = []  # (from, to, first byte) in the order of sending
        self.bytes = 0

    def link(self, a, b):
        sessions = []
        for peer in (a, b):

            def on_event(session, event):
                if isinstance(event, Opened):
                    session.sync.subscribe((), self.now_ms)
                    session.set_active(True)
                    self._note(session)

            sessions.append(Session(peer.local, self.medium, self.now_ms, on_event))
        self.links.append(sessions)
        return sessions

    def cut(self, sessions):
        self.links.remove(sessions)
        for session in sessions:
            session.close("cut")

    def run(self, for_ms=3_000, frame_count_max=1_000_000):
        """Carry frames for a while, at most so many; return whether that was all."""
        end_ms = self.now_ms + for_ms
        while self.now_ms < end_ms:
            moved = False
            for pair in self.links:
                for i in (0, 1):
                    compute(pair[i], self.now_ms)
                    for frame in pair[i].frames_to_send(self.now_ms):
                        if frame_count_max == 0:
                            return False
                        frame_count_max -= 1
                        self.bytes += len(frame)
                        compute(pair[1 - i], self.now_ms)
                        pair[1 - i].receive_frame(frame, self.now_ms)
                        moved = True
            if not moved:
                sessions = [session for pair in self.links for session in pair]
                due = [s.deadline_ms() for s in sessions if s.deadline_ms() is not None]
                self.now_ms = max(self.now_ms + 1, min(due + [end_ms]))
                for session in sessions:
                    session.handle_timeout(self.now_ms)
        return True

    def _note(self, session):
        sync = session.sync
        next_message = sync.next_message

        def noting(size_max, now_ms):
            message = next_message(size_max, now_ms)
            if message:
                self.messages.append((session, message))
            return message

        sync.next_message = noting

    def pieces_from(self, session):
        return [m for s, m in self.messages if s is session and m[0] == PIECES and len(m) > 30]


def blob(size, seed=1):
    return Random(seed).bytes(size)


def test_messages_are_the_bytes_of_the_specification():
    id = bytes(range(16))
    name = "000102030405060708090a0b0c0d0e0f"
    for message, text in (
        (Attached(WANT, id, 5_000, [(0, 2), (5, 4)], b""), "08%s88270200020304" % name),
        (Attached(PIECES, id, 9, [], b"end"), "09%s0903656e64" % name),
        (Attached(PIECES, id, 0, [], b""), "09%s0000" % name),
        (Attached(OFFER, id, 5_000, [], b""), "0a%s8827" % name),
        (Attached(HAVE, id, 0, [], b""), "0b%s" % name),
    ):
        data = put_message(message)
        assert data == unhexlify(text)
        assert list(Decoder(b"author-a", 1_000).messages(data)) == [message]
        for size in range(1, len(data)):
            with raises(FormatError):
                list(Decoder(b"author-a", 1_000).messages(data[:size]))


def test_pieces_that_there_cannot_be_are_malformed():
    id = bytes(16)
    for size, runs in ((0, [(0, 1)]), (512, [(1, 1)]), (512, [(0, 2)]), (9_999_999, [(0, 257)])):
        with raises(FormatError):
            list(Decoder(b"author-a", 1).messages(put_message(Attached(WANT, id, size, runs, b""))))
    for message in (Attached(OFFER, id, 1 << 25, [], b""), Attached(WANT, id, 512, [(0, 0)], b"")):
        with raises(FormatError):
            list(Decoder(b"author-a", 1).messages(put_message(message)))


def test_an_attachment_is_fetched_from_a_neighbour():
    for size in (1, 512, SIZE):
        a, b = Peer("a"), Peer("b")
        token = a.attach(size)
        net = Net()
        net.link(a, b)
        net.run()
        assert not b.has(token)
        want = b.store.attachments.want(token)
        net.run()
        assert want.missing_count == 0 and b.store.attachments.verify(want)
        b.store.attachments.unwant(want)
        assert b.has(token)


def test_own_attachments_reach_the_big_peer_through_a_relay_and_may_go_then():
    board, gateway, big = Peer("board"), Peer("gateway", GATEWAY), Peer("big", BIG)
    tokens = [board.attach(size, size) for size in (0, 10, 700, SIZE)]
    net = Net()
    net.link(board, gateway)
    net.run()
    assert len(board.store.attachments.kept) == 4
    net.link(gateway, big)
    net.run(10_000)
    for token in tokens:
        assert big.has(token, token.size)
        assert big.store.attachments.whole(token.id) == token.size
    assert board.store.attachments.kept == {}
    assert not board.again().store.attachments.kept


def test_what_is_safe_is_spoken_of_no_more():
    board, big = Peer("board"), Peer("big", BIG)
    board.attach()
    net = Net()
    net.link(board, big)
    net.run(10_000)
    count = len(net.messages)
    net.run(10 * OFFER_MS)
    assert len(net.messages) == count


def test_peers_without_attachments_say_nothing_of_them():
    board, big = Peer("board"), Peer("big", BIG)
    board.insert(1)
    net = Net()
    net.link(board, big)
    net.run(10_000)
    assert not [m for _, m in net.messages if m[0] >= 8]
    assert not board.store.has_attachments and not big.store.has_attachments


def test_a_peer_without_a_share_for_attachments_is_not_asked():
    a, b = Peer("a", quota_bytes=0), Peer("b")
    net = Net()
    net.link(a, b)
    b.store.attachments.want(Attachment(bytes(16), 1_000, ""))
    net.run(30_000)
    assert not [m for _, m in net.messages if m[0] >= 8]


def test_a_relay_fetches_what_its_neighbour_wants():
    a, gateway, big = Peer("a"), Peer("gateway", GATEWAY), Peer("big", BIG)
    token = big.store.attachments.attach(blob(SIZE), "image/jpeg")
    net = Net()
    net.link(a, gateway)
    net.link(gateway, big)
    net.run()
    want = a.store.attachments.want(token)
    net.run(10_000)
    assert want.missing_count == 0 and a.has(token)
    assert not gateway.store.attachments.wants


def test_relays_in_a_ring_end_where_somebody_has_it():
    peers = [Peer("r%d" % i, GATEWAY) for i in range(4)]
    token = peers[0].attach()
    net = Net()
    for i in range(4):
        net.link(peers[i], peers[(i + 1) % 4])
    net.link(peers[1], peers[3])
    want = peers[2].store.attachments.want(token)
    net.run(60_000)
    assert want.missing_count == 0 and peers[2].has(token)
    peers[2].store.attachments.unwant(want)
    net.run(60_000)
    assert not [peer for peer in peers if peer.store.attachments.wants]


def test_nobody_has_it_and_it_stays_quiet():
    peers = [Peer("a"), Peer("b", GATEWAY), Peer("c", GATEWAY), Peer("d", BIG)]
    net = Net()
    for i in range(3):
        net.link(peers[i], peers[i + 1])
    want = peers[0].store.attachments.want(Attachment(bytes(16), SIZE, ""))
    net.run(60_000)
    assert want.missing_count == 10
    net.bytes = 0
    net.run(60_000)
    keepalive_bytes = 60 // 5 * 2 * 3 * 20
    assert net.bytes < keepalive_bytes + 60 // 10 * 3 * 3 * 60, net.bytes


def test_several_neighbours_send_different_pieces():
    sources = [Peer("source%d" % i) for i in range(3)]
    token = [peer.attach(10_000) for peer in sources][0]
    b = Peer("b")
    net = Net()
    links = [net.link(peer, b) for peer in sources]
    net.run()
    want = b.store.attachments.want(token)
    net.run(10_000)
    assert want.missing_count == 0
    pieces = [net.pieces_from(link[0]) for link in links]
    assert min([len(one) for one in pieces]) >= 4
    assert sum([len(one) for one in pieces]) == 20


def test_what_a_neighbour_does_not_send_is_asked_of_another():
    silent, other, b = Peer("silent"), Peer("other"), Peer("b")
    token = silent.attach()
    other.attach()
    net = Net()
    link = net.link(silent, b)
    net.run()
    want = b.store.attachments.want(token)
    net.run(1, 2)  # asked, and not answered
    net.links.remove(link)
    net.link(other, b)
    net.run(25_000)
    assert want.missing_count == 0 and b.has(token)


def test_a_link_that_breaks_anywhere_and_a_restart_lose_no_piece():
    random = Random(5)
    a, b = Peer("a"), Peer("b")
    token = a.attach()
    asked = 0
    while not b.has(token):
        net = Net()
        link = net.link(a, b)
        want = b.store.attachments.want(token)
        asked += 1
        net.run(3_000, 10 + random.below(14))
        sent = len(net.pieces_from(link[0]))
        b = b.again()
        left = b.store.attachments.want(token)
        assert want.missing_count - sent <= left.missing_count <= want.missing_count
        assert asked < 200
    assert asked > 2


def test_the_big_peer_goes_on_after_cuts_and_restarts():
    random = Random(7)
    board, big = Peer("board"), Peer("big", BIG)
    token = board.attach()
    rounds = 0
    while board.store.attachments.kept:
        net = Net()
        net.link(board, big)
        net.run(3_000, 10 + random.below(14))
        board, big = board.again(), big.again()
        rounds += 1
        assert rounds < 200
    assert rounds > 2
    assert big.store.attachments.whole(token.id) == SIZE and big.has(token)


def test_documents_go_before_pieces():
    board, big = Peer("board"), Peer("big", BIG)
    board.attach(20_000)
    net = Net(Medium("test", 1, 128, 1024, 5_000, 0))
    session, _ = net.link(board, big)
    for n in range(5):
        net.run(3_000, 30)
        assert (n and 1) <= len(net.pieces_from(session)) < 40  # in the middle of the blob
        sent = len(net.messages)
        board.insert(n)
        net.run(3_000, 20)
        assert [m[0] for s, m in net.messages[sent:] if s is session][0] == DELTA
    net.run(10_000)
    assert big.count() == 5 and not board.store.attachments.kept


def test_a_fetch_that_ends_early_is_soon_quiet_and_goes_on_later():
    a, b = Peer("a"), Peer("b")
    token = a.attach(20_000)
    net = Net()
    net.link(a, b)
    net.run()
    want = b.store.attachments.want(token)
    net.run(3_000, 20)
    b.store.attachments.unwant(want)
    net.run()
    count = len(net.messages)
    net.run(60_000)
    assert len([m for _, m in net.messages[count:] if m[0] >= 8]) <= 2
    again = b.store.attachments.want(token)
    assert 0 < again.missing_count < 40
    net.run(10_000)
    assert again.missing_count == 0 and b.has(token)


def test_what_does_not_fit_says_so_and_evicts_nothing_that_is_kept():
    a, b = Peer("a"), Peer("b", quota_bytes=8_000)
    token = a.attach(6_000, 1)
    own = b.attach(4_000, 2)
    net = Net()
    net.link(a, b)
    want = b.store.attachments.want(token)
    net.run(10_000)
    assert isinstance(want.error, StoreFull)
    assert b.has(own, 2)


def test_a_neighbour_that_lies_is_found_out():
    liar, b = Peer("liar"), Peer("b")
    id = hashlib.sha256(blob(2_000)).digest()[:16]
    attachments = liar.store.attachments
    attachments._commit([("*pieces", name, 0, data) for name, data in lies(id)])
    net = Net()
    net.link(liar, b)
    want = b.store.attachments.want(Attachment(id, 2_000, ""))
    net.run()
    assert want.missing_count == 0
    assert not b.store.attachments.verify(want)
    assert want.missing_count == 4
    assert b.store.attachments.read(id, 0) is None


def lies(id):
    from edge_peer.core.store.attachments import name_of

    for number in range(4):
        yield "%s%x" % (name_of(id), number), bytes(min(512, 2_000 - 512 * number))
