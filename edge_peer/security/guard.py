"""
Whom a peer believes: one Guard for all its links, each of which has a Gate (gate.py).

It knows this peer's own certificate, the list of those that are revoked, and what became of
writes that somebody has refused. What others may write is for security/judge.py, which is
loaded with the first document that arrives: a sensor has no use for it.
"""

from edge_peer.core.errors import StoreFull
from edge_peer.core.limits import AUTHORS, PIN, SIGNED, TRANSIT
from edge_peer.security import certificate as certificates
from edge_peer.security.certificate import DEVICE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any, Protocol

    from edge_peer.core.store.store import Store
    from edge_peer.security.certificate import Certificate, Time
    from edge_peer.security.gate import Gate
    from edge_peer.security.judge import Judge
    from edge_peer.security.refusals import Refusals
    from edge_peer.security.revocation import Revocations

    Steps = Generator[None, None, Any]

    class Keys(Protocol):
        """Signatures, in steps (security/keyring.py)."""

        def sign(self, message: bytes) -> Steps: ...
        def verify(self, signature: bytes, message: bytes) -> Steps: ...
        def verify_of(
            self, certificate: Certificate, signature: bytes, message: bytes
        ) -> Steps: ...


FIELD = "certificate"
INCARNATION_SIZE = 4
CHECKED_MAX = 32  # certificates of which we remember whether they are signed
LIST_ID = "revoked"  # the store's entry that keeps the revocation list


class Guard:
    def __init__(
        self,
        store: "Store",
        certificate: "Certificate",
        app_id: bytes,
        keys: "Keys",
        unpack: "Callable[[bytes], object]",
        time: "Callable[[], Time]",
    ) -> None:
        """
        certificate: this peer's own. keys: its own, the authority's and other peers'.
        time() -> certificate.Time. Raises FormatError if the revocation list is damaged.
        """
        self.store = store
        self.certificate = certificate
        self.unpack = unpack
        self.gates: list[Gate] = []
        self.on_revoked: Callable[[], None] | None = None  # called after a new list counts
        self.on_renewed: Callable[[Certificate], None] | None = None  # told of our own
        self.on_widened: Callable[[], None] | None = None  # called when it says something else
        self.app_id = app_id
        self.keys = keys
        self._time = time
        self._judge: Judge | None = None
        self._refusals: Refusals | None = None
        self._revocations: Revocations | None = None
        self._checked: dict[bytes, bool] = {}  # fingerprint -> whether the authority signed it
        store.govern({AUTHORS: PIN, SIGNED: TRANSIT})
        if store.entry(LIST_ID) is not None:
            self._read_list()

    def open_gate(self, certificate: "Certificate", neighbour: bytes, incarnation: bytes) -> "Gate":
        """Return the gate of a new session with an author, of this key and incarnation.

        Raises CertificateError.
        """
        from edge_peer.security.gate import Gate

        self.check_claims(certificate)
        gate = Gate(self, certificate, neighbour)
        self.gates.append(gate)
        if not self.is_bystander:
            self.judge.meet(neighbour, incarnation, certificate)
        return gate

    @property
    def judge(self) -> "Judge":
        if self._judge is None:
            from edge_peer.security.judge import Judge

            self._judge = Judge(self)
        return self._judge

    @property
    def is_bystander(self) -> bool:
        """Whether this peer has nothing to tell of others: it is a device."""
        return bool(self.certificate.role == DEVICE)

    # Its own certificate

    def take_renewed(self, raw: bytes) -> "Generator[None, None, None]":
        """Take a certificate for this peer's key; what is none, or no newer, is passed over.

        In steps. Raises CertificateError for what cannot be read.
        """
        certificate = certificates.decode(raw)
        is_newer = certificate.serial > self.certificate.serial
        is_ours = is_newer and certificate.key == self.certificate.key
        if is_ours and (yield from self.check(certificate)):
            before, self.certificate = self.certificate, certificate
            if self.on_renewed is not None:
                self.on_renewed(certificate)
            if self.on_widened is not None and before.permissions != certificate.permissions:
                self.on_widened()

    # Others'

    def is_signed(self, certificate: "Certificate") -> bool:
        """Say whether the authority has signed this: at once where `check` was asked before."""
        return bool(finished(self.check(certificate)))

    def check(self, certificate: "Certificate") -> "Steps":
        """Return whether the authority has signed this, in steps."""
        fingerprint = certificates.fingerprint(certificate.raw)
        if fingerprint not in self._checked:
            body = certificate.raw[: -certificates.SIGNATURE_SIZE]
            message = certificates.message_of(self.app_id, body)
            signature = certificate.raw[-certificates.SIGNATURE_SIZE :]
            valid = yield from self.keys.verify(signature, message)
            if len(self._checked) >= CHECKED_MAX:
                self._checked = {}
            self._checked[fingerprint] = bool(valid)
        return self._checked[fingerprint]

    def check_claims(self, certificate: "Certificate") -> None:
        """Check again what a session was begun with; raises CertificateError."""
        roles = tuple(certificates.ROLES.values())
        certificates.check_claims(certificate, self.app_id, self._time(), self.is_revoked, roles)

    # The revocation list

    @property
    def list_version(self) -> int:
        """0: there is none."""
        return 0 if self._revocations is None else self._revocations.version

    @property
    def list_raw(self) -> bytes:
        """The list, which has a version above 0."""
        assert self._revocations is not None and self._revocations.current is not None
        raw: bytes = self._revocations.current.raw
        return raw

    def is_revoked(self, serial: int) -> bool:
        return self._revocations is not None and self._revocations.is_revoked(serial)

    def take_list(self, raw: bytes) -> bool:
        """Go by a revocation list, if it is newer and signed; raises FormatError."""
        return bool(finished(self.hear_list(raw)))

    def hear_list(self, raw: bytes) -> "Steps":
        """`take_list`, in steps."""
        revocations = self._revocations or self._read_list()
        is_new: bool = yield from revocations.take(raw, self.keys.verify)
        if is_new:
            for gate in self.gates:
                gate.tells_list = True
            if self.on_revoked is not None:
                self.on_revoked()
            self.store.wake()
        return is_new

    def _read_list(self) -> "Revocations":
        from edge_peer.security.revocation import Revocations

        self._revocations = Revocations(self.app_id, self.store.entry(LIST_ID), self._keep_list)
        return self._revocations

    def _keep_list(self, raw: bytes) -> None:
        try:
            self.store.keep_entry(LIST_ID, raw)
        except StoreFull:
            pass  # it counts until the next start, and is told again after that

    # What was refused

    @property
    def refusals(self) -> "Refusals":
        if self._refusals is None:
            from edge_peer.security.refusals import Refusals

            self._refusals = Refusals(self.store)
        return self._refusals

    def has_refusals(self) -> bool:
        """Say whether there is anything to know of them, without loading what knows."""
        return self._refusals is not None or self.store.entry("refused") is not None


def finished(steps: "Any") -> "Any":
    """Run a generator to its end; return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
