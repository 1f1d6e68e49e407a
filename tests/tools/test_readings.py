"""The check that the demo rests on finds every mistake."""

from edge_tools import readings


def items_of(some):
    return [{"_id": str(i), **one._asdict()} for i, one in enumerate(some)]


def test_boards_replay_500_rows_each_one_behind_the_other():
    boards = [readings.readings_of(board, 500) for board in range(3)]
    assert readings.row_count() == 1500
    assert len({one.ts for board in boards for one in board}) == 1500
    assert boards[0][0] == ("seattle-1", 1_262_304_000, 39.4)
    assert boards[2][-1] == ("seattle-3", 1_262_304_000 + 1499 * 3600, 46.7)


def test_behind_the_last_row_comes_the_first():
    long = readings.readings_of(2, 501)
    assert long[500][1:] == readings.readings_of(0, 1)[0][1:]


def test_equal_readings_have_no_complaints_in_any_order():
    expected = readings.readings_of(0, 20)
    assert readings.complaints(expected, items_of(expected[::-1])) == []


def test_each_kind_of_mistake_is_found():
    expected = readings.readings_of(0, 3)
    items = items_of(expected)
    assert readings.complaints(expected, items[1:]) == [f"missing: {expected[0]}"]
    assert readings.complaints(expected, items + items[:1]) == [f"twice: {expected[0]}"]
    [missing, strange] = readings.complaints(expected, [items[0] | {"temp": 39.41}, *items[1:]])
    assert missing == f"missing: {expected[0]}"
    assert strange.startswith("never measured: ") and "39.41" in strange
    [missing, strange] = readings.complaints(expected, [{"_id": "x"}, *items[1:]])
    assert strange.startswith("never measured: ")
