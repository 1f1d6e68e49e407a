"""
Wires between peers, and what they do to frames.

    stream     bytes in COBS frames, in order, at so many a second (serial lines)
    connected  in order and without loss while it lasts, dialled by side 0 (TCP)
    neither    frames one by one: late, twice, in another order, or never (radio, MQTT)

An End is what transport/pump.py is on a device: it moves frames and time between one
Session and the wire, and decides nothing. Bandwidth is real: an End that has filled
its wire waits until it has drained, as `await channel.send` does.
"""

from collections import namedtuple

from app import compute, seals_of

from edge_peer.core.errors import StorageError
from edge_peer.core.sync.frame import FrameDecoder, encode
from edge_peer.core.sync.session import Medium, Session
from edge_peer.security.record import RECORD

Kind = namedtuple(
    "Kind",
    ("medium", "bytes_per_s", "latency_ms", "jitter_ms", "stream", "connected", "twice_per_mille"),
)


class _Ordered(Medium):  # as host/lan.py has it
    is_ordered = True
    retransmit_ms_min = 30_000
    ack_delay_ms = 10_000


_SERIAL = Medium("serial", 2, 256, 1024, 5_000, 250)  # as host/serial.py has it
KINDS = {
    "lan": Kind(_Ordered("lan", 1, 4096, 266_240, 10_000, 20), 1_000_000, 1, 2, False, True, 0),
    "serial": Kind(_SERIAL, 11_520, 1, 0, True, False, 0),
    "slow": Kind(_SERIAL, 250, 5, 0, True, False, 0),
    "radio": Kind(Medium("radio", 2, 240, 1024, 5_000, 100), 20_000, 3, 40, False, False, 10),
    "mqtt": Kind(Medium("mqtt", 3, 4104, 4096, 20_000, 100), 50_000, 30, 200, False, False, 10),
}

RETRY_MS_MIN = 500  # as peer.py has it
RETRY_MS_MAX = 15_000  # as long as that a link was a good one
IDLE_TURNS_MAX = 100  # of one End, in a row: more is a busy loop
BUFFER_MS = 20  # of what a wire carries: so much is taken before the sender has to wait


class End:
    def __init__(self, wire, side, connection):
        self.wire = wire
        self.side = side
        self.connection = connection  # the End at the other side, where a wire is connected
        self.era = wire.era
        self.done = False
        self.is_taking = False
        self.node = wire.nodes[side]
        self.world = wire.world
        self.opened_ms = self.world.now_ms
        self._decoder = FrameDecoder(wire.kind.medium.frame_size_max)
        self._due_ms = None
        self._idle_turns = 0
        self._watched = None
        waits = wire.kind.connected and side == 1
        self.session = Session(
            self.node.local,
            wire.kind.medium,
            self.world.now_ms,
            self.node.links._on_event,
            waits,
            1 + 2 * wire.number + side,
        )
        self._sealed = seals_of(self.session)
        self.node.links.pumps.append(self)
        self.wake()

    def damaged_count(self):
        return self._decoder.damaged_count

    def wake(self):
        self._schedule(self.world.now_ms)

    def take(self, data):
        """Take what the wire brings."""
        frames = self._decoder.receive(data) if self.wire.kind.stream else [data]
        self.is_taking = True
        for frame in frames:
            try:
                compute(self.session, self.world.now_ms)
                self.session.receive_frame(frame, self.world.now_ms)
                compute(self.session, self.world.now_ms)
            except StorageError as error:
                self.world.count("storage error")
                self.session.close(str(error))
        self.is_taking = False
        self._turn()

    def drop(self):
        """The device has lost power: nothing is said any more."""
        self.done = True

    def stop(self, reason):
        """The wire has broken, and this side knows."""
        if not self.done:
            self.session.close(reason)
            self._finish()

    def _schedule(self, at_ms):
        if not self.done and (self._due_ms is None or at_ms < self._due_ms):
            self._due_ms = at_ms
            self.world.push(at_ms, self._due, at_ms)

    def _due(self, at_ms):
        if at_ms == self._due_ms and not self.done:
            self._due_ms = None
            self.node.guard(self._timeout)

    def _timeout(self):
        now_ms = self.world.now_ms
        free_ms = self.wire.free_ms(self.side)
        if free_ms > now_ms:
            self._schedule(free_ms)
            return
        self.session.handle_timeout(now_ms)
        self._turn()

    def _turn(self):
        """Send what may leave, and wait for the next deadline."""
        now_ms = self.world.now_ms
        free_ms = self.wire.free_ms(self.side)
        if free_ms <= now_ms:
            if self.world.watches_messages() and self.session.sync is not None:
                self._watch_messages()
            compute(self.session, now_ms)
            frames = self.session.frames_to_send(now_ms)
            for frame in frames:
                self.wire.send(self, frame, self._sealed.pop(0) if frame[0] & RECORD else frame)
            self._idle_turns = 0 if frames else self._idle_turns + 1
        if self.session.is_closed():
            self._finish()
            return
        deadline_ms = self.session.deadline_ms()
        if deadline_ms is None:
            return
        if deadline_ms > now_ms:
            self._idle_turns = 0
        elif self._idle_turns > IDLE_TURNS_MAX:
            self.world.fail("bounded", "a busy loop at %s" % self.wire.label(self.side))
        self._schedule(max(deadline_ms, now_ms + 1, self.wire.free_ms(self.side)))

    def _watch_messages(self):
        """Tell the recording what sync says, by the first message of each that leaves."""
        sync = self.session.sync
        if self._watched is sync:
            return
        self._watched = sync
        ask = sync.next_message

        def next_message(size_max, now_ms):
            message = ask(size_max, now_ms)
            if message:
                is_answer = message[:2] == b"\x03\x00" and len(message) > 2
                kind = message[2] if is_answer else message[0]
                self.world.note("message", self.wire.number, self.side, kind, len(message))
            return message

        sync.next_message = next_message

    def _finish(self):
        self.done = True
        if self in self.node.links.pumps:
            self.node.links.pumps.remove(self)
        if self.wire.nodes[1 - self.side].is_hostile():
            self.world.dropped(self.session)
        self.wire.ended(self)


class Wire:
    def __init__(self, world, number, spec, nodes):
        """spec: {"kind", "ends": [index, index], "loss": per mille}."""
        self.world = world
        self.number = number
        self.kind = KINDS[spec["kind"]]
        self.name = spec["kind"]
        self.nodes = nodes
        self.usual_loss = self.loss = spec.get("loss", 0)
        self.up = True
        self.deaf = None  # the side that hears nothing
        self.ends = [None, None]
        self.bytes = [0, 0]
        self._chance = world.chance("wire %d" % number)
        self.era = 0  # what was sent in an earlier one is lost
        self._free_us = [0, 0]
        self._last_ms = [0, 0]
        self._retry_ms = [RETRY_MS_MIN, RETRY_MS_MIN]
        self._dialling = [False, False]

    def label(self, side):
        return "%s %s>%s" % (self.name, self.nodes[side].name, self.nodes[1 - side].name)

    def free_ms(self, side):
        return self._free_us[side] // 1000 - BUFFER_MS

    # Up and down

    def set_up(self, up):
        if up != self.up:
            self.up = up
            self.era += 1
            self.world.note("wire", self.number, up)
            if up and self.kind.connected:
                self._redial(0)

    def node_up(self, side):
        if self.kind.connected:
            if side == 0:
                self._redial(0)
        else:
            self._dial(side)

    def node_down(self, side):
        self.ends[side] = None
        self._free_us[side] = 0

    def ended(self, end):
        """A session is closed: tell the other side where it can be told, and try again."""
        if self.ends[end.side] is end:
            self.ends[end.side] = None
        other = end.connection
        if other is not None and not other.done and self.up:
            self.world.push(self.world.now_ms + self.kind.latency_ms, other.stop, "end of stream")
        if self.world.now_ms - end.opened_ms > RETRY_MS_MAX:
            self._retry_ms[end.side] = RETRY_MS_MIN
        if end.side == 0 or not self.kind.connected:
            self._later(end.side)

    def _later(self, side):
        if not self._dialling[side]:
            self._dialling[side] = True
            self.world.push(self.world.now_ms + self._retry_ms[side], self._dial, side)
            self._retry_ms[side] = min(2 * self._retry_ms[side], self.nodes[side].retry_ms_max)

    def _redial(self, side):
        self._retry_ms[side] = RETRY_MS_MIN
        self._later(side)

    def _dial(self, side):
        self._dialling[side] = False
        if not self.nodes[side].is_up() or self.ends[side] is not None:
            return
        if not self.kind.connected:
            self.ends[side] = End(self, side, None)
        elif self.up and self.nodes[1].is_up():
            self._free_us = [0, 0]
            ends = [End(self, 0, None), End(self, 1, None)]
            ends[0].connection, ends[1].connection = ends[1], ends[0]
            self.ends = ends  # what side 1 had may be half open still: it stays until it is silent
        else:
            self._later(side)

    # Frames

    def send(self, end, frame, inside):
        """inside: the frame before it was sealed."""
        world = self.world
        side = end.side
        data = encode(frame) if self.kind.stream else frame
        world.carried(self, side, inside, len(data))
        now_us = world.now_ms * 1000
        free_us = max(self._free_us[side], now_us) + len(data) * 1_000_000 // self.kind.bytes_per_s
        self._free_us[side] = free_us
        if not self.up or self.deaf == 1 - side:
            return
        if self.kind.connected and (end.connection.done or end.era != self.era):
            if self.nodes[1 - side].is_up():
                world.push(world.now_ms + 2 * self.kind.latency_ms, end.stop, "reset")
            return
        times = 1
        if not self.kind.connected:
            if self._chance.hits(self.loss):
                data = self._damaged(data)
                times = 1 if data else 0
            elif self._chance.hits(self.kind.twice_per_mille):
                world.count("frame twice")
                times = 2
        for _ in range(times):
            at_ms = (free_us + 999) // 1000 + self.kind.latency_ms
            if self.kind.jitter_ms:
                at_ms += self._chance.below(self.kind.jitter_ms)
            if self.kind.connected:
                at_ms = self._last_ms[side] = max(at_ms, self._last_ms[side])
            world.push(at_ms, self._arrive, (self.era, end, data))

    def _damaged(self, data):
        """On a stream some bytes of it are lost or changed; elsewhere it is lost."""
        if not self.kind.stream:
            self.world.count("frame lost")
            return b""
        start = self._chance.below(len(data))
        how = self._chance.below(3)
        self.world.count(("bytes lost", "byte changed", "bytes added")[how])
        if how == 0:
            return data[:start] + data[start + 1 + self._chance.below(len(data)) :]
        if how == 1:
            return data[:start] + self._chance.bytes(1) + data[start + 1 :]
        return data[:start] + self._chance.bytes(3) + data[start:]

    def _arrive(self, parcel):
        era, sender, data = parcel
        end = sender.connection if self.kind.connected else self.ends[1 - sender.side]
        if end is None or end.done:
            return
        if era != self.era:
            if not self.kind.stream:
                return
            self.world.count("frame cut")
            data = data[: len(data) // 2]
        if data:
            end.node.guard(end.take, data)
