"""
A second reader of what edge-peer says, written from SPEC.md alone, with the standard library.

Nothing here imports edge_peer: what it cannot read, the specification does not say. Captured
bytes of a link go in, with what one side remembers of the other (its ticket); documents
come out. `test_spec.py` captures one session of each transport and compares.
"""
