"""The time limit of a run and of its parts."""

import contextlib
import math
import signal
import time

END = math.inf


class OutOfTime(BaseException):
    """Not an Exception, so that a compiler that continues after errors does not catch it."""


def start(seconds):
    """Ends the run's time `seconds` from now."""
    global END
    END = time.monotonic() + seconds


def left():
    return END - time.monotonic()


@contextlib.contextmanager
def keeping(seconds):
    """Leaves the last seconds of the run's time to what comes afterwards."""
    global END
    END -= seconds
    try:
        yield
    finally:
        END += seconds


@contextlib.contextmanager
def within(seconds):
    """Raises OutOfTime in the main thread after `seconds`, or when an outer limit ends."""
    if seconds == math.inf:
        yield
        return

    def stop(*_):
        raise OutOfTime(f"no end after {seconds:.0f} s")

    begin = time.monotonic()
    outer = signal.getitimer(signal.ITIMER_REAL)[0]
    handler = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(min(seconds, outer or seconds), 1e-3))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if outer:
            signal.setitimer(signal.ITIMER_REAL, max(outer - (time.monotonic() - begin), 1e-3))
