"""What the probe bench checks, and the peers that run as servers: nginx, a server that never answers, a
resolver, Debian's blackbox_exporter. Each is started from a folder of the bench's on a free port of
loopback, and stopped by its process id.
"""
from __future__ import annotations

import json
import os
import pathlib
import random
import re
import resource
import selectors
import socket
import subprocess
import sys
import time
import urllib.request

SERVERS_CORE, CLIENTS_CORE = 1, 0
LONGEST_START_S = 10.0


def free_port() -> int:
    """Below the range that clients' ports are taken from."""
    for _ in range(1000):
        port = random.randint(20_000, 32_000)
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
            try:
                stream.bind(("127.0.0.1", port))
                datagram.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    sys.exit("no free port on 127.0.0.1")


def pinned(core: int, *command: object) -> list[str]:
    return ["taskset", "-c", str(core), *map(str, command)]


class Server:
    """A process with a port."""

    def __init__(self, port: int, log: pathlib.Path, core: int, *command: object):
        self.port = port
        self._log = log
        with log.open("wb") as out:
            # taskset and the like become the server itself: its id is the server's.
            self._process = subprocess.Popen(pinned(core, *command), stdin=subprocess.DEVNULL,
                                             stdout=out, stderr=out)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for_tcp(self) -> None:
        until = time.monotonic() + LONGEST_START_S
        while time.monotonic() < until and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        sys.exit(f"{self._process.args} did not start: {self._log.read_text(errors='replace')}")

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def make_certificates(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path, pathlib.Path]:
    """A CA, a certificate for 127.0.0.1 and its key. RSA of 2048 bits, as most sites have."""
    ca, ca_key = folder / "ca.pem", folder / "ca.key"
    certificate, key = folder / "site.pem", folder / "site.key"
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"]
    for command in (
        [*new, "-subj", "/CN=bench CA", "-keyout", ca_key, "-out", ca,
         "-addext", "keyUsage=critical,keyCertSign"],
        [*new, "-subj", "/CN=bench", "-keyout", key, "-out", certificate, "-CA", ca,
         "-CAkey", ca_key, "-addext", "basicConstraints=critical,CA:false",
         "-addext", "subjectAltName=IP:127.0.0.1,DNS:*.bench.test"],
    ):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"openssl: {done.stderr}")
    return ca, certificate, key


class Nginx(Server):
    """HEAD / and GET /1k over HTTP and HTTPS. TLS sessions by ticket; a line for each HTTPS answer says
    whether its connection was resumed."""

    def __init__(self, folder: pathlib.Path, certificate: pathlib.Path, key: pathlib.Path):
        self.https_port = free_port()
        self._handshakes = folder / "handshakes.log"
        port = free_port()
        places = f"""
    location = / {{ return 200 ""; }}
    location = /1k {{ return 200 "{'x' * 1024}"; }}"""
        config = folder / "nginx.conf"
        config.write_text(f"""
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log warn;
worker_rlimit_nofile {open_files()};
events {{ worker_connections {open_files() - 200}; }}
http {{
  log_format reused "$ssl_session_reused"; access_log off; keepalive_timeout 0; default_type text/html;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port} backlog=4096;{places}
    location = /status {{ stub_status; }}
  }}
  server {{
    listen 127.0.0.1:{self.https_port} ssl backlog=4096; access_log {self._handshakes} reused;
    ssl_certificate {certificate}; ssl_certificate_key {key};
    ssl_session_tickets on; ssl_protocols TLSv1.2 TLSv1.3;{places}
  }}
}}
""", encoding="utf-8")
        super().__init__(port, folder / "nginx.out", SERVERS_CORE, "nginx", "-c", config, "-p", folder)
        self.wait_for_tcp()

    def url(self, path: str, https: bool = False) -> str:
        return (f"https://127.0.0.1:{self.https_port}{path}" if https
                else f"http://127.0.0.1:{self.port}{path}")

    def connections(self) -> int:
        """Accepted so far, that of this question too."""
        with urllib.request.urlopen(self.url("/status"), timeout=10) as answer:
            return int(answer.read().split()[7])

    def handshakes(self) -> tuple[int, int]:
        """Full and resumed ones so far."""
        lines = self._handshakes.read_bytes() if self._handshakes.exists() else b""
        return lines.count(b".\n"), lines.count(b"r\n")


# What blackbox_exporter answers is 200 whether it found the target up or not.
COUNT_SUCCESSES = """
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init(args) succeeded = 0; failed = 0 end
function response(status, headers, body)
  if status == 200 and body:find("\\nprobe_success 1\\n", 1, true) then
    succeeded = succeeded + 1
  else
    failed = failed + 1
  end
end
function done(summary, latency, requests)
  local errors = summary.errors
  for _, thread in ipairs(threads) do
    io.write(string.format("succeeded %d\\nfailed %d\\nbroken %d\\n", thread:get("succeeded"),
      thread:get("failed"), errors.connect + errors.read + errors.write + errors.timeout))
  end
end
"""
ASKED_AT_ONCE = 16


class Blackbox(Server):
    """Debian's prometheus-blackbox-exporter."""

    def __init__(self, folder: pathlib.Path, ca: pathlib.Path):
        port = free_port()
        http = {"preferred_ip_protocol": "ip4", "tls_config": {"ca_file": str(ca)}}
        modules = {name: {"prober": "http", "timeout": "10s", "http": {**http, "method": method}}
                   for name, method in (("head", "HEAD"), ("get", "GET"))}
        config = folder / "blackbox.yml"  # JSON is YAML
        config.write_text(json.dumps({"modules": modules}), encoding="utf-8")
        self._script = folder / "blackbox.lua"
        self._script.write_text(COUNT_SUCCESSES, encoding="utf-8")
        super().__init__(port, folder / "blackbox.log", CLIENTS_CORE, "prometheus-blackbox-exporter",
                         f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}",
                         "--log.level=error")
        self.wait_for_tcp()

    def probe_url(self, method: str, target: str) -> str:
        return f"http://127.0.0.1:{self.port}/probe?module={method.lower()}&target={target}"

    def must_succeed(self, method: str, target: str) -> None:
        with urllib.request.urlopen(self.probe_url(method, target), timeout=20) as answer:
            text = answer.read().decode()
        if "\nprobe_success 1" not in text:
            sys.exit(f"blackbox_exporter does not find {target} up: {text}")

    def ask(self, method: str, target: str, seconds: int) -> int:
        """Has it probe for so long, ASKED_AT_ONCE at a time; how many of its answers said that the probe
        has succeeded. Ends the bench when one said anything else."""
        done = subprocess.run(
            pinned(SERVERS_CORE, "wrk", "-t1", f"-c{ASKED_AT_ONCE}", f"-d{seconds}s", "-s", self._script,
                   self.probe_url(method, target)),
            capture_output=True, text=True, check=True).stdout
        counts = dict(re.findall(r"^(succeeded|failed|broken) (\d+)$", done, re.MULTILINE))
        if len(counts) != 3 or int(counts["failed"]) or int(counts["broken"]):
            sys.exit(f"blackbox_exporter, {target}: not every probe has succeeded: {done}")
        return int(counts["succeeded"])


def open_files() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def cpu_us(pid: int) -> tuple[float, float]:
    """User and system time of a process so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    tick_us = 1e6 / os.sysconf("SC_CLK_TCK")
    return int(fields[11]) * tick_us, int(fields[12]) * tick_us


def peak_rss_bytes(pid: int) -> int:
    """0 when it is gone."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    return 0


def answer(query: bytes) -> bytes:
    """127.0.0.1 for A, no address for anything else."""
    end = query.index(b"\0", 12) + 5  # of the question
    if query[end - 4:end - 2] != b"\0\1":
        return query[:2] + b"\x81\x80\0\1\0\0\0\0\0\0" + query[12:end]
    return (query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:end] +
            b"\xc0\x0c\0\1\0\1\0\0\x01\x2c\0\4\x7f\0\0\1")


def serve_dns(port: int) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        server.bind(("127.0.0.1", port))
        while True:
            query, client = server.recvfrom(512)
            server.sendto(answer(query), client)


def serve_silence(port: int) -> None:
    """Takes connections and says nothing until the client has gone."""
    with socket.create_server(("127.0.0.1", port), backlog=4096) as server, \
            selectors.DefaultSelector() as waiting:
        server.setblocking(False)
        waiting.register(server, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fileobj is server:
                    connection, _ = server.accept()
                    connection.setblocking(False)
                    waiting.register(connection, selectors.EVENT_READ)
                    continue
                try:
                    gone = not key.fileobj.recv(4096)
                except OSError:
                    gone = True
                if gone:
                    waiting.unregister(key.fileobj)
                    key.fileobj.close()


class Dns(Server):
    """Resolves every name to 127.0.0.1."""

    def __init__(self, folder: pathlib.Path):
        port = free_port()
        super().__init__(port, folder / "dns.log", SERVERS_CORE, sys.executable, __file__, "dns", port)
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.settimeout(0.1)
            until = time.monotonic() + LONGEST_START_S
            while True:
                try:
                    client.sendto(b"\0\1\1\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", ("127.0.0.1", port))
                    client.recv(512)
                    return
                except OSError:
                    if time.monotonic() > until:
                        sys.exit("the bench's resolver did not start")


class Silence(Server):
    """Never answers."""

    def __init__(self, folder: pathlib.Path):
        port = free_port()
        super().__init__(port, folder / "silence.log", SERVERS_CORE, sys.executable, __file__,
                         "silence", port)
        self.wait_for_tcp()


if __name__ == "__main__":
    {"dns": serve_dns, "silence": serve_silence}[sys.argv[1]](int(sys.argv[2]))
