"""
Run the statements of tests/vectors/dql.json on anything that executes DQL.

A step is {"run": statement, "args"} and what is expected, as far as it is said:

    rows      in this order where the statement says ORDER BY, otherwise in any
    ids       of what was written, in any order           kind      of the statement
    warnings  how many                                    error     the column, and what it "says"
    indexed   only a peer with indexes does this; others refuse it, and say so
    small_peer  it, or its answer, is not the Big Peer's

{"durable": true} stands for sync: the Big Peer has everything up to now.
Runs on CPython and MicroPython.
"""

from vectors import cases

from edge_peer.core.errors import QueryError


def scripts():
    """Yield (name, steps); a board has no room for all of them at once."""
    for script in cases.load("dql")["scripts"]:
        yield script["name"], script["steps"]


def run(steps, execute, has_indexes, make_durable=None):
    """execute(text, arguments) -> Result, or QueryError. Without make_durable: the Big Peer."""
    for step in steps:
        if step.get("durable"):
            if make_durable is not None:
                make_durable()
        elif make_durable is not None or not step.get("small_peer"):
            try:
                _check(step, execute, has_indexes)
            except Exception:
                print("fails:", step)
                raise


def _check(step, execute, has_indexes):
    expects_error = "error" in step
    column, says = step.get("error"), step.get("says", "")
    if step.get("indexed") and not has_indexes:
        expects_error, column, says = True, None, "indexes need a host"
    try:
        result = execute(step["run"], step.get("args", {}))
    except QueryError as error:
        assert expects_error, error
        assert says in str(error), error
        assert column is None or error.column == column, (error.column, column)
        return
    assert not expects_error, "no error"
    kind = step["run"].split()[0].lower()
    assert result.kind == step.get("kind", kind), result.kind
    assert len(result.warnings) == step.get("warnings", 0), result.warnings
    assert sorted(result.ids) == sorted(step.get("ids", [])), result.ids
    _check_rows(result.items, step.get("rows", []), "ORDER BY" in step["run"])


def _check_rows(found, expected, in_order):
    assert len(found) == len(expected), found
    if in_order:
        assert cases.same(found, expected), found
    for row in found:
        assert any([cases.same(row, one) for one in expected]), found
    for one in expected:
        assert any([cases.same(row, one) for row in found]), found
