"""Relayhosts as they are found in the world, and the command that sets them up."""

import subprocess
from dataclasses import dataclass, field

from harness import workplace
from harness.given import DEBIAN_MAIN, GivenPostfix, debian_master
from harness.postfix import cooled
from harness.relay import PASSWORD, UPN

SECOND = "ann@example.com"
SECRETS = (PASSWORD, "second secret")
PROGRAM = workplace.BUILD / "post365"

RECIPE = """\
relayhost = [localhost]:{port}
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = hash:{etc}/sasl_passwd
smtp_sasl_security_options = noanonymous
smtp_tls_security_level = secure
smtp_tls_CAfile = {ca_file}
"""
ONE = {f"[localhost]:{{port}}": f"{UPN}:{PASSWORD}"}


@dataclass
class Shape:
    """`tables` are {name: (type, text)}; `changed` names what setup must change, `remarked` words that
    must stand in a remark."""

    main: str
    master: str = ""
    tables: dict = field(default_factory=dict)
    passwords: dict = field(default_factory=lambda: ONE)
    changed: tuple = ()
    removed: tuple = ()
    remarked: tuple = ()
    accounts: tuple = (UPN,)
    symlink: bool = False
    mode: int = 0o644


SHAPES = {
    "debian": Shape(
        DEBIAN_MAIN + RECIPE,
        changed=("smtpd_milters", "non_smtpd_milters", "internal_mail_filter_classes", "post365/unix", "default_transport",
                 "sender_dependent_default_transport_maps", "post365_destination_concurrency_limit",
                 "post365_destination_recipient_limit")),
    "from-recipe": Shape(
        RECIPE + """\
# make Office 365 happy
sender_canonical_classes = envelope_sender, header_sender
sender_canonical_maps = static:relay@example.com
smtp_header_checks = regexp:{etc}/header_checks
header_checks = regexp:{etc}/mixed_checks

inet_protocols = ipv4
""",
        tables={"header_checks": ("regexp", "# all\n/^From:.*/ REPLACE From: relay@example.com\n"),
                "mixed_checks": ("regexp", "/^Received:/ IGNORE\n/^From: +root/\n  REPLACE From: relay@example.com\n")},
        removed=("sender_canonical_maps", "sender_canonical_classes", "smtp_header_checks"),
        remarked=("mixed_checks, line 2",)),
    "senders": Shape(
        RECIPE + """\
smtp_sender_dependent_authentication = yes
sender_dependent_relayhost_maps = texthash:{etc}/relays
sender_canonical_maps = regexp:{etc}/canonical
default_destination_rate_delay = 2s
""",
        tables={"relays": ("texthash", f"{SECOND} [localhost]:{{port}}\n"),
                "canonical": ("regexp", "/^root@.*/ relay@example.com\n/^cron@.*/ ann@example.com\n")},
        passwords={**ONE, SECOND: f"{SECOND}:second secret"}, accounts=(SECOND, UPN), removed=("sender_canonical_maps",),
        changed=("post365_destination_rate_delay",), remarked=()),
    "milters": Shape(
        RECIPE + """\
smtpd_milters = inet:127.0.0.1:{rspamd}, inet:localhost:8891
non_smtpd_milters = inet:localhost:8891
milter_default_action = accept
milter_protocol = 2
internal_mail_filter_classes = notify
""",
        master=debian_master("  -o syslog_name=postfix/submission\n# no spam filter here\n  -o smtpd_milters=\n"
                             "  -o smtpd_client_restrictions=permit_mynetworks\n"
                             "127.0.0.1:{third_port} inet n - n - - smtpd\n"
                             "  -o { smtpd_milters = inet:localhost:8891 }\n"
                             "127.0.0.1:{fourth_port} inet n - n - - smtpd -o receive_override_options=no_milters\n"),
        changed=("smtpd_milters", "non_smtpd_milters", "127.0.0.1:{submission_port}/inet", "127.0.0.1:{third_port}/inet"),
        remarked=("no_milters",)),
    "layout": Shape(
        "# an old file\n" + RECIPE.replace("relayhost = ", "relayhost\t=\n\t") + """\
my_delay = 1h
smtpd_milters = inet:localhost:1
non_smtpd_milters =
smtpd_milters =
\t# the filter
\t
\t$my_filter
# this one signs
    { inet:localhost:8891, default_action=accept }

my_filter =
default_transport = smtp
   # twice
sender_dependent_default_transport_maps =
    texthash:{etc}/transports
default_transport=smtp:
bounce_queue_lifetime = ${my_delay?2h}
delay_warning_time = $my_delay""",
        tables={"transports": ("texthash", "other@example.com smtp:\n")},
        changed=("smtpd_milters", "default_transport")),
    "symlink": Shape(
        RECIPE.replace("hash:{etc}/sasl_passwd", f"inline:{{{{ [localhost]:{{port}} = {UPN}:{PASSWORD} }}}}"),
        symlink=True, mode=0o640),
    "old": Shape(
        RECIPE.replace("[localhost]", "localhost") + """\
transport_maps = hash:{etc}/transport
smtp_generic_maps = hash:{etc}/generic
smtp_destination_rate_delay = 1s
smtp_destination_concurrency_limit = 2
smtp_destination_recipient_limit = 50
""",
        tables={"transport": ("hash", "intern.example discard:\n"), "generic": ("hash", "root@relay.example.com relay@example.com\n")},
        changed=("relayhost", "post365/unix"),
        remarked=("transport_maps", "smtp_destination_rate_delay, smtp_destination_concurrency_limit")),
    "submission-meter": Shape(
        RECIPE + """\
post365_meter = submission
smtpd_milters = unix:post365/milter${post365_meter?}
non_smtpd_milters = $smtpd_milters
internal_mail_filter_classes = bounce
milter_default_action = tempfail
smtpd_end_of_data_restrictions =
    check_policy_service { unix:post365/policy, default_action=DUNNO }
smtp_reply_filter = regexp:{conf}/office365_replies.regexp
smtp_destination_concurrency_limit = 3
smtp_sender_dependent_authentication = yes
""",
        removed=("post365_meter",), changed=("smtpd_milters", "default_transport", "post365/unix"),
        remarked=("smtpd_end_of_data_restrictions", "smtp_reply_filter")),
}

REENTRY = ("  -o content_filter=\n  -o smtpd_milters=\n"
           "  -o receive_override_options=no_header_body_checks,no_milters\n")

# Where setup and the doctor once judged by rules of their own; none of them takes mail in a test.
ODD = {
    "milter-maps": Shape(RECIPE + "smtpd_milter_maps = inline:{ { 192.0.2.7 = DISABLE } }\n", remarked=("smtpd_milter_maps",)),
    "milter-maps-cidr": Shape(RECIPE + "smtpd_milter_maps = cidr:{etc}/maps\nsmtpd_sasl_auth_enable = yes\n",
                              tables={"maps": ("cidr", "192.0.2.0/24 DISABLE\n")}, remarked=("who logged in stays unknown",)),
    "milter-maps-with-ours": Shape(RECIPE + "smtpd_milter_maps = inline:{ { 192.0.2.7 = unix:post365/milter } }\n"),
    "attached-option": Shape(RECIPE, master=debian_master("  -osmtpd_milters=\n"), changed=("127.0.0.1:{submission_port}/inet",)),
    "attached-others": Shape(RECIPE, master=debian_master("  -v -osmtpd_milters=inet:localhost:8891\n"),
                             changed=("127.0.0.1:{submission_port}/inet",)),
    "braced-option": Shape(RECIPE, master=debian_master("  -o { smtpd_milters = }\n"), changed=("127.0.0.1:{submission_port}/inet",)),
    "by-hand-beside-a-signer": Shape(
        RECIPE + "smtpd_milters = unix:post365/milter, inet:localhost:8891\nnon_smtpd_milters = $smtpd_milters\n"
        "milter_default_action = accept\ninternal_mail_filter_classes = bounce\n", changed=("internal_mail_filter_classes",)),
    "by-hand-and-refused": Shape(
        RECIPE + "smtpd_milters = unix:post365/milter, inet:localhost:8891\nnon_smtpd_milters = $smtpd_milters\n"
        "milter_default_action = reject\n", changed=("smtpd_milters",)),
    "by-another-name": Shape(
        RECIPE + "my_filters = inet:localhost:1, local:post365/milter\nsmtpd_milters = $my_filters\n"
        "non_smtpd_milters = $smtpd_milters\nmilter_default_action = quarantine\nmilter_protocol = 4\n",
        remarked=("stands in another parameter",)),
    "logins": Shape(RECIPE + f"post365_login_upn_maps = inline:{{ {{ joe = {UPN} }} }}\nmilter_default_action = accept\n",
                    changed=("smtpd_milters",)),
    "reentry": Shape(RECIPE + "content_filter = smtp:[127.0.0.1]:10024\n", remarked=("hands mail back",),
                     master=debian_master("127.0.0.1:{third_port} inet n - n - - smtpd\n" + REENTRY)),
    "submission-without-milters": Shape(
        RECIPE, master=debian_master("  -o smtpd_sasl_auth_enable=yes\n  -o receive_override_options=no_milters\n"),
        remarked=("who logged in stays unknown",)),
    "proxy-filter": Shape(
        RECIPE, master=debian_master("  -o smtpd_sasl_auth_enable=yes\n  -o smtpd_proxy_filter=127.0.0.1:10024\n"
                                     "127.0.0.1:{third_port} inet n - n - - smtpd\n" + REENTRY), remarked=("smtpd_proxy_filter",)),
    "no-milters-at-all": Shape(RECIPE + "receive_override_options = no_milters\n", remarked=("no mail passes a milter",)),
    "action-of-a-service": Shape(RECIPE + "smtpd_milters = unix:post365/milter\n",
                                 master=debian_master("  -o milter_default_action=reject\n"), remarked=("Take it out there",)),
    "pickup-and-cleanup": Shape(
        RECIPE, master=debian_master() + "pickup2 unix n - n 60 1 pickup -o receive_override_options=no_milters\n"
        "cleanup2 unix n - n - 0 cleanup\n  -o non_smtpd_milters=\n", remarked=("pickup2/unix", "cleanup2/unix")),
    "impatient": Shape(RECIPE + "maximal_queue_lifetime = 1h\nbounce_queue_lifetime = 36h\n",
                       remarked=("maximal_queue_lifetime = 1h", "bounce_queue_lifetime = 36h")),
    "one-attempt": Shape(RECIPE + "maximal_queue_lifetime = 0\n", remarked=("maximal_queue_lifetime = 0",)),
    "deferred": Shape(RECIPE + "defer_transports = smtp, post365\n", remarked=("defer_transports",)),
    "own-domain": Shape(RECIPE + "mydestination = localhost, example.com\n", remarked=("mydestination has the domain",)),
    "virtual-domain": Shape(RECIPE + "virtual_alias_domains = example.com\nvirtual_alias_maps = inline:{ { a@example.com = b@b.example } }\n",
                            remarked=("virtual_alias_domains has the domain",)),
    "own-routes": Shape(RECIPE + "transport_maps = inline:{ { example.com = smtp:[example-com.mail.protection.outlook.com] }, "
                        "{ hve.example = smtp:[smtp-hve.office365.com]:587 }, { intern.example = smtp:[192.0.2.25] } }\n",
                        remarked=("transport_maps is left as it is",)),
    "catch-all": Shape(RECIPE + "transport_maps = inline:{ { * = smtp: } }\n", remarked=("* smtp:",)),
    "past-for-some": Shape(RECIPE + "transport_maps = inline:{ { some.example = relay:[smtp.office365.com]:587 } }\n",
                           remarked=("some.example relay:",)),
    "everybody-is-noreply": Shape(RECIPE + "sender_canonical_maps = static:noreply@intern.example\n",
                                  remarked=("makes \"noreply@intern.example\" of every sender",)),
    "canonical": Shape(RECIPE + "canonical_maps = regexp:{etc}/all\n", tables={"all": ("regexp", f"/.+/ {UPN}\n")},
                       remarked=("canonical_maps makes",)),
    "from-in-a-mixed-table": Shape(
        RECIPE + "smtp_header_checks = regexp:{etc}/checks\n",
        tables={"checks": ("regexp", "/^Received:/ IGNORE\n/^From: .*cron/ REPLACE From: <x@example.com>\n")},
        remarked=("checks, line 2",)),
    "adding-checks": Shape(
        RECIPE + "smtp_header_checks = regexp:{etc}/checks\nsmtp_generic_maps = hash:{etc}/generic\n",
        tables={"checks": ("regexp", "/^X-Spam:/ IGNORE\n/^Subject: secret/ WARN\n"),
                "generic": ("hash", "root@relay.example.com boss@example.com\n@relay.example.com relay@example.com\n")},
        changed=("post365/unix",)),
    "own-service": Shape(RECIPE + "smtp_generic_maps = hash:{etc}/generic\n", tables={"generic": ("hash", "a@b.example c@d.example\n")},
                         master=debian_master() + "post365 unix - - n - 100 lmtp\n    -o lmtp_data_init_timeout=30s",
                         changed=("post365/unix",)),
    "no-lmtp": Shape(RECIPE, master=debian_master() + "post365 unix - - n - 100 smtp\n", remarked=("is not lmtp(8)",)),
    "port-465": Shape(RECIPE.replace("{port}", "465"), passwords={"[localhost]:465": f"{UPN}:{PASSWORD}"}, remarked=("port 465",)),
    "masqueraded": Shape(RECIPE + "masquerade_domains = example.com\n"),
    "many-recipients": Shape(RECIPE + "post365_destination_recipient_limit = 2000\n", remarked=("more recipients than Microsoft",)),
}


def make(place, shape, *, port=587, ca_file="/etc/ssl/certs/ca-certificates.crt", extra_ports=(1, 2, 3)):
    """That relay, not started."""
    rspamd, third, fourth = extra_ports

    def fill(text):
        for key, value in {"port": port, "ca_file": ca_file, "conf": workplace.PROJECT / "conf", "rspamd": rspamd,
                           "third_port": third, "fourth_port": fourth}.items():
            text = text.replace(f"{{{key}}}", str(value))
        return text
    postfix = place.add(GivenPostfix(place.directory / "relay", fill(shape.main), fill(shape.master) or None))
    for name, (type_, text) in shape.tables.items():
        postfix.table(name, fill(text), type_)
    postfix.table("sasl_passwd", {fill(key): value for key, value in shape.passwords.items()}, "hash", 0o600)
    (postfix.config_directory / "sasl_passwd.db").chmod(0o600)
    main = postfix.config_directory / "main.cf"
    main.chmod(shape.mode)
    if shape.symlink:
        main.rename(main.with_name("relay.cf"))
        main.symlink_to("relay.cf")
    return postfix


def run_setup(postfix, *words, program=PROGRAM, environment=None, **options):
    """post365 setup on this relay."""
    with cooled(postfix.config_directory / "main.cf"):
        return subprocess.run([program, "-c", postfix.config_directory, "setup", *words], capture_output=True, timeout=60,
                              check=False, text=True, errors="surrogateescape", cwd="/", stdin=subprocess.DEVNULL,
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **(environment or {})}, **options)


def applied(postfix, *words):
    done = run_setup(postfix, *words, "--apply", "--yes")
    assert (done.returncode, done.stderr) == (0, ""), done
    return done


def undone(postfix):
    done = run_setup(postfix, "--undo", "--yes")
    assert (done.returncode, done.stderr) == (0, ""), done
    return done
