"""Waits for something to be written in a directory, by inotify: the moment itself, no polling."""

import ctypes
import os
import select
import struct
import time

_MODIFY, _CREATE = 0x2, 0x100
_EVENT = struct.Struct("iIII")


class Watch:
    """Events from its creation on are seen. To be closed."""

    def __init__(self, directory):
        libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        added = libc.inotify_add_watch(self.descriptor, os.fsencode(directory), _MODIFY | _CREATE)
        if self.descriptor < 0 or added < 0:
            raise OSError(ctypes.get_errno(), f"cannot watch {directory}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.descriptor)

    def wait(self, ending, timeout, count=1):
        """Until the `count`-th write to a file whose name ends so, or has been made. False when that takes longer."""
        end = time.monotonic() + timeout
        while count > 0:
            if not select.select([self.descriptor], [], [], max(0.0, end - time.monotonic()))[0]:
                return False
            count -= sum(name.endswith(ending) for name in self._names())
        return True

    def _names(self):
        data = os.read(self.descriptor, 65536)
        place = 0
        while place < len(data):
            *_, length = _EVENT.unpack_from(data, place)
            place += _EVENT.size + length
            yield data[place - length:place].rstrip(b"\0").decode()
