"""`python -m edge_tools` is `edge-peer`."""

from edge_tools.cli import app

app(prog_name="edge-peer")
