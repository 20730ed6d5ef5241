"""MariaDB servers for tests, benches and the lab: one, or a Galera cluster, on loopback, in a folder.

    with mariadb.Single(folder) as server: server.url("jetmon") ...
    with mariadb.Cluster(folder, nodes=3) as cluster: ...

Nothing of the machine is used but Debian's packages mariadb-server, galera-4 and mariadb-backup; the
servers listen on free loopback ports below 32768, and are ended by pid.
"""
from __future__ import annotations

import ctypes
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import time

USER, PASSWORD = "jetmon", "jetmon-test"
GALERA_LIBRARY = "/usr/lib/galera/libgalera_smm.so"
READY_SECONDS = 60


class ServerError(Exception):
    """A server could not do what it was asked to; the text says which, and where its log is."""


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def free_port(taken: set[int]) -> int:
    for _ in range(1000):
        port = random.SystemRandom().randrange(10_000, 32_000)
        if port in taken:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        taken.add(port)
        return port
    raise ServerError("no free port below 32768")


class Node:
    """One mariadbd over one data folder; it may be started, killed and started again."""

    def __init__(self, folder: pathlib.Path, port: int, options: list[str], detached: bool = False):
        self.folder, self.port, self.options, self.detached = folder, port, options, detached
        self.log = folder / "server.log"
        # A path of a socket has 107 characters at most, and folders of tests are deep.
        self.socket = pathlib.Path(f"/tmp/jetmon-{os.getpid()}-{port}.sock")
        self.process: subprocess.Popen | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def data(self) -> pathlib.Path:
        return self.folder / "data"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def install(self) -> None:
        """Makes an empty data folder, root without a password on the socket."""
        self._run(["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={self.data}",
                   "--auth-root-authentication-method=normal", "--skip-test-db"])

    @property
    def environment(self) -> dict[str, str]:
        """A server that starts deletes what looks like a temporary table in its TMPDIR, whoever's
        it is: each has one of its own."""
        own = self.folder / "tmp"
        own.mkdir(exist_ok=True)
        return {**os.environ, "TMPDIR": str(own)}

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(command, env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise ServerError(f"{command[0]} failed: {done.stdout[-2000:]}")
        return done.stdout

    def command(self, more: list[str]) -> list[str]:
        return ["/usr/sbin/mariadbd", "--no-defaults", "--user=root", f"--datadir={self.data}",
                f"--socket={self.socket}", f"--pid-file={self.folder / 'pid'}",
                "--bind-address=127.0.0.1", f"--port={self.port}", "--skip-name-resolve",
                "--innodb-flush-log-at-trx-commit=0", "--innodb-log-file-size=64M",
                "--character-set-server=utf8mb4", "--collation-server=utf8mb4_bin",
                "--max-connections=500", *self.options, *more]

    def spawn(self, more: list[str] | None = None) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command(more or []), env=self.environment, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True, close_fds=True,
                preexec_fn=None if self.detached else die_with_parent)

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if self.process is not None and self.process.poll() is not None:
                raise ServerError(f"mariadbd on port {self.port} ended; see {self.log}")
            if self.answers():
                return
            time.sleep(0.1)
        raise ServerError(f"mariadbd on port {self.port} did not get ready; see {self.log}")

    def answers(self) -> bool:
        try:
            # Of a table: without one also a node answers that is not in its cluster yet.
            return self.sql("SELECT 1 FROM mysql.user LIMIT 1") == "1"
        except ServerError:
            return False

    def sql(self, text: str, database: str = "") -> str:
        """Runs statements as root; what they print, columns by tabs."""
        done = subprocess.run(
            ["mariadb", "--no-defaults", "-uroot", f"--socket={self.socket}", "--batch",
             "--skip-column-names", *([database] if database else [])],
            input=text, text=True, capture_output=True)
        if done.returncode != 0:
            raise ServerError(done.stderr.strip())
        return done.stdout.strip()

    def kill(self) -> None:
        """As kill -9 and a power cut of the process; the files stay."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        self.socket.unlink(missing_ok=True)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None
        self.socket.unlink(missing_ok=True)

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


def grant_all(node: Node, database: str) -> None:
    node.sql(f"CREATE DATABASE IF NOT EXISTS {database}; "
             f"CREATE USER IF NOT EXISTS '{USER}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'; "
             f"GRANT ALL ON *.* TO '{USER}'@'127.0.0.1'")


class Single:
    """One server."""

    def __init__(self, folder: pathlib.Path, options: list[str] | None = None,
                 detached: bool = False):
        self.node = Node(folder, free_port(set()), options or [], detached)
        self.nodes = [self.node]

    def start(self) -> "Single":
        self.node.install()
        self.node.spawn()
        self.node.wait_ready()
        grant_all(self.node, "jetmon")
        return self

    def url(self, database: str = "jetmon") -> str:
        return f"mysql://{USER}@127.0.0.1:{self.node.port}/{database}"

    def stop(self) -> None:
        self.node.stop()

    def __enter__(self) -> "Single":
        return self.start()

    def __exit__(self, *_) -> None:
        self.stop()


class Cluster:
    """Galera. The nodes start from copies of one data folder, so that none needs a transfer of it;
    a node that was killed comes back with what it missed from another one's cache."""

    def __init__(self, folder: pathlib.Path, nodes: int = 3, detached: bool = False):
        taken: set[int] = set()
        self.folder = folder
        self.group = [free_port(taken) for _ in range(nodes)]
        self.nodes: list[Node] = []
        for i in range(nodes):
            ist, sst = free_port(taken), free_port(taken)
            home = folder / f"node-{i + 1}"
            self.nodes.append(Node(home, free_port(taken), [
                "--binlog-format=ROW", "--default-storage-engine=InnoDB",
                "--innodb-autoinc-lock-mode=2", "--wsrep-on=ON",
                f"--wsrep-provider={GALERA_LIBRARY}", "--wsrep-cluster-name=jetmon-test",
                "--wsrep-cluster-address=gcomm://" + ",".join(
                    f"127.0.0.1:{port}" for port in self.group),
                f"--wsrep-node-name=node-{i + 1}", "--wsrep-node-address=127.0.0.1",
                f"--wsrep-sst-receive-address=127.0.0.1:{sst}", "--wsrep-sst-method=mariabackup",
                "--wsrep-sst-auth=root:", "--wsrep-slave-threads=2",
                "--wsrep-provider-options=" + ";".join([
                    f"gmcast.listen_addr=tcp://127.0.0.1:{self.group[i]}",
                    f"ist.recv_addr=127.0.0.1:{ist}", "gcache.size=64M"]),
            ], detached))

    def start(self) -> "Cluster":
        first = self.nodes[0]
        first.install()
        # Once as a cluster of one: its files then say where in the group's history they are, and
        # so do their copies.
        first.spawn(["--wsrep-new-cluster"])
        first.wait_ready()
        grant_all(first, "jetmon")
        first.stop()
        for node in self.nodes[1:]:
            shutil.copytree(first.data, node.data)
        state = first.data / "grastate.dat"
        state.write_text(state.read_text().replace("safe_to_bootstrap: 0", "safe_to_bootstrap: 1"))
        first.spawn(["--wsrep-new-cluster"])
        first.wait_ready()
        for node in self.nodes[1:]:
            node.spawn()
        for node in self.nodes[1:]:
            node.wait_ready()
        self.wait_size(len(self.nodes))
        return self

    def wait_size(self, size: int, seconds: float = READY_SECONDS) -> None:
        """Until every running node sees a cluster of that size and is in step with it."""
        limit = time.monotonic() + seconds
        seen: list[str] = []
        while time.monotonic() < limit:
            try:
                seen = [node.sql("SELECT GROUP_CONCAT(VARIABLE_VALUE ORDER BY VARIABLE_NAME) FROM "
                                 "information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME IN "
                                 "('WSREP_CLUSTER_SIZE', 'WSREP_READY')")
                        for node in self.nodes if node.process is not None]
                if seen and all(s == f"{size},ON" for s in seen):
                    return
            except ServerError as e:
                seen = [str(e)]
            time.sleep(0.2)
        raise ServerError(f"the cluster of {size} did not form: {seen}; logs in {self.folder}")

    def rejoin(self, node: Node) -> None:
        """Starts a killed node again, from where its files say it was."""
        log = node.folder / "recover.log"
        subprocess.run(node.command(["--wsrep-recover", f"--log-error={log}"]), check=False,
                       env=node.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        position = ""
        for line in log.read_text(errors="replace").splitlines():
            if "Recovered position:" in line:
                position = line.rpartition("Recovered position:")[2].strip()
        node.spawn([f"--wsrep-start-position={position}"] if position else [])
        node.wait_ready()

    def url(self, database: str = "jetmon", first: int = 0) -> str:
        ports = [node.port for node in self.nodes[first:] + self.nodes[:first]]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        return f"mysql://{USER}@{hosts}/{database}"

    def stop(self) -> None:
        for node in reversed(self.nodes):
            node.stop()

    def __enter__(self) -> "Cluster":
        return self.start()

    def __exit__(self, *_) -> None:
        self.stop()
