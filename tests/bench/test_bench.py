import json
import subprocess
import sys
from pathlib import Path

from edge_peer.config import Config
from edge_peer.peer import SmallPeer

BENCH = Path(__file__).with_name("store.py")


def test_the_last_line_of_a_quick_run_is_one_json_object_of_figures():
    done = subprocess.run(
        [sys.executable, BENCH, "--quick"], check=True, capture_output=True, text=True
    )
    figures = json.loads(done.stdout.splitlines()[-1])
    assert "insert_one_cpu_us" in figures
    for figure in figures.values():
        assert list(figure)[:4] == ["ours", "reference", "goal", "met"]
        assert figure["ours"] > 0 < figure["reference"]


def test_a_text_that_is_looked_for_hides_no_document(tmp_path):
    storage = {"path": str(tmp_path / "store.db")}
    device = {"id": "00" * 8, "name": "bench"}
    peer = SmallPeer(
        Config({"app_id": "00" * 16, "device": device, "storage": storage, "links": []})
    )
    texts = ["", "a", "ab", "ä", "\0", "_id", "x" * 31, "x" * 32, "x" * 256, "x" * 70_000]
    peer.execute(
        "INSERT INTO c DOCUMENTS (:all)", {"all": [{"t": t, "m": {"t": t}} for t in texts]}
    )
    for text in [*texts, "b", "\ud800"]:
        expected = [text] if text in texts else []
        for where in ("t = :t", "m.t = :t", "n IS MISSING AND (t = :t AND _id != 'a') AND t = m.t"):
            rows = peer.execute("SELECT t FROM c WHERE " + where, {"t": text}).items
            assert [row["t"] for row in rows] == expected, where
