"""A mail provider that writes down all that it is told: STARTTLS, AUTH PLAIN and LOGIN, one message after another.

    authority = Authority(directory)
    provider = place.add(Provider(authority, {"user": "password"})).start()
    ... f"[localhost]:{provider.port}" ... provider.received ... provider.messages ...

It takes what anybody sends who has logged in. `received` is every octet behind STARTTLS, and what was base64 in AUTH
once more in plain text.
"""

import base64
import binascii
import contextlib
import socket
import ssl
import subprocess
import threading
from pathlib import Path


class Authority:
    """A certificate for localhost that vouches for itself, in `ca_file`."""

    def __init__(self, directory):
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        self.ca_file, self.key_file = str(directory / "ca.pem"), str(directory / "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", self.key_file,
                        "-out", self.ca_file, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                       check=True, capture_output=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.ca_file, self.key_file)


class Provider:
    """`logins` are {user: password}."""

    def __init__(self, authority, logins):
        self.authority, self.logins = authority, logins
        self.received = b""
        self.messages = []  # (user, sender, recipients, data)
        self.refused = []  # users
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def start(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError, ssl.SSLError, EOFError), connection:
            lines = connection.makefile("rb")
            connection.sendall(b"220 localhost\r\n")
            while True:
                line = lines.readline().upper()
                if line.startswith(b"EHLO"):
                    connection.sendall(b"250-localhost\r\n250 STARTTLS\r\n")
                elif line.startswith(b"STARTTLS"):
                    connection.sendall(b"220 go\r\n")
                    break
                else:
                    return
            with self.authority.context.wrap_socket(connection, server_side=True) as secure:
                self._talk(secure, secure.makefile("rb"))

    def _read(self, lines):
        line = lines.readline()
        if not line:
            raise EOFError
        with self.lock:
            self.received += line
        return line.rstrip(b"\r\n")

    def _decode(self, word):
        try:
            plain = base64.b64decode(word, validate=True)
        except binascii.Error:
            plain = b""
        with self.lock:
            self.received += b"\n" + plain + b"\n"
        return plain

    def _authenticate(self, stream, lines, words):
        mechanism = words[1].upper()
        if mechanism == b"LOGIN":
            stream.sendall(b"334 VXNlcm5hbWU6\r\n")
            user = self._decode(self._read(lines))
            stream.sendall(b"334 UGFzc3dvcmQ6\r\n")
            password = self._decode(self._read(lines))
        else:
            if len(words) < 3:
                stream.sendall(b"334 \r\n")
                words.append(self._read(lines))
            _, user, password = [*self._decode(words[2]).split(b"\0"), b"", b""][:3]
        if self.logins.get(user.decode()) == password.decode():
            stream.sendall(b"235 2.7.0 ok\r\n")
            return user.decode()
        self.refused.append(user.decode())
        stream.sendall(b"535 5.7.8 no\r\n")
        return None

    def _talk(self, stream, lines):
        user, sender, recipients = None, None, []
        while True:
            line = self._read(lines)
            words = line.split(b" ")
            verb = words[0].upper()
            if verb == b"EHLO":
                stream.sendall(b"250-localhost\r\n250-8BITMIME\r\n250-DSN\r\n250 AUTH PLAIN LOGIN\r\n")
            elif verb == b"AUTH":
                user = self._authenticate(stream, lines, words)
            elif verb == b"MAIL" and user is None:
                stream.sendall(b"530 5.7.0 authenticate\r\n")
            elif verb == b"MAIL":
                sender, recipients = line.split(b"<")[1].split(b">")[0].decode(), []
                stream.sendall(b"250 2.1.0 ok\r\n")
            elif verb == b"RCPT":
                recipients.append(line.split(b"<")[1].split(b">")[0].decode())
                stream.sendall(b"250 2.1.5 ok\r\n")
            elif verb == b"DATA":
                stream.sendall(b"354 go\r\n")
                data = b""
                while (body := self._read(lines)) != b".":
                    data += body + b"\r\n"
                with self.lock:
                    self.messages.append((user, sender, tuple(recipients), data))
                stream.sendall(b"250 2.0.0 taken\r\n")
            elif verb == b"QUIT":
                stream.sendall(b"221 2.0.0 bye\r\n")
                return
            else:
                stream.sendall(b"250 2.0.0 ok\r\n")
