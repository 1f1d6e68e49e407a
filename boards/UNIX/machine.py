"""
What MicroPython's `machine` offers on a board, on the unix port: a tty is a UART.

Only what edge_peer/board/ uses. `id` is a path, as of one end of a pty.
"""

import termios

_VTIME = 5
_VMIN = 6


def UART(id, baudrate=115200, rxbuf=0, **pins):
    """Open a tty in raw mode; reading returns what is there, as a UART's does."""
    file = open(id, "r+b", buffering=0)
    termios.setraw(file.fileno())
    attributes = termios.tcgetattr(file.fileno())
    attributes[6][_VMIN] = 0
    attributes[6][_VTIME] = 0
    termios.tcsetattr(file.fileno(), termios.TCSANOW, attributes)
    return file
