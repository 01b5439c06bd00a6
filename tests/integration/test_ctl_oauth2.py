"""post365 login, logout, token, oauth2: the admin's side of OAuth2."""

import pwd
import re
import ssl
import stat
import subprocess
import time

import pytest

from harness import command, workplace

OWNER = pwd.getpwnam(workplace.USER)


class Settings:
    """A configuration directory for the command alone."""

    def __init__(self, directory, **parameters):
        self.directory = directory
        self.etc = directory / "etc"
        self.etc.mkdir()
        parameters = {"compatibility_level": "3.6", "queue_directory": directory, "relayhost": "[smtp.office365.com]:587",
                      "post365_user": workplace.USER, "post365_oauth2_user": workplace.USER, "post365_upn": "relay@contoso.com",
                      **parameters}
        (self.etc / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in parameters.items()))
        (self.etc / "master.cf").write_text("")

    def run(self, *words, **options):
        return command.run(self.etc, *words, **options)


@pytest.fixture
def settings(place):
    return Settings(place.directory)


# --- oauth2 certificate ---

def test_a_pair_is_made_and_what_to_do_with_it_is_said(settings):
    done = settings.run("oauth2", "certificate", "relay")
    assert (done.returncode, done.stderr) == (0, "")
    key, certificate = settings.etc / "post365/relay.key", settings.etc / "post365/relay.pem"
    found = key.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o600, OWNER.pw_uid, OWNER.pw_gid)
    assert stat.S_IMODE(certificate.stat().st_mode) == 0o644 and certificate.stat().st_uid == 0
    shown = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-fingerprint", "-sha256", "-enddate"],
                           capture_output=True, text=True, check=True).stdout
    sha256 = re.search("Fingerprint=(.*)", shown).group(1).replace(":", "")
    assert f"SHA-256       {sha256}\n" in done.stdout
    sha1 = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-fingerprint", "-sha1"],
                          capture_output=True, text=True, check=True).stdout.partition("=")[2].strip().replace(":", "")
    assert f"SHA-1         {sha1}\n" in done.stdout
    left = ssl.cert_time_to_seconds(re.search("notAfter=(.*)", shown).group(1)) - time.time()
    assert 729 < left / 86400 < 730
    assert f"certificate_file = {certificate}\n" in done.stdout and f"key_file = {key}\n" in done.stdout
    assert "PRIVATE" not in done.stdout and "PRIVATE" not in certificate.read_text()


def test_nothing_is_overwritten(settings):
    assert settings.run("oauth2", "certificate", "relay").returncode == 0
    directory = settings.etc / "post365"
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    for gone in ("relay.pem", "relay.key"):
        done = settings.run("oauth2", "certificate", "relay")
        assert done.returncode == 73 and f"{directory}/relay." in done.stderr and "not overwritten" in done.stderr
        assert {path.name: path.read_bytes() for path in directory.iterdir()} == before
        (directory / gone).unlink()
        assert settings.run("oauth2", "certificate", "relay").returncode == 73
        (directory / gone).write_bytes(before[gone])
    assert settings.run("oauth2", "certificate", "relay-2").returncode == 0
    (directory / "relay-3.pem").symlink_to("/nowhere")
    assert settings.run("oauth2", "certificate", "relay-3").returncode == 73
    assert not (directory / "relay-3.key").exists()


def test_no_half_pair_is_left_on_a_disk_that_is_full(settings):
    """There is room for the key, and none for the certificate."""
    directory = settings.directory / "small"
    directory.mkdir()
    script = f"""mount -t tmpfs -o size=4k,mode=755 small {directory} || exit 99
        {command.PROGRAM} -c {settings.etc} oauth2 certificate --directory {directory} relay; echo status $?; ls -A {directory}"""
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode == 99:
        pytest.skip("no file system can be mounted here")
    assert "No space left" in done.stderr and f"{directory}/relay.pem" in done.stderr
    assert done.stdout == "status 73\n"


def test_a_key_that_its_user_could_not_read_is_not_made(settings):
    closed = settings.directory / "closed"
    closed.mkdir(mode=0o700)
    done = settings.run("oauth2", "certificate", "--directory", f"{closed}/deep/", "relay")
    assert done.returncode == 73 and "cannot read" in done.stderr and workplace.USER in done.stderr
    assert list(closed.iterdir()) == []
    opened = settings.directory / "opened"
    opened.mkdir()
    opened.chmod(0o777)
    done = settings.run("oauth2", "certificate", "--directory", str(opened), "relay")
    assert done.returncode == 73 and "others than its owner may write" in done.stderr and list(opened.iterdir()) == []


@pytest.mark.parametrize("words", [["certificate"], ["key", "relay"], [], ["certificate", "../relay"], ["certificate", ".relay"],
                                   ["certificate", "a b"], ["certificate", "x" * 51], ["certificate", "a", "b"],
                                   ["certificate", "--directory", "here", "relay"], ["certificate", "--days", "3", "relay"]])
def test_wrong_usage_of_oauth2(settings, words):
    done = settings.run("oauth2", *words)
    assert done.returncode == 2 and done.stdout == "" and len(done.stderr) > 20
    assert not (settings.etc / "post365").exists()


def test_the_key_needs_its_user(place):
    settings = Settings(place.directory, post365_oauth2_user="nobody-of-that-name")
    done = settings.run("oauth2", "certificate", "relay")
    assert done.returncode == 78 and "post365_oauth2_user = nobody-of-that-name" in done.stderr
    done = subprocess.run([command.PROGRAM, "-c", settings.etc, "-o", "post365_oauth2_user=daemon", "oauth2", "certificate", "relay"],
                          user="nobody", group="nogroup", extra_groups=[], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 77 and "root" in done.stderr
    assert not (settings.etc / "post365").exists()
