"""
One open link and everything that runs over it: what a transport pumps.

The order of things on a link, from the wire up: frames (core/link.py), then who
is there, then documents (core/sync.py). Frames and times come in; frames, a
deadline and events come out:

    session.receive_frame(frame, now_ms)
    session.frames_to_send(now_ms)
    session.deadline_ms()
    session.handle_timeout(now_ms)

Identity, told when the link opens (SPEC.md, "Link"):

    appID 16 | author 8 | name, UTF-8

It is a claim, not a proof: anybody on the wire can make it.
"""

from collections import namedtuple

from edge_peer.core.document import AUTHOR_SIZE
from edge_peer.core.errors import RemoteProtocolError
from edge_peer.core.link import CLOSED, RETRANSMIT_MS_MIN, Closed, Link, MessageReceived, Opened
from edge_peer.core.packing import from_utf8
from edge_peer.core.sync import Sync

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_peer.core.store import Store

APP_ID_SIZE = 16
NAME_BYTES_MAX = 64

# What every session of a peer shares, and what one kind of transport is like.
# matcher: see Sync; entropy(n) -> n random bytes; flags: what this peer wants (messages.py)
Local = namedtuple("Local", ("app_id", "name", "flags", "store", "matcher", "entropy"))
# cost: lower is better; sizes in bytes of what this side receives; see Link and Sync. A
# medium may also be a class that has `deflate` (see Sync) or `retransmit_ms_min` (see Link).
Medium = namedtuple(
    "Medium", ("name", "cost", "frame_size_max", "message_size_max", "keepalive_ms", "linger_ms")
)


class Session:
    """`on_event(session, event)` is told Opened and Closed, at most once each."""

    def __init__(
        self,
        local: Local,
        medium: Medium,
        now_ms: int,
        on_event: "Callable[[Session, Opened | Closed], None]",
    ) -> None:
        self.medium = medium
        self.neighbour = b""  # its author, once the link is open
        self.neighbour_name = ""
        self.sync: Sync | None = None
        self.close_reason = ""
        self._local = local
        self._on_event = on_event
        self._active = False
        nonce = int.from_bytes(local.entropy(4), "big") or 1
        identity = local.app_id + local.store.author + local.name.encode()
        self._link = Link(
            identity,
            nonce,
            now_ms,
            medium.frame_size_max,
            medium.message_size_max,
            medium.keepalive_ms,
            getattr(medium, "retransmit_ms_min", RETRANSMIT_MS_MIN),
        )

    def is_closed(self) -> bool:
        return self._link.state == CLOSED

    def receive_frame(self, frame: bytes, now_ms: int) -> None:
        """Handle one frame, durably. What breaks the protocol closes the session."""
        try:
            self._link.receive_frame(frame, now_ms)
            self._handle_events(now_ms)
        except RemoteProtocolError as error:
            self._link.close(str(error))
            self._handle_events(now_ms)

    def frames_to_send(self, now_ms: int) -> "list[bytes]":
        frames = self._link.frames_to_send(now_ms)
        while self._active and self.sync is not None and self._link.can_send():
            message = self.sync.next_message(self._link.message_size_max, now_ms)
            if not message:
                break
            self._link.send_message(message)
            frames += self._link.frames_to_send(now_ms)
        return frames

    def deadline_ms(self) -> "int | None":
        deadline = self._link.deadline_ms()
        if self._active and self.sync is not None and self._link.can_send():
            due = self.sync.deadline_ms()
            if due is not None and deadline is not None:
                return min(due, deadline)
        return deadline

    def handle_timeout(self, now_ms: int) -> None:
        self._link.handle_timeout(now_ms)
        self._handle_events(now_ms)

    def close(self, reason: str) -> None:
        self._link.close(reason)
        self._handle_events(0)

    def set_active(self, active: bool) -> None:
        """An open link that is not active stays open, as a spare, and offers nothing."""
        self._active = active

    def retransmitted_count(self) -> int:
        return self._link.retransmitted_count

    def _handle_events(self, now_ms: int) -> None:
        event = self._link.next_event()
        while event is not None:
            if isinstance(event, MessageReceived):
                if self.sync is not None:
                    self.sync.receive(event.message, now_ms)
            elif isinstance(event, Opened):
                self._open(event, now_ms)
            else:
                self.close_reason = event.reason
                if self.sync is not None:
                    self.sync.close()
                self._on_event(self, event)
            event = self._link.next_event()

    def _open(self, opened: Opened, now_ms: int) -> None:
        identity = opened.identity
        store: Store = self._local.store
        if len(identity) < APP_ID_SIZE + AUTHOR_SIZE:
            raise RemoteProtocolError("identity cut short")
        if identity[:APP_ID_SIZE] != self._local.app_id:
            raise RemoteProtocolError("a peer of another app")
        self.neighbour = identity[APP_ID_SIZE : APP_ID_SIZE + AUTHOR_SIZE]
        if self.neighbour == store.author:
            raise RemoteProtocolError("the other side is this peer itself")
        self.neighbour_name = from_utf8(identity[APP_ID_SIZE + AUTHOR_SIZE :])
        deflate = getattr(self.medium, "deflate", None)
        self.sync = Sync(
            store,
            self.neighbour,
            self._local.flags,
            self._local.matcher,
            now_ms,
            self.medium.linger_ms,
            self.medium.message_size_max,
            None if deflate is None else deflate(),
        )
        self._on_event(self, opened)
