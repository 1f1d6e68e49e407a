"""The folder says what a file may import. Reads sources, runs nothing."""

import ast
from pathlib import Path

import pytest

from edge_tools.manifest import flashed_files, option_defaults

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "edge_peer/manifest.py"
EVERYTHING = dict.fromkeys(option_defaults(MANIFEST), True)

BASE = [path.stem for path in sorted((ROOT / "edge_peer/core").glob("[a-z]*.py"))]

# Who may import whom, from left to right; nobody imports to the right. Clocks,
# entropy and wires reach core as arguments, so it names no module that has them.
LAYERS = {
    "edge_peer/core": {f"edge_peer.core.{one}" for one in BASE},
    "edge_peer/core/store": {f"edge_peer.core.{one}" for one in (*BASE, "store")},
    "edge_peer/core/query": {f"edge_peer.core.{one}" for one in (*BASE, "store", "query")},
    "edge_peer/core/sync": {"edge_peer.core"},
    "edge_peer/security": {"edge_peer.core", "edge_peer.security"},
    "edge_peer/transport": {"edge_peer.core", "edge_peer.transport"},
    "edge_peer": {"edge_peer.core", "edge_peer.security", "edge_peer.transport"}
    | {"edge_peer.attachments", "edge_peer.config", "edge_peer.observer", "edge_peer.peer"}
    | {"edge_peer.downstream", "edge_peer.guarding", "edge_peer.runtime"}
    | {"edge_peer.subscriptions"}
    | {"edge_peer"},
    "edge_peer/board": {
        "edge_peer.core",
        "edge_peer.security",
        "edge_peer.transport",
        "edge_peer.board",
    },
    "edge_peer/host": {
        "edge_peer.core",
        "edge_peer.security",
        "edge_peer.transport",
        "edge_peer.host",
    },
    "edge_peer/bigpeer": {
        "edge_peer.core",
        "edge_peer.security",
        "edge_peer.transport",
        "edge_peer.host",
    }
    | {"edge_peer.bigpeer", "edge_peer.attachments", "edge_peer.peer", "edge_peer.config"}
    | {"edge_peer.guarding"},
}
FLASHED_FOLDERS = ("board", "core", "security", "transport")
CORE_MAY_IMPORT = {"array", "binascii", "collections", "hashlib", "struct"}
PORTABLE_MAY_IMPORT = CORE_MAY_IMPORT | {"asyncio", "json", "sys"}
OUTSIDE = {folder: CORE_MAY_IMPORT for folder in LAYERS if folder.startswith("edge_peer/core")}
OUTSIDE["edge_peer/transport"] = PORTABLE_MAY_IMPORT
OUTSIDE["edge_peer"] = PORTABLE_MAY_IMPORT
OUTSIDE["edge_peer/security"] = CORE_MAY_IMPORT | {"json"}


def imports(path):
    """Yield the full name of every module that a file imports when it runs."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write the whole name of a module"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = (ROOT / inner.replace(".", "/")).with_suffix(".py").exists()
                yield inner if is_module else node.module


def sources(folder):
    return sorted((ROOT / folder).glob("*.py"))


@pytest.mark.parametrize("folder", LAYERS)
def test_imports_point_to_the_left(folder):
    for path in sources(folder):
        for name in imports(path):
            if name.split(".")[0] == "edge_peer":
                allowed = any(name == one or name.startswith(one + ".") for one in LAYERS[folder])
                exact = name in LAYERS[folder] or folder != "edge_peer"
                assert allowed and (exact or name.count(".") > 1), f"{path.name} imports {name}"


@pytest.mark.parametrize("folder", OUTSIDE)
def test_portable_code_names_only_modules_that_every_board_has(folder):
    for path in sources(folder):
        if path != MANIFEST:
            outside = {name for name in imports(path) if not name.startswith("edge_peer")}
            assert outside <= OUTSIDE[folder], f"{path.name} imports {outside - OUTSIDE[folder]}"


def test_the_manifest_lists_no_host_file():
    for path in flashed_files(MANIFEST, **EVERYTHING):
        folder = path.relative_to(ROOT).parent.as_posix()
        assert folder == "edge_peer" or folder.split("/")[1] in FLASHED_FOLDERS


def test_the_manifest_lists_all_that_a_board_imports():
    flashed = {path.relative_to(ROOT) for path in flashed_files(MANIFEST, **EVERYTHING)}
    for path in flashed:
        for name in imports(ROOT / path):
            if name.startswith("edge_peer."):
                module = Path(name.replace(".", "/"))
                assert {module.with_suffix(".py"), module / "__init__.py"} & flashed, name


def test_what_a_board_answers_to_a_host_answers_to():
    """edge_peer/runtime.py loads these by name; other files serve one side's own needs."""
    names = {
        "system.py",
        "storage.py",
        "crypto.py",
        "keys.py",
        "ble.py",
        "serial.py",
        "lan.py",
        "mqtt.py",
    }
    board, host = ({path.name for path in sources(f"edge_peer/{one}")} for one in ("board", "host"))
    assert board & names <= host, f"only on boards: {board & names - host}"


def test_a_module_opens_with_what_it_is_for():
    for folder in LAYERS:
        for path in sources(folder):
            if path != MANIFEST and path.read_text().strip():
                assert ast.get_docstring(ast.parse(path.read_text())), path
