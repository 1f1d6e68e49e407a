"""
A device of the app that means harm: its certificate is good, what it says is not.

Handshake, seals and frames are the product's, since others would not listen otherwise; what
it says inside is one ATTACK after the other, each on a session of its own, until the other side
has dropped it or ATTACK_MS have passed. All of it must be refused by name and counted,
or change nothing but the attacker's own documents. The invariants hold for all others
(checks.py), whose links may carry only so much more (test_hostile_world.py).

    spec   role       "hostile"
           attacks    their names, one for each session in turn; all of them if missing

What it may do is what a device may: write documents of its own. It does not tell two
neighbours different things by one dot: nobody could find that out of who does not sign.
To add an attack: a generator of messages here, and its line in ATTACKS.
"""

from edge_peer.core import document as documents
from edge_peer.core.document import SEQ_MAX
from edge_peer.core.errors import RemoteProtocolError, StorageError
from edge_peer.core.packing import put_varint
from edge_peer.core.sync.messages import (
    ALL_DURABLE,
    DELTA,
    DIGEST,
    DURABLE,
    GAP,
    KNOW,
    MOVED,
    OFFER,
    PIECES,
    PRESENCE,
    REFUSED,
    RELAYS,
    RENEWED,
    REVOKED,
    VECTOR_PART_MAX,
    WANT,
    WANTS_ALL,
    WANTS_UNDURABLE,
    Done,
    Hello,
)
from sim.nodes import Node, codec

ATTACK_MS = 5_000
PAUSE_MS = 100  # between two messages
RETRY_MS = 50  # before it dials again
FAR = SEQ_MAX  # as high as a number may be; what is above is refused at once
LAST_YEAR = 0xF0 << 40  # a stamp near the end of the 69 years that there are
LONG_BYTES = 10_000_000
WRITES_MAX = 12  # of documents that are its own; what it says besides is to come to nothing
EVERYTHING = "SELECT * FROM %s"


class HostileNode(Node):
    retry_ms_max = RETRY_MS

    def __init__(self, world, index, spec):
        self.attacks = spec.get("attacks") or list(ATTACKS)
        self.attack_count = 0
        self.write_count = 0
        self.heard = []  # messages, to be said again
        Node.__init__(self, world, index, spec)
        self.chance = world.chance("attacks %d" % index)

    def _tell(self, session):
        name = self.attacks[self.attack_count % len(self.attacks)]
        self.attack_count += 1
        self.world.count("attack: " + name)
        Attack(self, session, ATTACKS[name](self, session), self.world.now_ms)

    def write(self, encoder, previous, stamp):
        """Return a DELTA with a document of its own, its next write."""
        self.write_count += 1
        return self.delta(encoder, self.store.author, self.write_count, previous, stamp)

    def delta(self, encoder, author, seq, previous, stamp, collection="readings", kind=DELTA):
        id = "x%d-%d" % (self.index, seq)
        body = documents.make({"n": codec.pack(1)}, stamp, author, seq)
        return encoder.delta(previous, [(collection, id, previous + 1, b"")], [body], 4096, kind)

    def others(self):
        """Return whom it has heard of."""
        store = self.store
        here = [node.store.author for node in self.world.nodes if node.is_up()]
        return [author for author in here if author != store.author]


class Attack:
    """Takes the place of what a Sync says and hears."""

    def __init__(self, node, session, messages, now_ms):
        self._node = node
        self._session = session
        self._messages = messages
        self._end_ms = now_ms + ATTACK_MS
        self._due_ms = now_ms
        sync = session.sync
        self._receive = sync.receive
        sync.receive, sync.next_message = self.receive, self.next_message
        sync.deadline_ms = lambda: self._due_ms

    def receive(self, message, now_ms):
        if len(self._node.heard) < 64:
            self._node.heard.append(message)
        try:
            self._receive(message, now_ms)
        except (RemoteProtocolError, StorageError):
            pass  # it goes on

    def next_message(self, size_max, now_ms):
        if now_ms < self._due_ms:
            return b""
        self._due_ms = now_ms + PAUSE_MS
        message = next(self._messages, None)
        if message is None or now_ms > self._end_ms:
            self._session.close("done")
            return b""
        link = self._session._link
        link.message_size_max = max(link.message_size_max, len(message))  # whatever they take
        return message


# Attacks: (node, session) -> messages. None waits for an answer.


def _hello(session, **changes):
    """Return a HELLO as an honest device would say it, but for the changes."""
    sync = session.sync
    numbers = {"flags": 0, "epoch": 1, "resume": 0, "base": 0, "sender_epoch": 0, "known": 0}
    numbers.update({"digest": 0, "durable": 0})
    numbers["subscriptions"] = tuple([(EVERYTHING % one, b"", 0) for one in ("readings", "things")])
    numbers.update(changes)
    return sync._encoder.hello(Hello(**numbers))


def junk(node, session):
    yield _hello(session)
    while True:
        yield node.chance.bytes(node.chance.between(1, 200))


def out_of_order(node, session):
    """One message that may not come first; then any, in any order."""
    encoder = session.sync._encoder
    others = node.others()[:VECTOR_PART_MAX]
    messages = (
        lambda: encoder.ask(others),
        lambda: encoder.vector(KNOW, {one: 1 for one in others}),
        lambda: encoder.vector(DURABLE, {}),
        lambda: encoder.vector(DURABLE, {one: 1 for one in others}),
        lambda: encoder.done(Done(7, 9, 3, [])),
        lambda: encoder.same(node.chance.below(1 << 32)),
        lambda: bytes([19]),
        lambda: _hello(session),
    )
    while True:
        yield node.chance.choice(messages)()


def lies_about_knowledge(node, session):
    """It knows everything of everybody; all of it is durable, and evicted here."""
    encoder = session.sync._encoder
    yield _hello(session, flags=ALL_DURABLE | DIGEST | GAP, digest=1, known=FAR)
    entries = [(one, FAR, FAR) for one in node.others()[:VECTOR_PART_MAX]]
    vector = {one: FAR for one, _, _ in entries}
    while True:
        yield encoder.vector(DURABLE, vector)
        yield encoder.vector(KNOW, vector)
        yield encoder.done(Done(0, FAR >> 1, 0, [(one, FAR, 0) for one, _, _ in entries]))
        yield encoder.done(Done(0, FAR >> 1, FAR >> 1, entries))


def cursors_from_the_future(node, session):
    encoder = session.sync._encoder
    epoch = session.sync._their_epoch
    yield _hello(session, resume=FAR, base=FAR, sender_epoch=epoch, known=FAR, epoch=FAR)
    while True:
        yield encoder.done(Done(FAR >> 1, FAR >> 1, 1, []))
        yield node.delta(encoder, node.store.author, SEQ_MAX - 1, 1_000_000, 1 << 20)
        yield _hello(session, resume=FAR, base=0, sender_epoch=FAR, epoch=0)


def endless_fragments(node, session):
    yield bytes([DELTA]) + bytes(LONG_BYTES)


def subscription_of_10_mb(node, session):
    yield _hello(
        session, subscriptions=(("SELECT * FROM c WHERE a = '" + "x" * LONG_BYTES, b"", 0),)
    )


def subscriptions_that_cost(node, session):
    """As much as fits, as deep as it goes, and once more than may be."""
    deep = "SELECT * FROM things WHERE " + "(" * 200 + "a = 1" + ")" * 200
    terms = "SELECT * FROM things WHERE " + " OR ".join(["a = %d" % n for n in range(50)])
    choices = (deep, terms, "SELECT * FROM things WHERE a LIKE '" + "%a" * 100 + "'", "SELECT")
    while True:
        text = node.chance.choice(choices)
        yield _hello(session, subscriptions=((text, b"", 0),) * node.chance.choice((1, 8, 9)))


def clocks_from_2106(node, session):
    """Documents of its own, which count; their stamps move nobody's clock."""
    encoder = session.sync._encoder
    yield _hello(session)
    while node.write_count < WRITES_MAX:
        yield node.write(encoder, 0, LAST_YEAR)
        yield encoder.vector(DURABLE, {node.store.author: FAR})


def forged_authors(node, session):
    """What others are to have written, what they have moved, and what nobody may write."""
    encoder = session.sync._encoder
    yield _hello(session)
    while True:
        for author in node.others():
            seq = node.chance.choice((1, 5, 1 << 30))
            yield node.delta(encoder, author, seq, 0, 1 << 40, "things")
            yield node.delta(encoder, author, seq, 0, LAST_YEAR, "things", MOVED)
        for collection in ("__authors", "__signed", "*pieces", "__small_peer_info"):
            yield node.delta(encoder, node.store.author, 1 << 41, 0, 1 << 40, collection)


def a_role_that_it_does_not_have(node, session):
    flags = node.chance.choice((WANTS_ALL, RELAYS, WANTS_UNDURABLE, WANTS_ALL | RELAYS))
    yield _hello(session, flags=flags)


def everything_again_and_again(node, session):
    """HELLO upon HELLO, each of which is read from the start; questions nobody has."""
    encoder = session.sync._encoder
    while True:
        yield _hello(session, epoch=node.chance.below(1000))
        yield encoder.ask([node.chance.bytes(8) for _ in range(VECTOR_PART_MAX)])


def no_acknowledgement(node, session):
    """It asks, and takes no answer: what is said to it has to stay where it is."""
    session._link._ack = lambda: b"\0"
    while True:
        yield _hello(session) + b"".join([_hello(session) for _ in range(10)])


def subscriptions_that_change(node, session):
    """Each time a relay in between wants more than before, it reads its neighbours anew."""
    while True:
        yield _hello(session)
        yield _hello(session, subscriptions=())


def half_a_session(node, session):
    yield _hello(session, resume=node.chance.below(100))
    yield node.delta(session.sync._encoder, node.store.author, 1 << 42, 77, 1 << 20)


def what_they_said(node, session):
    """Their own messages, in any order."""
    yield _hello(session)
    while node.heard:
        yield node.chance.choice(node.heard)
    while True:
        yield bytes([KNOW, 0])


def attachments(node, session):
    """Blobs that are not, pieces nobody wants, and every piece of everything."""
    yield _hello(session)
    while True:
        id = node.chance.bytes(16)
        out = bytearray([OFFER]) + id
        put_varint(out, 1 << node.chance.below(40))
        yield bytes(out)
        yield bytes([PIECES]) + id + bytes([0, 100]) + bytes(100)
        out = bytearray([WANT]) + id
        for number in (1 << 20, 1, 0, 200):
            put_varint(out, number)
        yield bytes(out)


def lists_and_refusals(node, session):
    """Revocations, refusals and certificates that nobody has signed."""
    yield _hello(session)
    for kind in (REVOKED, REFUSED, RENEWED):
        data = bytearray()
        put_varint(data, FAR)
        data += node.chance.bytes(150)
        out = bytearray([kind])
        put_varint(out, len(data))
        yield bytes(out + data)
    for author in node.others():  # "your write 1 was refused"
        data = bytes([1]) + author + bytes([1, 1, 6]) + b"things" + bytes([2]) + b"k0"
        yield bytes([REFUSED, len(data)]) + data


def a_mesh_that_is_not(node, session):
    """Presence of others, at the highest versions, with links to nobody."""
    yield _hello(session)
    while True:
        out = bytearray([PRESENCE, 8])
        for _ in range(8):
            out += node.chance.choice(node.others() + [node.chance.bytes(8)])
            put_varint(out, node.chance.choice((1, 1 << 31, 1 << 32)))
            out += bytes([1]) + b"n" + bytes([1]) + node.chance.bytes(8)
            out += bytes([1]) + b"m" + bytes([1]) + b"r" + bytes([node.chance.below(4)])
        yield bytes(out)


ATTACKS = {
    "junk": junk,
    "out of order": out_of_order,
    "lies about knowledge": lies_about_knowledge,
    "cursors from the future": cursors_from_the_future,
    "endless fragments": endless_fragments,
    "subscription of 10 MB": subscription_of_10_mb,
    "subscriptions that cost": subscriptions_that_cost,
    "subscriptions that change": subscriptions_that_change,
    "clocks from 2106": clocks_from_2106,
    "forged authors": forged_authors,
    "a role it does not have": a_role_that_it_does_not_have,
    "everything again": everything_again_and_again,
    "no acknowledgement": no_acknowledgement,
    "half a session": half_a_session,
    "what they said": what_they_said,
    "attachments": attachments,
    "lists and refusals": lists_and_refusals,
    "a mesh that is not": a_mesh_that_is_not,
}
