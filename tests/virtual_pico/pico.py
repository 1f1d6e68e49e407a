"""
One virtual Pico that runs.

    with Pico(path) as pico:            path: a flash of image.py, changed in place
        text = pico.run("print(1)")     through the raw REPL, as mpremote does
        pico.counters()                 what its flash has gone through

A power cut ends it: `Pico(path, die_after=30, tear="half")` loses its power in the 30th
erase or program. What the board has printed until then is in PowerCut; the same
path can be started again.
"""

import json
import os
import selectors
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from virtual_pico import firmware

EMULATOR = Path(__file__).parent / "emulator/pico.mjs"
TEARS = ("nothing", "half", "all but the last byte", "all", "some cells")
START_LIMIT_S = 120
RUN_LIMIT_S = 600
CUT_CODE = 9  # how the emulator ends after a power cut
RESET_CODE = 8

INTERRUPT = b"\r\x03\x03"
RAW_REPL = b"\x01"
RUN = b"\x04"
RAW_PROMPT = b"raw REPL; CTRL-B to exit\r\n>"


class PicoError(Exception):
    """The program on the board raised an error, or the board hangs."""


class Reset(Exception):
    """The board has reset itself; the same flash can be started again."""


class PowerCut(Exception):
    """The power failed; `printed` is what had been printed since run() began."""

    def __init__(self, printed: str, event: dict[str, Any]) -> None:
        super().__init__(f"in {event}")
        self.printed = printed
        self.event = event


class Pico:
    def __init__(
        self,
        flash: Path,
        die_after: int = 0,
        tear: str = "half",
        uart: str = "",
        usb: str = "",
        is_interrupted: bool = True,
    ) -> None:
        """Start it and wait for its REPL, which interrupts a main.py, unless told not to.

        uart, usb: the path of a tty that its UART0 or its USB is wired to. Over a wired
        USB others speak to it.
        Raises FirmwareMissing; PowerCut if it comes before the REPL does.
        """
        command = [firmware.program("node"), EMULATOR, f"--flash={flash}"]
        command += [f"--die-after={die_after}", f"--tear={tear}", f"--uart={uart}", f"--usb={usb}"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "RP2040JS": str(firmware.RP2040JS)},
        )
        assert self._process.stdout and self._process.stderr
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ, self._read_output)
        self._selector.register(self._process.stderr, selectors.EVENT_READ, self._read_events)
        self._output = b""
        self._events: list[dict[str, Any]] = []
        self._event_text = b""
        try:
            self._wait_for_event("usb", START_LIMIT_S)
            if is_interrupted and not usb:
                self.interrupt()
        except BaseException:
            self.stop()
            raise

    def interrupt(self) -> None:
        """Stop what runs and have the raw REPL."""
        self._write(INTERRUPT + RAW_REPL)
        self._wait_for_output(RAW_PROMPT, START_LIMIT_S)

    def wait_for(self, text: str, limit_s: float = RUN_LIMIT_S) -> str:
        """Wait until it has printed `text`; return what came before, and take both away."""
        return self._wait_for_output(text.encode(), limit_s).decode(errors="replace")

    def run(self, program: str, limit_s: float = RUN_LIMIT_S) -> str:
        """Run a program; return what it printed. Names it sets stay for the next.

        Raises PicoError with the traceback, or when it takes longer than limit_s of real time.
        """
        self._write(program.encode() + RUN)
        self._wait_for_output(b"OK", limit_s)
        printed = self._wait_for_output(b"\x04", limit_s).decode(errors="replace")
        error = self._wait_for_output(b"\x04>", limit_s).decode(errors="replace")
        if error:
            raise PicoError(f"{printed}{error}".replace("\r\n", "\n"))
        return printed.replace("\r\n", "\n")

    def counters(self) -> dict[str, int]:
        """Return its time in us, and its flash's erases, programs (of 256 bytes), bytes
        programmed and cells changed since it started."""
        self._process.send_signal(signal.SIGUSR1)
        found = self._wait_for_event("counters", START_LIMIT_S)
        return {name: value for name, value in found.items() if name != "event"}

    def stop(self) -> None:
        """Take its power away between two operations of the flash."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
        self._selector.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                pass

    def __enter__(self) -> "Pico":
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    # Private

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # whoever waits for the answer learns why

    def _wait_for_output(self, end: bytes, limit_s: float) -> bytes:
        """Return what comes before `end`, and take both away."""
        self._wait(lambda: end in self._output, limit_s, repr(end))
        found, _, self._output = self._output.partition(end)
        return found

    def _wait_for_event(self, kind: str, limit_s: float) -> dict[str, Any]:
        self._wait(lambda: any(one["event"] == kind for one in self._events), limit_s, kind)
        found = next(one for one in self._events if one["event"] == kind)
        self._events.remove(found)
        return found

    def _wait(self, is_there: Any, limit_s: float, what: str) -> None:
        deadline = time.monotonic() + limit_s
        while not is_there():
            if not self._selector.get_map():
                raise self._end()
            ready = self._selector.select(deadline - time.monotonic())
            for key, _ in ready:
                key.data(key.fileobj)
            if not ready:
                raise PicoError(f"waited {limit_s:.0f} s for {what}: {self._output[-500:]!r}")

    def _end(self) -> Exception:
        """Return why it is not running any more."""
        code = self._process.wait()
        cuts = [one for one in self._events if one["event"] == "cut"]
        if code == CUT_CODE and cuts:
            printed = self._output.decode(errors="replace").replace("\r\n", "\n")
            return PowerCut(printed.removeprefix("OK"), cuts[0])
        if code == RESET_CODE:
            return Reset(self._output.decode(errors="replace"))
        return PicoError(f"the emulator ended with {code}: {self._events} {self._event_text!r}")

    def _read_output(self, pipe: Any) -> None:
        self._output += self._take(pipe)

    def _read_events(self, pipe: Any) -> None:
        *lines, self._event_text = (self._event_text + self._take(pipe)).split(b"\n")
        for line in lines:
            try:
                self._events.append(json.loads(line))
            except ValueError:  # Node.js itself speaks
                self._events.append({"event": "text", "text": line.decode(errors="replace")})

    def _take(self, pipe: Any) -> bytes:
        data = os.read(pipe.fileno(), 65536)
        if not data:
            self._selector.unregister(pipe)
        return data
