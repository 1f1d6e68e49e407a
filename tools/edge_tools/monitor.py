"""What a board prints on its serial port, as it comes."""

import time

import serial

from edge_tools.errors import ToolError
from edge_tools.repl import BAUD

READ_S = 0.2


def run(port: str, seconds: float) -> None:
    """Print lines until Ctrl-C, for so long at most; 0: without end. Raises ToolError."""
    end = time.monotonic() + seconds if seconds else None
    try:
        with serial.Serial(port, BAUD, timeout=READ_S, exclusive=True) as line:
            while end is None or time.monotonic() < end:
                print(
                    line.read(max(1, line.in_waiting)).decode(errors="replace"), end="", flush=True
                )
    except OSError as error:
        raise ToolError(
            f"{port}: {error}; is it plugged in, and free? `edge-peer doctor`"
        ) from error
    except KeyboardInterrupt:
        print()
