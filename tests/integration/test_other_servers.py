"""A password belongs to the server of its key, and mail to the server of its sender: a relay with several providers."""

import re
import subprocess

import pytest
from setup_shapes import PROGRAM, applied, run_setup

from harness import client, message, processes, programs
from harness.given import GivenPostfix
from harness.provider import Authority, Provider

RELAY, BULK = "relay@contoso.example", "bulk@contoso.example"
SECRETS = {"microsoft": "Ms-geheim-1", "second": "Hve-geheim-2", "gmail": "abcd efgh ijkl mnop", "mailgun": "Mg-geheim-4",
           "sendgrid": "SG.geheim-5.with-dots"}
ALERTS, NEWS, SHOP = "alerts@gmail.example", "news@fabrikam.example", "orders@shop.example"

MAIN = """\
relayhost = [localhost]:{microsoft}, [localhost]:{second}
smtp_sasl_auth_enable = yes
smtp_sender_dependent_authentication = yes
sender_dependent_relayhost_maps = {relays}
smtp_sasl_password_maps = {passwords}
smtp_sasl_security_options = noanonymous
smtp_sasl_mechanism_filter = {filter}
smtp_tls_security_level = secure
smtp_tls_CAfile = {ca_file}
smtp_connection_cache_on_demand = no
minimal_backoff_time = 2s
queue_run_delay = 2s
maximal_backoff_time = 4s
"""

LINES = f"""\
[localhost]:{{microsoft}} {RELAY}:{SECRETS['microsoft']}
[LOCALHOST]:{{second}} {BULK}:{SECRETS['second']}
[localhost]:{{gmail}} {ALERTS}:{SECRETS['gmail']}
{NEWS} {NEWS}:{SECRETS['mailgun']}
@shop.example apikey:{SECRETS['sendgrid']}
"""
RELAYS = f"""\
{BULK} [localhost]:{{second}}
{ALERTS} [localhost]:{{gmail}}
{NEWS} [localhost]:{{mailgun}}
@shop.example [localhost]:{{sendgrid}}
"""


class Providers(dict):
    """One of each, by name; `relay` is what sends to them."""

    def fill(self, text, **others):
        for key, value in {**{name: provider.port for name, provider in self.items()}, **others}.items():
            text = text.replace(f"{{{key}}}", str(value))
        return text


def make(place, lines=LINES, relays=RELAYS, type_="hash", relays_type="texthash", filter_=""):
    authority = Authority(place.directory / "authority")
    logins = {"microsoft": RELAY, "second": BULK, "gmail": ALERTS, "mailgun": NEWS, "sendgrid": "apikey"}
    providers = Providers({name: place.add(Provider(authority, {user: SECRETS[name]})).start() for name, user in logins.items()})
    main = providers.fill(MAIN, ca_file=authority.ca_file, relays=f"{relays_type}:{{etc}}/relays", passwords=f"{type_}:{{etc}}/sasl_passwd",
                          filter=filter_)
    postfix = place.add(GivenPostfix(place.directory / "relay", main))
    etc = postfix.config_directory
    (etc / "sasl_passwd").write_text(providers.fill(lines))
    (etc / "sasl_passwd").chmod(0o600)
    (etc / "relays").write_text(providers.fill(relays))
    if type_ not in ("texthash", "regexp"):
        postfix.command("postmap", f"{type_}:{etc}/sasl_passwd")
    providers.relay = postfix
    return providers


def start(place, postfix):
    daemons = {}
    for daemon in (programs.Policyd, programs.Milter, programs.Transport):
        daemons[daemon.program] = place.add(daemon(postfix)).start()
    postfix.start()
    (postfix.queue_directory / "public").chmod(0o755)
    return daemons


def send(postfix, sender, to="a@dest.example"):
    message_id, data = message.compose(f"From: Somebody <{sender}>\r\nSubject: x\r\n".encode(), b"hello\n")
    outcome = client.send(postfix.smtp_port, sender, [to], data)
    assert outcome.accepted, outcome
    return message_id


def check_secrets(providers, expected=("microsoft", "second", "gmail", "mailgun", "sendgrid")):
    """Each is known to its own server, and in nothing that another one received."""
    for owner, secret in SECRETS.items():
        for name, provider in providers.items():
            has = secret.encode() in provider.received
            assert has == (owner == name and name in expected), (owner, name)
    assert [provider.refused for provider in providers.values()] == [[]] * len(providers)


def found(provider, message_id):
    return [entry for entry in provider.messages if message_id.encode() in entry[3]]


def check_mail(place, providers):
    postfix = providers.relay
    applied(postfix)
    assert postfix.check() == ""
    start(place, postfix)
    done = run_setup(postfix)
    assert "set up already" in done.stdout, done.stdout
    senders = {"microsoft": ["app@intern.example", RELAY], "second": [BULK], "gmail": [ALERTS], "mailgun": [NEWS],
               "sendgrid": [SHOP, "Refunds@Shop.Example"]}
    ids = {name: [send(postfix, sender) for sender in each] for name, each in senders.items()}
    assert processes.wait_until(
        lambda: all(found(providers[name], one) for name, each in ids.items() for one in each), 30, 0.1), postfix.log()[-4000:]
    assert postfix.wait_empty(10) == []
    # Whose mail is another server's is as it came; what goes to Microsoft is the account's.
    for name in ("gmail", "mailgun", "sendgrid"):
        for one, sender in zip(ids[name], senders[name]):
            (_, seen, _, data), = found(providers[name], one)
            assert seen == sender and f"From: Somebody <{sender}>".encode() in data and b"Reply-To" not in data
    assert {entry[1] for entry in providers["microsoft"].messages} == {RELAY}
    assert [entry[:2] for entry in providers["second"].messages] == [(BULK, BULK)]
    assert sum(len(provider.messages) for provider in providers.values()) == 7
    return postfix


def test_each_password_is_seen_by_its_own_server_alone(place):
    providers = make(place)
    postfix = check_mail(place, providers)
    found_by_doctor = run_doctor(postfix)
    for account in (RELAY, BULK):
        assert re.search(rf"ok +AUTH LOGIN of {account}", found_by_doctor), found_by_doctor
    assert not re.search(rf"({ALERTS}|{NEWS}|apikey)", found_by_doctor), found_by_doctor
    check_secrets(providers)


@pytest.mark.parametrize("type_", ["texthash", "inline", "regexp"])
def test_a_server_that_the_senders_transport_names(place, type_):
    own, *others = RELAYS.splitlines()
    providers = make(place, relays=own + "\n")
    etc = providers.relay.config_directory
    pairs = [line.split(" ") for line in providers.fill("\n".join(others)).splitlines()]
    if type_ == "inline":
        table = "{ " + ", ".join(f"{{ {sender} = smtp:{server} }}" for sender, server in pairs) + " }"
    else:
        mark = "/" if type_ == "regexp" else ""
        (etc / "transports").write_text("".join(f"{mark}{sender}{mark} smtp:{server}\n" for sender, server in pairs))
        table = f"{etc}/transports"
    with open(etc / "main.cf", "a", encoding="utf-8") as main:
        main.write(f"sender_dependent_default_transport_maps = {type_}:{table}\n")
    check_mail(place, providers)
    check_secrets(providers)


def run_doctor(postfix):
    return subprocess.run([PROGRAM, "-c", postfix.config_directory, "doctor", "--force"], capture_output=True, text=True, timeout=60,
                          check=False, cwd="/").stdout


@pytest.mark.parametrize("type_", ["texthash", "btree"])
def test_whatever_the_table(place, type_):
    providers = make(place, type_=type_)
    check_mail(place, providers)
    run_doctor(providers.relay)
    check_secrets(providers)


def test_a_table_of_patterns(place):
    """It cannot be listed: setup says what to write, and the transport does not send what is another server's."""
    def quote(text):
        return re.sub(r"(?m)^(\S+) (?=\S)", lambda line: "/^" + re.escape(line[1].lower()).replace("@shop", ".*@shop") + "$/ ", text)
    providers = make(place, relays=RELAYS, relays_type="regexp")
    postfix = providers.relay
    (postfix.config_directory / "relays").write_text(quote(providers.fill(RELAYS)))
    done = run_setup(postfix)
    assert "cannot be listed" in done.stdout and "smtp:" in done.stdout
    applied(postfix)
    start(place, postfix)
    waiting = send(postfix, NEWS)
    here = send(postfix, "app@intern.example")
    assert processes.wait_until(lambda: found(providers["microsoft"], here), 20, 0.1)
    def reason():
        return [text for entry in postfix.queue() for recipient in entry["recipients"] if (text := recipient.get("delay_reason"))]
    assert processes.wait_until(reason, 20, 0.1)
    assert "sender_dependent_relayhost_maps" in reason()[0] and "smtp:" in reason()[0]
    assert not [entry for provider in providers.values() for entry in provider.messages if waiting.encode() in entry[3]]
    main = postfix.config_directory / "main.cf"
    text = main.read_text()
    main.write_text(text.replace("sender_dependent_default_transport_maps =",
                                 f"sender_dependent_default_transport_maps = inline:{{ {{ {NEWS} = smtp: }} }},", 1))
    postfix.reload()
    postfix.flush()
    assert processes.wait_until(lambda: found(providers["mailgun"], waiting), 30, 0.1), postfix.log()[-3000:]
    check_secrets(providers, expected=("microsoft", "mailgun"))


def test_a_sender_gets_another_server_while_it_runs(place):
    """News was sent by Microsoft's until today; connections that are open take no more of it."""
    lines = LINES.replace(NEWS, f"moved@fabrikam.example moved@fabrikam.example:other\n{NEWS}", 1)
    providers = make(place, lines=lines, relays=RELAYS.replace(f"{BULK} [localhost]:{{second}}\n", ""))
    postfix = providers.relay
    providers["microsoft"].logins[BULK] = SECRETS["second"]
    (postfix.config_directory / "sasl_passwd").write_text(
        providers.fill(lines.replace("[LOCALHOST]:{second}", BULK)))
    postfix.command("postmap", f"hash:{postfix.config_directory}/sasl_passwd")
    applied(postfix)
    start(place, postfix)
    first = send(postfix, BULK)
    assert processes.wait_until(lambda: found(providers["microsoft"], first), 20, 0.1), postfix.log()[-3000:]
    (postfix.config_directory / "relays").write_text(providers.fill(RELAYS))
    (postfix.config_directory / "sasl_passwd").write_text(providers.fill(lines))
    postfix.command("postmap", f"hash:{postfix.config_directory}/sasl_passwd")
    def moved():
        one = send(postfix, BULK)
        processes.wait_until(lambda: found(providers["second"], one) or found(providers["microsoft"], one), 20, 0.1)
        return found(providers["second"], one)
    assert processes.wait_until(moved, 20, 0.5), postfix.log()[-3000:]
