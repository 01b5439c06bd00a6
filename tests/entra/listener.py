"""A port on the loopback, and a thread for each connection to it. It can go away and come back."""

import contextlib
import socket
import threading


class Listener:
    def __init__(self, place, serve):
        """`place`: (address, port), port 0 takes a free one. `serve(stream)` has a connection to itself and runs in a
        thread of its own; the stream is closed afterwards."""
        self._place, self._serve = place, serve
        self._lock = threading.Lock()
        self._streams = set()
        self._socket = None
        self.open()

    @property
    def port(self):
        return self._place[1]

    def open(self):
        """Listens (again), always on the same port."""
        with self._lock:
            if self._socket is not None:
                return
            self._socket = socket.create_server(self._place, backlog=256)
            self._place = self._socket.getsockname()[:2]
            threading.Thread(target=self._accept, args=(self._socket,), daemon=True).start()

    def close(self):
        """From now on connections are refused; those that there are end."""
        with self._lock:
            if self._socket is None:
                return
            # accept() in the other thread would keep the port open until it returns.
            self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None
        self.drop()

    def drop(self):
        """Ends all connections; returns how many."""
        with self._lock:
            streams = list(self._streams)
            for stream in streams:
                with contextlib.suppress(OSError):
                    stream.shutdown(socket.SHUT_RDWR)
        return len(streams)

    def _accept(self, listening):
        while True:
            try:
                stream, _ = listening.accept()
            except OSError:
                return
            with self._lock:
                if self._socket is not listening:
                    stream.close()
                    return
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # TLS takes the socket itself away; this one is still good to end the connection by.
                guard = stream.dup()
                self._streams.add(guard)
            threading.Thread(target=self._run, args=(stream, guard), daemon=True).start()

    def _run(self, stream, guard):
        try:
            with stream:
                self._serve(stream)
        except OSError:
            pass  # the client's end of it
        finally:
            with self._lock:
                self._streams.discard(guard)
                guard.close()
