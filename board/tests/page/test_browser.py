"""The page in a real browser. SCREENSHOTS names a folder for pictures of it."""

import os
import tempfile
import unittest
from pathlib import Path

from chromium import Chromium
from programs import get, page, wait
from publisher import Publisher

SCREENSHOTS = os.environ.get("SCREENSHOTS")
HAS_PICTURE = 'document.getElementById("novideo").hidden && document.getElementById("tokens").textContent !== ""'
SHOWN = 'document.getElementById("novideo").textContent'
TOKEN = "0123456789abcdef"
# Sums of the canvas's pixels: what is drawn on it.
DRAWN = """(() => {
  const canvas = document.getElementById("picture");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let sum = 0;
  for (let at = 0; at < data.length; at += 4) sum = (sum * 31 + data[at] + 7 * data[at + 1] + 13 * data[at + 2]) % 1e9;
  return sum;
})()"""


class Browser(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = str(Path(folder.name) / "socket")

    def start(self, *arguments, **options):
        """A run that is none, its page, and a browser that looks at it."""
        run = Publisher(self.path, **options)
        self.addCleanup(run.close)
        program, self.address = page(self.path, *arguments)
        self.addCleanup(program.kill)
        browser = self.enterContext(Chromium())
        browser.view(1440, 900)
        browser.open(f"http://{self.address}/")
        return run, browser

    def keep(self, browser, name, whole=False):
        if SCREENSHOTS:
            Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
            browser.screenshot(Path(SCREENSHOTS) / f"{name}.png", whole)

    def test_a_run_is_watched_and_governed(self):
        run, browser = self.start()
        browser.wait("a picture", HAS_PICTURE)
        self.assertIn({"watch": True}, run.commands)
        browser.wait("the answer", 'document.getElementById("label").textContent === "orange disc"')
        browser.wait("all patches", 'document.getElementById("tokens").textContent === "196 patches as 196 tokens"')

        # Merging begins when the schedule is chosen, and the picture moves.
        browser.evaluate('document.querySelector("#schedules input[value=r16]").click()')
        wait("the command", lambda: {"schedule": "r16"} in run.commands)
        browser.wait("the schedule", 'document.querySelector("#schedules .runs .name")?.textContent === "r16"')
        browser.wait("why", 'document.getElementById("why").textContent.includes("somebody holds it")')
        browser.wait("fewer tokens", '!document.getElementById("tokens").textContent.endsWith("196 tokens")')
        first = browser.evaluate(DRAWN)
        browser.wait("another picture", f"{DRAWN} !== {first}")

        # Frozen, so that the ways to draw it are comparable.
        run.silent = True
        browser.wait("the end of frames", f'{SHOWN}.includes("no frames come")')
        drawn = {}
        for way in ("picture", "borders", "merged"):
            browser.evaluate(f'document.querySelector("input[value={way}]").click()')
            drawn[way] = browser.evaluate(DRAWN)
        self.assertEqual(len(set(drawn.values())), 3, drawn)
        run.silent = False
        browser.wait("a picture again", HAS_PICTURE)

        browser.evaluate('document.querySelector("#schedules input[value=\\"\\"]").click()')
        wait("the command", lambda: {"schedule": None} in run.commands)
        browser.wait("its release", 'document.getElementById("why").textContent.includes("nobody holds it")')
        browser.wait("watts", 'document.getElementById("sensors").textContent.includes("W")')
        run.switch("r8", "over_budget", latency_us=35100, budget_us=33333)
        browser.wait("the reason", 'document.getElementById("why").textContent.includes("35.1")')
        self.assertEqual(browser.said, [])

    def test_it_fits_every_screen(self):
        run, browser = self.start()
        run.switch("r8", "over_budget", latency_us=35100, budget_us=33333)
        for name, size, options in [
            ("light", (1440, 900), {}),
            ("dark", (1440, 900), {"dark": True}),
            ("tablet", (820, 1180), {}),
            ("phone", (390, 844), {"scale": 2, "phone": True}),
            ("phone-dark", (320, 640), {"scale": 2, "phone": True, "dark": True}),
        ]:
            with self.subTest(name):
                browser.view(*size, **options)
                browser.wait("a picture", HAS_PICTURE)
                browser.wait("classes", 'document.querySelectorAll("#classes .row:not(.empty)").length === 5')
                wide = browser.evaluate("[document.documentElement.scrollWidth, innerWidth]")
                self.assertLessEqual(*wide)
                self.keep(browser, name, whole=True)
        self.assertEqual(browser.said, [])

    def test_what_is_away_is_shown_and_comes_back(self):
        run, browser = self.start()
        browser.wait("a picture", HAS_PICTURE)
        run.silent = True
        run.say({"event": "camera", "time": "t", "source": "camera0", "status": "lost", "reason": "unplugged"})
        browser.wait("no video", f'{SHOWN}.includes("the camera is gone: unplugged")')
        self.keep(browser, "camera-lost")
        run.silent = False
        browser.wait("a picture again", HAS_PICTURE)

        run.close()
        browser.wait("its absence", 'document.getElementById("connection").textContent === "the run is away"')
        browser.wait("no video", f'{SHOWN}.includes("the run is away")')
        again = Publisher(self.path)
        self.addCleanup(again.close)
        browser.wait("the run again", 'document.getElementById("connection").textContent === "live"')
        browser.wait("a picture again", HAS_PICTURE)
        self.assertEqual(again.commands, [{"watch": True}])
        self.assertEqual(browser.said, [])

    def test_nobody_looks_no_pictures(self):
        run, browser = self.start()
        browser.wait("a picture", HAS_PICTURE)
        browser.open("about:blank")
        wait("the command", lambda: run.commands[-1] == {"watch": False})

    def test_one_of_several_sources_is_shown(self):
        run, browser = self.start(sources=("front", "back"))
        browser.wait("a picture", HAS_PICTURE)
        browser.wait("buttons", 'document.querySelectorAll("#views button").length === 2')
        shown = '[...document.querySelectorAll("#views button")].find((b) => b.ariaPressed === "true").value'
        before = browser.evaluate(shown)
        browser.evaluate('document.querySelector("#views button[aria-pressed=false]").click()')
        self.assertNotEqual(browser.wait("the other", shown), before)
        browser.wait("a picture", HAS_PICTURE)
        browser.wait("its name", f'document.getElementById("picture").ariaLabel.includes({shown})')
        self.keep(browser, "sources")
        self.assertEqual(browser.said, [])

    def test_a_token_opens_the_page(self):
        secret = Path(self.path).parent / "token"
        secret.write_text(TOKEN + "\n")
        secret.chmod(0o600)
        _, browser = self.start("--token", secret)
        browser.wait("the question", 'document.getElementById("token") !== null')
        self.keep(browser, "login")
        enter = """(token) => {
          document.getElementById("token").value = token;
          document.querySelector("#login button").click();
        }"""
        browser.evaluate(f'({enter})("{TOKEN[::-1]}")')
        browser.wait("the refusal", 'document.getElementById("refused").textContent === "That is not the token."')
        browser.evaluate(f'({enter})("{TOKEN}")')
        browser.wait("a picture", HAS_PICTURE)
        self.assertEqual(browser.evaluate("document.cookie"), "")
        self.assertEqual(get(self.address, "/metrics")[0], 401)
        # The two refusals that the browser reports are those asked for.
        self.assertTrue(all("401" in text for text in browser.said), browser.said)

    def test_a_snapshot_is_a_picture(self):
        _, browser = self.start()
        browser.wait("a picture", HAS_PICTURE)
        for path in ("/snapshot.jpg", "/snapshot.jpg?draw=merged", "/snapshot.jpg?source=camera0"):
            status, body = get(self.address, path)
            self.assertEqual((status, body[:3]), (200, b"\xff\xd8\xff"), path)


if __name__ == "__main__":
    unittest.main()
