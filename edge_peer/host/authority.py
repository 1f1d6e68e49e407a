"""
An app's authority: who may be in it, as what, until when. No server and no account.

    NAME.app/authority.json     the private key (host/authority_key.py)
    NAME.app/ledger.db          what was issued, and the network keys (host/ledger.py)

Whoever has this folder, and the passphrase if there is one, can admit and revoke devices.
Peers need nothing of it but what their identity.json holds. Times are seconds since 2020.
"""

import hashlib
import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge_peer.core.errors import ConfigError, FormatError
from edge_peer.host import authority_key, private_file
from edge_peer.host.crypto import run, x25519
from edge_peer.host.ledger import Issued, Ledger
from edge_peer.security import certificate as certificates
from edge_peer.security import edwards, revocation
from edge_peer.security.certificate import NEVER_S, Certificate
from edge_peer.security.identity import Identity, app_id_of

KEY_FILE = "authority.json"
LEDGER_FILE = "ledger.db"
SUFFIX = ".app"
UPDATE_CONTEXT = b"edge-update"  # flash/updating.py
NAME_CHARS_MAX = 64
DAY_S = 86_400
SKEW_S = 3_600  # a certificate begins so much earlier, for clocks that are late


def create(
    folder: Path, passphrase: str | None = None, force: bool = False, name: str = ""
) -> "App":
    """Make a new app in `folder`, called NAME.app unless it has another name: all, or nothing.

    Raises ConfigError if there is one. With `force` that one moves aside and stays.
    """
    name = name or folder.name.removesuffix(SUFFIX)
    if not 0 < len(name) <= NAME_CHARS_MAX or not name.isprintable():
        raise ConfigError(f"the name of an app is 1 to {NAME_CHARS_MAX} characters")
    part = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}.part")
    part.mkdir(mode=0o700)
    Ledger.make(part / LEDGER_FILE, secrets.token_bytes(certificates.KEY_SIZE))
    private_file.write(part / KEY_FILE, authority_key.to_text(authority_key.made(name, passphrase)))
    if force and folder.exists():
        folder.rename(folder.with_name(f"{folder.name}.{secrets.token_hex(4)}.old"))
    try:
        part.rename(folder)  # never over a folder that has something in it
    except OSError as error:
        _remove(part)
        raise ConfigError(
            f"{folder} is there already; its key would be lost. --force moves it aside"
        ) from error
    private_file.sync_folder(folder.parent)
    return App(folder)


def key_pair(seed: bytes) -> tuple[bytes, bool]:
    """Return a device's X25519 key, and the sign of the same key as an Ed25519 key."""
    signing = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    scalar = hashlib.sha512(seed).digest()[: certificates.KEY_SIZE]
    agreeing = X25519PrivateKey.from_private_bytes(scalar).public_key().public_bytes_raw()
    return agreeing, signing[31] >> 7 == 1


def agreeing_pair(signing: bytes) -> tuple[bytes, bool]:
    """Return what `key_pair` does, of an Ed25519 public key. Raises ConfigError."""
    try:
        x, _ = run(edwards.decompress(signing))
        agreeing: bytes = run(edwards.montgomery(signing))
        run(x25519(os.urandom(certificates.KEY_SIZE), agreeing))  # raises for one of low order
    except FormatError as error:
        raise ConfigError("that is no public key of Ed25519") from error
    return agreeing, x & 1 == 1


class App:
    """What is in the folder of an app; only `unlock` makes it able to sign."""

    def __init__(self, folder: Path) -> None:
        """Raises ConfigError or StorageError if it is not the folder of an app."""
        self._key_file = authority_key.read(folder / KEY_FILE)
        self.ledger = Ledger(folder / LEDGER_FILE)
        self.name = self._key_file.name
        self.public = self._key_file.public
        self.app_id = app_id_of(self.public)
        self.is_locked = self._key_file.sealed is not None
        self._private: Ed25519PrivateKey | None = None

    def unlock(self, passphrase: str | None = None) -> None:
        """Raises ConfigError without the right passphrase, where there is one."""
        self._private = self._key_file.unlock(passphrase)

    def close(self) -> None:
        self.ledger.close()

    def admit(
        self,
        name: str,
        role: int,
        permissions: bytes,
        days: int,
        now_s: int,
        replaces: bool,
        signs: bool = False,
        public: bytes | None = None,
    ) -> Identity:
        """Make a key and a certificate for a new device; days: how long, 0 for ever.

        signs: whether relays must prove what it wrote (security/batch.py). public: its
        Ed25519 public key where it has made one itself; the identity's seed is then empty.
        Raises ConfigError if there is a device of this name; one that it `replaces` is
        revoked.
        """
        before = [one.certificate.serial for one in self.ledger.named(name)]
        if before and not replaces:
            raise ConfigError(f"there is a device {name} already; --force revokes and replaces it")
        seed = os.urandom(certificates.KEY_SIZE) if public is None else b""
        pair = key_pair(seed) if public is None else agreeing_pair(public)
        certificate = self._issue(name, role, permissions, days, now_s, *pair, signs)
        if before:
            self._revoke(before, now_s)
        return Identity(self.public, seed, certificate, self.ledger.network_keys())

    def renew(
        self, name: str, days: int, now_s: int, permissions: bytes | None = None
    ) -> Certificate:
        """Issue a certificate anew, for the same key, with a serial and an end of its own.

        The one before opens links until its end, so that the device can go over; what
        it permits ends where the new one is known. permissions: None for those it had.
        """
        last = self._named(name)[-1].certificate
        rules = last.permissions if permissions is None else permissions
        return self._issue(
            name, last.role, rules, days, now_s, last.key, last.is_negative, last.signs
        )

    def revoke(self, name: str, now_s: int) -> bytes:
        """Void all certificates of a device; return the list for all peers."""
        return self._revoke([one.certificate.serial for one in self._named(name)], now_s)

    def revoke_below(self, floor: int, now_s: int) -> bytes:
        """Void all certificates with a serial below `floor`; return the list for all peers.

        It need not name them, so this shortens a list that has become long. Renew what is
        to stay before: a renewed certificate has a serial above all others.
        """
        if not 0 < floor <= 1 + max([one.certificate.serial for one in self.ledger.all()] + [0]):
            raise ConfigError(f"no certificate has a serial as high as {floor} yet")
        valid = [one.certificate for one in self.ledger.all() if one.revoked_s is None]
        return self._revoke([one.serial for one in valid if one.serial < floor], now_s, floor)

    def sign_update(self, number: int, digest: bytes) -> bytes:
        """Sign an archive of code by its SHA-256 (flash/updating.py); a number is used once."""
        content = self.app_id + number.to_bytes(4, "big") + digest
        return self._sign(UPDATE_CONTEXT + hashlib.sha256(content).digest())

    def _named(self, name: str) -> list[Issued]:
        found = self.ledger.named(name)
        if not found:
            raise ConfigError(f"app {self.name} has no device {name}")
        return found

    def _issue(
        self,
        name: str,
        role: int,
        permissions: bytes,
        days: int,
        now_s: int,
        key: bytes,
        is_negative: bool,
        signs: bool,
    ) -> Certificate:
        end_s = min(now_s + days * DAY_S, NEVER_S) if days else NEVER_S
        begin_s = max(now_s - SKEW_S, 0)

        def signed(serial: int) -> bytes:
            body = certificates.encode_body(
                role,
                serial,
                begin_s,
                end_s,
                self.app_id,
                key,
                is_negative,
                name,
                permissions,
                signs,
            )
            return body + self._sign(certificates.message_of(self.app_id, body))

        return self.ledger.issue(name, key, signed)

    def _revoke(self, serials: list[int], now_s: int, floor: int = 1) -> bytes:
        def signed(version: int, voided: list[int]) -> bytes:
            last = self.ledger.revocation_list()
            above = floor if last is None else max(floor, revocation.decode(last).floor)
            body = revocation.encode_body(version, now_s, above, voided)
            return body + self._sign(revocation.message_of(self.app_id, body))

        return self.ledger.revoke(serials, now_s, signed)

    def _sign(self, message: bytes) -> bytes:
        assert self._private is not None, "unlock first"
        return self._private.sign(message)


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
