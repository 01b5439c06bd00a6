"""A private Postfix with the main.cf and master.cf of somebody else's.

    postfix = place.add(GivenPostfix(place.directory / "postfix", main="relayhost = ...\\n", master=None))

What keeps it apart from the system's own Postfix stands before the given main.cf, in one block, unless
that sets it itself. Nothing rewrites the files afterwards: they are what the test is about.
"""

import re
from pathlib import Path

from .postfix import Postfix, age
from .workplace import USER

# As the package brings it.
DEBIAN_MAIN = Path("/usr/share/postfix/main.cf.debian").read_text()
_DEBIAN_MASTER = Path("/usr/share/postfix/master.cf.dist").read_text()


def debian_master(submission=""):
    """Debian's master.cf, with our ports for smtp and submission and nothing chrooted. `submission`
    are lines behind the service of that name."""
    text = re.sub(r"^((?:\S+\s+){4})y(\s)", r"\1n\2", _DEBIAN_MASTER, flags=re.M)
    services = ("127.0.0.1:{smtp_port} inet  n       -       n       -       -       smtpd\n"
                "127.0.0.1:{submission_port} inet n      -       n       -       -       smtpd\n" + submission)
    return re.sub(r"^smtp +inet .*\n", lambda _: services, text, count=1, flags=re.M)


class GivenPostfix(Postfix):
    """`main` and `master` are texts; in `master` {smtp_port} and {submission_port} stand for the
    ports, and None is Debian's. `{etc}` in both is the configuration directory."""

    def __init__(self, directory, main, master=None):
        self._given = {"main.cf": main, "master.cf": master or debian_master()}
        self._is_written = False
        super().__init__(directory)

    def configure(self, parameters):
        if self._is_written:
            raise RuntimeError("these files are given; edit() them")
        self._is_written = True
        for name in ("main.cf", "master.cf"):
            text = self._given[name]
            for key, value in {"etc": self.config_directory, "smtp_port": self.smtp_port,
                               "submission_port": self.submission_port}.items():
                text = text.replace(f"{{{key}}}", str(value))
            self._write_bytes(name, (self._apart(text) if name == "main.cf" else "") + text)

    def _apart(self, text):
        own = {**self.parameters, "post365_user": USER, "post365_ledger": self.directory / "ledger"}
        return "".join(f"{name} = {value}\n" for name, value in own.items()
                       if not re.search(rf"^{name}\s*=", text, re.M)) + "\n"

    def _write_bytes(self, name, text):
        path = self.config_directory / name
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        age(path)

    def contents(self):
        """{name: (bytes, mode, owner, group)} of all files of the configuration directory, in its
        subdirectories, too."""
        found = {}
        for path in sorted(self.config_directory.rglob("*")):
            status = path.lstat()
            data = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
            found[str(path.relative_to(self.config_directory))] = (data, status.st_mode, status.st_uid, status.st_gid)
        return found
