"""The programs under test, and those that test them: each ends with the test that started it."""

import contextlib
import http.client
import os
import re
import shutil
import socket
import subprocess
import threading
import time

MERGEVIT = os.environ.get("MERGEVIT", "target/debug/mergevit")


def wait(what, condition, seconds=30):
    """Waits until a condition holds; what it returned."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not after {seconds} s")
        time.sleep(0.05)
    return found


class Program:
    """A process whose standard error is kept."""

    def __init__(self, *arguments, **options):
        self.process = subprocess.Popen(list(map(str, arguments)), stderr=subprocess.PIPE, text=True, **options)
        self.errors = []
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()

    def listen(self):
        for line in self.process.stderr:
            self.errors.append(line)

    def said(self, pattern):
        """What a pattern matches in standard error, once it does."""
        def found():
            return re.search(pattern, "".join(self.errors))
        try:
            return wait(pattern, found)
        except AssertionError as error:
            raise AssertionError(f"{error}; it said: {''.join(self.errors)}") from None

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.listener.join()
        self.process.stderr.close()


def page(path, *arguments):
    """`mergevit page` on a free port, and its address."""
    program = Program(MERGEVIT, "page", "--socket", path, "--listen", "127.0.0.1:0", *arguments)
    port = program.said(r"http://127\.0\.0\.1:(\d+)/").group(1)
    return program, f"127.0.0.1:{port}"


def get(address, path, **headers):
    """Status and body of an answer."""
    connection = http.client.HTTPConnection(address, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def found(program):
    """Where a program is that Debian may put out of a user's path."""
    path = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    assert path, f"{program} is not installed: .ci/install installs it"
    return path
