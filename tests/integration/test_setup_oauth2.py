"""post365 setup takes accounts over that log in with OAuth2 by other programs, and moves others when it is asked to."""

import json
import pwd
import shutil
import subprocess

import pytest
from setup_shapes import RECIPE, SECOND, Shape, applied, make, run_setup, undone

from harness.relay import PASSWORD, UPN
from harness.workplace import USER

TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
SECRET = "s3~cret.Value-of/the+app"
REFRESH = "0.refresh-token-that-nobody-shall-see"
ENDPOINT = f"https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token"
OWNER = f"post365_oauth2_user = {USER}\n"


def rows(done, kind):
    return [row for row in map(json.loads, done.stdout.splitlines()) if row["kind"] == kind]


def shown(*calls):
    return "".join(done.stdout + done.stderr for done in calls)


def value(postfix, name):
    return postfix.command("postconf", "-hx", name).stdout.strip()


def registration_of(postfix, account=UPN):
    return postfix.command("postmap", "-q", account, value(postfix, "post365_oauth2_maps")).stdout.strip()


def lines_of(path):
    return dict(line.split(" = ") for line in path.read_text().splitlines() if not line.startswith("#"))


# --- sasl-xoauth2 ---

@pytest.fixture
def plugin(place):
    """A relay as that plugin's README has it; `chrooted` where its smtp(8) is."""
    def make_it(configuration, tokens=None, chrooted=False, more=""):
        path = f"{place.directory}/tokens/{UPN}"
        shape = Shape(RECIPE + "smtp_sasl_mechanism_filter = xoauth2\n" + OWNER + more,
                      passwords={"[localhost]:{port}": f"{UPN}:{path}"})
        postfix = make(place, shape)
        file = postfix.queue_directory / path[1:] if chrooted else postfix.config_directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"access_token": "a", "expiry": "0", "refresh_token": REFRESH, **(tokens or {})}))
        named = place.directory / "sasl-xoauth2.conf"
        named.write_text(json.dumps(configuration))
        return postfix, str(named)
    return make_it


CONFIGURATION = {"client_id": CLIENT, "client_secret": "", "token_endpoint": ENDPOINT}


@pytest.mark.parametrize("chrooted", [False, True])
def test_the_plugin_is_taken_over(plugin, chrooted):
    postfix, named = plugin(CONFIGURATION, chrooted=chrooted)
    before = postfix.contents()
    done = run_setup(postfix, "--oauth2", named, "--json")
    assert done.returncode == 1 and postfix.contents() == before
    assert {row["name"] for row in rows(done, "change")} >= {f"{TENANT}.cf", "post365_oauth2_maps"}
    assert any(f"post365 login {UPN}" in row["text"] for row in rows(done, "remark"))
    assert not [row for row in rows(done, "duty") if "cannot log in" in row["text"]]
    applied(postfix, "--oauth2", named)
    registration = postfix.config_directory / "post365" / f"{TENANT}.cf"
    assert registration_of(postfix) == str(registration) and registration.stat().st_mode & 0o777 == 0o644
    assert lines_of(registration) == {"tenant": TENANT, "client_id": CLIENT, "grant": "user"}
    assert postfix.command("postconf", "-n").stderr == ""
    again = run_setup(postfix, "--oauth2", named)
    assert again.returncode == 0 and "set up already" in again.stdout
    undone(postfix)
    assert postfix.contents() == before
    assert REFRESH not in shown(done, again)
