"""
A peer that runs by itself on a board: what fails is written down, and tried again.

The application, app.py, runs beside the peer. When it raises or returns too early it is
started again, later each time; when it stops the event loop the watchdog resets the board,
and after five such starts boot.py leaves it out, so that a new one can come over the mesh.
What happened is a document of `edge_crashes`, at once or after the next start, and waits on
flash until then.

    crash       the end of the last traceback that is not yet in the store
    /starts, trial, slot, rolled_back      flash/boot.py
"""

import asyncio
import io
import os
import sys

from edge_peer import SmallPeer
from edge_peer.core.errors import ConfigError, EdgeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CRASHES = "edge_crashes"
CRASH_PATH = "crash"
CRASH_BYTES_MAX = 600  # of a traceback: its end, with the file and the line
TRIAL_S_MAX = 300  # new code that has not synced by then uses up one of its starts
RETRY_S_MIN = 2
RETRY_S_MAX = 300
JOIN_RETRY_S = 15
WELL_S = 60  # a start that has lasted so long went well
WATCHDOG_MS = 8_000  # RP2's longest is 8,388
FEED_MS = 1_000
LED_MS = ((1_900, 100), (200, 200))  # dark, lit: linked; and without a link


def run(slot: str, with_app: bool, config: str = "edge.json") -> None:
    """Run until the power fails. slot: where the code is from, for what is to be said of it."""
    try:
        asyncio.run(_main(slot, with_app, config))
    except ConfigError as error:
        print("edge-peer: %s" % error)  # the same after a reset: wait for somebody to mend it
        _feed_at_prompt()
    except KeyboardInterrupt:
        _feed_at_prompt()
        raise
    except Exception as error:  # MemoryError, StorageError: a fresh start may help
        write_crash("edge-peer", error)
        reset()


async def _main(slot: str, with_app: bool, config: str) -> None:
    peer = SmallPeer.open(config)
    if read_file("update").isdigit():
        peer.about["update"] = int(read_file("update"))
        peer.about["on_trial"] = bool(read_file("trial"))
    jobs = [peer.run(), _supervise(peer, slot)]
    jobs += [_watch(), _blink(peer), _join(), _update(peer, slot)]
    if with_app:
        jobs.append(_keep_app(peer))
    else:
        print("edge-peer: without the application, as it has stopped this board too often")
    await asyncio.gather(*jobs)


async def _keep_app(peer: SmallPeer) -> None:
    """Run app.main(peer) for ever, whatever it raises."""
    retry_s = RETRY_S_MIN
    while True:
        try:
            import app

            await app.main(peer)
            return
        except ImportError as error:
            if "app" not in str(error):
                write_crash("app", error)
            print("no application (%s): this board only syncs" % error)
            return
        except Exception as error:
            write_crash("app", error)
            tell_crash(peer)
        await asyncio.sleep(retry_s)
        retry_s = min(2 * retry_s, RETRY_S_MAX)


async def _update(peer: SmallPeer, slot: str) -> None:
    """Follow updates where board.json says so: it takes heap that not every board has."""
    import json

    if json.loads(read_file("board.json") or "{}").get("updates") and slot in ("a", "b"):
        from updating import follow

        await follow(peer, slot)


async def _supervise(peer: SmallPeer, slot: str) -> None:
    """Say what happened before this start, and when this one has gone well."""
    tell_crash(peer)
    rolled_back = read_file("rolled_back")
    if rolled_back:
        tell(peer, {"what": "rolled back", "slot": rolled_back})
        remove_file("rolled_back")
    waited_s = 0
    is_synced = False
    while True:
        await asyncio.sleep(1)
        waited_s += 1
        if not is_synced and has_synced(peer):
            is_synced = True
            print("edge-peer: synced")  # `edge-peer flash` waits for it
        if waited_s == WELL_S:
            remove_file("starts")
        is_on_trial = read_file("trial")[:1] == slot
        if is_on_trial and is_synced:
            write_file("slot", slot)
            remove_file("trial")
            peer.about["on_trial"] = False
            print("edge-peer: works, and stays")
        elif is_on_trial and waited_s >= TRIAL_S_MAX:
            reset()
        elif is_synced and not is_on_trial and waited_s >= WELL_S:
            return


def has_synced(peer: SmallPeer) -> bool:
    """Return whether a neighbour has taken something since the start."""
    return any(link["sent"] for link in peer.status()["links"])


def write_crash(who: str, error: Exception) -> None:
    """Keep the end of a traceback on flash."""
    text = io.StringIO()
    sys.print_exception(error, text)
    print("edge-peer: %s failed: %s" % (who, text.getvalue()))
    write_file(CRASH_PATH, "%s\n%s" % (who, text.getvalue()[-CRASH_BYTES_MAX:]))


def tell_crash(peer: SmallPeer) -> None:
    """Move what is kept of a crash into the store."""
    who, _, text = read_file(CRASH_PATH).partition("\n")
    if who and tell(peer, {"what": who, "text": text}):
        remove_file(CRASH_PATH)


def tell(peer: SmallPeer, fields: "dict[str, Any]") -> bool:
    fields["device"] = peer.name
    try:
        peer.execute("INSERT INTO %s DOCUMENTS (:c)" % CRASHES, {"c": fields})
        return True
    except EdgeError as error:  # a full store: later
        print("edge-peer: cannot tell of a crash: %s" % error)
        return False


# The board


async def _watch() -> None:
    """Feed the watchdog, where there is one: no board can stop it again."""
    try:
        from machine import WDT
    except ImportError:
        return
    watchdog = WDT(timeout=WATCHDOG_MS)
    while True:
        watchdog.feed()
        await asyncio.sleep_ms(FEED_MS)


def _feed_at_prompt() -> None:
    """Keep the watchdog from resetting a board whose program was stopped for its prompt."""
    try:
        from machine import WDT, Timer
    except ImportError:
        return
    watchdog = WDT(timeout=WATCHDOG_MS)
    try:
        timer = Timer(-1)  # one of software, where they are
    except ValueError:
        timer = Timer(0)
    timer.init(period=FEED_MS, callback=lambda _: watchdog.feed())


async def _join() -> None:
    """Join the Wi-Fi that wifi.json names, and join it again whenever it is lost."""
    text = read_file("wifi.json")
    if not text:
        return
    import json

    from network import STA_IF, WLAN

    known = json.loads(text)
    wlan = WLAN(STA_IF)
    wlan.active(True)
    while True:
        if not wlan.isconnected():
            try:
                wlan.connect(known["ssid"], known["password"])
            except OSError as error:
                print("edge-peer: Wi-Fi %s: %s" % (known["ssid"], error))
        await asyncio.sleep(JOIN_RETRY_S)


async def _blink(peer: SmallPeer) -> None:
    """Show on the status LED, if there is one, whether there is a link."""
    try:
        import json

        from machine import Pin

        led = Pin(json.loads(read_file("board.json"))["led"], Pin.OUT)
    except (ImportError, KeyError, ValueError):
        return
    while True:
        for is_lit, ms in enumerate(LED_MS[not peer.status()["links"]]):
            led.value(is_lit)
            await asyncio.sleep_ms(ms)


def reset() -> None:
    try:
        from machine import reset
    except ImportError:
        return
    reset()


def read_file(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except (OSError, ValueError):
        return ""


def write_file(path: str, text: str) -> None:
    """Replace a file as a whole; a full flash is no reason to stop."""
    try:
        with open(path + ".new", "w") as file:
            file.write(text)
        os.rename(path + ".new", path)
    except OSError as error:
        print("edge-peer: cannot write %s: %s" % (path, error))


def remove_file(path: str) -> None:
    try:
        os.remove(path)
    except OSError:
        pass
