"""Logins for the submission port: Cyrus SASL with a sasldb file of its own, as Debian packages it.

Nothing of the system is read or written. Debian's Postfix looks for smtpd.conf in
$config_directory/sasl, others in $cyrus_sasl_config_path: both are our file, which points to our
sasldb.
"""

import os
import shutil
import subprocess
from pathlib import Path


def create(config_directory, database, hostname, logins):
    """Writes <config_directory>/sasl/smtpd.conf and the file `database` with `logins`, {login:
    password}. A login without "@" belongs to the realm `hostname`, which must be Postfix's
    myhostname; {auth_authen} is the login as the client gave it. Returns the value for
    cyrus_sasl_config_path."""
    directory = Path(config_directory) / "sasl"
    directory.mkdir(mode=0o755)
    for login, password in logins.items():
        user, _, realm = login.partition("@")
        subprocess.run(["/usr/sbin/saslpasswd2", "-p", "-c", "-f", database, "-u", realm or hostname, user],
                       input=password.encode() + b"\n", check=True, capture_output=True)
    if logins:
        shutil.chown(database, "postfix", "postfix")
        os.chmod(database, 0o600)
    (directory / "smtpd.conf").write_text(
        "pwcheck_method: auxprop\n"
        "auxprop_plugin: sasldb\n"
        f"sasldb_path: {database}\n"
        "mech_list: PLAIN LOGIN\n")
    return directory
