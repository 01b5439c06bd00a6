"""python3 -m entra -c config.json: plays Microsoft Entra ID's token endpoint, see README.md."""

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path

from .server import Server


def main():
    parser = argparse.ArgumentParser(prog="entra", description="A stand-in for Microsoft Entra ID's token endpoint.")
    parser.add_argument("-c", "--config", required=True, help="a JSON file, see README.md")
    options = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        server = Server(json.loads(Path(options.config).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"entra: {options.config}: {type(error).__name__}: {error}", file=sys.stderr)
        return 78
    server.announce()
    ended.wait()
    server.journal.write("stopped")
    sys.stderr.flush()
    os._exit(0)  # connections that wait for something end with the program


if __name__ == "__main__":
    sys.exit(main())
