"""
One open link and everything that runs over it: what a transport pumps.

The order of things on a link, from the wire up: records that are sealed for the other side
alone (edge_peer/security/channel.py, handed in), in them frames (core/sync/link.py), in these
documents (core/sync/sync.py). Frames and times come in; frames, a deadline and events come out:

    session.step(now_ms)               True while there is more to compute; see below
    session.receive_frame(frame, now_ms)
    session.frames_to_send(now_ms)
    session.deadline_ms()
    session.handle_timeout(now_ms)

Computing keys takes seconds on a board, and checking a signature most of one. Before and
after `receive_frame`, and before `frames_to_send`, call `step` until it returns False; others
may run between two calls.

Who is there follows from the certificate that the other side has proven to hold. The link's
opening only adds the incarnation of its store, from which its author follows
(core/ids.py): nobody can open a link as an author whose key he does not have.
"""

from collections import namedtuple

from edge_peer.core.errors import RemoteProtocolError
from edge_peer.core.ids import author_of
from edge_peer.core.store.state import INCARNATION_SIZE
from edge_peer.core.sync.link import (
    ACK_DELAY_MS,
    CLOSED,
    RETRANSMIT_MS_MIN,
    Closed,
    Link,
    MessageReceived,
    Opened,
)
from edge_peer.core.sync.sync import Sync

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge_peer.core.store.store import Store

SUSPECT_MS = 3_000  # how long the other side has to prove itself when another one appears

# What every session of a peer shares, and what one kind of transport is like.
# keyring: edge_peer/security/keyring.py, None for a peer without links; flags: what this
# peer wants (messages.py); matcher: see Sync; entropy(n) -> n random bytes
Local = namedtuple("Local", ("keyring", "flags", "store", "matcher", "entropy"))
# cost: lower is better; sizes in bytes of what this side receives; see Link and Sync. A
# medium may also be a class that has `deflate` (see Sync), `retransmit_ms_min` or
# `ack_delay_ms` (see Link), or `is_ordered` (see Channel).
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
        waits: bool = False,
        hint: int = 0,
    ) -> None:
        """waits: the other side begins; hint: a number of this link for the channel."""
        self.medium = medium
        self.neighbour = b""  # its author, once the link is open
        self.certificate: Any = None  # the neighbour's, as soon
        self.sync: Sync | None = None
        self.close_reason = ""
        self.was_refused = False  # the other side broke the rules; close_reason says which
        self._local = local
        self._on_event = on_event
        self._active = False
        self._suspect_ms: int | None = None
        self._channel = local.keyring.channel(
            medium.frame_size_max, getattr(medium, "is_ordered", False), waits, hint, now_ms
        )
        nonce = int.from_bytes(local.entropy(4), "big") or 1
        self._link = Link(
            local.store.incarnation,
            nonce,
            now_ms,
            medium.frame_size_max - self._channel.overhead_bytes,
            medium.message_size_max,
            medium.keepalive_ms,
            getattr(medium, "retransmit_ms_min", RETRANSMIT_MS_MIN),
            getattr(medium, "ack_delay_ms", ACK_DELAY_MS),
        )

    @property
    def neighbour_name(self) -> str:
        name: str = "" if self.certificate is None else self.certificate.name
        return name

    def is_closed(self) -> bool:
        return self._link.state == CLOSED

    def step(self, now_ms: int) -> bool:
        """Compute for a few ms; return whether there is more. What is wrong closes the session.

        A message that took long is handled here at last, and durably, as in `receive_frame`.
        """
        if self.is_closed():
            return False
        try:
            more: bool = self._channel.step(now_ms)
            if self.sync is not None and self.sync.is_busy:
                more = self.sync.step()
                self._handle_events(now_ms)
                more = more or self.sync.is_busy
        except RemoteProtocolError as error:
            self._refuse(error, now_ms)
            return False
        return more

    def receive_frame(self, frame: bytes, now_ms: int) -> None:
        """Handle one frame, durably. What breaks the protocol closes the session."""
        if self.is_closed():
            return
        try:
            payload = self._channel.receive_frame(frame, now_ms)
            if payload is not None:
                self._suspect_ms = None
                if self._channel.was_repeated:
                    self._link.expect_losses()
                self._link.receive_frame(payload, now_ms)
            elif self._channel.is_suspect and self._suspect_ms is None:
                self._suspect_ms = now_ms + SUSPECT_MS
                self._link.probe()
            self._handle_events(now_ms)
        except RemoteProtocolError as error:
            self._refuse(error, now_ms)

    def frames_to_send(self, now_ms: int) -> "list[bytes]":
        if not self._channel.is_ready:
            return [] if self.is_closed() else list(self._channel.frames_to_send(now_ms))
        frames: list[bytes] = self._channel.frames_to_send(now_ms)
        return frames + [self._channel.seal(frame) for frame in self._link_frames(now_ms)]

    def _link_frames(self, now_ms: int) -> "list[bytes]":
        frames = self._link.frames_to_send(now_ms)
        while self._active and self.sync is not None and self._link.can_send():
            message = self.sync.next_message(self._link.message_size_max, now_ms)
            if not message:
                break
            self._link.send_message(message)
            frames += self._link.frames_to_send(now_ms)
        return frames

    def deadline_ms(self) -> "int | None":
        """Return when to call `handle_timeout` and `frames_to_send`, None for never."""
        if self.is_closed():
            return None
        due = [self._channel.deadline_ms()]
        if self._channel.is_ready:
            due += [self._link.deadline_ms(), self._suspect_ms]
            if self._active and self.sync is not None and self._link.can_send():
                due.append(self.sync.deadline_ms())
        times = [time for time in due if time is not None]
        return min(times) if times else None

    def handle_timeout(self, now_ms: int) -> None:
        try:
            self._channel.handle_timeout(now_ms)
        except RemoteProtocolError as error:
            self._refuse(error, now_ms)
        if self._channel.is_ready:
            self._link.handle_timeout(now_ms)
            if self._suspect_ms is not None and now_ms >= self._suspect_ms:
                self._link.close("the other side started again")
        self._handle_events(now_ms)

    def close(self, reason: str) -> None:
        self._link.close(reason)
        self._handle_events(0)

    @property
    def is_active(self) -> bool:
        return self._active

    def set_active(self, active: bool) -> None:
        """An open link that is not active stays open, as a spare, and offers nothing."""
        if active and not self._active and self.sync is not None:
            self.sync.say_again()
        self._active = active

    def is_idle(self) -> bool:
        """Return whether all that was said so far has been acknowledged."""
        return self._link.is_idle()

    def frame_count(self) -> int:
        return self._link.frame_count

    def retransmitted_count(self) -> int:
        return self._link.retransmitted_count

    def _refuse(self, error: RemoteProtocolError, now_ms: int) -> None:
        self.was_refused = True
        self._link.close(str(error))
        self._handle_events(now_ms)

    def _handle_events(self, now_ms: int) -> None:
        while self.is_closed() or self.sync is None or not self.sync.is_busy:
            event = self._link.next_event()
            if event is None:
                return
            if isinstance(event, MessageReceived):
                if self.sync is not None and not self.sync.is_busy:
                    self.sync.receive(event.message, now_ms)
            elif isinstance(event, Opened):
                self._open(event, now_ms)
            else:
                self.close_reason = event.reason
                if self.sync is not None:
                    self.sync.close()
                self._on_event(self, event)

    def _open(self, opened: Opened, now_ms: int) -> None:
        incarnation = opened.identity
        store: Store = self._local.store
        if len(incarnation) != INCARNATION_SIZE:
            raise RemoteProtocolError("no incarnation in the opening")
        certificate = self._channel.certificate
        self.neighbour = author_of(certificate.key, incarnation)
        if self.neighbour == store.author:
            raise RemoteProtocolError("the other side is this peer itself")
        self.certificate = certificate
        deflate = getattr(self.medium, "deflate", None)
        guard = self._local.keyring.guard
        self.sync = Sync(
            store,
            self.neighbour,
            self._local.flags,
            self._local.matcher,
            now_ms,
            self.medium.linger_ms,
            self.medium.message_size_max,
            None if deflate is None else deflate(),
            roles=self._local.keyring.flags_of(certificate),
            salt=self._link.salt,
            gate=None
            if guard is None
            else guard.open_gate(certificate, self.neighbour, incarnation),
        )
        self._on_event(self, opened)
