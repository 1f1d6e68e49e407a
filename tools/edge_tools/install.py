"""
Write a bundle onto a board that runs MicroPython, so that it can stop anywhere.

What the board does is asked of its REPL in small programs. Each file is written beside its
place, its SHA-256 computed on the board, and then renamed. Code goes into the slot that does
not run (flash/boot.py); the last write of all names that slot, so until then the board starts
as before. Who runs it again finds what is there already, and writes what is missing.

    code, data, edge.json, identity.json, boot.py, main.py, bundle.json, slot    in this order
"""

import hashlib
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge_tools import fit
from edge_tools.boards import Board
from edge_tools.bundle import INDEX, SLOT, Bundle
from edge_tools.errors import ToolError
from edge_tools.repl import Repl

CHUNK_BYTES = 768  # of a file in one program: a few times in a small board's heap
MPY_VERSION = 6  # of the .mpy files that mpy-cross 1.25 makes
LAST = ("boot.py", "main.py")
OTHER = {"a": "b", "b": "a"}

HELPERS = """
import os, hashlib, json, sys
from binascii import hexlify, a2b_base64
def read(p):
    try:
        with open(p) as f: return f.read()
    except OSError: return ""
def hash(p):
    try:
        f = open(p, "rb")
    except OSError:
        return ""
    with f:
        h = hashlib.sha256()
        b = bytearray(512)
        while True:
            n = f.readinto(b)
            if not n: return hexlify(h.digest()).decode()
            h.update(memoryview(b)[:n])
def make(p):
    at = p.find("/", 1)
    while at > 0:
        try: os.mkdir(p[:at])
        except OSError: pass
        at = p.find("/", at + 1)
def walk(p):
    found = []
    try: names = list(os.ilistdir(p))
    except OSError: return found
    for e in names:
        q = p + "/" + e[0]
        if e[1] & 0x4000: found += walk(q)
        else: found.append(q)
    return found
def prune(p):
    try: names = list(os.ilistdir(p))
    except OSError: return
    for e in names:
        q = p + "/" + e[0]
        if e[1] & 0x4000: prune(q)
        else: os.remove(q)
    os.rmdir(p)
"""

PROBE = """
s = os.statvfs(ROOT)
i = sys.implementation
print(json.dumps({"machine": getattr(i, "_machine", ""), "version": list(i.version)[:3],
    "mpy": getattr(i, "_mpy", 0) & 255, "free": s[0] * s[3], "slot": read(ROOT + "slot"),
    "bundle": read(ROOT + "bundle.json")}))
"""


class WrongBoard(ToolError):
    """What is on the port is not what the bundle is for; nothing was changed."""


@dataclass(frozen=True)
class Found:
    """What a board said of itself."""

    machine: str
    version: tuple[int, ...]
    mpy: int
    free: int
    slot: str
    bundle: str  # the index of the bundle that it has, or ""

    @property
    def owner(self) -> tuple[str, str]:
        """Return the appID and the name of the device that this board is; empty: of nobody."""
        try:
            about = json.loads(self.bundle)
            return about["app_id"], about["device"]
        except (ValueError, KeyError, TypeError):
            return "", ""


class Installer:
    def __init__(self, repl: Repl, bundle: Bundle, root: str = "/") -> None:
        self._repl = repl
        self._bundle = bundle
        self._root = root
        repl.run(f"ROOT = {root!r}{HELPERS}")

    def probe(self) -> Found:
        answer = self._repl.run(PROBE)
        try:
            said = json.loads(answer)
            said["version"] = tuple(said["version"])
            return Found(**said)
        except (ValueError, TypeError, KeyError) as error:
            raise WrongBoard(
                f"the board does not answer as MicroPython does: {answer[:80]!r}"
            ) from error

    def check(self, found: Found, board: Board, force: bool) -> None:
        """Raise WrongBoard if this board must not get this bundle."""
        about = self._bundle.about
        if board.machine not in found.machine:
            raise WrongBoard(
                f"the bundle is for {board.name}, this is {found.machine or 'another'}"
            )
        least = tuple(map(int, about["firmware_min"].split(".")))
        if found.version < least or found.mpy != MPY_VERSION:
            has = ".".join(map(str, found.version))
            raise WrongBoard(
                f"its firmware is MicroPython {has}; {about['firmware_min']} or a later one with "
                f".mpy version {MPY_VERSION} is needed: give it with --firmware, from "
                f"https://micropython.org/download/{board.name}/"
            )
        if about["code"] == fit.IN_PLACE and "edge_peer/peer" not in self._modules():
            raise WrongBoard(
                "its firmware has no edge-peer in it: give one with --firmware "
                "(boards/README.md), or provision with --code files"
            )
        mine = about["app_id"], about["device"]
        if found.owner not in (mine, ("", "")) and not force:
            whose = f"{found.owner[1]} of app {found.owner[0]}"
            raise WrongBoard(
                f"this board is {whose}, the bundle is for {mine[1]} of app {mine[0]}; --force "
                "makes it another device, and what it has not synced is lost"
            )

    def install(self, found: Found, on_progress: Callable[[int, int], None]) -> int:
        """Write what is missing; return how many bytes. Raises BoardGone, BoardError, ToolError.

        on_progress(bytes done, bytes of all): of what is to be compared and written.
        """
        mine = self._bundle.about["app_id"], self._bundle.about["device"]
        if found.owner not in (mine, ("", "")):
            self._forget_other_device()
        slot = self._slot(found)
        wanted = dict(self._placed(slot))
        self._remove_others(slot, wanted)
        total = sum(map(len, wanted.values()))
        done = written = 0
        for path, data in wanted.items():
            if self._ask(f"hash(ROOT + {path!r})") != hashlib.sha256(data).hexdigest():
                self._write(path, data)
                written += len(data)
            done += len(data)
            on_progress(done, total)
        self._write("slot", slot.encode())
        for note in ("trial", "starts", "rolled_back"):
            self._repl.run(f"if hash(ROOT + {note!r}): os.remove(ROOT + {note!r})")
        return written

    def _slot(self, found: Found) -> str:
        """Return the slot to fill: the one that runs if it has all of this, else the other."""
        current = found.slot if found.slot in OTHER else SLOT
        if not found.bundle:
            return current
        same = all(
            self._ask(f"hash(ROOT + {path!r})") == hashlib.sha256(data).hexdigest()
            for path, data in self._placed(current)
            if path.startswith(f"{current}/")
        )
        return current if same else OTHER[current]

    def _placed(self, slot: str) -> Iterator[tuple[str, bytes]]:
        """Yield all files in their order, code in this slot."""
        files = self._bundle.files
        early = [path for path in sorted(files) if path not in LAST]
        for path in sorted(early, key=lambda path: not path.startswith(f"{SLOT}/")):
            is_code = path.startswith(f"{SLOT}/")
            yield (slot + path[len(SLOT) :] if is_code else path), files[path]
        yield from ((path, files[path]) for path in LAST)
        yield INDEX, (self._bundle.folder / INDEX).read_bytes()

    def _remove_others(self, slot: str, wanted: dict[str, bytes]) -> None:
        """Make room: what the slot has and this bundle has not, and what was half written."""
        there = json.loads(self._repl.run(f"print(json.dumps(walk(ROOT + {slot!r})))"))
        for path in there:
            if path[len(self._root) :] not in wanted:
                self._repl.run(f"os.remove({path!r})")

    def _write(self, path: str, data: bytes) -> None:
        part = f"{path}.new"
        self._repl.run(f"make(ROOT + {path!r})\nf = open(ROOT + {part!r}, 'wb')")
        for at in range(0, len(data), CHUNK_BYTES):
            text = b64encode(data[at : at + CHUNK_BYTES]).decode()
            self._repl.run(f"_ = f.write(a2b_base64('{text}'))")
        self._repl.run("f.close()")
        if self._ask(f"hash(ROOT + {part!r})") != hashlib.sha256(data).hexdigest():
            raise ToolError(f"{path} did not arrive as it was sent; run the same again")
        self._repl.run(f"os.rename(ROOT + {part!r}, ROOT + {path!r})")

    def _forget_other_device(self) -> None:
        """Take another device's data and keys from the board: its index last."""
        for path in ("edge_log", "identity.keys"):
            self._repl.run(f"prune(ROOT + {path!r})")
        self._repl.run(f"if hash(ROOT + {INDEX!r}): os.remove(ROOT + {INDEX!r})")

    def _modules(self) -> str:
        return self._repl.run("help('modules')")

    def _ask(self, expression: str) -> str:
        return self._repl.run(f"print({expression})").strip()
