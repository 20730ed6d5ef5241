"""Waiting for conditions, and the one error that a lab raises."""
from __future__ import annotations

import time
from typing import Callable, TypeVar

Answer = TypeVar("Answer")


class LabError(Exception):
    """The lab could not do what it was asked to; the text says what and where to look."""


def wait_until(condition: Callable[[], Answer], seconds: float, what: str,
               every: float = 0.05) -> Answer:
    """Asks until the answer is truthy, and returns it. LabError when time is up."""
    limit = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > limit:
            raise LabError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(every)
