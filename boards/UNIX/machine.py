"""
What MicroPython's `machine` offers on a board, on the unix port: a tty is a UART.

Only what edge_peer/board/ uses, and as a board has it: a UART has no close().
"""

import io
import sys
import termios

_VTIME = 5
_VMIN = 6
_GET_FILENO = 10  # the ioctl by which select.poll asks for what to wait on
_EINVAL = 22
# Linux's numbers (asm-generic/termbits-common.h, termbits.h).
_SPEEDS = {1200: 9, 2400: 11, 4800: 12, 9600: 13, 19200: 14, 38400: 15, 57600: 0x1001}
_SPEEDS.update({115200: 0x1002, 230400: 0x1003, 460800: 0x1004, 921600: 0x1007})


def reset():
    """End the process: whoever started it starts it again."""
    sys.exit()


class UART(io.IOBase):
    """`id` is the path of a tty, as of one end of a pty; it is set to raw mode."""

    def __init__(self, id, baudrate=115200, rxbuf=0, **pins):
        self._file = open(id, "r+b", buffering=0)
        termios.setraw(self._file.fileno())
        attributes = termios.tcgetattr(self._file.fileno())
        # Reading returns what is there, as a UART's does.
        attributes[6][_VMIN] = 0
        attributes[6][_VTIME] = 0
        attributes[4] = attributes[5] = _SPEEDS[baudrate]
        termios.tcsetattr(self._file.fileno(), termios.TCSANOW, attributes)

    def init(self, baudrate):
        attributes = termios.tcgetattr(self._file.fileno())
        attributes[4] = attributes[5] = _SPEEDS[baudrate]
        termios.tcsetattr(self._file.fileno(), termios.TCSANOW, attributes)

    def read(self, size):
        return self._file.read(size)

    def write(self, data):
        return self._file.write(data)

    def ioctl(self, request, argument):
        return self._file.fileno() if request == _GET_FILENO else -_EINVAL

    def deinit(self):
        self._file.close()


def deepsleep(time_ms):
    """End, as the RAM of a board does; whoever runs it starts it again."""
    print("deep sleep for %d ms" % time_ms)
    sys.exit()
