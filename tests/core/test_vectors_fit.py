"""What many authors take of a message, where the smallest links take 1,024 bytes."""

from linked import BIG, Peer
from test_hostile import FAR, met

from edge_peer.core.sync.messages import Hello

AUTHORS = [b"author%02d" % n for n in range(64)]
SIZE = 1024


def test_durable_answers_and_done_of_many_authors_come_in_messages_that_fit():
    big = Peer("big", BIG)
    sync, encoder = met(big)
    big.store.learn({author: FAR >> 14 for author in AUTHORS})
    sync.receive(encoder.ask(AUTHORS), 0)
    for _ in range(100):
        numbers = dict(flags=0, epoch=1, resume=0, base=0, sender_epoch=0, known=0, digest=0)
        sync.receive(encoder.hello(Hello(durable=0, subscriptions=(), **numbers)), 0)
    sync._sender.teaches = True
    told = 0
    for now_ms in range(0, 60_000, 500):
        message = sync.next_message(SIZE, now_ms)
        assert len(message) <= SIZE
        told += len(message)
    assert told > 64 * 8
