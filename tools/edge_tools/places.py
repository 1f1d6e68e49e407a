"""Where the data lies that tools read: in a checkout, or beside them where they are installed."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent
_CHECKOUT = _HERE.parents[1]
IS_CHECKOUT = (_CHECKOUT / "boards").is_dir() and (_CHECKOUT / "flash").is_dir()

ROOT = _CHECKOUT if IS_CHECKOUT else _HERE.parent  # the folder that has edge_peer/
DATA = _CHECKOUT if IS_CHECKOUT else _HERE / "data"
BOARDS = DATA / "boards"
FLASHED = DATA / "flash"
MANIFEST = ROOT / "edge_peer/manifest.py"
