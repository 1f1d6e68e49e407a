"""Two virtual Picos, wired to each other by their UARTs: board to board."""

import contextlib

import pairs
import pytest
from virtual_pico import firmware, image
from virtual_pico.pico import Pico

from edge_tools import bundle
from edge_tools.boards import find


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("name", pairs.NAMES)
def test_two_picos_say_what_the_golden_transcript_says(tmp_path, name):
    with contextlib.ExitStack() as stack:
        boards = []
        for instance, tty in enumerate(stack.enter_context(pairs.cable())):
            made = pairs.made_bundle(name, instance, find("RPI_PICO"), "firmware", tmp_path)
            flash = tmp_path / f"flash{instance}.bin"
            flash.write_bytes(image.flash(bundle.read(made).files, firmware.frozen()))
            pico = stack.enter_context(Pico(flash, uart=tty, is_interrupted=False))
            boards.append(pico.wait_for)
        assert pairs.transcript(boards) == pairs.golden(name)
