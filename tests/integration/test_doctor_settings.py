"""post365 doctor on main.cf and master.cf: it finds each of the usual mistakes, and changes nothing."""

import grp
import json
import os
import pwd
import shutil

import pytest
from doctoring import examine, forget, read, state
from setup_shapes import run_setup

from harness import processes
from harness.office365 import Office365
from harness.relay import PASSWORD, UPN, Relay
from harness.workplace import USER

PORT = 9  # discard: nobody listens there
# What no daemon of this relay runs for.
DOWN = {"milter-socket", "policy-socket", "transport-socket", "account-socket", "connect", "banner", "ehlo", "starttls", "tls",
        "certificate", "mechanisms", "auth", "ledger"}


class Standin:
    """In the place of a stand-in that nobody speaks to."""
    port = PORT
    ca_file = "/etc/ssl/certs/ca-certificates.crt"


@pytest.fixture
def relay(place):
    """With the transport; nothing of it runs."""
    return Relay(place.directory / "relay", Standin(), post365={}, transport=[UPN])


@pytest.fixture
def plain(place):
    """Without the transport."""
    return Relay(place.directory / "relay", Standin(), post365={})


def mistakes(found):
    return [check for check in found.not_ok() if check not in DOWN]


def change_master(relay, old, new):
    path = relay.postfix.config_directory / "master.cf"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def setup_changes(relay):
    """Whether setup would change something; where it cannot look it may."""
    done = run_setup(relay.postfix, "--json")
    return done.returncode == 78 or any(json.loads(line)["kind"] == "change" for line in done.stdout.splitlines())


def check(relay, mistake, verdict="wrong", seen="", remedy="", others=()):
    """The doctor finds this and nothing else, says so to people, too, and leaves everything as it was."""
    where = (relay.postfix.config_directory, relay.postfix.queue_directory, relay.postfix.data_directory)
    before = state(*where)
    found = examine(relay)
    assert state(*where) == before
    assert found.status == 1 and mistakes(found) == [mistake, *others], found.text
    assert found.errors == ""
    finding = found[mistake]
    assert finding["verdict"] == verdict, finding
    assert seen in finding["seen"] and remedy in finding["remedy"], finding
    assert finding["meaning"]
    text = " ".join(read(relay).text.split())
    wrong = any(found[one]["verdict"] == "wrong" for one in (mistake, *others))
    assert ("post365 setup shows what" in text) is (wrong and setup_changes(relay))
    assert f"{verdict} {finding['tried']}: " in text and " ".join(finding["remedy"].split()) in text


@pytest.mark.parametrize("name", ["relay", "plain"])
def test_without_a_mistake(request, name):
    found = examine(request.getfixturevalue(name))
    assert mistakes(found) == [], found.text


# --- milters ---

def test_the_milter_is_missing_for_smtp(relay):
    relay.postfix.configure({"smtpd_milters": "inet:127.0.0.1:8891", "non_smtpd_milters": "unix:post365/milter"})
    found = examine(relay)
    assert found.verdict("smtpd-milters") == "warning" and "unix:post365/milter" in found["smtpd-milters"]["remedy"]


def test_the_milter_is_missing_for_sendmail(relay):
    relay.postfix.configure({"non_smtpd_milters": None})
    check(relay, "non-smtpd-milters", "warning", seen="empty", remedy="`non_smtpd_milters = $smtpd_milters`")


def test_a_submission_service_has_no_milter(relay):
    change_master(relay, "  -o syslog_name=postfix/submission\n", "  -o syslog_name=postfix/submission\n  -o smtpd_milters=\n")
    check(relay, "service-milters", "warning", seen="empty", remedy="take `-o smtpd_milters=...` from 127.0.0.1:")


def test_a_service_with_the_milter_among_others_is_fine(relay):
    change_master(relay, "  -o syslog_name=postfix/submission\n", "  -o syslog_name=postfix/submission\n"
                  "  -o { smtpd_milters = inet:127.0.0.1:8891, { local:post365/milter, connect_timeout=10s } }\n")
    assert mistakes(examine(relay)) == []


def test_a_service_passes_milters_by(relay):
    change_master(relay, "  -o syslog_name=postfix/submission\n",
                  "  -o syslog_name=postfix/submission\n  -o receive_override_options=no_milters\n")
    check(relay, "no-milters", "warning", seen="no_milters")


@pytest.mark.parametrize("name, action, verdict", [
    ("relay", "reject", "warning"), ("relay", "quarantine", "warning"), ("plain", "accept", "wrong"), ("plain", "reject", "warning")])
def test_mail_passes_a_milter_that_is_down(request, name, action, verdict):
    relay = request.getfixturevalue(name)
    relay.postfix.configure({"milter_default_action": action})
    check(relay, "milter-default-action", verdict, seen=action, remedy="`milter_default_action = tempfail`")


def test_the_transport_mends_what_passes_a_milter_that_is_down(relay):
    relay.postfix.configure({"milter_default_action": "accept"})
    assert mistakes(examine(relay)) == []


def test_logins_may_not_pass_a_milter_that_is_down(relay):
    mentioned = relay.postfix.parameters["smtpd_milters"] + "${post365_login_upn_maps?}"
    relay.postfix.configure({"milter_default_action": "accept", "smtpd_milters": mentioned,
                             "post365_login_upn_maps": f"inline:{{ {{ joe = {UPN} }} }}"})
    check(relay, "milter-default-action", "warning", seen="accept")


def test_mail_passes_this_milter_when_it_is_down(plain):
    plain.postfix.configure({"smtpd_milters": "{ unix:post365/milter, default_action = accept }${post365_meter?}"})
    found = examine(plain)
    bad = [finding for finding in found.all("milter-default-action") if finding["verdict"] != "ok"]
    assert [finding["tried"] for finding in bad] == ["default_action in smtpd_milters", "default_action in non_smtpd_milters"]
    assert {finding["seen"] for finding in bad} == {"accept"}


def test_bounces_pass_no_milter(relay):
    relay.postfix.configure({"internal_mail_filter_classes": "notify"})
    check(relay, "bounces", "warning", seen="notify", remedy="`internal_mail_filter_classes = bounce, notify`")


@pytest.mark.parametrize("value", ["", "bounce", "nobounce, notify"])
def test_what_postfix_writes_itself_is_lost_without_the_transport(plain, value):
    plain.postfix.configure({"internal_mail_filter_classes": value})
    check(plain, "bounces")


# --- who delivers and who counts ---

def test_mail_goes_past_the_transport(relay):
    relay.postfix.configure({"default_transport": "smtp"})
    check(relay, "default-transport", seen="smtp", remedy="`default_transport = post365:unix:post365/transport`")


def test_mail_is_counted_twice(plain):
    change_master(plain, "anvil     unix", "post365 unix - - n - 500 lmtp\nanvil     unix")
    plain.postfix.configure({})  # writes master.cf anew
    plain.postfix.configure({"default_transport": "post365:unix:post365/transport"})
    check(plain, "default-transport", seen="post365:", remedy="take post365_meter out")


def test_no_service_in_master(relay):
    change_master(relay, "post365   unix", "post364   unix")
    check(relay, "transport-service", seen="is not there", remedy="/usr/share/post365/master.cf")


def test_the_service_is_no_lmtp(relay):
    change_master(relay, "500     lmtp", "500     smtp")
    check(relay, "transport-service", seen="smtp")


def test_the_service_lacks_its_options(relay):
    change_master(relay, "  -o lmtp_send_xforward_command=yes\n  -o lmtp_data_init_timeout=300s\n", "")
    found = examine(relay)
    assert mistakes(found) == ["transport-option"] * 2
    assert [finding["remedy"].count("`-o lmtp_") for finding in found.all("transport-option")] == [1, 1]


@pytest.mark.parametrize("limit", ["1", "500"])
def test_a_concurrency_that_is_not_sane(relay, limit):
    relay.postfix.configure({"post365_destination_concurrency_limit": limit})
    found = examine(relay)
    assert found.verdict("concurrency") == "warning" and "concurrency_limit = 10" in found["concurrency"]["remedy"]


def test_one_account_occupies_all_processes(relay):
    change_master(relay, "500     lmtp", "5     lmtp")
    check(relay, "processes", "warning", seen="at most 5")


@pytest.mark.parametrize("type_", ["texthash", "hash"])
def test_a_transport_table_leads_past(relay, type_):
    table = relay.postfix.table("transport", {"*": "smtp:", "intern.example": "smtp:[10.0.0.1]", "local.example": "local:"}, type_)
    relay.postfix.configure({"transport_maps": table})
    check(relay, "transport-maps", seen="* smtp:")
    assert "example" not in examine(relay)["transport-maps"]["seen"]


@pytest.mark.parametrize("value", [
    "static:smtp:", "inline:{ { contoso.com = relay:[smtp.office365.com]:587 } }", "inline:{ { contoso.com = :[localhost]:9 } }"])
def test_a_transport_table_leads_past_for_some(relay, value):
    relay.postfix.configure({"transport_maps": value})
    check(relay, "transport-maps")


def test_a_transport_table_for_servers_of_ones_own(relay):
    relay.postfix.configure({"transport_maps":
                             "inline:{ { local.example = local: }, { intern.example = smtp:[10.0.0.1] }, { contoso.com = : } }"})
    assert mistakes(examine(relay)) == []


def test_a_sender_goes_past_the_transport(relay):
    relay.postfix.configure({"sender_dependent_default_transport_maps":
                             f"inline:{{ {{ {UPN} = post365:unix:post365/accounts/{UPN} }}, {{ @joe.example = smtp: }} }}"})
    check(relay, "sender-transports", seen="@joe.example smtp:")


def test_an_account_without_a_destination_of_its_own(relay):
    relay.postfix.configure({"sender_dependent_default_transport_maps": None})
    check(relay, "account-destination", "warning", seen="none of its own",
          remedy=f"{{ {UPN} = post365:unix:post365/accounts/{UPN} }}")


OTHERS = "{ news@joe.example = [smtp.mailgun.example]:587 }, { @kim.example = mail.kim.example }"


def test_mail_for_another_server_is_handed_to_the_transport(relay):
    relay.postfix.configure({"sender_dependent_relayhost_maps": f"inline:{{ {OTHERS}, {{ hve@contoso.com = smtp-hve.office365.com }} }}"})
    found = examine(relay)
    assert found.verdict("sender-relayhosts") == "wrong"
    seen = found["sender-relayhosts"]["seen"]
    assert "news@joe.example, for [smtp.mailgun.example]:587" in seen and "@kim.example" in seen and "hve" not in seen


def test_mail_for_another_server_goes_there(relay):
    relay.postfix.configure({"sender_dependent_relayhost_maps": f"inline:{{ {OTHERS} }}",
                             "sender_dependent_default_transport_maps":
                             f"inline:{{ {{ {UPN} = post365:unix:post365/accounts/{UPN} }}, {{ @kim.example = smtp: }},"
                             " { news@joe.example = smtp: } }"})
    found = examine(relay)
    assert mistakes(found) == [] and found.verdict("sender-relayhosts") == "ok"


def test_whose_mail_is_for_another_server_cannot_be_listed(relay):
    (relay.postfix.config_directory / "relays").write_text("/@joe\\.example$/ [mail.example]\n")
    relay.postfix.configure({"sender_dependent_relayhost_maps": f"regexp:{relay.postfix.config_directory}/relays"})
    check(relay, "sender-relayhosts", "warning", seen="cannot be listed")


# --- relayhost and passwords ---

@pytest.mark.parametrize("relayhost, key", [("[localhost]:9", "localhost:9"), ("localhost:9", "[localhost]:9")])
@pytest.mark.parametrize("name", ["relay", "plain"])
def test_relayhost_is_spelled_unlike_its_line(request, name, relayhost, key):
    relay = request.getfixturevalue(name)
    relay.postfix.configure({"relayhost": relayhost})
    relay.postfix.table("sasl_passwd", {key: f"{UPN}:{PASSWORD}"}, "texthash", mode=0o600)
    found = examine(relay)
    assert found.verdict("relayhost-credentials") == "wrong" and f"one for {key}" in found["relayhost-credentials"]["seen"]
    assert f"`{relayhost} relay@contoso.com:password`" in found["relayhost-credentials"]["remedy"]
    assert found.verdict("default-account") == "wrong"


def test_relayhost_is_misspelled(relay):
    relay.postfix.table("sasl_passwd", {UPN: f"{UPN}:{PASSWORD}", "[localhost]:9": f"{UPN}:{PASSWORD}"}, "texthash", mode=0o600)
    relay.postfix.configure({"relayhost": "[localhots]:9"})
    found = examine(relay)["relayhost-credentials"]
    assert found["verdict"] == "wrong" and "one for [localhost]:9" in found["seen"]
    assert "If relayhost is misspelled, correct it" in found["remedy"]


def test_no_line_for_relayhost_where_an_account_is_named(relay):
    relay.postfix.table("sasl_passwd", {UPN: f"{UPN}:{PASSWORD}"}, "texthash", mode=0o600)
    mentioned = relay.postfix.parameters["smtpd_milters"] + "${post365_upn?}"
    relay.postfix.configure({"post365_upn": UPN, "smtpd_milters": mentioned})
    assert mistakes(examine(relay)) == []


@pytest.mark.parametrize("relayhost, verdict, seen", [
    ("[localhost]:465", "wrong", "465"), ("[localhost]:25", "warning", "25"), ("[localhost]:junk", "wrong", "the port is none"),
    ("", "wrong", "there is no destination")])
def test_relayhost_is_of_no_use(relay, relayhost, verdict, seen):
    relay.postfix.configure({"relayhost": relayhost})
    found = examine(relay)
    assert found.verdict("relayhost") == verdict and seen in found["relayhost"]["seen"]
    assert "[smtp.office365.com]:587" in found["relayhost"]["remedy"]


def test_an_index_is_missing(relay):
    table = relay.postfix.table("sasl_passwd", {f"[localhost]:{PORT}": f"{UPN}:{PASSWORD}"}, "hash", mode=0o600)
    relay.postfix.configure({"smtp_sasl_password_maps": table})
    os.unlink(relay.postfix.config_directory / "sasl_passwd.db")
    found = examine(relay)
    assert found.verdict("index") == "wrong" and found["index"]["remedy"] == f"`postmap {table}`"
    assert found.verdict("credentials") == "wrong" and "postmap" in found["credentials"]["seen"]


def test_an_index_is_older_than_its_source(relay):
    table = relay.postfix.table("sasl_passwd", {f"[localhost]:{PORT}": f"{UPN}:{PASSWORD}"}, "hash", mode=0o600)
    relay.postfix.configure({"smtp_sasl_password_maps": table})
    assert mistakes(examine(relay)) == []
    path = relay.postfix.config_directory / "sasl_passwd.db"
    os.utime(path, ns=(0, path.stat().st_mtime_ns - 60 * 10**9))
    check(relay, "index", seen="older than its source", remedy=f"`postmap {table}`")


def test_everybody_may_read_the_passwords(relay):
    (relay.postfix.config_directory / "sasl_passwd").chmod(0o644)
    check(relay, "password-file", seen="mode 0644", remedy="chmod 600")


def give_to_group(path, group):
    os.chown(path, 0, group)
    path.chmod(0o640)


def test_who_may_ask_may_read_the_passwords(relay):
    path = relay.postfix.config_directory / "sasl_passwd"
    give_to_group(path, pwd.getpwnam(USER).pw_gid)
    check(relay, "password-file", "warning", seen="mode 0640, the group of post365_user", remedy=f"chown root: {path}; chmod 600 {path}")


def test_who_may_ask_may_read_the_index_of_the_passwords(relay):
    table = relay.postfix.table("sasl_passwd", {f"[localhost]:{PORT}": f"{UPN}:{PASSWORD}"}, "hash", mode=0o600)
    relay.postfix.configure({"smtp_sasl_password_maps": table})
    path = relay.postfix.config_directory / "sasl_passwd.db"
    give_to_group(path, pwd.getpwnam(USER).pw_gid)
    check(relay, "password-file", "warning", seen="the group of post365_user", remedy=f"chown root: {path}")


@pytest.mark.parametrize("mode, group", [(0o640, "root"), (0o640, "postfix"), (0o600, USER)])
def test_another_group_may_read_the_passwords(relay, mode, group):
    path = relay.postfix.config_directory / "sasl_passwd"
    give_to_group(path, grp.getgrnam(group).gr_gid)
    path.chmod(mode)
    assert mistakes(examine(relay)) == []


def test_passwords_in_main_cf(relay):
    relay.postfix.configure({"smtp_sasl_password_maps": f"inline:{{ {{ [localhost]:{PORT} = {UPN}:{PASSWORD} }} }}"})
    check(relay, "password-file", "warning")


def test_a_parameter_that_postconf_warns_about(relay):
    relay.postfix.configure({"post365_max_wait": "30s"})
    check(relay, "unused-parameters", "warning", seen="post365_max_wait", remedy="${NAME?}")


# --- older recipes ---

FROM = "/^From:.*/ REPLACE From: relay@example.com\n"


@pytest.mark.parametrize("parameter, value, mistake, verdict", [
    ("smtp_header_checks", FROM, "smtp-header-checks", "warning"),  # nobody delivers by smtp(8) here
    ("lmtp_header_checks", FROM, "lmtp-header-checks", "wrong"),
    ("header_checks", FROM, "header-checks", "wrong"),
    ("sender_canonical_maps", "static:relay@example.com", "sender-canonical", "wrong"),
    ("sender_canonical_maps", "/.+/ relay@example.com\n", "sender-canonical", "wrong"),
    ("lmtp_generic_maps", "/^(.*)@(.*)$/ relay@example.com\n", "lmtp-generic", "wrong")])
def test_an_older_recipe_rewrites_senders(relay, parameter, value, mistake, verdict):
    if not value.startswith("static:"):
        value = relay.postfix.table("recipe", value, "regexp")
    relay.postfix.configure({parameter: value})
    check(relay, mistake, verdict, seen="relay@example.com", remedy=f"take {parameter} out")


def test_an_older_recipe_without_the_transport(plain):
    plain.postfix.configure({"smtp_header_checks": plain.postfix.table("recipe", FROM, "regexp")})
    check(plain, "smtp-header-checks", seen="REPLACE")


def test_tables_for_some_are_no_recipe_for_all(relay):
    checks = relay.postfix.table("checks", "/^X-Spam:/ IGNORE\n/^From: mallory@/ REJECT\n", "regexp")
    relay.postfix.configure({"header_checks": checks, "sender_canonical_maps": "inline:{ { joe@example.com = ann@example.com } }"})
    assert mistakes(examine(relay)) == []


# --- without the transport ---

@pytest.mark.parametrize("parameters, mistake, seen, remedy", [
    ({"smtp_sasl_security_options": "noplaintext, noanonymous"}, "client-plaintext", "noplaintext", "= noanonymous"),
    ({"smtp_sasl_security_options": None}, "client-plaintext", "noplaintext", "= noanonymous"),
    ({"smtp_sasl_auth_enable": "no"}, "client-auth", "no", "`smtp_sasl_auth_enable = yes`"),
    ({"smtp_tls_security_level": "may"}, "client-tls", "may", "`smtp_tls_security_level = secure`"),
    ({"smtp_reply_filter": None}, "reply-filter", "empty", "office365_replies.regexp"),
    ({"smtpd_end_of_data_restrictions": None}, "policy-service", "no list", "check_policy_service { unix:post365/policy"),
    ({"smtpd_end_of_data_restrictions": None, "smtpd_recipient_restrictions":
      "permit_mynetworks, check_policy_service unix:post365/policy, reject"}, "policy-service", "smtpd_recipient_restrictions alone",
     "smtpd_end_of_data_restrictions"),
])
def test_a_client_that_does_not_log_in_or_count(plain, parameters, mistake, seen, remedy):
    plain.postfix.configure(parameters)
    check(plain, mistake, seen=seen, remedy=remedy)


def test_relayhost_without_brackets(plain):
    plain.postfix.configure({"relayhost": f"localhost:{PORT}"})
    plain.postfix.table("sasl_passwd", {f"localhost:{PORT}": f"{UPN}:{PASSWORD}"}, "texthash", mode=0o600)
    check(plain, "relayhost-brackets", "warning")


def test_a_service_that_does_not_count(plain):
    change_master(plain, "  -o syslog_name=postfix/submission\n",
                  "  -o syslog_name=postfix/submission\n  -o smtpd_end_of_data_restrictions=\n")
    check(plain, "service-policy", seen="empty")


# --- sockets ---

@pytest.fixture
def office365(place):
    return place.add(Office365(place.directory / "office365", mailboxes={UPN: {"password": PASSWORD}})).start()


@pytest.fixture
def start(place, office365):
    """Makes a relay in front of a stand-in; nothing of it runs."""
    made = []

    def make(**post365):
        made.append(place.add(Relay(place.directory / "relay", office365, post365=post365, transport=[UPN])))
        return made[0]
    yield make
    forget(made[0], UPN)


def test_a_socket_outside_the_chroot(place, start):
    outside = place.directory / "outside"
    outside.mkdir()
    shutil.chown(outside, USER, USER)
    relay = start(post365_milter_socket=f"unix:{outside}/milter")
    for daemon in (relay.policyd, relay.transport):
        daemon.start()
    processes.Program.start(relay.milter)
    relay.milter.wait_ready((outside / "milter").exists)
    found = examine(relay)
    assert found.verdict("milter-socket") == "ok" and found.verdict("transport-socket") == "ok"
    change_master(relay, "cleanup   unix  n       -       n", "cleanup   unix  n       -       y")
    found = examine(relay)
    assert found.verdict("milter-socket") == "wrong" and "No such file" in found["milter-socket"]["seen"]
    assert "in its chroot" in found["milter-socket"]["tried"] and "unix:post365/milter" in found["milter-socket"]["remedy"]
    assert found.verdict("policy-socket") == "ok" and "chroot" not in found["transport-socket"]["tried"]
    change_master(relay, "post365   unix  -       -       n", "post365   unix  -       -       y")
    found = examine(relay)
    assert found.verdict("transport-socket") == "ok" and "in its chroot" in found["transport-socket"]["tried"]


def test_a_socket_that_postfix_may_not_reach(start):
    relay = start()
    relay.milter.start()
    (relay.postfix.queue_directory / "post365" / "milter").chmod(0o600)
    found = examine(relay)
    assert found.verdict("milter-socket") == "wrong" and "Permission denied" in found["milter-socket"]["seen"]
    assert "No such file" in found["policy-socket"]["seen"]
    assert found.verdict("account-socket") == "not tried" and found["account-socket"]["account"] == UPN


# --- who may send, what waits, whose addresses ---

SECOND = "ann@example.com"


@pytest.fixture
def of_two(place):
    return Relay(place.directory / "relay", Standin(), post365={}, transport=[UPN, SECOND],
                 passwords={f"[localhost]:{PORT}": f"{UPN}:{PASSWORD}", SECOND: f"{SECOND}:{PASSWORD}"})


def test_everybody_may_send_as_any_of_two(of_two):
    found = examine(of_two)
    assert mistakes(found) == ["local-senders", "login-senders"], found.text
    assert found.verdict("local-senders") == "warning" and "authorized_submit_users" in found["local-senders"]["remedy"]
    assert "reject_sender_login_mismatch" in found["login-senders"]["remedy"]
    of_two.postfix.configure({"authorized_submit_users": "root, www-data",
                              "smtpd_sender_login_maps": f"inline:{{ {{ {UPN} = joe }} }}",
                              "smtpd_sender_restrictions": "reject_sender_login_mismatch"})
    assert mistakes(examine(of_two)) == []


@pytest.mark.parametrize("name, value, verdict", [
    ("maximal_queue_lifetime", "1h", "wrong"), ("maximal_queue_lifetime", "0", "wrong"), ("maximal_queue_lifetime", "30h", "warning"),
    ("bounce_queue_lifetime", "6h", "warning"), ("bounce_queue_lifetime", "1d", "warning")])
def test_mail_is_given_up_too_early(relay, name, value, verdict):
    relay.postfix.configure({name: value})
    check(relay, "queue-lifetime", verdict, seen=value, remedy=f"`{name} = 5d`")


@pytest.mark.parametrize("value", ["5d", "2d", "72h", "1w"])
def test_mail_has_patience(relay, value):
    relay.postfix.configure({"maximal_queue_lifetime": value, "bounce_queue_lifetime": value})
    assert mistakes(examine(relay)) == []


@pytest.mark.parametrize("parameter", ["mydestination", "virtual_alias_domains", "virtual_mailbox_domains"])
def test_colleagues_are_looked_for_here(relay, parameter):
    relay.postfix.configure({parameter: "localhost, example.com"})
    check(relay, "own-domain", "warning", seen="example.com", remedy=f"take it out of {parameter}")


@pytest.mark.parametrize("parameters", [
    {"masquerade_domains": "com"}, {"masquerade_domains": "!other.com com"},
    {"sender_canonical_maps": "inline:{ { relay@example.com = it@example.com } }"},
    {"canonical_maps": "inline:{ { @example.com = relay@intern.example } }"}])
@pytest.mark.parametrize("name", ["relay", "plain"])
def test_the_account_is_changed_behind_the_milter(request, name, parameters):
    """The transport puts that right; without it Microsoft refuses the mail."""
    relay = request.getfixturevalue(name)
    relay.postfix.configure(parameters)
    found = examine(relay)
    assert mistakes(found) == ([] if name == "relay" else ["account-rewritten"]), found.text
    finding = found["account-rewritten"]
    assert ("post365-transport puts that right" in finding["seen"]) is (name == "relay")
    assert next(iter(parameters)) in finding["tried"] and finding["account"] == UPN


@pytest.mark.parametrize("value", ["", "example.com", "!example.com com", "ample.com", "a.example.com"])
def test_masquerading_that_leaves_the_account_alone(plain, value):
    plain.postfix.configure({"masquerade_domains": value})
    assert mistakes(examine(plain)) == [] and examine(plain).all("account-rewritten") == []


# --- ways past the milter ---

def with_service(relay, *options):
    """Another port with these options."""
    lines = "".join(f"  {option}\n" for option in options)
    change_master(relay, "pickup    unix", f"127.0.0.1:2 inet n - n - - smtpd\n{lines}pickup    unix")


@pytest.mark.parametrize("options", [
    ["-o content_filter=", "-o smtpd_milters=", "-o receive_override_options=no_header_body_checks,no_milters"],
    ["-o receive_override_options=no_milters"], ["-oreceive_override_options=no_milters"],
    ["-o smtpd_proxy_filter=127.0.0.1:10024"], ["-o smtpd_milters=", "-o content_filter="]])
def test_a_way_past_the_milter_without_logins_is_fine_with_the_transport(relay, options):
    with_service(relay, *options)
    found = examine(relay)
    assert mistakes(found) == [], found.text
    told = [finding for finding in found.findings if "127.0.0.1:2/inet" in finding["tried"]]
    assert len(told) == 1 and "post365-transport makes right" in told[0]["seen"]


@pytest.mark.parametrize("option", ["-osmtpd_milters=", "-o { smtpd_milters = inet:127.0.0.1:8891 }"])
def test_a_list_to_which_setup_would_add_the_milter_is_told(relay, option):
    with_service(relay, option)
    check(relay, "service-milters", "warning", remedy="127.0.0.1:2/inet")


@pytest.mark.parametrize("option, mistake", [
    ("-o receive_override_options=no_milters", "no-milters"), ("-osmtpd_milters=", "service-milters"),
    ("-o { smtpd_milters = inet:127.0.0.1:8891 }", "service-milters"), ("-o smtpd_proxy_filter=127.0.0.1:10024", "proxy-filter")])
def test_a_way_past_the_milter_loses_logins(relay, option, mistake):
    with_service(relay, option, "-o smtpd_sasl_auth_enable=yes")
    check(relay, mistake, "warning", remedy="127.0.0.1:2/inet" if mistake != "proxy-filter" else "smtpd_proxy_filter")


@pytest.mark.parametrize("value, verdict", [
    ("inline:{ { 192.0.2.1 = DISABLE } }", "warning"), ("cidr:{etc}/maps", "warning"),
    ("inline:{ { 192.0.2.1 = inet:127.0.0.1:8891 unix:post365/milter } }", "ok"),
    ("inline:{ { 192.0.2.1 = unix:post365/milter }, { 192.0.2.2 = DISABLE } }", "warning")])
def test_milters_by_client(relay, value, verdict):
    relay.postfix.table("maps", "192.0.2.0/24 DISABLE\n", "cidr")
    relay.postfix.configure({"smtpd_milter_maps": value.replace("{etc}", str(relay.postfix.config_directory))})
    assert examine(relay).verdict("milter-maps") == verdict


def test_a_service_refuses_mail_when_the_milter_is_down(relay):
    with_service(relay, "-o milter_default_action=reject")
    check(relay, "milter-default-action", "warning", seen="reject", remedy="127.0.0.1:2/inet")


def test_an_old_protocol(relay):
    relay.postfix.configure({"milter_protocol": "4"})
    found = examine(relay)
    assert mistakes(found) == ["milter-protocol"] * 2 and "milter_protocol = 6" in found.all("milter-protocol")[0]["remedy"]


def test_the_queue_manager_holds_it_all(relay):
    relay.postfix.configure({"defer_transports": "smtp post365"})
    check(relay, "defer-transports", seen="post365", remedy="take post365 out")


@pytest.mark.parametrize("limit, verdict", [(None, "warning"), ("500", "ok"), ("50", "ok"), ("1000", "warning")])
def test_recipients_of_a_message(relay, limit, verdict):
    relay.postfix.configure({"post365_destination_recipient_limit": limit})
    assert examine(relay).verdict("recipients") == verdict


@pytest.mark.parametrize("parameter", ["smtp_generic_maps", "smtp_header_checks", "smtp_mime_header_checks", "smtp_body_checks"])
def test_a_table_that_has_lost_its_effect(relay, parameter):
    value = ("inline:{ { root@relay.example.com = boss@example.com } }" if parameter == "smtp_generic_maps"
             else relay.postfix.table("checks", "/^X-Spam:/ IGNORE\n", "regexp"))
    relay.postfix.configure({parameter: value})
    found = examine(relay)
    name = "lmtp" + parameter.removeprefix("smtp")
    assert found.verdict("lmtp-table") == "warning" and f"`-o {name}=${parameter}`" in found["lmtp-table"]["remedy"]
    change_master(relay, "  -o lmtp_send_xforward_command=yes\n", f"  -o {name}=${parameter}\n  -o lmtp_send_xforward_command=yes\n")
    assert mistakes(examine(relay)) == []
