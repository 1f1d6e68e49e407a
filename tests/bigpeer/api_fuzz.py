"""
`make test-api`: schemathesis against a Big Peer's own description: no 5xx, whatever comes.

It has a virtual environment of its own, as it pins what other tests need newer. Streams
that never end are left out, and /api/v5, which is /api/v4.
"""

import re
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

ST = Path(__file__).parents[2] / ".cache/schemathesis/bin/st"
REQUEST_WAIT_S = 20  # a wait for a transaction takes ten


def main(arguments):
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "edge_tools", "big", f"--data={folder}"]
        big = subprocess.Popen(
            [*command, "--port=0", "--sync-port=0"], stdout=subprocess.PIPE, text=True
        )
        try:
            said = "".join(islice(big.stdout, 4))
            url = re.search(r"page   (http://[^/]+)", said).group(1)
            key = (Path(folder) / "api-key").read_text().strip()
            return subprocess.run(
                [
                    ST, "run", f"{url}/openapi.json", "--url", url,
                    "--header", f"Authorization: Bearer {key}",
                    "--checks", "not_a_server_error", "--exclude-path-regex", "v5|observe",
                    "--max-examples", "40", "--generation-deterministic",
                    "--suppress-health-check", "all",
                    "--request-timeout", str(REQUEST_WAIT_S), *arguments,
                ]
            ).returncode  # fmt: skip
        finally:
            big.terminate()
            big.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
