"""
Every error this package raises on purpose.

Catch by branch, never by message text: which branch an error sits on says who
is at fault and therefore what the caller may do next.

    EdgeError
      LocalProtocolError     this program called the API out of turn: a bug here
      RemoteProtocolError    the other peer broke the protocol: drop the link
        FormatError          its bytes are not what SPEC.md says: the same, one parser lower
        CertificateError     it cannot prove that it may be here: drop the link, say why
      ConfigError            edge.json is wrong: tell the person who wrote it
      StorageError           the medium failed, or holds what this version cannot read
        StoreFull            the configured bound is reached: wait for sync, or evict, then retry
      QueryError             the query text or its arguments are wrong: tell the person who wrote it

Messages never carry keys, tokens or document contents.
"""


class EdgeError(Exception):
    pass


class LocalProtocolError(EdgeError):
    pass


class RemoteProtocolError(EdgeError):
    pass


class FormatError(RemoteProtocolError):
    pass


class CertificateError(RemoteProtocolError):
    """`reason` is one of the numbers of SPEC.md, "Certificates"."""

    def __init__(self, reason: int, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ConfigError(EdgeError):
    pass


class StorageError(EdgeError):
    pass


class StoreFull(StorageError):
    pass


class QueryError(EdgeError):
    """`column` is the 1-based place in the statement, 0 when no single place is wrong."""

    def __init__(self, message: str, column: int = 0) -> None:
        super().__init__("%s (column %d)" % (message, column) if column else message)
        self.column = column
