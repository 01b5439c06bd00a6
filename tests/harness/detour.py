"""A way to the stand-in for Entra's token endpoint on which connections go wrong, until it is mended.

    detour = place.add(Detour(entra, "expired", directory))
    app.write(authority=detour.authority)
    ...
    detour.mend()

The stand-in's own faults are about all connections, or about requests of some application; this is about the connections of
some applications.
"""

import socket

from entra import http
from entra.certificates import WRONG, Certificates
from entra.listener import Listener
from entra.proxy import pass_on

TROUBLES = ("refused", "reset", "silence", *WRONG)


class Detour:
    """`trouble` is one of TROUBLES. With a certificate of WRONG, `certificates` are those to show."""

    def __init__(self, entra, trouble, certificates=None):
        if trouble not in TROUBLES or (trouble in WRONG and certificates is None):
            raise ValueError(f"no such trouble: {trouble}")
        self.entra, self.trouble = entra, trouble
        self._certificates = certificates
        self._listener = Listener(("127.0.0.1", 0), self._serve)
        if trouble == "refused":
            self._listener.close()

    @property
    def authority(self):
        return f"https://localhost:{self._listener.port}"

    def mend(self):
        """From now on all connections reach the stand-in."""
        self.trouble = None
        self._listener.drop()
        self._listener.open()

    def stop(self):
        self._listener.close()

    def _serve(self, stream):
        if self.trouble is None:
            pass_on(stream, socket.create_connection(("127.0.0.1", self.entra.port)))
        elif self.trouble == "reset":
            http.reset(stream)
        elif self.trouble == "silence":
            while stream.recv(65536):
                pass
        elif self.trouble in WRONG:
            self._certificates.contexts[self.trouble].wrap_socket(stream, server_side=True).close()


def certificates(entra, directory):
    """Those of the stand-in's kinds, of its own authority where they should be."""
    directory.mkdir(mode=0o700)
    return Certificates(directory, entra.settings.get("authority_directory", entra.settings["state_directory"]))
