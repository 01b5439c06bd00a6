"""One line of JSON for each thing that happened, written whole, in order. Never a secret, a token or a code."""

import json
import threading
import time


class Journal:
    def __init__(self, path):
        self._file = open(path, "ab", buffering=0)
        self._lock = threading.Lock()

    def write(self, event, **details):
        entry = {"time": time.time(), "mono": time.monotonic(), "event": event, **details}
        line = json.dumps({name: value for name, value in entry.items() if value is not None}).encode() + b"\n"
        with self._lock:
            self._file.write(line)
