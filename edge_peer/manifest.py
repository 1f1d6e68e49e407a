# What a board carries, in MicroPython's manifest language. A file that is not
# reachable from here is never flashed; host/ and bigpeer/ are absent on purpose.
metadata(version="0.1.0", description="edge-peer: Small Peer runtime")
options.defaults(serial=True, ble=True, lan=True, mqtt=True)

top = ("__init__.py", "attachments.py", "config.py", "guarding.py", "observer.py", "peer.py")
top += ("runtime.py", "subscriptions.py", "downstream.py")
package("edge_peer", files=top, base_path="..")
package("edge_peer/core", base_path="..")
package("edge_peer/transport", base_path="..")
package("edge_peer/security", base_path="..")

board = ["__init__.py", "blocks.py", "crypto.py", "keys.py", "pinned.py", "storage.py"]
board += ["system.py", "vector.py", "vector_plain.py"]
for name in ("serial", "ble", "lan", "mqtt"):
    if getattr(options, name):
        board.append(name + ".py")
if options.serial:
    board.append("serial_lines.py")
if options.lan:
    board.append("lan_meeting.py")
if options.ble:
    board.append("ble_central.py")
package("edge_peer/board", files=board, base_path="..")
