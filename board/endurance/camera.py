"""Stands for a camera: writes frames into a pipe at a fixed rate."""

import random
import threading
import time

WIDTH, HEIGHT = 640, 480
# NV12: a byte of luma a pixel, and two bytes of chroma for four pixels.
BYTES = WIDTH * HEIGHT * 3 // 2
SOURCE = f"raw:nv12:{WIDTH}x{HEIGHT}:"
# Different pictures, shown in turn.
PICTURES = 32


class Camera(threading.Thread):
    """Frames of noise, `rate` a second (0: as fast as they are read), until it is stopped, has written `most`, or
    nobody reads."""

    def __init__(self, pipe, rate, most=None):
        super().__init__(daemon=True)
        self.pipe, self.rate, self.most = pipe, rate, most
        self.stopped = threading.Event()
        noise = random.Random(5)
        self.pictures = [noise.randbytes(BYTES) for _ in range(PICTURES)]
        self.written = 0

    def run(self):
        begin = time.monotonic()
        try:
            while not self.stopped.is_set() and self.written != self.most:
                if self.rate:
                    due = begin + self.written / self.rate
                    self.stopped.wait(max(0.0, due - time.monotonic()))
                self.pipe.write(self.pictures[self.written % PICTURES])
                self.pipe.flush()
                self.written += 1
            self.pipe.close()
        except BrokenPipeError:
            pass

    def stop(self):
        self.stopped.set()
        self.join()
