"""
Three PostgreSQL nodes with Patroni, one etcd, a broker, and workers, all on this machine.

What Debian's packages bring (etcd-server, patroni, postgresql) runs as a user of no rights,
with a folder, a socket directory and ports of its own for each node. /dev/shm must be a tmpfs.

Patroni asks etcd in its API v2: by v3, Patroni 3.0.2 named no synchronous standby any
more once a frozen leader had come back ("Synchronous replication key updated by someone else").
"""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

NODE_COUNT = 3
LIMIT_S = 90
LEASE_S = 20  # of Patroni's leader, the least that it takes
BIN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
USER = "postgres"
HERE = Path(__file__).parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition, what, limit_s=LIMIT_S):
    end_s = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < end_s, f"waited in vain for {what}"
        time.sleep(0.1)  # for other processes
    return found


class Cluster:
    def __init__(self, logs):
        self._logs = logs
        self.folder = Path(tempfile.mkdtemp(prefix="edge-cluster-", dir="/tmp"))
        owner = pwd.getpwnam(USER)
        self._user = {"user": owner.pw_uid, "group": owner.pw_gid} if os.geteuid() == 0 else {}
        if self._user:
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        self._processes = []
        etcd, peers = free_port(), free_port()
        self._start(
            "etcd", f"--data-dir={self.folder}/etcd",
            f"--listen-client-urls=http://127.0.0.1:{etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peers}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peers}",
            f"--initial-cluster=default=http://127.0.0.1:{peers}",
            "--unsafe-no-fsync", "--enable-v2",
        )  # fmt: skip
        self.nodes = [Node(self, number, etcd) for number in range(NODE_COUNT)]
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        self.url = f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"
        until(self.is_whole, "three nodes, of which one is a synchronous standby")

    def leader(self):
        found = [node for node in self.nodes if node.role() == "leader"]
        return found[0] if len(found) == 1 else None

    def is_whole(self):
        roles = sorted(node.role() for node in self.nodes)
        return roles == ["leader", "replica", "sync_standby"]

    def stop(self):
        for node in self.nodes:
            node.kill()
        for process in self._processes:
            for one in _family(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
            process.wait(LIMIT_S)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, *command):
        log = open(self._logs / f"{Path(command[0]).name}.log", "a")
        environment = {"PATH": f"{BIN[-1]}:/usr/bin:/bin", "ETCD_UNSUPPORTED_ARCH": "arm64"}
        process = subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=log, stderr=log, **self._user
        )
        self._processes.append(process)
        return process


class Node:
    def __init__(self, cluster, number, etcd):
        self._cluster = cluster
        self.port, self._rest = free_port(), free_port()
        self._folder = folder = cluster.folder / f"node{number}"
        self._config = cluster.folder / f"node{number}.json"  # JSON is YAML
        local = ["local all all trust", "host all all 127.0.0.1/32 trust"]
        access = [*local, "host replication all 127.0.0.1/32 trust"]
        login = {"superuser": {"username": "postgres"}, "replication": {"username": "copy"}}
        self._config.write_text(
            json.dumps(
                {
                    "scope": "edge",
                    "name": f"node{number}",
                    "restapi": {
                        "listen": f"127.0.0.1:{self._rest}",
                        "connect_address": f"127.0.0.1:{self._rest}",
                    },
                    "etcd": {"host": f"127.0.0.1:{etcd}"},
                    "bootstrap": {
                        "dcs": {
                            "ttl": LEASE_S,
                            "loop_wait": 2,
                            "retry_timeout": 3,
                            "synchronous_mode": True,
                            "postgresql": {"use_pg_rewind": True, "parameters": {}},
                        },
                        "initdb": [{"encoding": "UTF8"}, {"auth": "trust"}],
                    },
                    "postgresql": {
                        "listen": f"127.0.0.1:{self.port}",
                        "connect_address": f"127.0.0.1:{self.port}",
                        "data_dir": str(folder / "data"),
                        "bin_dir": str(BIN[-1]),
                        "authentication": login,
                        "pg_hba": access,
                        "parameters": {"unix_socket_directories": str(folder)},
                    },
                }
            )
        )
        folder.mkdir()
        if cluster._user:
            shutil.chown(folder, USER, USER)
            shutil.chown(self._config, USER, USER)
        self.start()

    def start(self):
        self._process = self._cluster._start("patroni", str(self._config))

    def role(self):
        """Return what Patroni calls it: leader, sync_standby, replica, or "" while it is none.

        A standby without a known lag has not found to its leader yet, though it runs.
        """
        with suppress(OSError, ValueError):
            address = f"http://127.0.0.1:{self._rest}/cluster"
            with urllib.request.urlopen(address, timeout=1) as answer:
                for member in json.load(answer)["members"]:
                    is_up = member["state"] in ("running", "streaming")
                    is_up = is_up and member.get("lag", 0) != "unknown"
                    if member["port"] == self.port and is_up:
                        return member["role"]
        return ""

    def send(self, number):
        """Send a signal to Patroni, PostgreSQL and all their processes."""
        pids = _family(self._process.pid)
        with suppress(OSError, IndexError):  # PostgreSQL is nobody's child
            pids += _family(int((self._folder / "data/postmaster.pid").read_text().split()[0]))
        for one in pids:
            with suppress(ProcessLookupError):
                os.kill(one, number)

    def kill(self):
        self.send(signal.SIGKILL)
        self._process.wait(LIMIT_S)


class Worker:
    """`edge-peer big` on the cluster; `dies.py` kills it behind a COMMIT, if it is asked to."""

    def __init__(self, folder, url, broker_port, identity):
        folder.mkdir(exist_ok=True)
        if not (folder / "identity.json").exists():
            shutil.copy2(identity, folder / "identity.json")
        self._folder = folder
        self._trigger = folder / "die-after-commit"
        self.port, self.sync_port = free_port(), free_port()
        self._command = [
            sys.executable, str(HERE / "dies.py"), str(self._trigger), "big", f"--data={folder}",
            f"--port={self.port}", f"--sync-port={self.sync_port}", f"--store={url}",
            f"--mqtt=mqtt://127.0.0.1:{broker_port}",
        ]  # fmt: skip
        self.start()

    def start(self):
        self._trigger.unlink(missing_ok=True)
        log = open(self._folder / "log", "a")
        self.process = subprocess.Popen(self._command, stdout=log, stderr=log)
        until(self._answers, "a worker")

    def die_after_a_commit(self, commit):
        """commit: makes it commit a document, whose acknowledgement does not come."""
        self._trigger.touch()
        commit()
        self.process.wait(LIMIT_S)
        assert self.process.returncode == -signal.SIGKILL

    def stop(self):
        self.process.kill()
        self.process.wait(LIMIT_S)

    def _answers(self):
        assert self.process.poll() is None, (self._folder / "log").read_text()[-2000:]
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _family(pid):
    """Return a process and all that descend from it."""
    found = [pid]
    for one in found:
        with suppress(OSError):
            children = Path(f"/proc/{one}/task/{one}/children").read_text().split()
            found += [int(child) for child in children]
    return found
