"""An HTTP proxy that knows CONNECT alone. Names of Microsoft's lead to the endpoint, whatever their port is."""

import base64
import hmac
import socket
import threading

from .certificates import HOSTNAMES
from .http import Answer, octets


class Proxy:
    def __init__(self, journal, faults, endpoint_port):
        """`endpoint_port()` is the port of the endpoint at the moment."""
        self.journal, self.faults, self.endpoint_port = journal, faults, endpoint_port
        self.login = None  # "user:password" that it asks for

    def serve(self, connection, request):
        """One request on a Connection, after which it ends. Of a fault its status and its action count."""
        fault = self.faults.match("answer", kind="proxy")
        status, place = (fault.status, None) if fault and fault.status else self._judge(request)
        # A proxy's user name and password never get into the journal.
        self.journal.write("proxy", method=request.method, target=request.target.split("?")[0], status=status)
        if fault and not self.faults.act(fault, connection, b""):
            return
        if status != 200:
            headers = {"Proxy-Authenticate": 'Basic realm="proxy"'} if status == 407 else {}
            connection.write(octets(Answer(status, {"Content-Type": "text/plain", "Connection": "close", **headers},
                                           b"The proxy says no.\n")))
            return
        try:
            onward = socket.create_connection(place, 10)
        except OSError:
            connection.write(octets(Answer(502, {"Connection": "close"})))
            return
        connection.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        pass_on(connection.stream, onward)

    def _judge(self, request):
        """(status, where it leads)"""
        if self.login is not None:
            right = "Basic " + base64.b64encode(self.login.encode()).decode()
            if not hmac.compare_digest(request.headers.get("proxy-authorization", "").encode(), right.encode()):
                return 407, None
        host, _, port = request.target.rpartition(":")
        if request.method != "CONNECT" or not port.isdigit():
            return 405, None
        if host in HOSTNAMES and not (host in ("localhost", "127.0.0.1", "::1") and int(port) != 443):
            return 200, ("127.0.0.1", self.endpoint_port())
        if host in ("localhost", "127.0.0.1"):
            return 200, ("127.0.0.1", int(port))
        return 502, None


def pass_on(stream, onward):
    """All octets in both directions, until both have ended. `onward` is closed."""
    onward.settimeout(None)
    back = threading.Thread(target=_carry, args=(onward, stream), daemon=True)
    back.start()
    _carry(stream, onward)
    back.join()
    onward.close()


def _carry(source, sink):
    """All octets of one direction, and its end."""
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for stream, way in ((sink, socket.SHUT_WR), (source, socket.SHUT_RD)):
        try:
            stream.shutdown(way)
        except OSError:
            pass
