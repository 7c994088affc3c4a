"""`mergevit mqtt` and a real broker, either of which may come and go."""

import json
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from programs import MERGEVIT, Program, found, free_port, wait
from publisher import Publisher

TOPIC = "test/board"
STATE = {"event": "state", "time": "t", "source": "camera0", "since": "s", "duration_s": 0.0}


class Broker:
    """mosquitto on a free port, with no memory of its own."""

    def __init__(self, folder, port, users=None):
        lines = [f"listener {port} 127.0.0.1", "persistence false", "allow_anonymous true"]
        if users:
            lines[2] = "allow_anonymous false"
            lines.append(f"password_file {users}")
        file = Path(folder) / "mosquitto.conf"
        file.write_text("\n".join(lines) + "\n")
        self.program = Program(found("mosquitto"), "-c", file)
        self.program.said("running")


class Listener:
    """The last word on each topic, and all of them in order."""

    def __init__(self, port, *arguments):
        self.program = Program(
            found("mosquitto_sub"), "-p", port, "-v", "-t", "#", "-F", "%r %t %p", *arguments,
            stdout=subprocess.PIPE,
        )
        self.said = []
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()

    def listen(self):
        for line in self.program.process.stdout:
            retained, topic, payload = line.rstrip("\n").split(" ", 2)
            self.said.append((topic, payload, retained == "1"))

    def kill(self):
        self.program.kill()
        self.listener.join()
        self.program.process.stdout.close()

    def last(self, topic):
        return next((payload for found, payload, _ in reversed(self.said) if found == topic), None)

    def wait(self, topic, payload):
        wait(f"{topic} is {payload}", lambda: self.last(topic) == payload)


class Relay(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        # Started by root, mosquitto reads its files as another user.
        self.folder.chmod(0o755)
        self.path = str(self.folder / "socket")
        self.port = free_port()

    def broker(self, **options):
        broker = Broker(self.folder, self.port, **options)
        self.addCleanup(broker.program.kill)
        return broker

    def listener(self, *arguments):
        listener = Listener(self.port, *arguments)
        self.addCleanup(listener.kill)
        return listener

    def relay(self, *arguments):
        program = Program(
            MERGEVIT, "mqtt", "--socket", self.path, "--broker", f"mqtt://127.0.0.1:{self.port}", "--topic", TOPIC,
            *arguments,
        )
        self.addCleanup(program.kill)
        return program

    def run_none(self):
        run = Publisher(self.path)
        self.addCleanup(run.close)
        return run

    def test_a_run_is_told_and_its_end_too(self):
        self.broker()
        listener = self.listener()
        run = self.run_none()
        relay = self.relay()
        listener.wait(f"{TOPIC}/availability", "online")
        listener.wait(f"{TOPIC}/camera0/camera", "ON")
        configuration = wait(
            "discovery", lambda: listener.last("homeassistant/sensor/test_board/camera0_state/config")
        )
        self.assertEqual(json.loads(configuration)["state_topic"], f"{TOPIC}/camera0/state")
        wait("sensors", lambda: listener.last(f"{TOPIC}/sensors"))
        for state in ("cat", None, "dog"):
            run.say({**STATE, "state": state, "best": {"frame": 1, "confidence": 0.75}})
        wait("all states", lambda: sum(topic.endswith("/state") for topic, *_ in listener.said) == 3)
        self.assertEqual(json.loads(listener.last(f"{TOPIC}/camera0/state"))["changes"], 3)
        run.say({"event": "lost", "time": "t", "records": 7})
        listener.wait(f"{TOPIC}/lost", '{"records":7}')

        # Who comes later hears what lasts.
        late = self.listener()
        late.wait(f"{TOPIC}/availability", "online")
        wait("the state", lambda: late.last(f"{TOPIC}/camera0/state"))
        self.assertTrue(all(retained for _, _, retained in late.said[:3]), late.said)

        # The last will.
        relay.kill()
        listener.wait(f"{TOPIC}/availability", "offline")

    def test_a_run_may_come_and_go(self):
        self.broker()
        listener = self.listener()
        self.relay()
        listener.wait(f"{TOPIC}/availability", "offline")
        run = Publisher(self.path)
        listener.wait(f"{TOPIC}/availability", "online")
        run.close()
        listener.wait(f"{TOPIC}/availability", "offline")
        self.run_none()
        listener.wait(f"{TOPIC}/availability", "online")

    def test_a_broker_may_come_and_go(self):
        run = self.run_none()
        relay = self.relay("--verbose")
        relay.said("the broker is away")
        for name in ("cat", "dog"):
            broker = self.broker()
            listener = self.listener()
            listener.wait(f"{TOPIC}/availability", "online")
            run.say({**STATE, "state": name})
            wait("the state", lambda: f'"state":"{name}"' in (listener.last(f"{TOPIC}/camera0/state") or ""))
            broker.program.kill()
            listener.kill()
            # It changes while nobody can hear it.
            run.say({**STATE, "state": "unheard"})
            run.say({**STATE, "state": name})
        self.broker()
        listener = self.listener()
        word = wait("the state", lambda: listener.last(f"{TOPIC}/camera0/state"))
        self.assertEqual((json.loads(word)["state"], json.loads(word)["changes"]), ("dog", 6))

    def test_a_user_needs_a_password(self):
        users = self.folder / "users"
        subprocess.run([found("mosquitto_passwd"), "-c", "-b", users, "board", "pass word"], check=True, capture_output=True)
        users.chmod(0o644)
        self.broker(users=users)
        listener = self.listener("-u", "board", "-P", "pass word")
        self.run_none()
        secret = self.folder / "password"
        for password, ends in (("wrong", True), ("pass word", False)):
            secret.write_text(password + "\n")
            relay = self.relay("--user", "board", "--password-file", secret)
            if ends:
                self.assertEqual(relay.process.wait(30), 1)
                relay.said("wrong user or password|may not connect")
        listener.wait(f"{TOPIC}/availability", "online")


if __name__ == "__main__":
    unittest.main()
