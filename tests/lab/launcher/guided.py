"""Runs `jetmon2 api rollout guided` and answers its prompts through a FIFO."""
from __future__ import annotations

import os
import pathlib
import queue
import subprocess
import threading
import time
from typing import Callable, Mapping

from launcher.processes import die_with_parent
from launcher.waiting import LabError

# What to do before a phrase is typed; None: nothing.
Answers = Mapping[str, Callable[[], object] | None]


class Guided:
    """One run of the command. A thread reads what it prints, and types a phrase of `answers` at the
    prompt that wants it; other prompts wait for answer()."""

    def __init__(self, command: list[str], environment: dict[str, str], fifo: pathlib.Path,
                 answers: Answers, show: Callable[[str], None]):
        if not fifo.exists():
            os.mkfifo(fifo, 0o600)
        # Opened for both, so that no line is lost while the command has it closed.
        self._fifo = os.open(fifo, os.O_RDWR | os.O_CLOEXEC)
        self._answers, self._show = answers, show
        self._failure: Exception | None = None
        self.output: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._process = subprocess.Popen(
            command + ["--confirm-file", str(fifo)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, close_fds=True,
            env={**os.environ, **environment}, preexec_fn=die_with_parent)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            line = line.rstrip("\n")
            self.output.append(line)
            self._show(line)
            self._lines.put(line)
            try:
                self._answer_prompt(line)
            except (LabError, OSError) as error:
                self._failure = error
                self._process.kill()
        self._lines.put(None)

    def _answer_prompt(self, line: str) -> None:
        """A prompt is a line that ends with the phrase; what was confirmed is repeated as such."""
        if line.startswith("confirmed"):
            return
        for phrase, before in self._answers.items():
            if line.endswith(phrase):
                if before is not None:
                    before()
                self.answer(phrase)

    def answer(self, phrase: str) -> None:
        """Types a phrase."""
        os.write(self._fifo, (phrase + "\n").encode())

    def wait_for(self, text: str, seconds: float = 120) -> None:
        """Until a line that was not waited for yet holds `text`. LabError if the command ends
        before, or time is up."""
        limit = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(0.01, limit - time.monotonic()))
            except queue.Empty:
                self.kill()
                raise self._error(f"guided did not get to {text!r}") from None
            if line is None:
                raise self._error(f"guided ended with {self.finish()} before {text!r}")
            if text in line:
                return

    def finish(self, seconds: float = 300) -> int:
        """Waits for the end; the exit code. LabError if an answer's own deed failed."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise self._error("guided did not end") from None
        self._close()
        if self._failure is not None:
            raise self._failure
        return code

    def succeed(self) -> None:
        """Waits for the end, which must be a good one."""
        code = self.finish()
        if code != 0:
            raise self._error(f"guided ended with {code}")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._close()

    def _close(self) -> None:
        self._reader.join()
        if self._fifo >= 0:
            os.close(self._fifo)
            self._fifo = -1

    def _error(self, what: str) -> LabError:
        return LabError(what + ":\n" + "\n".join(self.output[-15:]))
