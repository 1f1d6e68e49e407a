"""Peers that know each other by certificates, back to back. Runs on CPython and MicroPython."""

from hashlib import sha256

from helpers import Random
from memory import open_log

from edge_peer import runtime
from edge_peer.core import codec
from edge_peer.core.errors import RemoteProtocolError
from edge_peer.core.query.execute import Executor
from edge_peer.core.store.store import Store
from edge_peer.core.sync.messages import RELAYS, WANTS_ALL, WANTS_UNDURABLE
from edge_peer.core.sync.sync import Sync
from edge_peer.security import certificate as certificates
from edge_peer.security import permission, revocation
from edge_peer.security.certificate import BIG_PEER, DEVICE, RELAY, Time
from edge_peer.security.guard import Guard
from edge_peer.security.identity import app_id_of
from edge_peer.security.permission import READ, WRITE, Rule

crypto = runtime.load("crypto")
run = crypto.run
NOW_S = 200_000_000
FLAGS = {DEVICE: 0, RELAY: WANTS_UNDURABLE | RELAYS, BIG_PEER: WANTS_ALL}
EVERYTHING = [Rule(READ | WRITE, "*", "")]
MESSAGE_SIZE_MAX = 1024


class App:
    """An authority that admits and revokes."""

    def __init__(self, name="app"):
        self.key = run(crypto.expand(sha256(b"authority " + name.encode()).digest()))
        self.app_id = app_id_of(self.key.signer)
        self.serial = 0
        self.version = 0

    def certificate(
        self, name, role=DEVICE, rules=None, key=None, expiry_s=NOW_S + 1000, signs=False
    ):
        """Return the certificate of the device of this name, whose key follows from it."""
        self.serial += 1
        key = key or run(crypto.expand(sha256(name.encode()).digest()))
        body = certificates.encode_body(
            role,
            self.serial,
            NOW_S - 1000,
            expiry_s,
            self.app_id,
            key.public,
            key.signer[31] > 127,
            name,
            permission.encode(EVERYTHING if rules is None else rules),
            signs,
        )
        message = certificates.message_of(self.app_id, body)
        return certificates.decode(body + run(crypto.sign(self.key, message)))

    def revoked(self, *serials):
        """Return a new list with these."""
        self.version += 1
        body = revocation.encode_body(self.version, NOW_S, 1, list(serials))
        message = revocation.message_of(self.app_id, body)
        return body + run(crypto.sign(self.key, message))


class Keys:
    """What a keyring knows of signatures; a peer's own key follows from its name."""

    def __init__(self, app, name):
        self._app = app
        self._key = run(crypto.expand(sha256(name.encode()).digest()))

    def sign(self, message):
        return crypto.sign(self._key, message)

    def verify(self, signature, message):
        return crypto.verify(self._app.key.signer, signature, message)

    def verify_of(self, certificate, signature, message):
        signer = yield from crypto.signer_of(certificate.key, certificate.is_negative)
        return (yield from crypto.verify(signer, signature, message))


class Peer:
    """A store behind a guard, as a device, a relay or a Big Peer."""

    def __init__(
        self,
        app,
        name,
        role=DEVICE,
        rules=None,
        log=None,
        expiry_s=NOW_S + 1000,
        signs=False,
        seed=0,
    ):
        """seed: of another one, a peer of this name has another incarnation."""
        self.app = app
        self.flags = FLAGS[role]
        self.certificate = app.certificate(name, role, rules, expiry_s=expiry_s, signs=signs)
        random = Random(sum(name.encode()) + seed)
        self.log = log or open_log(None, None)
        self.store = Store(
            self._opened,
            self.certificate.key,
            lambda: 1_700_000_000_000,
            random.bytes,
            role == BIG_PEER,
        )
        self.executor = Executor(self.store, codec)
        self.now_s = NOW_S
        self.guard = Guard(
            self.store,
            self.certificate,
            app.app_id,
            Keys(app, name),
            codec.unpack,
            lambda: Time(self.now_s, 0),
        )
        self.wanted = ()

    def _opened(self, evict, before_erase):
        self.log.before_erase = before_erase
        return self.log

    def execute(self, text, **arguments):
        return self.executor.execute(text, arguments)

    def insert(self, collection, **fields):
        return self.execute("INSERT INTO %s DOCUMENTS (:d)" % collection, d=fields).ids[0]

    def rows(self, collection):
        """Return {id: the other fields}."""
        rows = {}
        for row in self.execute("SELECT * FROM %s" % collection).items:
            id = row.pop("_id")
            rows[id] = row
        return rows

    def refused(self):
        return [(one.collection, one.id, one.reason) for one in self.guard.refusals.kept]


class Line:
    """What two peers say to each other over one open link."""

    def __init__(self, a, b):
        self.now_ms = 0
        self.error = None
        self.said = [[], []]  # by each side
        self.syncs = [self._sync(a, b), self._sync(b, a)]

    def _sync(self, peer, other):
        gate = peer.guard.open_gate(other.certificate, other.store.author, other.store.incarnation)
        sync = Sync(
            peer.store,
            other.store.author,
            peer.flags,
            peer.executor.matcher,
            0,
            0,
            MESSAGE_SIZE_MAX,
            None,
            gate=gate,
        )
        sync.subscribe(peer.wanted, 0)
        return sync

    def run(self, for_ms=5_000):
        """Carry messages until nothing more is said, or one side breaks off."""
        end_ms = self.now_ms + for_ms
        while self.now_ms < end_ms and self.error is None:
            if not self._turn():
                self.now_ms += 1 if self._computes() else 500
        return self

    def _computes(self):
        """Whether a side is in the middle of a signature."""
        due = [sync.deadline_ms() for sync in self.syncs]
        return any([time is not None and time == self.now_ms + 1 for time in due])

    def _turn(self):
        moved = False
        for side in (0, 1):
            message = self.syncs[side].next_message(MESSAGE_SIZE_MAX, self.now_ms)
            if message and self.error is None:
                moved = True
                self.said[side].append(message)
                try:
                    self.syncs[1 - side].receive(message, self.now_ms)
                    while self.syncs[1 - side].step():
                        pass
                except RemoteProtocolError as error:
                    self.error = error
                    self.close()
        return moved

    def close(self):
        for sync in self.syncs:
            sync.close()


def linked(a, b):
    """Let two peers talk until nothing more is said; raise what broke them off."""
    line = Line(a, b).run()
    line.close()
    if line.error is not None:
        raise line.error
    return line
