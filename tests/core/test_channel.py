"""Channels back to back: full handshakes, resumption, lost frames, restarts."""

from app import App, Pair, keyring_of
from helpers import Random, raises

from edge_peer.core.errors import RemoteProtocolError
from edge_peer.security.certificate import BIG_PEER
from edge_peer.security.channel import GIVE_UP_MS, RESUMING, STARTED
from edge_peer.security.wire import BEHIND, M1, M2, M3, NO, R1, R2, Joiner, cut

APP = App()


def keyrings():
    return APP.keyring("board"), APP.keyring("big", BIG_PEER)


def kinds(pair):
    """What was said, records left out; of a message in parts its beginning."""
    return [frame[0] & 7 for _, frame in pair.frames if frame[0] < 0x80 and not frame[0] >> 3 & 7]


def test_strangers_of_one_app_share_keys_after_three_messages():
    a, b = keyrings()
    pair = Pair(a, b, b_waits=True).run()
    assert pair.are_ready() and kinds(pair) == [M1, M2, M3]
    assert pair.channels[0].certificate.raw == b.certificate.raw
    assert pair.channels[1].certificate.raw == a.certificate.raw
    pair.talk()


def test_peers_that_have_met_resume_in_two_messages_and_a_record():
    a, b = keyrings()
    Pair(a, b, b_waits=True).run()
    for _ in range(3):
        pair = Pair(a, b, b_waits=True).run()
        assert pair.are_ready() and kinds(pair) == [R1, R2]
        assert sum([len(frame) for _, frame in pair.frames[:3]]) == 81
        assert pair.channels[1].certificate.raw == a.certificate.raw
        pair.talk()


def test_either_side_may_resume():
    a, b = keyrings()
    Pair(a, b, b_waits=True).run()
    pair = Pair(a, b, a_waits=True).run()
    assert pair.are_ready() and kinds(pair) == [R1, R2]
    pair.talk()


def test_on_a_symmetric_wire_both_begin_and_one_gives_way():
    for names in (("a", "b"), ("b", "a"), ("c", "d"), ("board", "gateway")):
        a, b = [APP.keyring(name) for name in names]
        pair = Pair(a, b).run()
        assert pair.are_ready() and kinds(pair).count(M1) in (1, 2)
        pair.talk()
        pair = Pair(a, b).run()
        assert pair.are_ready() and M1 not in kinds(pair)
        pair.talk()


def test_who_has_lost_its_tickets_goes_the_long_way_again():
    identities = [APP.identity("board"), APP.identity("big")]
    for loser in (0, 1):
        for waits in (False, True):
            rings = [keyring_of(identity) for identity in identities]
            Pair(*rings).run()
            rings[loser] = keyring_of(identities[loser], random=Random(99))
            pair = Pair(rings[0], rings[1], b_waits=waits).run()
            assert pair.are_ready() and M3 in kinds(pair), (loser, waits)
            pair.talk()
            assert M1 not in kinds(Pair(*rings).run())


def test_a_reboot_costs_steps_of_the_ticket_and_no_handshake():
    identities = [APP.identity("board"), APP.identity("big")]
    rings = [keyring_of(identity) for identity in identities]
    Pair(*rings, b_waits=True).run()
    for i in range(12):
        who = i % 3
        for side in (0, 1):
            if who in (side, 2):
                rings[side] = keyring_of(identities[side], rings[side].shelf, Random(i))
        pair = Pair(*rings, b_waits=True).run()
        assert pair.are_ready() and kinds(pair) in ([R1, R2], [R1, BEHIND, R1, R2]), i
        pair.talk()


def test_a_session_key_is_never_used_twice_even_if_random_numbers_repeat():
    """Both sides reboot from the same state of their generators: nothing they seal repeats."""
    identities = [APP.identity("board"), APP.identity("big")]
    rings = [keyring_of(identity) for identity in identities]
    Pair(*rings, b_waits=True).run()
    sealed = []
    for _ in range(4):
        rings = [
            keyring_of(identity, ring.shelf, Random(5)) for identity, ring in zip(identities, rings)
        ]
        pair = Pair(*rings, b_waits=True).run()
        assert kinds(pair) == [R1, R2]
        sealed += [bytes(channel.seal(bytes(16))) for channel in pair.channels]
    assert len(set(sealed)) == len(sealed)


def test_a_ticket_is_for_a_day_and_256_times():
    identity = APP.identity("board")
    clock = [1_000_000]
    a, b = keyring_of(identity), keyring_of(APP.identity("big"))
    a._now_s = b._now_s = lambda: NOW + clock[0]
    NOW = 199_000_000
    Pair(a, b, b_waits=True).run()
    clock[0] += 24 * 3600 - 1
    assert kinds(Pair(a, b, b_waits=True).run()) == [R1, R2]
    clock[0] += 1
    assert kinds(Pair(a, b, b_waits=True).run()) == [M1, M2, M3]
    for _ in range(256):
        assert kinds(Pair(a, b, b_waits=True).run()) == [R1, R2]
    assert M3 in kinds(Pair(a, b, b_waits=True).run())


def test_a_handshake_survives_a_wire_that_loses_and_repeats():
    for seed in range(12):
        random = Random(seed)
        a, b = APP.keyring("board", random=random), APP.keyring("big", random=random)

        def change(side, frame, random=random):
            fate = random.below(10)
            return [frame] * (0 if fate < 3 else 2 if fate > 7 else 1)

        for _ in range(2):
            pair = Pair(a, b, frame_size_max=128)
            pair.change = change
            pair.run(120_000)
            assert pair.are_ready(), seed
            pair.talk()


def test_a_handshake_survives_a_line_that_damages_one_byte_in_100():
    """Of M2, 179 bytes and its permissions, one in seven is whole."""
    for seed in range(12):
        random = Random(seed)
        a, b = APP.keyring("board", random=random), APP.keyring("big", random=random)

        def change(side, frame, random=random):
            return [frame] if all([random.below(100) for _ in frame]) else []

        pair = Pair(a, b)
        pair.change = change
        pair.run(30_000)
        assert pair.are_ready(), seed
        pair.change = None
        pair.talk()


def test_parts_that_were_lost_come_with_the_next_saying():
    message = bytes((M2,)) + bytes(range(200))
    parts = cut(message, 64)
    joiner = Joiner()
    for part in (parts[3], parts[1]):
        assert joiner.join(part) is None
        assert joiner.lacks_parts == (part is parts[3])
    other = cut(bytes((M2,)) + bytes(200), 64)
    assert [joiner.join(part) for part in (parts[0], parts[2])] == [None, message]
    assert [joiner.join(part) for part in (parts[0], other[0], parts[1])] == [None] * 3
    assert [joiner.join(part) for part in other][-1] == bytes((M2,)) + bytes(200)


def test_messages_above_a_frame_travel_in_parts():
    a, b = keyrings()
    pair = Pair(a, b, b_waits=True, frame_size_max=48).run()
    assert pair.are_ready()
    assert max([len(frame) for _, frame in pair.frames]) == 48
    pair.talk()


def test_a_lost_m3_is_said_again():
    a, b = keyrings()
    pair = Pair(a, b, b_waits=True)
    lost = []

    def change(side, frame):
        if frame[0] == M3 and not lost:
            lost.append(frame)
            return []
        return [frame]

    pair.change = change
    pair.run()
    assert lost and pair.are_ready() and kinds(pair) == [M1, M2, M3, M2, M3]
    pair.talk()


def test_a_lost_r2_is_said_again():
    a, b = keyrings()
    Pair(a, b, b_waits=True).run()
    pair = Pair(a, b, b_waits=True)
    lost = []

    def change(side, frame):
        if frame[0] == R2 and not lost:
            lost.append(frame)
            return []
        return [frame]

    pair.change = change
    pair.run()
    assert lost and pair.are_ready() and kinds(pair) == [R1, R2, R1, R2]
    pair.talk()


def test_an_unknown_ticket_is_answered_by_no():
    a, b = keyrings()
    c = APP.keyring("other")
    Pair(a, b, b_waits=True).run()
    pair = Pair(a, c, b_waits=True).run()
    assert pair.are_ready() and kinds(pair) == [R1, NO, M1, M2, M3]


def test_a_peer_of_another_app_is_not_answered():
    a, stranger = APP.keyring("board"), App("another").keyring("board")
    pair = Pair(a, stranger).run(60_000)
    assert not pair.are_ready()
    assert [c._state for c in pair.channels] == [STARTED, STARTED]
    assert not a.shelf.read("verified")


def test_a_listener_gives_up_who_proves_nothing():
    a, b = keyrings()
    channel = b.channel(256, True, True, 0, 0)
    assert channel.deadline_ms() == GIVE_UP_MS
    channel.handle_timeout(GIVE_UP_MS - 1)
    with raises(RemoteProtocolError, "no handshake"):
        channel.handle_timeout(GIVE_UP_MS)


def test_nobody_at_the_other_end_is_asked_again_and_again_but_seldom():
    a, b = keyrings()
    Pair(a, b, b_waits=True).run()
    for channel, state in (
        (a.channel(256, False, False, 1, 0), RESUMING),
        (a.channel(256, False, False, 2, 0), STARTED),
    ):
        said = 0
        now_ms = 0
        while now_ms < 600_000:
            while channel.step(now_ms):
                pass
            said += len(channel.frames_to_send(now_ms))
            now_ms = max(channel.deadline_ms(), now_ms + 1)
        assert channel._state == state and 70 < said < 90


def test_a_ready_channel_is_only_made_suspicious_by_a_new_beginning():
    identity = APP.identity("board")
    a, b = keyring_of(identity), APP.keyring("big")
    pair = Pair(a, b).run()
    again = keyring_of(identity, random=Random(77)).channel(256, False, False, 0, 0)
    while again.step(0):
        pass
    for frame in again.frames_to_send(0):
        pair.channels[1].receive_frame(frame, 0)
    assert pair.channels[1].is_suspect
    pair.talk()
    assert not pair.channels[1].is_suspect


def test_revoked_while_it_was_away_a_device_does_not_resume():
    a, b = keyrings()
    Pair(a, b, b_waits=True).run()
    b.is_revoked = lambda serial: serial == a.certificate.serial
    with raises(RemoteProtocolError, "revoked"):
        Pair(a, b, b_waits=True).run()


def test_a_certificate_is_verified_once_and_its_claims_every_time():
    identity = APP.identity("board")
    a, b = keyring_of(identity), APP.keyring("big")
    Pair(a, b, b_waits=True).run()
    assert len(b.shelf.read("verified")) == 16
    count = [0]
    verify = b.verify

    def counted(signature, message):
        count[0] += 1
        return verify(signature, message)

    b.verify = counted
    Pair(keyring_of(identity, random=Random(1)), b, b_waits=True).run()
    assert count == [0]
    b.is_revoked = lambda serial: True
    with raises(RemoteProtocolError, "revoked"):
        Pair(keyring_of(identity, random=Random(2)), b, b_waits=True).run()


def test_what_a_keyring_knows_is_not_shown():
    a, b = keyrings()
    Pair(a, b, b_waits=True).run()
    identity = a._identity
    secrets = [identity.seed, a._private, a.shelf.read("random")] + list(
        identity.network_keys.values()
    )
    for thing in (a, identity, a._tickets[0], a.channel(256, False, False, 1, 0)):
        for shown in (repr(thing), str(thing)):
            assert not any([repr(secret)[2:-1] in shown for secret in secrets if secret])


def changes_of(message):
    """The message cut behind each byte, and with a bit of each byte flipped."""
    for at in range(len(message)):
        if at:
            yield message[:at]
        yield message[:at] + bytes([message[at] ^ 1 << at % 8]) + message[at + 1 :]
    yield message + b"\0"


def test_a_changed_resumption_is_passed_over_and_the_true_one_still_counts():
    """R1 and R2, each byte of them: never a session with whoever has changed it."""
    for kind, size in ((R1, 41), (R2, 29)):
        rings = []
        for number in range(2 * size):
            if number % 30 == 0:  # a ticket is for so many steps ahead
                rings = keyrings()
                Pair(rings[0], rings[1], b_waits=True).run()
            changed = []

            def change(side, frame, kind=kind, number=number, changed=changed):
                if frame[0] != kind or changed:
                    return [frame]
                changed.append(list(changes_of(frame))[number])
                return changed

            pair = Pair(rings[0], rings[1], b_waits=True)
            pair.change = change
            pair.turn()
            assert not any([channel.is_ready for channel in pair.channels]), (kind, number)
            pair.run()
            assert pair.are_ready() and changed, (kind, number)
            pair.talk()


def test_resumptions_said_back_or_made_up_lead_nowhere():
    """NO and BEHIND of somebody on the wire: a handshake in full at worst, with the true peer."""
    for forged in ("back", NO, BEHIND):
        a, b = keyrings()
        Pair(a, b, b_waits=True).run()
        pair = Pair(a, b, b_waits=True)

        def change(side, frame, pair=pair, forged=forged):
            if frame[0] == R1 and forged == "back":
                pair.deliver(side, frame)
            elif frame[0] == R1:
                pair.deliver(side, bytes([forged]) + frame[1:9] + bytes(8 * (forged == BEHIND)))
            return [frame]

        pair.change = change
        pair.run()
        assert pair.are_ready(), forged
        assert pair.channels[0].certificate.raw == b.certificate.raw
        pair.talk()
