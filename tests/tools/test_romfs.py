"""MicroPython itself mounts the images and reads back what went in."""

import json
import subprocess

from edge_tools import romfs
from edge_tools.virtual_board import MICROPYTHON

READ = """
import json, os, vfs
with open("rom.img", "rb") as file:
    image = file.read()
vfs.mount(vfs.VfsRom(image), "/rom")

def walk(folder):
    for name, kind in [entry[:2] for entry in os.ilistdir(folder)]:
        path = folder + "/" + name
        if kind == 0x4000:
            yield from walk(path)
        else:
            with open(path, "rb") as file:
                yield path, file.read().decode()

print(json.dumps(dict(walk("/rom"))))
"""


def test_every_file_of_every_folder_reads_back(tmp_path):
    files = {"b/c/deep": b"1" * 300, "a": b"", "b/x": b"2", "b/c/other": b"3", "z/y": b"4"}
    (tmp_path / "rom.img").write_bytes(romfs.image(files))
    (tmp_path / "read.py").write_text(READ)
    said = subprocess.run(
        [MICROPYTHON, "read.py"], cwd=tmp_path, capture_output=True, check=True, timeout=20
    )
    found = json.loads(said.stdout)
    assert found == {f"/rom/{path}": data.decode() for path, data in files.items()}
