"""Two boards wired to each other, as processes: the same scripts as on Picos (tests/pairs)."""

import contextlib

import pairs
import pytest
from pairs.board_process import BoardProcess, printed_until

from edge_peer.security.identity import to_text


@pytest.mark.parametrize("name", pairs.NAMES)
def test_two_boards_say_what_the_golden_transcript_says(tmp_path, name):
    with contextlib.ExitStack() as stack:
        boards = []
        for instance, tty in enumerate(stack.enter_context(pairs.cable())):
            board = BoardProcess(
                tmp_path / f"instance{instance}",
                to_text(pairs.identity(instance)),
                tty,
                pairs.source(name, instance),
            )
            lines = stack.enter_context(board.running())
            boards.append(lambda until, lines=lines: printed_until(lines, until))
        assert pairs.transcript(boards) == pairs.golden(name)
