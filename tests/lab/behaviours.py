"""Servers that behave in some seventy ways, good, odd and bad, and what a check must say of each.

The verdicts are written down here by hand, for head-legacy, get-simple and get-full: outcome, HTTP
code, error code, failure class.
"""
from __future__ import annotations

import dataclasses
import gzip
import pathlib
import socket
import socketserver
import ssl
import struct
import threading
import time
from typing import Callable

from launcher.certificates import Certificates
from launcher.ports import Ports
from name_server import NO_SUCH_NAME, SERVER_FAILURE, NameServer

MODES = ("head-legacy", "get-simple", "get-full")
KEYWORD = "welcome to the lab"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n"

UP = ("up 200 0 success",) * 3
NOTHING = ("down 0 2 intermittent",) * 3
TIMEOUT = ("down 0 1 intermittent",) * 3
BROKEN_HEADERS = ("up 200 0 success", "down 200 8 intermittent", "down 200 8 intermittent")
BROKEN_BODY = ("up 200 0 success", "up 200 0 success", "down 200 8 intermittent")
TOO_MANY = ("up 302 0 success", "down 302 4 redirect", "down 302 4 redirect")
BAD_CERTIFICATE = ("up 200 0 success", "down 0 3 https", "down 0 3 https")
SAFETY = ("safety 302 9 ",) * 3
REDIRECTS = (301, 302, 303, 307, 308)


@dataclasses.dataclass(frozen=True)
class Rules:
    """What get-full asks for besides. A canary of smoke may have a keyword, and no more."""
    keyword: str = ""
    forbidden: str = ""
    redirects: str = "follow"
    header: str = ""  # "Name: value"


@dataclasses.dataclass(frozen=True)
class Behaviour:
    name: str
    verdicts: tuple[str, str, str]
    url: str
    rules: Rules = Rules()


Serve = Callable[[socket.socket, str], None]  # with the request, if it was read


def path_of(request: str) -> str:
    return request.split(" ", 2)[1].split("?")[0]


def answer(*parts: bytes) -> Serve:
    def serve(connection: socket.socket, request: str) -> None:
        for part in parts:
            connection.sendall(part)
            if len(parts) > 1:
                time.sleep(0.01)  # in packets of their own
    return serve


def code(number: int) -> Serve:
    return answer(f"HTTP/1.1 {number} X\r\nContent-Length: 0\r\n\r\n".encode())


def reset_after(first: bytes) -> Serve:
    def serve(connection: socket.socket, request: str) -> None:
        connection.sendall(first)
        time.sleep(0.1)  # a reset overtakes what has not been read yet
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return serve


def chain(connection: socket.socket, request: str) -> None:
    """/chain/N leads to /chain/N-1, and so on to /ok; the last with 302, and each with another code
    than the one before."""
    left = int(path_of(request).rsplit("/", 1)[1])
    to = f"/chain/{left - 1}" if left > 1 else "/ok"
    redirect(to, REDIRECTS[left % len(REDIRECTS)])(connection, request)


def redirect(to: str, number: int = 302) -> Serve:
    return answer(
        f"HTTP/1.1 {number} F\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode())


def hold(connection: socket.socket, request: str) -> None:
    connection.settimeout(30)
    while connection.recv(4096):
        pass


def trickle(first: bytes) -> Serve:
    """And then a byte ten times a second, for longer than any check takes."""
    def serve(connection: socket.socket, request: str) -> None:
        connection.sendall(first)
        for _ in range(200):
            connection.sendall(b"x")
            time.sleep(0.1)
    return serve


def locked(connection: socket.socket, request: str) -> None:
    code(200 if "\r\nX-Lab-Key: 42\r\n" in request else 403)(connection, request)


def endless_headers(connection: socket.socket, request: str) -> None:
    connection.sendall(OK)
    for n in range(1_000_000):
        connection.sendall(b"X-%d: %s\r\n" % (n, b"y" * 100))


ZIPPED = gzip.compress(b"<p>" + KEYWORD.encode() + b"</p>")
PLAIN: dict[str, tuple[tuple[str, str, str], Serve]] = {
    "ok": (UP, answer(OK + b"Content-Length: 2\r\n\r\nok")),
    "no_content": (("up 204 0 success",) * 3, code(204)),
    "content_of_none": (("up 204 0 success",) * 3,
                        answer(b"HTTP/1.1 204 N\r\nContent-Length: 2\r\n\r\nok")),
    "not_modified": (("up 304 0 success",) * 3, code(304)),
    "chain/1": (UP, chain),
    "chain/2": (UP, chain),
    "chain/3": (("up 302 0 success", "up 200 0 success", "up 200 0 success"), chain),
    "chain/10": (("up 307 0 success", "up 200 0 success", "up 200 0 success"), chain),
    "chain/11": (("up 308 0 success", *TOO_MANY[1:]), chain),
    "loop": (TOO_MANY, redirect("/loop")),
    "relative": (UP, redirect("ok")),
    "to_private": (SAFETY, redirect("http://10.0.0.1/")),
    "to_mapped": (SAFETY, redirect("http://[::ffff:10.0.0.1]/")),
    "to_nowhere": (TOO_MANY, redirect("http://")),
    "no_location": (("up 302 0 success",) * 3, code(302)),
    "forbidden": (("down 403 0 blocked",) * 3, code(403)),
    "missing": (("down 404 0 client",) * 3, code(404)),
    "broken": (("down 500 0 server",) * 3, code(500)),
    "busy": (("down 503 0 server",) * 3, code(503)),
    "odd_code": (("down 999 0 server",) * 3, code(999)),
    "closes": (NOTHING, answer()),
    "resets": (NOTHING, reset_after(b"")),
    "resets_in_headers": (BROKEN_HEADERS, reset_after(OK + b"A: b")),
    "resets_in_body": (BROKEN_BODY, reset_after(OK + b"Content-Length: 9\r\n\r\nok")),
    "short_body": (BROKEN_BODY, answer(OK + b"Content-Length: 9\r\n\r\nok")),
    "never": (TIMEOUT, hold),
    "slow_code": (TIMEOUT, trickle(b"HTTP/1.1 200 ")),
    "slow_headers": (("up 200 0 success", "down 200 1 intermittent", "down 200 1 intermittent"),
                     trickle(OK + b"A: ")),
    "slow_body": (("up 200 0 success", "up 200 0 success", "down 200 1 intermittent"),
                  trickle(OK + b"Content-Length: 100000\r\n\r\n")),
    "not_http": (NOTHING, answer(b"220 mail.example ESMTP\r\n")),
    "http_0_9": (NOTHING, answer(b"<html>hello</html>")),
    "http_1_0": (UP, answer(b"HTTP/1.0 200 OK\r\n\r\nok")),
    "chunked": (UP, answer(CHUNKED + b"\r\n", b"2\r\no", b"k\r\n0\r\n\r\n")),
    "bad_chunks": (BROKEN_BODY, answer(CHUNKED + b"\r\nzz\r\nok\r\n")),
    "short_chunks": (BROKEN_BODY, answer(CHUNKED + b"\r\n5\r\nok")),
    "chunks_and_length": (UP, answer(CHUNKED + b"Content-Length: 99\r\n\r\n2\r\nok\r\n0\r\n\r\n")),
    "gzip": (UP, answer(OK + b"Content-Encoding: gzip\r\n\r\n" + ZIPPED)),
    "bad_gzip": (BROKEN_BODY, answer(OK + b"Content-Encoding: gzip\r\n\r\n" + ZIPPED[:20])),
    "early_hints": (UP, answer(b"HTTP/1.1 103 E\r\nLink: x\r\n\r\n", OK + b"\r\n")),
    "only_continue": (("up 100 0 success", NOTHING[0], NOTHING[0]),
                      answer(b"HTTP/1.1 100 Continue\r\n\r\n")),
    "no_reason": (UP, answer(b"HTTP/1.1 200\r\n\r\n")),
    "bare_lf": (UP, answer(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok")),
    "no_colon": (UP, answer(OK + b"what is this\r\nX Y: z\r\n\r\n")),
    "endless_headers": (BROKEN_HEADERS, endless_headers),
    "keyword": (UP, answer(OK + b"\r\n<p>welcome to", b" the lab</p>")),
    "zipped_keyword": (UP, answer(OK + b"Content-Encoding: gzip\r\n\r\n" + ZIPPED)),
    "no_keyword": (("up 200 0 success", "up 200 0 success", "down 200 5 keyword_missing"),
                   answer(OK + b"\r\n<p>goodbye</p>")),
    "defaced": (("up 200 0 success", "up 200 0 success", "down 200 5 keyword_forbidden"),
                answer(OK + b"\r\n<p>welcome to the lab, owned ", b"by somebody else</p>")),
    "may_not_move": (("up 200 0 success", "up 200 0 success", "down 302 4 redirect"),
                     redirect("/ok")),
    "moves": (UP, redirect("/ok")),
    "locked": (("down 403 0 blocked", "down 403 0 blocked", "up 200 0 success"), locked),
}
RULES = {"keyword": Rules(KEYWORD), "zipped_keyword": Rules(KEYWORD), "no_keyword": Rules(KEYWORD),
         "defaced": Rules(KEYWORD, forbidden="owned by"), "may_not_move": Rules(redirects="fail"),
         "moves": Rules(redirects="alert"), "locked": Rules(header="X-Lab-Key: 42")}


HERE = "here.lab.example"
UNSENT = ("safety 0 9 ",) * 3
NAMES: dict[str, tuple[tuple[str, str, str], list[str] | int | None]] = {
    "here": (UP, ["127.0.0.1"]),
    "inside": (UNSENT, ["10.0.0.1"]),
    "half_inside": (UNSENT, ["127.0.0.1", "10.0.0.1"]),
    "nowhere": (NOTHING, []),
    "unknown": (NOTHING, NO_SUCH_NAME),
    "failing": (NOTHING, SERVER_FAILURE),
    "silent": (TIMEOUT, None),
}


class Server(socketserver.ThreadingTCPServer):
    """One port; each connection in a thread of its own. `context`: speaks TLS first."""
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, port: int, serve: Serve, seen: list[tuple[str, str]],
                 context: ssl.SSLContext | None = None):
        self.serve, self.seen, self.context = serve, seen, context
        super().__init__(("127.0.0.1", port), Connection)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def shutdown_request(self, request: socket.socket) -> None:
        """Closes at once: what was asked to be a reset is no goodbye."""
        self.close_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A peer that goes away is none."""


class Connection(socketserver.BaseRequestHandler):
    server: Server

    def handle(self) -> None:
        if self.server.context is None:
            self.talk(self.request)
            return
        with self.server.context.wrap_socket(self.request, server_side=True) as connection:
            self.talk(connection)

    def talk(self, connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            piece = connection.recv(4096)
            if not piece:
                return
            request += piece
        text = request.decode("latin-1")
        self.server.seen.append((self.client_address[0],
                                 f":{self.server.server_address[1]}{text.split(' ', 2)[1]}"))
        self.server.serve(connection, text)


class RawServer(Server):
    """Hands the connection over unread."""

    def finish_request(self, request: socket.socket, client_address: object) -> None:
        self.serve(request, "")


class Behaviours:
    """All servers, running."""

    def __init__(self, folder: pathlib.Path):
        self._ports = Ports()
        self._servers: list[Server] = []
        self.seen: list[tuple[str, str]] = []  # (source address, ":port/path") of each request
        certificates = Certificates(folder / "certificates")
        self.ca = certificates.ca
        plain = self._start(Server, self._plain)
        self.table = [Behaviour(name, verdicts, f"http://127.0.0.1:{plain}/{name}",
                                RULES.get(name, Rules()))
                      for name, (verdicts, _) in PLAIN.items()]
        self._add_names(plain)
        good = certificates.make("good")
        for name, file, verdicts in (
                ("good", good, UP),
                ("self_signed", certificates.make_self_signed("self"), BAD_CERTIFICATE),
                ("expired", certificates.make("expired", end="20200201000000Z"),
                 ("up 200 0 success", "down 0 6 https", "down 0 6 https")),
                ("future", certificates.make("future", start="20380101000000Z"), BAD_CERTIFICATE),
                ("named", certificates.make("named", f"DNS:{HERE}"), UP),
                ("other_host", certificates.make("other", "DNS:other.example"), BAD_CERTIFICATE)):
            self._add_tls(name, verdicts, self._context(file))
        old = self._context(good)
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.TLSv1_1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        self._add_tls("old", ("up 200 0 success", "up 200 0 success", "up 200 7 success"), old)
        for name, serve, verdicts in (
                ("stalls", hold, TIMEOUT),
                ("plain", answer(b"HTTP/1.1 400 Bad\r\n\r\n"), ("down 0 3 https",) * 3)):
            port = self._start(RawServer, serve)
            self.table.append(Behaviour(f"tls_{name}", verdicts, f"https://127.0.0.1:{port}/"))
        self.table.append(
            Behaviour("refused", NOTHING, f"http://127.0.0.1:{self._ports.take()}/"))

    def _add_names(self, port: int) -> None:
        self.resolver = f"127.0.0.1:{self._ports.take()}"
        self._names = NameServer(int(self.resolver.split(":")[1]),
                                 {f"{name}.lab.example": known
                                  for name, (_, known) in NAMES.items()})
        for name, (verdicts, _) in NAMES.items():
            self.table.append(Behaviour(f"name_{name}", verdicts,
                                        f"http://{name}.lab.example:{port}/named"))

    def _start(self, kind: type[Server], serve: Serve,
               context: ssl.SSLContext | None = None) -> int:
        port = self._ports.take()
        self._servers.append(kind(port, serve, self.seen, context))
        return port

    def _add_tls(self, name: str, verdicts: tuple[str, str, str],
                 context: ssl.SSLContext) -> None:
        port = self._start(Server, answer(OK + b"Content-Length: 2\r\n\r\nok"), context)
        host = HERE if name == "named" else "127.0.0.1"
        self.table.append(Behaviour(f"tls_{name}", verdicts, f"https://{host}:{port}/"))

    @staticmethod
    def _context(file: pathlib.Path) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    @staticmethod
    def _plain(connection: socket.socket, request: str) -> None:
        name = path_of(request)[1:]
        if name == "named":
            name = "ok"
        serve = PLAIN[name][1] if name in PLAIN else chain
        serve(connection, request)

    def stop(self) -> None:
        for server in (self._names, *self._servers):
            server.shutdown()
            server.server_close()
