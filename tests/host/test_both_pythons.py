"""What CPython and MicroPython have to make of the same writes, to the byte."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = ROOT / ".cache/bin/micropython"

MERGES = """
import sys
sys.path[:0] = [".", "tests", "tests/core"]
from binascii import hexlify
from hashlib import sha256
from helpers import Random
from test_document import any_document, merged
from edge_peer.core.codec import pack, unpack
from edge_peer.core.document import ATTACHMENT, encode
from edge_peer.core.query.view import view

digest = sha256()
sizes = [0, 0]
for seed in range(400):
    random = Random(seed)
    document = merged(*[any_document(random) for _ in range(1 + random.below(6))])
    digest.update(encode(document))
    sizes[0] += len(document)
    if ATTACHMENT not in [cell.kind for cell in document.values()]:
        digest.update(pack(view(document, unpack)))
        sizes[1] += 1
print(hexlify(digest.digest()).decode(), sizes)
"""


def output_of(program):
    run = subprocess.run(
        [program, "-c", MERGES], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr + run.stdout
    return run.stdout.split()


def test_both_pythons_merge_documents_to_the_same_bytes():
    ours = output_of(sys.executable)
    assert ours == output_of(MICROPYTHON)
    assert len(ours[0]) == 64 and ours[1:] != ["[0,", "0]"]
