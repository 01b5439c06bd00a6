"""The tests' hand on the running program: one JSON object a line into a UNIX socket, one back."""

import json
import os
import socket
import threading

from .problem import Problem


class Control:
    def __init__(self, path, commands):
        """`commands`: {name: function of the request's other fields, which returns a dict or None}."""
        self._commands = commands
        if os.path.exists(path):
            os.unlink(path)
        self._socket = socket.socket(socket.AF_UNIX)
        mask = os.umask(0o177)
        try:
            self._socket.bind(path)
        finally:
            os.umask(mask)
        self._socket.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            stream, _ = self._socket.accept()
            threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _serve(self, stream):
        with stream, stream.makefile("rwb") as lines:
            for line in lines:
                lines.write(json.dumps(self._answer(line)).encode() + b"\n")
                lines.flush()

    def _answer(self, line):
        try:
            request = json.loads(line)
            command = self._commands.get(request.pop("command", None))
            if command is None:
                raise Problem(f"there are the commands {', '.join(sorted(self._commands))}")
            return {**(command(**request) or {}), "ok": True}
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}
