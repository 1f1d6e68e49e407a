"""An app for tests: an authority made on the fly, and devices that it knows. On both Pythons."""

from helpers import Random

from edge_peer import runtime
from edge_peer.core.sync.messages import RELAYS, WANTS_ALL
from edge_peer.security import certificate as certificates
from edge_peer.security.identity import Identity, app_id_of
from edge_peer.security.kdf import sha256
from edge_peer.security.keyring import Keyring

crypto = runtime.load("crypto")
run = crypto.run
NOW_S = 200_000_000  # since 2020, in 2026
YEAR_S = 365 * 24 * 3600
EVERYTHING = b"\3\1*\0"  # what it may read and write (security/permission.py)


class MemoryShelf:
    """A shelf (host/keys.py) that lies in memory; `after` is called with each write's name."""

    def __init__(self):
        self.files = {}
        self.write_count = 0

    def names(self):
        return list(self.files)

    def read(self, name):
        return self.files.get(name)

    def write(self, name, data):
        self.files[name] = bytes(data)
        self.write_count += 1

    def remove(self, name):
        self.files.pop(name, None)


class App:
    """Whoever has the same `name` is of the same app."""

    def __init__(self, name="app"):
        self.key = run(crypto.expand(sha256(b"authority of " + name.encode())))
        self.app_id = app_id_of(self.key.signer)
        self.network_keys = {1: sha256(b"network key of " + name.encode())}

    def identity(self, name, role=certificates.DEVICE, permissions=None, **changes):
        """changes: seed, serial, not_before_s, expiry_s, signs, signed_by (another App)."""
        seed = changes.get("seed") or sha256(b"seed of " + name.encode())
        key = run(crypto.expand(seed))
        body = certificates.encode_body(
            role,
            changes.get("serial", 1 + sum(name.encode())),
            changes.get("not_before_s", NOW_S - YEAR_S),
            changes.get("expiry_s", NOW_S + YEAR_S),
            self.app_id,
            key.public,
            key.signer[31] >= 128,
            name,
            b"" if permissions is None else permissions,
            changes.get("signs", False),
        )
        signer = changes.get("signed_by", self).key
        message = certificates.message_of(self.app_id, body)
        certificate = certificates.decode(body + run(crypto.sign(signer, message)))
        return Identity(self.key.signer, seed, certificate, dict(self.network_keys))

    def keyring(self, name, role=certificates.DEVICE, shelf=None, random=None, **changes):
        """changes: as of `identity`, and now_s: what its clock says, None if it has none."""
        return keyring_of(
            self.identity(name, role, **changes), shelf, random, changes.get("now_s", NOW_S)
        )


def body_of(certificate):
    """Return the body of a certificate, encoded anew from what was read of it."""
    return certificates.encode_body(
        certificate.role,
        certificate.serial,
        certificate.not_before_s,
        certificate.expiry_s,
        certificate.app + bytes(12),
        certificate.key,
        certificate.is_negative,
        certificate.name,
        certificate.permissions,
        certificate.signs,
    )


def keyring_of(identity, shelf=None, random=None, now_s=NOW_S):
    random = random or Random(sum(identity.certificate.name.encode()))
    shelf = MemoryShelf() if shelf is None else shelf
    keyring = Keyring(crypto, identity, shelf, random.bytes, lambda: now_s, 8)
    keyring.shelf = shelf
    return keyring


APP = App()
_identities = {}


def device(name, flags=0, random=None, app=APP, now_s=NOW_S, shelf=None, signs=False):
    """Return a Keyring with the role that these flags need; each name is one device of the app."""
    role = certificates.DEVICE
    if flags & (WANTS_ALL | RELAYS):
        role = certificates.BIG_PEER if flags & WANTS_ALL else certificates.RELAY
    place = (app.app_id, name, role, signs)
    if place not in _identities:
        _identities[place] = app.identity(name, role, EVERYTHING, signs=signs)
    return keyring_of(_identities[place], shelf, random, now_s)


def compute(session, now_ms):
    """Let a session compute what it has to."""
    while session.step(now_ms):
        pass


def seals_of(session):
    """Return a list to which every frame is added that this session seals."""
    frames = []
    channel = session._channel
    seal = channel.seal

    def noting(frame):
        frames.append(frame)
        return seal(frame)

    channel.seal = noting
    return frames


class Pair:
    """Two channels and a wire that a test may cut, change, or read along."""

    def __init__(
        self, a, b, a_waits=False, b_waits=False, frame_size_max=256, hint=1, ordered=False
    ):
        self.now_ms = 0
        self.channels = [
            a.channel(frame_size_max, ordered, a_waits, hint, 0),
            b.channel(frame_size_max, ordered, b_waits, hint, 0),
        ]
        for channel in self.channels:
            channel.speaks_ms = 0
        self.frames = []  # (side, frame), all that was sent
        self.change = None  # change(side, frame) -> frames that arrive instead

    def run(self, for_ms=10_000):
        """Carry frames until both are ready, or so long."""
        end_ms = self.now_ms + for_ms
        while self.now_ms < end_ms:
            if not self.turn():
                if all([channel.is_ready for channel in self.channels]):
                    return self
                due = [c.deadline_ms() for c in self.channels if c.deadline_ms() is not None]
                due += [c.speaks_ms for c in self.channels if c.is_ready]
                self.now_ms = max(self.now_ms + 1, min(due + [end_ms]))
        return self

    def turn(self):
        """Let each side compute, then carry what it says; return whether anything moved."""
        moved = False
        for side in (0, 1):
            channel = self.channels[side]
            while channel.step(self.now_ms):
                pass
            for frame in self.frames_of(side):
                self.frames.append((side, frame))
                moved = True
                for arriving in [frame] if self.change is None else self.change(side, frame):
                    self.deliver(1 - side, arriving)
        return moved

    def frames_of(self, side):
        """What a side says; with a record until the other is ready, as a link's OPEN is one."""
        channel = self.channels[side]
        frames = channel.frames_to_send(self.now_ms)
        if channel.is_ready and self.now_ms >= channel.speaks_ms:
            if not channel.speaks_ms or not self.channels[1 - side].is_ready:
                frames.append(channel.seal(b""))
            channel.speaks_ms = self.now_ms + 500
        return frames

    def deliver(self, side, frame):
        channel = self.channels[side]
        while channel.step(self.now_ms):
            pass
        channel.receive_frame(frame, self.now_ms)
        while channel.step(self.now_ms):
            pass

    def are_ready(self):
        return all([channel.is_ready for channel in self.channels])

    def talk(self):
        """Assert that each side opens what the other one seals."""
        a, b = self.channels
        assert b.receive_frame(a.seal(b"from a"), self.now_ms) == b"from a"
        assert a.receive_frame(b.seal(b"from b"), self.now_ms) == b"from b"
