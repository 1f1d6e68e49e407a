"""
A program run on a board, by its serial port: mpremote's raw REPL, whose mistakes speak.

    with SerialRepl("/dev/ttyACM0") as repl:
        repl.run("print(1 + 1)")  -> "2\n"
        repl.start()              then main.py runs, and lines() is what it prints
"""

import contextlib
import errno
import io
import struct
import time
from collections.abc import Iterator
from typing import Protocol

import serial
from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport

from edge_tools.errors import ToolError

BAUD = 115_200
READ_LIMIT_S = 20  # of a board that computes a hash, or erases flash, and says nothing
PROMPT_LIMIT_S = 15
LINE_BYTES_MAX = 4096
STOP, FRIENDLY, SOFT_RESET = b"\r\x03", b"\r\x02", b"\x04"


class BoardGone(ToolError):
    """The cable, the port or the board; what was being done can be done again."""


class BoardError(ToolError):
    """A program on the board raised; the text is the last line of its traceback."""


class Repl(Protocol):
    def run(self, program: str) -> str:
        """Run to the end and return what it printed; names stay for the next one.

        Raises BoardError, BoardGone.
        """


class SerialRepl:
    def __init__(self, port: str) -> None:
        """Open the port, and stop what runs on the board. Raises BoardGone."""
        self.port = port
        with self._trouble():
            self._transport = SerialTransport(port, BAUD, timeout=READ_LIMIT_S)
        try:
            # mpremote prints what it did not expect; it is in the error as well.
            with self._trouble(), contextlib.redirect_stdout(io.StringIO()):
                self._transport.enter_raw_repl(soft_reset=False, timeout_overall=PROMPT_LIMIT_S)
        except BoardGone:
            self.close()
            raise

    def run(self, program: str) -> str:
        with self._trouble(), contextlib.redirect_stdout(io.StringIO()):
            out, error = self._transport.exec_raw(program, timeout=READ_LIMIT_S)
        if error:
            raise BoardError(error.decode(errors="replace").strip().splitlines()[-1])
        return out.decode(errors="replace").replace("\r\n", "\n")

    def start(self) -> None:
        """Let the board start anew: boot.py, main.py."""
        with self._trouble():
            self._transport.serial.write(FRIENDLY)
            self._transport.serial.write(SOFT_RESET)

    def lines(self, limit_s: float) -> Iterator[str]:
        """Yield what the board prints, line by line, until there was nothing more in time."""
        port = self._transport.serial
        deadline = time.monotonic() + limit_s
        line = b""
        while time.monotonic() < deadline:
            with self._trouble():
                port.timeout = 0.2
                line += port.read(1) + port.read(port.in_waiting)
            *whole, line = line.split(b"\n")
            yield from (one.decode(errors="replace").strip() for one in whole)
            line = line[-LINE_BYTES_MAX:]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._transport.close()

    def __enter__(self) -> "SerialRepl":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _trouble(self) -> Iterator[None]:
        """Say what a person can do about what pyserial and mpremote raise."""
        try:
            yield
        except TransportExecError:
            raise
        except (TransportError, OSError, struct.error, serial.SerialException) as error:
            raise BoardGone(f"{self.port}: {_advice(error, self.port)}") from error


def _advice(error: Exception, port: str) -> str:
    number = getattr(error, "errno", None)
    text = str(error) or type(error).__name__
    if number in (errno.EACCES, errno.EPERM) or "Permission denied" in text:
        return (
            "no permission; `sudo usermod -aG dialout $USER`, then log out and in again "
            "(on macOS and Windows: close the other program that has it open)"
        )
    if number == errno.ENOENT or "failed to access" in text:
        return _why_not_open(port)
    if "could not enter raw repl" in text:
        return (
            "no MicroPython prompt; unplug the board, hold its safe-mode pin low, plug it in "
            "and run the same again; or write firmware with --firmware"
        )
    return f"the board is gone ({text}); plug it in and run the same again, it goes on"


def _why_not_open(port: str) -> str:
    """Open it once more, as mpremote keeps to itself why it could not."""
    try:
        serial.Serial(port, BAUD, exclusive=True).close()
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            return _advice(error, port)
        if error.errno == errno.ENOENT:
            return "there is no such port; is the board plugged in?"
        return f"it does not open ({error}); does another program use it?"
    return "it did not open; run the same again"
