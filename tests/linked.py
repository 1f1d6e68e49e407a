"""Peers back to back for tests of sync: stores in memory, sessions, and a wire between them."""

from binascii import crc32

from app import APP, compute, device
from helpers import Random
from memory import open_log

from edge_peer.core import codec
from edge_peer.core.query.execute import Executor
from edge_peer.core.store.store import Store
from edge_peer.core.sync.link import Opened
from edge_peer.core.sync.messages import RELAYS, WANTS_ALL, WANTS_UNDURABLE
from edge_peer.core.sync.session import Local, Medium, Session

MEDIUM = Medium("test", 1, 64, 1024, 5_000, 100)
GATEWAY = WANTS_UNDURABLE | RELAYS
BIG = WANTS_ALL


class Peer:
    """A store, and what sessions need of it."""

    def __init__(self, name, flags=0, app=APP, seed=0):
        random = Random(seed or sum(name.encode()))
        keyring = device(name, flags, random, app)
        key = keyring.certificate.key
        self.store = Store(open_log, key, lambda: 1_700_000_000_000, random.bytes, flags == BIG)
        self.executor = Executor(self.store, codec)
        self.local = Local(keyring, flags, self.store, self.executor.matcher, random.bytes)
        self.wanted = ()
        self.covers_them = False  # it relays all that its neighbours want

    def insert(self, **fields):
        return self.executor.execute("INSERT INTO readings DOCUMENTS (:d)", {"d": fields}).ids[0]

    def readings(self):
        rows = self.executor.execute("SELECT * FROM readings").items
        return sorted([row["n"] for row in rows])


class Wire:
    """Two sessions and what lies between them; time moves when everything is quiet."""

    def __init__(self, a, b, medium=MEDIUM, now_ms=0):
        self.now_ms = now_ms
        self.events = []
        self.bytes = 0
        # By it they find their ticket: peers that met before need no curves.
        self.hint = 1 + crc32(b"".join(sorted([a.store.author, b.store.author])))
        self.sessions = [self._session(peer, medium) for peer in (a, b)]

    def _session(self, peer, medium):
        def on_event(session, event):
            self.events.append(event)
            if isinstance(event, Opened):
                session.sync.subscribe(peer.wanted, self.now_ms, peer.covers_them)
                session.set_active(True)

        return Session(peer.local, medium, self.now_ms, on_event, hint=self.hint & 0xFFFFFFFF)

    def run(self, for_ms=3_000, frame_count_max=None):
        """Carry frames for a while, at most so many."""
        end_ms = self.now_ms + for_ms
        while self.now_ms < end_ms:
            moved = False
            for i in (0, 1):
                compute(self.sessions[i], self.now_ms)
                for frame in self.sessions[i].frames_to_send(self.now_ms):
                    if frame_count_max is not None:
                        if frame_count_max == 0:
                            return
                        frame_count_max -= 1
                    self.bytes += len(frame)
                    self.deliver(1 - i, frame)
                    moved = True
            if not moved:
                due = [s.deadline_ms() for s in self.sessions if s.deadline_ms() is not None]
                self.now_ms = max(self.now_ms + 1, min(due + [end_ms]))
                for session in self.sessions:
                    session.handle_timeout(self.now_ms)

    def deliver(self, side, frame):
        """Let a frame arrive at a side."""
        compute(self.sessions[side], self.now_ms)
        self.sessions[side].receive_frame(frame, self.now_ms)


def messages_of(wire, for_ms=3_000):
    """Run; return the messages of sync that pass, both ways."""
    found = []
    for session in wire.sessions:
        next_message = session.sync.next_message

        def tell(size_max, now_ms, next_message=next_message):
            message = next_message(size_max, now_ms)
            if message:
                found.append(message)
            return message

        session.sync.next_message = tell
    wire.run(for_ms)
    return found


def frames_of_link(session, now_ms):
    """What a session says without what its sync has to say."""
    session.set_active(False)
    frames = session.frames_to_send(now_ms)
    session.set_active(session.sync is not None)
    return frames


def open_only(wire):
    """Open the link; whatever it is about is said later."""
    while not all([session.sync for session in wire.sessions]):
        for i in (0, 1):
            compute(wire.sessions[i], wire.now_ms)
            for frame in frames_of_link(wire.sessions[i], wire.now_ms):
                compute(wire.sessions[1 - i], wire.now_ms)
                wire.sessions[1 - i].receive_frame(frame, wire.now_ms)
        wire.now_ms += 10  # one side says that it is open after a while, or with what it says
    return wire
