"""`edge-peer`, which kills itself right behind the COMMIT of a document: dies.py FILE arguments.

FILE: it does so once this file is there.
"""

import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

from edge_peer.bigpeer.postgres import PostgresLog
from edge_tools.cli import app

trigger = Path(sys.argv.pop(1))
turn = PostgresLog.turn


@contextmanager
def turn_and_die(self):
    before, is_outer = self.arrival_max, self._feed is None
    with turn(self) as feed:
        yield feed
    if is_outer and self.arrival_max > before and trigger.exists():
        os.kill(os.getpid(), signal.SIGKILL)


PostgresLog.turn = turn_and_die
app(prog_name="edge-peer")
