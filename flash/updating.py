"""
New code over the mesh: fetched beside what runs, proven by the app's authority, on trial first.

Who may write `edge_updates` says which archive a device is to run; the signature says that its
code is the authority's. The document of a device is called like it (SPEC.md, "Updates"):

    {"_id": device, "number": which, "archive": token, "signature": 128 hex digits}

The archive goes into the slot that does not run, then `trial` names that (boot.py), and the
board starts anew. A number that was tried is not tried again, and neither is a lower one: so
nobody brings old code back by an old signature.

    update      the highest number that was tried
"""

import asyncio
import hashlib
import json
import os
from binascii import unhexlify

from running import read_file, remove_file, reset, tell, write_file

from edge_peer.core.errors import EdgeError

CONTEXT = b"edge-update"
MAGIC = b"EDu1"
HEAD_BYTES_MAX = 4096
FILES_MAX = 200
STARTS = 3  # that new code has to prove itself
TRIAL_LOOK_S = 2
RETRY_S = 20
FETCH_S = 20  # without a piece: then it is asked for anew
QUERY = "SELECT * FROM edge_updates WHERE _id = :name"
OTHER = {"a": "b", "b": "a"}


class Refused(Exception):
    """This archive is not for this board, or not whole, or nobody's who may say so."""


async def follow(peer, slot):
    """Wait for updates for ever; a good one ends in a reset.

    Code that is on trial takes none: the other slot has what works, and what to go back to.
    """
    while read_file("trial"):
        await asyncio.sleep(TRIAL_LOOK_S)
    async for rows, _ in peer.live_query(QUERY, {"name": peer.name}):
        for row in rows:
            while await is_to_be_tried_again(peer, slot, row):
                await asyncio.sleep(RETRY_S)


async def is_to_be_tried_again(peer, slot, row):
    """Take an update, or refuse it for good, and say so; nothing may raise."""
    try:
        number = row["number"]
        if number <= int(read_file("update") or "0"):
            return False
        blob = await peer.fetch(row["archive"], timeout_s=FETCH_S)
        await check(peer, number, blob, row["signature"])
        unpack(blob, OTHER[slot])
    except (EdgeError, OSError) as error:  # nobody near has it, the flash is full
        print("update: %s; trying again in %d s" % (error, RETRY_S))
        return True
    except (Refused, ValueError, KeyError, TypeError, AttributeError) as error:
        tell(peer, {"what": "update refused", "text": str(error)})
        return False
    write_file("update", str(number))
    write_file("trial", OTHER[slot] + str(STARTS))
    print("update: %d is on trial" % number)
    reset()
    return False


def message_of(app_id, number, digest):
    """Return what the authority signs for an archive with this SHA-256."""
    return CONTEXT + hashlib.sha256(app_id + number.to_bytes(4, "big") + digest).digest()


async def check(peer, number, blob, signature):
    """Raise Refused unless the app's authority has signed this archive under this number."""
    whole = hashlib.sha256()
    for piece in blob:
        whole.update(piece)
        await asyncio.sleep(0)
    if not await peer.verify(unhexlify(signature), message_of(peer.app_id, number, whole.digest())):
        raise Refused("the app's authority has not signed it")


def unpack(blob, slot):
    """Write the files of an archive into a slot, instead of what is there.

    EDu1 | size of the head, 2 bytes | the head, JSON | the files, one after the other
    head: {"board": …, "files": [[path, size], …]}
    """
    blob.seek(0)
    if blob.read(4) != MAGIC:
        raise Refused("it is no archive of code")
    head_size = int.from_bytes(blob.read(2), "big")
    head = json.loads(blob.read(min(head_size, HEAD_BYTES_MAX)))
    board = json.loads(read_file("board.json") or "{}").get("name")
    if board != head["board"]:
        raise Refused("it is for %s, this is %s" % (head["board"], board))
    files = head["files"]
    if len(files) > FILES_MAX or any(
        path.startswith("/") or ".." in path.split("/") for path, _ in files
    ):
        raise Refused("it has paths that no slot has")
    prune(slot)
    for path, size in files:
        make_folders("%s/%s" % (slot, path))
        with open("%s/%s" % (slot, path), "wb") as file:
            while size:
                piece = blob.read(min(size, 512))
                if not piece:
                    raise Refused("it ends too early")
                file.write(piece)
                size -= len(piece)


def prune(path):
    """Remove a folder and all that is in it."""
    try:
        names = list(os.ilistdir(path))
    except OSError:
        return
    for entry in names:
        inner = "%s/%s" % (path, entry[0])
        if entry[1] & 0x4000:
            prune(inner)
        else:
            remove_file(inner)
    os.rmdir(path)


def make_folders(path):
    at = path.find("/", 1)
    while at > 0:
        try:
            os.mkdir(path[:at])
        except OSError:
            pass  # it is there
        at = path.find("/", at + 1)
