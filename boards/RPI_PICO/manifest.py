# MicroPython's own firmware for this board, with edge-peer in it: ../README.md.
options.defaults(upstream=True)
if options.upstream:
    include("$(PORT_DIR)/boards/manifest.py")
include("../manifest.py")
