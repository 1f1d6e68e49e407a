"""The compose file of docs/operators.md is one, and what it starts takes what it is told."""

import re
from pathlib import Path

import yaml
from typer.testing import CliRunner

from edge_tools.cli import app

FOLDER = Path(__file__).parents[2] / "docs/compose"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
WORKERS = ("office", "worker")


def test_every_volume_file_and_service_that_is_named_is_there():
    services = COMPOSE["services"]
    for service in services.values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            there = (FOLDER / source).exists() if source[0] == "." else source in COMPOSE["volumes"]
            assert there, volume
        assert set(service.get("depends_on", ())) <= services.keys()
        if "build" in service:
            root = FOLDER / service["build"]["context"]
            assert (root / service["build"]["dockerfile"]).exists()


def test_workers_share_one_database_and_have_ports_and_folders_of_their_own():
    found = [COMPOSE["services"][name] for name in WORKERS]
    assert len({one["environment"]["EDGE_PEER_STORE"] for one in found}) == 1
    for what in ("ports", "volumes"):
        assert len({item.split(":")[0] for one in found for item in one[what]}) == sum(
            len(one[what]) for one in found
        )


def test_the_commands_options_are_those_of_edge_peer_big():
    for name in WORKERS:
        program, command, *options = COMPOSE["services"][name]["command"]
        assert (program, command) == ("edge-peer", "big")
        said = re.sub(r"\x1b\[[0-9;]*m", "", CliRunner().invoke(app, ["big", "--help"]).output)
        assert all(one in said for one in options if one.startswith("--"))
