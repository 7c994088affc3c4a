"""What a run and its page say, and whether it is consistent."""

import io
import json
import re
from collections import defaultdict

from jsonschema import Draft202012Validator
from PIL import Image

from system import Failed

# The driver's picture has eight bars. Of these the middle square shows the centres: their distance from its left side, as a
# part of its width, and which of red, green and blue they have.
BARS = {"cyan": (0.167, (0, 1, 1)), "green": (0.389, (0, 1, 0)), "magenta": (0.611, (1, 0, 1)), "red": (0.833, (1, 0, 0))}


def require(holds, message):
    """Fails unless something holds."""
    if not holds:
        raise Failed(message)


def metrics(text):
    """Prometheus's text: values by name and labels, as they stand there."""
    samples = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


def total(values, name):
    """The sum of a metric over all labels; 0 if it is not there."""
    return sum(value for key, value in values.items() if key.partition("{")[0] == name)


def labelled(values, name, label):
    """The values of a label with which a metric is 1."""
    found = ((re.search(rf'[{{,]{label}="([^"]*)"', key), value) for key, value in values.items() if key.startswith(name + "{"))
    return [match[1] for match, value in found if match and value == 1]


def check_bars(jpeg):
    """Checks that a JPEG shows the middle of the driver's colour bars."""
    try:
        image = Image.open(io.BytesIO(jpeg))
        image.load()
    except OSError as error:
        raise Failed(f"/snapshot.jpg: {len(jpeg)} bytes that no decoder takes: {error}") from None
    require(image.format == "JPEG", f"/snapshot.jpg is {image.format}")
    for name, (place, parts) in BARS.items():
        pixel = image.convert("RGB").getpixel((int(place * image.width), image.height // 2))
        message = f"/snapshot.jpg has {pixel} where the driver's picture is {name}"
        require(tuple(int(part > 90) for part in pixel) == parts, message)


def events(stream):
    """Server-sent events: the data of each, by name."""
    found = defaultdict(list)
    for block in stream.split("\n\n")[:-1]:
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "event" in lines:
            found[lines["event"]].append(json.loads(lines["data"]))
    return found


class Records:
    """What a journal has of each process, in order."""

    def __init__(self, journal):
        self.by_process = defaultdict(list)
        for line in journal.splitlines():
            entry = json.loads(line)
            message = entry["MESSAGE"]
            # Systemd's own messages, and those that are not text, are no records.
            if isinstance(message, str) and message.startswith("{"):
                self.by_process[entry["_PID"]].append(json.loads(message))

    def of(self, event):
        """All records of one kind."""
        return [record for records in self.by_process.values() for record in records if record["event"] == event]

    def last(self):
        """The records of the last process."""
        return list(self.by_process.values())[-1] if self.by_process else []

    def frames(self):
        """The frames of the last process."""
        return [record for record in self.last() if record["event"] == "frame"]

    def check(self, schema):
        """Checks every record against the schema, and that none is missing without a word."""
        for records in self.by_process.values():
            for record in records:
                reference = {"$ref": f"#/$defs/{record['event']}", "$defs": schema["$defs"]}
                for error in Draft202012Validator(reference).iter_errors(record):
                    raise Failed(f"{json.dumps(record)}: not as the schema has it: {error.message}")
            check_account(records)


def check_account(records):
    """Checks that the frames of a process are all there, and that its summary, if it came to that, counts the same."""
    frames = [record for record in records if record["event"] == "frame"]
    lost = sum(record["records"] for record in records if record["event"] == "lost")
    numbers = [frame["frame"] for frame in frames]
    if numbers:
        missing = numbers[-1] + 1 - len(numbers)
        require(numbers == sorted(set(numbers)), f"frames are out of order: {numbers}")
        require(missing <= lost, f"{missing} frames have no record, and {lost} records are said to be lost")
    if lost == 0:
        check_numbers(records)
    for summary in (record for record in records if record["event"] == "summary"):
        # A run that prints changes alone has no record of each frame.
        if frames and lost == 0:
            counts = [summary["frames"], summary["dropped"], summary["dropped_by_driver"]]
            sums = [sum(frame["dropped"][cause] for frame in frames) for cause in ("replaced", "driver")]
            require(counts == [len(frames), *sums], f"the summary counts {counts}, the records {[len(frames), *sums]}")


def check_numbers(records):
    """Checks that each of the driver's numbers is that of a frame, of a frame that could not be used, or dropped."""
    before, unusable = None, 0
    for record in records:
        if record["event"] == "error":
            unusable += 1
        if record["event"] != "frame":
            continue
        accounted = 1 + sum(record["dropped"].values()) + unusable
        step = accounted if before is None else record["sequence"] - before
        message = f"at frame {record['frame']} the driver's numbers go on by {step}, of which {accounted} are accounted for"
        require(step == accounted, message)
        before, unusable = record["sequence"], 0
