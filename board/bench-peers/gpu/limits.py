"""Where a run's time ends, and what is stopped by then."""

import contextlib
import math
import signal
import time

END = math.inf


class OutOfTime(BaseException):
    """No Exception, so that a compiler that goes on after errors lets it pass."""


def start(seconds):
    """The run has so many seconds from now."""
    global END
    END = time.monotonic() + seconds


def left():
    return END - time.monotonic()


@contextlib.contextmanager
def within(seconds):
    """Raises OutOfTime in the main thread after so many seconds, or when an outer limit ends."""
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
