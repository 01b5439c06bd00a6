"""The demo's configuration pleases Postfix: nothing that it says is about post365."""

import pytest

from demo import runs


@pytest.fixture(scope="module")
def demo(module_place):
    """The demo's second relay, running."""
    return runs.prepare(module_place, "post365", with_post365=True)


def test_postconf_prints_no_warning(demo):
    result = demo.relay.postfix.command("postconf", "-n")
    assert result.stderr == ""
    assert "post365_upn" in result.stdout or "post365_milter_socket" in result.stdout


def test_postconf_warns_of_a_name_that_nothing_refers_to(demo):
    """The test above would notice."""
    result = demo.relay.postfix.command("postconf", "-n", "-o", "post365_mistake=1")
    assert "post365_mistake" in result.stderr


def test_postfix_check_says_nothing(demo):
    assert demo.relay.postfix.check() == ""


def test_both_daemons_accept_the_configuration(demo):
    for daemon in (demo.relay.milter, demo.relay.policyd):
        assert daemon.alive()


def test_etc_postfix_is_not_needed(demo):
    """Whatever the system's Postfix is set to, the private one does not look there."""
    assert demo.relay.postfix.postconf("queue_directory") == str(demo.relay.postfix.queue_directory)
    assert demo.relay.postfix.postconf("data_directory") == str(demo.relay.postfix.data_directory)
