"""The full handshake: its bytes, and everything that must not get through it."""

from app import NOW_S, App, Pair, crypto, keyring_of, run
from helpers import Random, raises
from vectors.cases import load

from edge_peer import runtime
from edge_peer.core.errors import CertificateError, RemoteProtocolError
from edge_peer.security import certificate as certificates
from edge_peer.security.channel import ANSWERED, READY, STARTED, WAITING
from edge_peer.security.kdf import hmac
from edge_peer.security.wire import M1_SIZE, Joiner, cut

APP = App()
STEP = 131 if runtime.IS_BOARD else 1  # a handshake takes 50 ms there: not every bit, then


def mutants(message):
    """Every truncation, every flipped bit, and one byte more."""
    for size in range(1, len(message), STEP):
        yield message[:size]
    for i in range(0, 8 * len(message), STEP):
        changed = bytearray(message)
        changed[i >> 3] ^= 1 << (i & 7)
        yield bytes(changed)
    yield message + b"\0"


class Side:
    """One channel, and what it says, message by message."""

    def __init__(self, keyring, waits):
        self.channel = keyring.channel(256, False, waits, 0, 0)

    def take(self, message, now_ms=0):
        for frame in cut(message, 256):
            self.channel.receive_frame(frame, now_ms)
        return self.say(now_ms)

    def say(self, now_ms=0):
        while self.channel.step(now_ms):
            pass
        return joined(self.channel.frames_to_send(now_ms))


def joined(frames):
    joiner = Joiner()
    message = b""
    for frame in frames:
        message = joiner.join(frame) or b""
    return message


def sides(a=None, b=None):
    return Side(a or APP.keyring("board"), False), Side(b or APP.keyring("big"), True)


def exchanged():
    """Return M1, M2, M3 of an honest handshake of the same two devices."""
    a, b = sides()
    m1 = a.say()
    m2 = b.take(m1)
    return m1, m2, a.take(m2)


def test_the_sizes_are_those_of_the_specification():
    m1, m2, m3 = exchanged()
    assert [len(m1), len(m2), len(m3)] == [M1_SIZE, 179 + 3, 147 + 5]


def test_a_changed_m1_is_not_answered():
    m1, _, _ = exchanged()
    _, b = sides()
    for mutant in mutants(m1):
        assert b.take(mutant) == b"" and b.channel._state == WAITING
    assert b.take(m1)


def test_a_changed_m2_ends_the_attempt():
    _, m2, _ = exchanged()
    for mutant in mutants(m2):
        a, _ = sides()
        a.say()
        try:
            answer = a.take(mutant)
        except RemoteProtocolError:
            continue
        assert answer == b"" and a.channel._state == STARTED  # it was no M2 any more


def test_a_changed_m3_ends_the_attempt():
    m1, _, m3 = exchanged()
    for mutant in mutants(m3):
        _, b = sides()
        b.take(m1)
        try:
            b.take(mutant)
        except RemoteProtocolError:
            continue
        assert b.channel._state == ANSWERED and not b.channel.is_ready


def test_messages_reflected_to_their_sender_lead_nowhere():
    m1, m2, m3 = exchanged()
    a, _ = sides()
    a.say()
    assert a.take(m1) == b"" and a.channel._state == STARTED
    _, b = sides()
    b.take(m1)
    assert b.take(m2) == b"" and not b.channel.is_ready
    a, _ = sides()
    a.say()
    assert a.take(m3) == b"" and not a.channel.is_ready


def test_messages_out_of_order_are_passed_over():
    m1, m2, m3 = exchanged()
    _, b = sides()
    for message in (m3, m2, m3):
        assert b.take(message) == b"" and b.channel._state == WAITING
    b.take(m1)
    b.take(m3)
    assert b.channel._state == READY


def test_a_recorded_handshake_gets_nowhere():
    """M1 again is not answered; to somebody who has forgotten it, M3 proves nothing."""
    keyring = APP.keyring("big")
    m1, m2, m3 = exchanged()
    assert Side(keyring, True).take(m1)
    assert Side(keyring, True).take(m1) == b""
    again = Side(APP.keyring("big", random=Random(4711)), True)
    assert again.take(m1) != m2
    with raises(RemoteProtocolError):
        again.take(m3)


def test_another_app_is_not_answered_and_knows_nothing():
    other = App("other")
    for a, b in ((APP, other), (other, APP)):
        m1 = Side(a.keyring("board"), False).say()
        responder = Side(b.keyring("big"), True)
        assert responder.take(m1) == b"" and responder.channel._state == WAITING


def test_the_network_key_alone_is_not_enough():
    """An insider of no app: the key of the network has leaked, the authority's has not."""
    thief = App("other")
    thief.network_keys = APP.network_keys
    thief.app_id = APP.app_id
    identity = thief.identity("thief")
    identity.app_id = APP.app_id
    pair = Pair(keyring_of(identity), APP.keyring("big"), b_waits=True)
    with raises(CertificateError, "not signed"):
        pair.run()
    assert not pair.channels[1].is_ready


def test_what_a_certificate_must_be_is_checked_on_both_sides():
    cases = (
        ("expired", {"expiry_s": NOW_S - 1}),
        ("not valid yet", {"not_before_s": NOW_S + 1}),
        ("not signed", {"signed_by": App("self")}),
    )
    for reason, changes in cases:
        for wrong_side in (0, 1):
            rings = [APP.keyring("board"), APP.keyring("big")]
            rings[wrong_side] = APP.keyring("wrong", **changes)
            pair = Pair(*rings, b_waits=True)
            with raises(CertificateError, reason):
                pair.run()
            assert not pair.are_ready(), (reason, wrong_side)


def test_without_a_clock_a_certificate_counts_unless_its_end_is_certainly_past():
    ring = APP.keyring("board", now_s=None)
    Pair(ring, APP.keyring("big", expiry_s=NOW_S - 1, now_s=NOW_S - 2), b_waits=True).run()
    ring = APP.keyring("board", now_s=None)
    ring.earliest_s = NOW_S
    with raises(CertificateError, "expired"):
        Pair(ring, APP.keyring("big", expiry_s=NOW_S - 1, now_s=NOW_S - 2), b_waits=True).run()


def test_a_revoked_device_is_told_so_nowhere_but_here():
    a, b = APP.keyring("board"), APP.keyring("big")
    b.is_revoked = lambda serial: serial == a.certificate.serial
    pair = Pair(a, b, b_waits=True)
    with raises(CertificateError, "revoked"):
        pair.run()
    assert not pair.channels[1].is_ready


def test_a_role_is_bound_to_the_key_that_was_proven():
    """A certificate that is another's: its holder has the key, who shows it has not."""
    a = APP.identity("board")
    a.certificate = APP.identity("gateway", certificates.RELAY).certificate
    pair = Pair(keyring_of(a), APP.keyring("big"), b_waits=True)
    with raises(RemoteProtocolError):
        pair.run()
    assert not pair.channels[1].is_ready


def test_points_of_low_order_are_refused():
    """An insider that sends one as its ephemeral key would make the secret a known one."""
    from binascii import unhexlify

    for point in load("crypto")["x25519 low order"]:
        _, b = sides()
        with raises(RemoteProtocolError):
            b.take(forged_m1(unhexlify(point)))
        assert not b.channel.is_ready


def forged_m1(ephemeral):
    """An M1 by somebody who has the network key, with an ephemeral key of any bytes."""
    keyring = APP.keyring("forger")
    run_handshake = run(keyring.begin_handshake())
    noise = run_handshake._noise
    noise._mix_ephemeral(ephemeral)
    rest = ephemeral + noise._encrypt(b"\1")
    return b"\1" + hmac(keyring._mac1_keys[1], rest)[:4] + rest


def test_a_flood_of_m1_costs_one_hash_each():
    """Before anything of it is proven; counted by what the primitives are asked for."""
    keyring = APP.keyring("big")
    asked = []
    keyring.crypto = Counting(crypto, asked)
    side = Side(keyring, True)
    random = Random(1)
    for _ in range(2_000):
        assert side.take(b"\1" + random.bytes(M1_SIZE - 1)) == b""
    for _ in range(200):
        side.take(b"\4" + random.bytes(40))
    assert asked == [] and not keyring._seen and keyring.shelf.write_count == 1


def test_a_flood_by_an_insider_is_answered_seldom():
    keyring = APP.keyring("big")
    side = Side(keyring, True)
    answers = []
    for i in range(40):
        m1 = Side(APP.keyring("insider", random=Random(i)), False).say()
        answers.append(side.take(m1, i * 100))  # ten a second, for four seconds
    assert len(set([answer for answer in answers if answer])) == 2


class Counting:
    """The primitives, and a list of the names that were asked for."""

    def __init__(self, module, asked):
        self._module = module
        self._asked = asked

    def __getattr__(self, name):
        self._asked.append(name)
        return getattr(self._module, name)


def test_ready_sides_are_not_moved_by_any_old_message():
    m1, m2, m3 = exchanged()
    a, b = sides()
    b.take(a.say())
    a, b = APP.keyring("board", random=Random(8)), APP.keyring("big", random=Random(9))
    pair = Pair(a, b, b_waits=True).run()
    for message in (m1, m2, m3, b"\4" + bytes(40), b"\5" + bytes(28), b"\6" + bytes(8), b"\7"):
        for channel in pair.channels:
            for frame in cut(message, 256):
                channel.receive_frame(frame, 0)
            while channel.step(0):
                pass
    pair.talk()


def test_any_bytes_are_taken_or_refused_but_never_crash():
    m1, m2, m3 = exchanged()
    for seed in range(100 if runtime.IS_BOARD else 400):
        random = Random(seed)
        a, b = sides()
        for side in (a, b):
            side.say()
        for _ in range(8):
            side = (a, b)[random.below(2)]
            frame = random.bytes(random.below(80))
            if random.below(2):
                real = bytearray((m1, m2, m3)[random.below(3)])
                real[random.below(len(real))] ^= 1 << random.below(8)
                frame = bytes(real[: random.below(len(real)) + 1])
            if frame and frame[0] & 7 in (2, 3) and not frame[0] & 0xF8 and runtime.IS_BOARD:
                continue  # seconds each there
            try:
                side.channel.receive_frame(frame, 0)
                side.say()
            except RemoteProtocolError:
                break
        assert not a.channel.is_ready and not b.channel.is_ready, seed
