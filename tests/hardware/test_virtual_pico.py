"""The virtual Pico itself: `make test-pico`."""

import pytest
from virtual_pico import image
from virtual_pico.pico import Pico, PicoError, PowerCut


@pytest.fixture
def flash(tmp_path):
    path = tmp_path / "flash.bin"
    path.write_bytes(image.flash({"data/hello": b"from the host"}))
    return path


def test_it_runs_stock_firmware_which_mounts_our_files(flash):
    with Pico(flash) as pico:
        pico.run("import sys\nmachine = sys.implementation._machine")
        assert pico.run("print(machine)") == "Raspberry Pi Pico with RP2040\n"
        assert pico.run("print(open('/data/hello').read())") == "from the host\n"


def test_what_it_writes_is_there_after_a_restart(flash):
    with Pico(flash) as pico:
        pico.run("with open('/note', 'w') as file: file.write('kept')")
        assert pico.counters()["programs"] > 0
    with Pico(flash) as pico:
        assert pico.run("print(open('/note').read())") == "kept\n"


def test_an_error_on_the_board_comes_with_its_traceback(flash):
    with Pico(flash) as pico:
        with pytest.raises(PicoError, match="ZeroDivisionError"):
            pico.run("print('before')\n1 / 0")
        assert pico.run("print('after')") == "after\n"


def test_a_loop_takes_the_time_that_it_takes_a_board(flash):
    """3.3 us a turn; idle USB must not count (emulator/pico.mjs)."""
    with Pico(flash) as pico:
        pico.run("import time\ndef loop():\n    for _ in range(10_000): pass")
        pico.run(
            "started = time.ticks_us()\nloop()\ntook = time.ticks_diff(time.ticks_us(), started)"
        )
        assert 25_000 < int(pico.run("print(took)")) < 40_000


def test_the_power_fails_in_the_operation_that_was_named(flash):
    write = """
import time
for i in range(9):
    with open("/note", "w") as file:
        file.write(str(i))
    print(i)
    time.sleep_ms(5)
"""
    with Pico(flash) as pico:
        pico.run("open('/note', 'w').close()")
        before = pico.counters()["operations"]
        pico.run(write)
        per_file = (pico.counters()["operations"] - before) // 9
    with pytest.raises(PowerCut) as cut, Pico(flash, 2 * per_file + 1, "nothing") as pico:
        pico.run(write)
    assert cut.value.event["operation"] == 2 * per_file + 1
    assert cut.value.printed == "0\n1\n"
    with Pico(flash) as pico:
        assert pico.run("print(open('/note').read())") == "1\n"
