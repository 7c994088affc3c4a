"""A real run, watched in a real browser."""

import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from chromium import Chromium
from programs import MERGEVIT, Program, get, page, wait

ROOT = Path(__file__).resolve().parents[3]
ASSETS = ROOT / "board" / "assets"
HAS_PICTURE = 'document.getElementById("novideo").hidden && document.getElementById("tokens").textContent !== ""'
TOKENS = 'document.getElementById("tokens").textContent'
SCREENSHOTS = os.environ.get("SCREENSHOTS")


class Run(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = str(Path(folder.name) / "socket")

    def start(self, *arguments):
        """`mergevit run` on the embedded model's kind of picture, again and again."""
        program = Program(
            MERGEVIT, "run", "--model", ASSETS / "garments.mvit", "--source", f"file:{ASSETS / 'pullover.png'}",
            "--loop", "--fps-limit", "10", "--threads", "1", "--schedule", "r16", "--socket", self.path,
            *arguments, stdout=subprocess.DEVNULL,
        )
        self.addCleanup(program.kill)
        return program

    def tokens(self, browser):
        """How many patches became how many tokens on the page."""
        text = browser.wait("a token map", TOKENS)
        return tuple(map(int, re.fullmatch(r"(\d+) patches as (\d+) tokens", text).groups()))

    def test_it_is_shown_governed_and_missed(self):
        run = self.start()
        program, address = page(self.path)
        self.addCleanup(program.kill)
        browser = self.enterContext(Chromium())
        browser.view(1440, 900)
        browser.open(f"http://{address}/")
        browser.wait("a picture", HAS_PICTURE)
        browser.wait("its class", 'document.getElementById("label").textContent === "pullover"')
        merged = self.tokens(browser)
        # The page's list says how many tokens leave the network, the class token counted.
        listed = browser.evaluate('document.querySelector("#schedules .runs .quiet").textContent')
        self.assertEqual(int(re.search(r"(\d+) tokens", listed).group(1)), merged[1] + 1)

        browser.evaluate('document.querySelector("#schedules input[value=r0]").click()')
        browser.wait("the schedule", 'document.querySelector("#schedules .runs .name").textContent === "r0"')
        browser.wait("a patch a token", f'{TOKENS} === "{merged[0]} patches as {merged[0]} tokens"')
        browser.wait("why", 'document.getElementById("why").textContent.includes("somebody holds it")')
        if SCREENSHOTS:
            Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
            browser.screenshot(Path(SCREENSHOTS) / "run.png", whole=True)

        run.kill()
        browser.wait("its absence", 'document.getElementById("connection").textContent === "the run is away"')
        self.assertEqual(get(address, "/healthz")[0], 503)
        self.start()
        browser.wait("its return", 'document.getElementById("connection").textContent === "live"')
        browser.wait("a picture again", HAS_PICTURE)
        wait("merging again", lambda: self.tokens(browser) == merged)
        metrics = get(address, "/metrics")[1].decode()
        self.assertRegex(metrics, r'mergevit_frames_total\{source="[^"]+"\} [1-9]')
        self.assertIn("mergevit_records_unreadable_total 0\n", metrics)
        self.assertEqual(browser.said, [])

    def test_a_run_takes_its_page_along(self):
        run = self.start("--page", "127.0.0.1:0", "--page-host", "board.example")
        address = run.said(r"http://(127\.0\.0\.1:\d+)/").group(1)

        def health():
            try:
                return get(address, "/healthz")[0]
            except ConnectionError:
                return None

        wait("the run", lambda: health() == 200)
        self.assertEqual(get(address, "/snapshot.jpg")[0], 200)
        for host, allowed in (("board.example", True), ("other.example", False)):
            self.assertEqual(get(address, "/healthz", Host=host)[0] == 200, allowed, host)
        # However it ends.
        run.process.kill()
        wait("the page's end", lambda: health() is None)


if __name__ == "__main__":
    unittest.main()
