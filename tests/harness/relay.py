"""A relayhost for Microsoft 365: as every recipe on the net sets it up, and the same with post365.

    relay = place.add(Relay(place.directory / "relay", office365))           # plain
    relay = place.add(Relay(place.directory / "relay", office365, post365={}))  # with post365
    relay.start()
    client.send(relay.postfix.smtp_port, ...)

The stand-in for smtp.office365.com is reached as [localhost], by name, with verified TLS.
"""

from pathlib import Path

from . import client, message, processes, programs
from .arrivals import Arrival
from .postfix import Postfix
from .workplace import PROJECT, USER

UPN = "relay@example.com"
PASSWORD = "correct horse battery staple"
_REPLY_FILTER = PROJECT / "conf" / "office365_replies.regexp"


def recipe(office365, password_maps):
    """What the usual recipe for Office 365 puts into main.cf; only the host's name is another."""
    return {
        "relayhost": f"[localhost]:{office365.port}",
        "smtp_sasl_auth_enable": "yes",
        "smtp_sasl_password_maps": password_maps,
        "smtp_sasl_security_options": "noanonymous",
        "smtp_sasl_mechanism_filter": "login",
        "smtp_tls_security_level": "secure",
        "smtp_tls_CAfile": office365.ca_file,
    }


def with_post365(parameters):
    """What post365 adds to main.cf: `parameters` are post365_* values, on top of those that a relay
    without the transport needs; None takes one out. Every post365_ name that is set is referred to
    by smtpd_milters: `${name?}` expands to nothing, but without it postconf would warn of an unused
    parameter."""
    ours = {
        "post365_user": USER,
        "post365_meter": "submission",
        "post365_milter_socket": "unix:post365/milter",
        "post365_policy_socket": "unix:post365/policy",
        **parameters,
    }
    ours = {name: value for name, value in ours.items() if value is not None}
    mentioned = "".join(f"${{{name}?}}" for name in ours if name != "post365_milter_socket")
    result = {
        **ours,
        "smtpd_milters": f"$post365_milter_socket{mentioned}",
        "non_smtpd_milters": "$smtpd_milters",
        "milter_default_action": "tempfail",
        # Postfix's own bounces, too, need a sender that Microsoft takes.
        "internal_mail_filter_classes": "bounce, notify",
        "smtpd_end_of_data_restrictions":
            "check_policy_service { $post365_policy_socket, default_action=DUNNO }",
        "smtp_destination_concurrency_limit": "3",
    }
    if _REPLY_FILTER.exists():
        # Their temporary troubles with a permanent code: deferred, not bounced.
        result["smtp_reply_filter"] = f"regexp:{_REPLY_FILTER}"
    return result


# How Postfix's lmtp(8) speaks to the transport; conf/master.cf is the same for admins.
SERVICE = """\
post365   unix  -       -       n       -       500     lmtp
  -o syslog_name=postfix/post365
  -o lmtp_send_xforward_command=yes
  -o lmtp_data_init_timeout=300s
  -o lmtp_connection_cache_on_demand=no
"""


def through_transport(accounts):
    """What the transport changes in main.cf: `accounts` get a destination each."""
    maps = ", ".join(f"{{ {upn} = post365:unix:post365/accounts/{upn} }}" for upn in accounts)
    return {
        "post365_meter": "delivery",
        "default_transport": "post365:unix:post365/transport",
        "post365_destination_concurrency_limit": "10",
        "post365_destination_recipient_limit": "500",
        "sender_dependent_default_transport_maps": f"inline:{{ {maps} }}" if maps else "",
        "smtp_reply_filter": None,
    }


class Relay:
    """A Postfix in front of `office365`, and the post365 daemons beside it.

    directory    created here
    post365      None: none of it. Else {post365_name: value} on top of with_post365()'s own; a
                 value that is itself a dictionary becomes a lookup table, texthash
    parameters   further main.cf parameters, last word
    transport    None: Postfix's own smtp(8) delivers. Else the UPNs of the accounts that have a
                 destination of their own; post365-transport delivers
    passwords    {key of smtp_sasl_password_maps: "user:password"}; default: the relayhost with
                 UPN and PASSWORD
    logins       {login: password} of the submission port
    services     further lines of master.cf

    With post365_oauth2_maps there is post365-tokend as well, see harness.entra for what it needs.

    `postfix`, `milter`, `policyd`, `tokend` and `transport` (None without) can be stopped, killed and
    started one by one.
    """

    def __init__(self, directory, office365, *, post365=None, transport=None, parameters=None,
                 passwords=None, logins=None, services=""):
        self.office365 = office365
        self.postfix = Postfix(Path(directory), logins=logins,
                               services=services if transport is None else SERVICE + services)
        self.milter = self.policyd = self.transport = self.tokend = None
        passwords = passwords or {f"[localhost]:{office365.port}": f"{UPN}:{PASSWORD}"}
        table = self.postfix.table("sasl_passwd", passwords, "texthash", mode=0o600)
        settings = recipe(office365, table)
        if post365 is not None:
            # Never the default, which is the system's.
            ledger = self.postfix.directory / "ledger"
            tables = {name: self.postfix.table(name.removeprefix("post365_"), value)
                      for name, value in post365.items() if isinstance(value, dict)}
            kept = {"post365_oauth2_directory": str(self.postfix.directory / "grants")} if "post365_oauth2_maps" in post365 else {}
            settings |= with_post365({"post365_ledger": str(ledger), **kept, **post365, **tables})
            self.milter = programs.Milter(self.postfix)
            self.policyd = programs.Policyd(self.postfix)
            if "post365_oauth2_maps" in post365:
                self.tokend = programs.Tokend(self.postfix, post365["post365_oauth2_user"])
        if transport is not None:
            settings |= through_transport(transport)
            self.transport = programs.Transport(self.postfix)
        self.postfix.configure({**settings, **(parameters or {})})

    def start(self):
        """Daemons first: Postfix finds them ready."""
        for daemon in (self.policyd, self.tokend, self.milter, self.transport):
            if daemon:
                daemon.start()
        self.postfix.start()
        if self.transport:
            # What the group postdrop may do, everybody may: ask showq, wake a message up.
            (self.postfix.queue_directory / "public").chmod(0o755)
        return self

    def submit(self, sender, recipients, header, body=b"hello\n", **options):
        """Sends a message (bytes, see message.compose) to the SMTP port, or with `login` to the
        submission port. Returns (client.Outcome, Message-ID)."""
        message_id, data = message.compose(header, body)
        port = self.postfix.submission_port if options.get("login") else self.postfix.smtp_port
        return client.send(port, sender, recipients, data, **options), message_id

    def deliver(self, sender, recipients, header, body=b"hello\n", *, timeout=60, **options):
        """submit(), then waits for it at the stand-in. Returns the Arrival; AssertionError when
        there is none."""
        outcome, message_id = self.submit(sender, recipients, header, body, **options)
        assert outcome.accepted, outcome
        return self.arrival(message_id, timeout)

    def arrival(self, message_id, timeout=60):
        """The message that the stand-in accepted under this Message-ID. AssertionError when there
        is none."""
        found = processes.wait_until(lambda: [arrival for arrival in self.accepted()
                                              if arrival.message_id == message_id], timeout, 0.05)
        assert found, f"{message_id} did not arrive within {timeout} s\n{self.postfix.log()[-3000:]}"
        return found[0]

    def accepted(self):
        """All that the stand-in accepted so far, as Arrivals."""
        return [Arrival(entry) for entry in self.office365.journal("accepted")]

    def refused(self):
        """All entries of its journal that say no to a message or a recipient."""
        return [entry for entry in self.office365.journal() if entry["event"] in ("refused", "rcpt-refused")]

    def stop(self):
        self.postfix.stop()
        for daemon in (self.transport, self.milter, self.tokend, self.policyd):
            if daemon:
                daemon.stop()
