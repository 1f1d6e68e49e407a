"""
The certificate of the Big Peer's web server, from two PEM files.

Certificates are renewed every few weeks by programs that replace the files. So they
are looked at now and then, and new connections get what is there; open ones go on. A pair
that cannot be used, as while only one of them is new, leaves the old one in place.
"""

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path

from edge_peer.core.errors import ConfigError
from edge_peer.host import system

LOOK_S = 600


@dataclass(frozen=True)
class Files:
    certificate: Path  # the chain, the server's own first
    key: Path


class Certificate:
    def __init__(self, files: Files) -> None:
        """Raises ConfigError, with a sentence, for files that cannot be used."""
        self._files = files
        self._stamps = self._look()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # TLS 1.2 and later
        self._load(self.context)

    async def keep(self) -> None:
        """Follow the files, for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.refresh()

    def refresh(self) -> None:
        """Take what is in the files, if they have changed."""
        try:
            stamps = self._look()
            if stamps != self._stamps:
                self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))  # or the half of it would stay
                self._load(self.context)
                self._stamps = stamps
                system.log("the certificate was replaced")
        except ConfigError as error:
            system.log(f"the certificate stays as it was: {error}")

    def _look(self) -> list[tuple[int, int]]:
        try:
            found = [path.stat() for path in (self._files.certificate, self._files.key)]
        except OSError as error:
            raise ConfigError(f"no certificate: {error}") from error
        return [(one.st_mtime_ns, one.st_ino) for one in found]

    def _load(self, context: ssl.SSLContext) -> None:
        certificate, key = self._files.certificate, self._files.key
        try:
            context.load_cert_chain(certificate, key, password=_refuse_to_ask)
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot use {certificate} with {key}: {_reason(error)}") from error


def _refuse_to_ask() -> str:
    raise ValueError("the key is encrypted, and nobody is here to give a passphrase")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (
            "they do not belong together" if "MISMATCH" in str(error) else "they are no PEM files"
        )
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
