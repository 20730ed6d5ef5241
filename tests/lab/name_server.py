"""A DNS server on loopback that knows a few names, and treats some badly."""
from __future__ import annotations

import socketserver
import struct
import threading

A = 1  # the type of question
NO_ERROR, SERVER_FAILURE, NO_SUCH_NAME = 0, 2, 3


class NameServer(socketserver.ThreadingUDPServer):
    """`names`: the IPv4 addresses of each, or what else becomes of it: a response code, or None for
    no answer at all. Other names don't exist."""
    daemon_threads = True

    def __init__(self, port: int, names: dict[str, list[str] | int | None]):
        self.names = names
        super().__init__(("127.0.0.1", port), Question)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Question(socketserver.BaseRequestHandler):
    server: NameServer

    def handle(self) -> None:
        query, door = self.request
        name, end = self._name(query)
        kind = struct.unpack("!H", query[end:end + 2])[0]
        known = self.server.names.get(name, NO_SUCH_NAME)
        if known is None:
            return
        code = known if isinstance(known, int) else NO_ERROR
        addresses = known if isinstance(known, list) and kind == A else []
        # An answer, recursion desired and available; the question again; then the addresses, each
        # of the name at byte 12, good for 60 s.
        answer = query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(addresses), 0, 0)
        answer += query[12:end + 4]
        for address in addresses:
            answer += struct.pack("!HHHIH4B", 0xc00c, A, 1, 60, 4, *map(int, address.split(".")))
        door.sendto(answer, self.client_address)

    @staticmethod
    def _name(query: bytes) -> tuple[str, int]:
        """The name asked for, and where it ends."""
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("ascii"))
            at += 1 + query[at]
        return ".".join(labels).lower(), at + 1
