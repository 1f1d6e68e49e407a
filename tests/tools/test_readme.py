"""The README shows every command."""

from pathlib import Path

import pytest
import typer

from edge_tools.cli import app

README = (Path(__file__).parents[2] / "README.md").read_text()
COMMANDS = typer.main.get_command(app).commands


@pytest.mark.parametrize("name", COMMANDS)
def test_the_readme_shows_every_command(name):
    assert f"edge-peer {name}" in README


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "big"])
def test_a_command_teaches_by_an_example(name):
    command = COMMANDS[name]
    inner = getattr(command, "commands", {})
    for one in inner.values() or [command]:
        assert "Example: `edge-peer " in (one.help or ""), one.name
