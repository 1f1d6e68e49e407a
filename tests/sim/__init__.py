"""
The simulator: whole networks of real peers under virtual time, from one seed.

    make sim SEEDS=200                 worlds of what the core can do today
    make sim SEEDS=50 WORLD=full       … and of what it has to learn
    make sim REPLAY=build/sim/….json   a failure again, shrunk to few operations

    world.py       the queue of events, and the time       (runs on MicroPython too,
    nodes.py       a peer: store, links, subscriptions      as does all down to plans.py)
    wires.py       what a wire does to frames
    media.py       flash that can fail, and the Big Peer's disk
    operations.py  what happens to peers and wires: a table
    oracle.py      what must come of it, without the core's help
    checks.py      the invariants
    plans.py       networks and scripts, from a seed
    hostile.py     a device that means harm, and its attacks
    shrink.py, run.py

What is real: everything above the flash chip and the wire. Store, FlashLog, Session,
Link, Sync, Links and Subscriptions are the product's; an End (wires.py) takes the place
of transport/pump.py and a ServerLog (media.py) that of SQLite, because both Pythons have
to run the same world. What is not modelled: the time that flash and CPU take, TLS, and
the MQTT broker (a wire of that kind is late, repeats and reorders; it forgets nothing).

Worlds, by WORLD=, and what breaks in them (plans.py says what each allows):

    today    nothing: `make test` runs 40 of its seeds, and of "order" and "move"
    deletes  nothing
    order    nothing; deletes under right clocks, so that more is known of what has to win
    clocks   a board that is switched on with its clock a day back does not believe its own
             stamps, and gives one out again ("convergence", seed 183); a clock a year
             ahead wins every conflict (F8; only a world with clocks_right would say so)
    repair   one world in sixty: writes to documents that were evicted or are out of scope; a
             board lacks a field ("convergence", seed 4029; not understood yet)
    move     nothing
    hostile  nothing, for anybody but the hostile device that is linked to some
    full     all of these at once

Not in any world yet: attachments, quotas and policies of a collection, revoked peers,
proxying.
"""
