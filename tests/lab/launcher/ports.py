"""Free loopback ports below the range that the kernel gives out by itself."""
from __future__ import annotations

import random
import socket


class Ports:
    """Hands out ports that nobody listens on, none twice."""

    LOW, HIGH = 10_000, 32_000

    def __init__(self) -> None:
        self._next = random.SystemRandom().randrange(self.LOW, self.HIGH)

    def take(self) -> int:
        for _ in range(self.HIGH - self.LOW):
            port = self._next
            self._next = port + 1 if port + 1 < self.HIGH else self.LOW
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            return port
        raise OSError("no free port below 32768")
