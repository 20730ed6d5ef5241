"""Real processes, each with its log file, ended by pid; and the chronicle of what was done to them."""
from __future__ import annotations

import ctypes
import json
import os
import pathlib
import signal
import subprocess
import time
from typing import Any

from launcher.waiting import LabError, wait_until

PR_SET_PDEATHSIG = 1
STOP_SECONDS = 40  # a Monitor drains for 30 s at most


class Chronicle:
    """A file of JSON lines that says when the lab did what; the judge reads it."""

    def __init__(self, path: pathlib.Path):
        self.path = path

    def write(self, kind: str, **values: Any) -> None:
        row = {"kind": kind, "wall_ns": time.time_ns(),
               "boot_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME), **values}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def start_ticks(pid: int) -> int | None:
    """When the process was started; None if there is none (or only its zombie). With it, a pid
    that was given to somebody else meanwhile is told apart."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """One started program."""

    def __init__(self, name: str, command: list[str], log: pathlib.Path, chronicle: Chronicle,
                 environment: dict[str, str] | None = None, detached: bool = False):
        """`detached`: it outlives this process, and holds none of its descriptors."""
        self.name, self.command, self.log, self.chronicle = name, command, log, chronicle
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                close_fds=True, start_new_session=True, cwd=log.parent,
                env={**os.environ, **(environment or {})},
                preexec_fn=None if detached else die_with_parent)
        self.pid = self._popen.pid
        self.ticks = start_ticks(self.pid)
        chronicle.write("start", name=name, pid=self.pid)

    def is_alive(self) -> bool:
        return self._popen.poll() is None

    def exit_code(self) -> int | None:
        return self._popen.poll()

    def check(self) -> None:
        """LabError, with the end of its log, if it is gone."""
        if not self.is_alive():
            raise LabError(f"{self.name} ended with {self.exit_code()}:\n{self.tail()}")

    def tail(self) -> str:
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-15:])

    def wait(self, seconds: float) -> int:
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{self.name} did not end within {seconds:.0f} s") from error

    def kill(self) -> None:
        """kill -9, as a fault."""
        self.chronicle.write("fault", name=self.name, what="killed")
        self._popen.kill()
        self._popen.wait()

    def pause(self) -> None:
        self.chronicle.write("fault", name=self.name, what="paused")
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)
        self.chronicle.write("healed", name=self.name)

    def stop(self) -> int:
        """In good order, and by force if that takes too long. The exit code."""
        if self.is_alive():
            os.kill(self.pid, signal.SIGCONT)
            self._popen.terminate()
            try:
                self._popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._popen.kill()
        code = self._popen.wait()
        self.chronicle.write("exit", name=self.name, code=code)
        return code


def stop_strangers(processes: dict[str, list[int]]) -> None:
    """Stops processes that another run of the lab started: name -> [pid, start ticks]."""
    def alive() -> list[int]:
        return [pid for pid, ticks in processes.values() if start_ticks(pid) == ticks]

    def send(number: int) -> None:
        for pid in alive():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
    send(signal.SIGCONT)
    send(signal.SIGTERM)
    try:
        wait_until(lambda: not alive(), STOP_SECONDS, "the processes to stop")
    except LabError:
        send(signal.SIGKILL)
        wait_until(lambda: not alive(), 5, "the processes to die")
