"""Handshakes, resumptions and records have the bytes that SPEC.md gives them, on both Pythons."""

from binascii import hexlify, unhexlify

from app import crypto, run
from vectors.cases import load

from edge_peer.security import certificate as certificates
from edge_peer.security.handshake import Handshake, Party
from edge_peer.security.identity import app_id_of
from edge_peer.security.kdf import hmac
from edge_peer.security.record import EPOCH_BITS, Opener, Sealer, next_key
from edge_peer.security.ticket import new_ticket

VECTORS = load("handshake")
AUTHORITY = unhexlify(VECTORS["authority"])
APP_ID = app_id_of(AUTHORITY)
NETWORK_KEY = unhexlify(VECTORS["network_key"])


def party(inputs):
    def check(certificate):
        signed = certificates.message_of(APP_ID, certificate.raw[:-64])
        assert (yield from crypto.verify(AUTHORITY, certificate.raw[-64:], signed))

    private = run(crypto.private_of(unhexlify(inputs["seed"])))
    certificate = certificates.decode(unhexlify(inputs["certificate"]))
    mac1_key = hmac(NETWORK_KEY, b"EDB1 mac1" + APP_ID)
    return Party(crypto, APP_ID, NETWORK_KEY, mac1_key, private, certificate, check)


def hexed(items):
    return [hexlify(item).decode() for item in items]


def test_full_handshakes_have_the_bytes_of_the_vectors():
    for case in VECTORS["handshakes"]:
        a = Handshake(party(case["initiator"]), True, unhexlify(case["initiator"]["ephemeral"]))
        b = Handshake(party(case["responder"]), False, unhexlify(case["responder"]["ephemeral"]))
        m1 = run(a.write_m1())
        run(b.read_m1(m1))
        m2 = run(b.write_m2())
        run(a.read_m2(m2))
        m3 = run(a.write_m3())
        run(b.read_m3(m3))
        assert hexed([m1, m2, m3]) == case["messages"]
        for one, send, receive, other in ((a, 0, 1, "responder"), (b, 1, 0, "initiator")):
            agreed = one.agreed()
            assert hexed([agreed.send_key]) == [case["keys"][send]]
            assert hexed([agreed.receive_key]) == [case["keys"][receive]]
            assert hexed([agreed.ticket_secret]) == [case["secret"]]
            assert hexed([agreed.certificate.raw]) == [case[other]["certificate"]]


def test_resumptions_have_the_bytes_of_the_vectors():
    for case in VECTORS["handshakes"]:
        for one in case["resumptions"]:
            r1, r2, behind = [unhexlify(message) for message in one["messages"]]
            randoms = [unhexlify(random) for random in one["randoms"]]
            secret = unhexlify(case["secret"])
            asks = new_ticket(secret, one["by"] == 0, b"", 0, 0)
            answers = new_ticket(secret, one["by"] == 1, b"", 0, 0)
            asks._advance(one["by"], one["step"])
            asked, key = asks.ask(randoms[0], lambda id, data: None)
            assert asked == r1
            resumed = answers.answer(r1, randoms[1], lambda id, data: None)
            assert resumed.answer == r2
            assert hexed([resumed.receive_key, resumed.send_key]) == one["keys"]
            finished = asks.finish(r1, key, r2)
            assert hexed([finished.send_key, finished.receive_key]) == one["keys"]
            answers._advance(one["by"], one["step"] + 3)
            assert answers.behind(r1) == behind
            assert asks.skip(r1, behind) and not asks.skip(r1, behind)


def test_records_have_the_bytes_of_the_vectors():
    for counter, payload, record in VECTORS["records"]:
        payload, record = unhexlify(payload), unhexlify(record)
        key = unhexlify(VECTORS["record_key"])
        for _ in range(counter >> EPOCH_BITS):
            key = next_key(key)
        sealer, opener = Sealer(crypto, key), Opener(crypto, key, True)
        sealer.counter = counter
        if not counter & (1 << EPOCH_BITS) - 1 and counter:
            sealer._key, opener._key = unhexlify(VECTORS["record_key"]), b""
            for _ in range((counter >> EPOCH_BITS) - 1):
                sealer._key = next_key(sealer._key)
        opener._newest, opener._epoch = counter - 1, counter >> EPOCH_BITS
        assert sealer.seal(payload) == record
        assert opener.open(record) == payload
