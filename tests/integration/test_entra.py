"""The stand-in for Entra ID's token endpoint itself: what the other tests rely on must be true.

Each test speaks HTTP to the real program, and shows its tokens to the stand-in for smtp.office365.com.
"""

import base64
import contextlib
import email.utils
import http.client
import json
import os
import re
import smtplib
import socket
import ssl
import time
import urllib.parse
import uuid

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from entra import assertion, certificates, jwt
from entra.errors import ERRORS
from harness.entra import DOMAIN, NAMED, TENANT, Entra, make_certificate
from harness.office365 import Office365
from harness.standin import ControlError
from harness.workplace import PROJECT

UPN = "relay@example.com"
OTHER = "sales@example.com"
SCOPE = "https://outlook.office365.com/.default"
DELEGATED = "https://outlook.office.com/SMTP.Send offline_access"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture(scope="module")
def office365(tmp_path_factory):
    standin = Office365(tmp_path_factory.mktemp("smtp") / "office365", mailboxes={UPN: {"password": "geheim"}, OTHER: {}})
    standin.start()
    yield standin
    assert standin.stop() == 0, standin.log()


@pytest.fixture(scope="module")
def shared(tmp_path_factory, office365):
    standin = Entra(tmp_path_factory.mktemp("token") / "entra", office365)
    standin.start()
    yield standin
    assert standin.stop() == 0
    assert "Traceback" not in standin.log(), standin.log()


@pytest.fixture
def entra(shared, office365):
    """Shared by the tests, and put back as it was."""
    yield shared
    shared.clear_faults()
    shared.set(clock=0, date=None, delay=0, lifetime=3599, refresh_in=None, rotation="keep", rotate=True, device_interval=5,
               device_lifetime=900, proxy_login=None, arc_realm=None, cloud="global", token_version=1)
    shared.up()
    office365.set(tenant_switch=False, basic_disabled=False, token_margin=0, revoked_tokens=[], token_tenant=None)


@pytest.fixture(scope="module")
def pair():
    """A key and a certificate that are nobody's yet."""
    return make_certificate()


class Reply:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, dict(response.getheaders()), response.read()

    @property
    def content(self):
        """What the JSON says."""
        return json.loads(self.body)

    @property
    def number(self):
        """AADSTS's."""
        return self.content["error_codes"][0]


def connect(entra, timeout=5):
    return http.client.HTTPSConnection("localhost", entra.port, timeout=timeout,
                                       context=ssl.create_default_context(cafile=entra.ca_file))


def ask(entra, method, path, body=None, **headers):
    connection = connect(entra)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers)
        return Reply(connection.getresponse())


def post(entra, form, tenant=TENANT, what="token", **headers):
    body = urllib.parse.urlencode(form, quote_via=urllib.parse.quote)
    return ask(entra, "POST", f"/{tenant}/oauth2/v2.0/{what}", body, **{
        "Content-Type": "application/x-www-form-urlencoded", **headers})


def with_secret(app, **changes):
    form = {"grant_type": "client_credentials", "client_id": app.client_id, "client_secret": app.secret, "scope": SCOPE, **changes}
    return {name: value for name, value in form.items() if value is not None}


def claims_of(token):
    return jwt.Token(token).claims


def token_of(entra, app, **changes):
    reply = post(entra, with_secret(app, **changes))
    assert reply.status == 200, reply.body
    return reply.content["access_token"]


def login(office365, token, upn=UPN, message=None):
    """The reply to AUTH with a token, or to the message (bytes) after it."""
    with smtplib.SMTP("localhost", office365.port, timeout=5) as client:
        client.starttls(context=ssl.create_default_context(cafile=office365.ca_file))
        client.ehlo()
        code, text = client.docmd("AUTH", "XOAUTH2 " + base64.b64encode(f"user={upn}\1auth=Bearer {token}\1\1".encode()).decode())
        if message is not None and code == 235:
            client.mail(upn)
            client.rcpt("somebody@example.net")
            code, text = client.data(message)
        return f"{code} {text.decode()}"


def objection(office365):
    """Why the last AUTH was refused."""
    return office365.journal("auth-refused")[-1]["login"].get("objection")


# -- secrets ------------------------------------------------------------------------------------------------------


def test_secret_gives_a_token_that_exchange_takes(entra, office365):
    app = entra.app(accounts=[UPN])
    reply = post(entra, with_secret(app))
    assert (reply.status, reply.content["token_type"], reply.content["expires_in"]) == (200, "Bearer", 3599)
    claims = claims_of(reply.content["access_token"])
    assert (claims["aud"], claims["tid"], claims["appid"], claims["appidacr"], claims["oid"]) == (
        "https://outlook.office365.com", TENANT, app.client_id, "1", app.object_id)
    assert "roles" not in claims and abs(claims["exp"] - time.time() - 3599) < 5
    assert login(office365, reply.content["access_token"]).startswith("235 ")
    entry = entra.requests(client_id=app.client_id)[-1]
    assert (entry["kind"], entry["credential"], entry["status"], entry["notes"]) == ("app", "secret", 200, [])
    assert office365.journal("auth")[-1]["login"]["token"] == entry["token"] == claims["uti"]


def test_secret_may_come_in_the_header(entra):
    app = entra.app()
    pair = ":".join(urllib.parse.quote(part, safe="") for part in (app.client_id, app.secret))
    reply = post(entra, {"grant_type": "client_credentials", "scope": SCOPE},
                 Authorization="Basic " + base64.b64encode(pair.encode()).decode())
    assert reply.status == 200, reply.body


@pytest.mark.parametrize("changes, number", [
    ({"client_secret": "wrong"}, 7000215),
    ({"client_secret": None}, 7000218),
    ({"client_id": str(uuid.uuid4())}, 700016),
    ({"client_id": None}, 900144),
    ({"scope": None}, 900144),
    ({"scope": "https://outlook.office365.com/SMTP.Send"}, 70011),
    ({"scope": f"{SCOPE} https://graph.microsoft.com/.default"}, 28002),
    ({"scope": "https://outlook.elsewhere.example/.default"}, 500011),
    ({"grant_type": None}, 900144),
    ({"grant_type": "password"}, 70003),
])
def test_wrong_request_with_a_secret(entra, changes, number):
    reply = post(entra, with_secret(entra.app(), **changes))
    assert reply.number == number, reply.body
    text = reply.content["error_description"]
    assert re.fullmatch(rf"AADSTS{number}: .+\r\nTrace ID: [-0-9a-f]{{36}}\r\nCorrelation ID: [-0-9a-f]{{36}}\r\n"
                        r"Timestamp: \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", text), text
    assert entra.requests()[-1]["number"] == number


def test_secret_is_decoded_as_a_form(entra):
    app = entra.app()
    body = f"grant_type=client_credentials&client_id={app.client_id}&client_secret={app.secret}&scope={SCOPE}"
    reply = ask(entra, "POST", f"/{TENANT}/oauth2/v2.0/token", body, **{"Content-Type": "application/x-www-form-urlencoded"})
    assert reply.status != 200
    assert "not-encoded" in entra.requests()[-1]["notes"]


def test_secrets_come_and_go(entra):
    app = entra.app()
    assert post(entra, with_secret(app, client_secret=app.secret_id)).number == 7000215
    before = app.secret
    app.new_secret()
    assert post(entra, with_secret(app)).status == post(entra, with_secret(app, client_secret=before)).status == 200
    app.expire_secrets()
    assert post(entra, with_secret(app)).number == 7000222
    secret = (app.directory / "secret").read_text().strip()
    assert secret == app.secret
    for path in (entra.journal_path, entra.log_path):
        assert secret not in path.read_text() and before not in path.read_text()


@pytest.mark.parametrize("settings, number", [
    ({"disabled": True}, 7000112), ({"principal": False}, 7000229), ({"assignment_required": True}, 501051)])
def test_app_that_may_not(entra, settings, number):
    app = entra.app()
    app.register(**settings)
    assert post(entra, with_secret(app)).number == number


def test_tenants(entra):
    government, empty = str(uuid.uuid4()), str(uuid.uuid4())
    entra.tenant(government, domains=["army.example"], cloud="usgov")
    entra.tenant(empty, domains=["empty.example"], exchange=False)
    app = entra.app()
    assert post(entra, with_secret(app), tenant=DOMAIN).status == 200
    assert post(entra, with_secret(app), tenant="nowhere.example").number == 90002
    assert post(entra, with_secret(app), tenant="common").number == 9001023
    assert post(entra, with_secret(app), tenant="army.example").number == 900439
    assert post(entra, with_secret(app), tenant=empty).number == 700016
    assert post(entra, with_secret(entra.app(tenant=empty)), tenant=empty).number == 500011


def test_configuration_tells_tenant_and_cloud(entra):
    path = "/v2.0/.well-known/openid-configuration"
    reply = ask(entra, "GET", f"/{DOMAIN}{path}")
    assert reply.status == 200
    assert reply.content["issuer"] == f"{entra.authority}/{TENANT}/v2.0"
    assert reply.content["cloud_instance_name"] == "microsoftonline.com"
    assert ask(entra, "GET", f"/nowhere.example{path}").number == 90002
    government = str(uuid.uuid4())
    entra.tenant(government, cloud="usgov")
    assert ask(entra, "GET", f"/{government}{path}").content["cloud_instance_name"] == "microsoftonline.us"


# -- certificates -------------------------------------------------------------------------------------------------


def assertion_for(entra, app, pair, *, header=None, remove=(), **claims):
    """A client assertion as post365 makes them, but for what is said."""
    key, certificate = pair
    now = int(time.time())
    made = {"aud": f"{entra.authority}/{TENANT}/oauth2/v2.0/token", "iss": app.client_id, "sub": app.client_id,
            "jti": str(uuid.uuid4()), "nbf": now, "iat": now, "exp": now + 600, **claims}
    made_header = {"alg": "PS256", "typ": "JWT", "x5t#S256": assertion.thumbprints(certificate)["x5t#S256"], **(header or {})}
    return jwt.sign({name: value for name, value in made_header.items() if value is not None},
                    {name: value for name, value in made.items() if name not in remove}, key)


def with_assertion(app, text, **changes):
    return {"grant_type": "client_credentials", "client_id": app.client_id, "client_assertion_type": ASSERTION,
            "client_assertion": text, "scope": SCOPE, **changes}


@pytest.fixture(scope="module")
def certified(shared):
    """(app, the key and certificate that it is registered with)"""
    app = shared.app("certificate", accounts=[UPN])
    key = serialization.load_pem_private_key((app.directory / "key.pem").read_bytes(), None)
    return app, (key, app.certificate)


def test_certificate_gives_a_token(entra, office365, certified):
    app, pair = certified
    reply = post(entra, with_assertion(app, assertion_for(entra, app, pair)))
    assert reply.status == 200, reply.body
    assert claims_of(reply.content["access_token"])["appidacr"] == "2"
    assert login(office365, reply.content["access_token"]).startswith("235 ")
    assert entra.requests()[-1]["credential"] == "certificate"
    # What others send, and the tenant by another name.
    old = {"x5t#S256": None, "x5t": assertion.thumbprints(pair[1])["x5t"], "alg": "RS256"}
    assert post(entra, with_assertion(app, assertion_for(entra, app, pair, header=old))).status == 200
    text = assertion_for(entra, app, pair, aud=f"{entra.authority}/{DOMAIN}/oauth2/v2.0/token")
    assert post(entra, with_assertion(app, text), tenant=DOMAIN).status == 200
    assert (app.directory / "key.pem").stat().st_mode & 0o777 == 0o600


NOW = time.time()


@pytest.mark.parametrize("claims, number", [
    ({"iss": "somebody", "sub": "somebody"}, 700021),
    ({"sub": "somebody"}, 50048),
    ({"aud": "https://login.elsewhere.example/token"}, 700023),
    ({"nbf": NOW + 1200, "exp": NOW + 1800}, 700024),
    ({"nbf": NOW - 1800, "exp": NOW - 1200}, 700024),
    ({"exp": NOW + 3600}, 700024),
    ({"exp": str(int(NOW + 600))}, 50027),
    ({"iat": str(int(NOW))}, 50027),
    ({"nbf": True}, 50027),
    ({"jti": 7}, 50027),
    ({"remove": ["nbf"]}, 50027),
    ({"remove": ["jti"]}, 50027),
    ({"header": {"alg": "none"}}, 50027),
    ({"header": {"x5t#S256": None}}, 50027),
    ({"header": {"x5t#S256": "A" * 43}}, 700027),
])
def test_wrong_assertion(entra, certified, claims, number, monkeypatch):
    app, pair = certified
    if claims.get("header", {}).get("alg") == "none":
        monkeypatch.setattr(jwt, "sign", lambda header, body, key: ".".join(
            jwt.encode(json.dumps(part).encode()) for part in (header, body)) + "." + jwt.encode(b"x"))
    reply = post(entra, with_assertion(app, assertion_for(entra, app, pair, **claims)))
    assert reply.number == number, reply.body


def test_signature_is_verified(entra, certified, pair):
    app, own = certified
    text = assertion_for(entra, app, (pair[0], own[1]))
    assert post(entra, with_assertion(app, text)).number == 700027
    text = assertion_for(entra, app, own)
    head, body, signature = text.split(".")
    for broken in (f"{head}.{body}.{signature[:-4]}AAAA", f"{head}.{jwt.encode(jwt.decode(body) + b' ')}.{signature}",
                   f"{head}.{body}.{signature}=", f"{head}.{body}"):
        assert post(entra, with_assertion(app, broken)).number in (700027, 50027)
    assert post(entra, with_assertion(app, assertion_for(entra, app, pair))).number == 700027
    # The other manner, with the right key: RS256 under a header that says PS256.
    rs256 = assertion_for(entra, app, own, header={"alg": "RS256"}).split(".")
    assert post(entra, with_assertion(app, ".".join([head, rs256[1], rs256[2]]))).number == 700027


def test_assertion_counts_once(entra, certified):
    app, own = certified
    text = assertion_for(entra, app, own)
    assert post(entra, with_assertion(app, text)).status == 200
    assert post(entra, with_assertion(app, text)).number == 700024


def test_certificate_that_has_ended(entra):
    app = entra.app("certificate")
    pair = app.new_certificate(days=-1)
    assert post(entra, with_assertion(app, assertion_for(entra, app, pair))).number == 700027
    pair = app.new_certificate(upload=False)
    assert post(entra, with_assertion(app, assertion_for(entra, app, pair))).number == 700027


def test_clock_of_the_endpoint(entra, certified):
    app, own = certified
    entra.set(clock=1200)
    reply = post(entra, with_assertion(app, assertion_for(entra, app, own)))
    assert reply.number == 700024
    ahead = email.utils.parsedate_to_datetime(reply.headers["Date"]).timestamp()
    assert abs(ahead - time.time() - 1200) < 5
    now = int(time.time()) + 1200
    assert post(entra, with_assertion(app, assertion_for(entra, app, own, nbf=now, exp=now + 600))).status == 200
    entra.set(clock=0, date="Thu, 01 Jan 1970 00:00:00 GMT")
    assert post(entra, {}).headers["Date"].startswith("Thu, 01 Jan 1970")
    entra.set(date="")
    assert "Date" not in post(entra, {}).headers


# -- federated credentials ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("claims, number", [
    ({}, None),
    ({"iss": "https://KUBERNETES.example.com"}, 700211),
    ({"sub": "system:serviceaccount:Mail:post365"}, 700213),
    ({"aud": "api://somebody"}, 700212),
    ({"lifetime": -4000, "nbf": 1}, 700024),
])
def test_federated(entra, claims, number):
    app = entra.app("federated", accounts=[UPN])
    app.new_federated_token(**claims)
    reply = post(entra, with_assertion(app, (app.directory / "federated").read_text()))
    assert (reply.status == 200) if number is None else (reply.number == number), reply.body
    app._federation["key"] = rsa.generate_private_key(public_exponent=65537, key_size=2048)  # pylint: disable=protected-access
    app.new_federated_token()
    assert post(entra, with_assertion(app, (app.directory / "federated").read_text())).number == 50012


# -- people -------------------------------------------------------------------------------------------------------


def begin(entra, app):
    reply = post(entra, {"client_id": app.client_id, "scope": DELEGATED}, what="devicecode")
    assert reply.status == 200, reply.body
    return reply.content


def poll(entra, app, begun):
    return post(entra, {"grant_type": DEVICE, "client_id": app.client_id, "device_code": begun["device_code"]})


def refresh(entra, app, token, **changes):
    return post(entra, {"grant_type": "refresh_token", "client_id": app.client_id, "refresh_token": token, "scope": DELEGATED,
                        **changes})


def grant(entra, app, user=UPN):
    """A refresh token, by a login."""
    begun = begin(entra, app)
    entra.type_code(begun["user_code"], user)
    reply = poll(entra, app, begun)
    assert reply.status == 200, reply.body
    return reply.content["refresh_token"]


def test_device_code(entra, office365):
    app = entra.app("device")
    entra.set(device_interval=1)
    begun = begin(entra, app)
    assert begun["expires_in"] == 900 and begun["interval"] == 1 and "verification_uri_complete" not in begun
    assert begun["user_code"] == entra.wait_for_code() and begun["user_code"] in begun["message"]
    reply = poll(entra, app, begun)
    assert (reply.status, reply.content["error"], reply.number) == (400, "authorization_pending", 70016)
    assert poll(entra, app, begun).content["error"] == "slow_down"
    entra.type_code(begun["user_code"], UPN)
    entra.set(device_interval=0)
    other = begin(entra, app)
    assert poll(entra, app, {"device_code": "wrong"}).content["error"] == "bad_verification_code"
    entra.decline_code(other["user_code"])
    assert poll(entra, app, other).content["error"] == "authorization_declined"
    begun = begin(entra, app)
    entra.type_code(begun["user_code"], UPN)
    reply = poll(entra, app, begun)
    assert reply.status == 200
    claims = claims_of(reply.content["access_token"])
    assert (claims["scp"], claims["upn"], claims["aud"], claims["appidacr"]) == (
        "SMTP.Send", UPN, "https://outlook.office.com", "0")
    assert login(office365, reply.content["access_token"]).startswith("235 ")
    assert login(office365, reply.content["access_token"], OTHER).startswith("535 5.7.3 ")
    assert objection(office365) == "user"
    assert poll(entra, app, begun).number == 90120
    entra.set(device_lifetime=-1)
    assert poll(entra, app, begin(entra, app)).content["error"] == "expired_token"
    for secret in (begun["device_code"], begun["user_code"], reply.content["refresh_token"], reply.content["access_token"]):
        assert secret not in entra.journal_path.read_text()


def test_public_client(entra):
    app = entra.app("device")
    begun = begin(entra, app)
    app.register(public_client=False)
    assert poll(entra, app, begun).number == 7000218
    app.register(public_client=True)
    assert refresh(entra, app, grant(entra, app), client_secret="x").number == 700025


def test_refresh_tokens_rotate(entra):
    app = entra.app("device")
    first = grant(entra, app)
    reply = refresh(entra, app, first)
    second = reply.content["refresh_token"]
    assert second != first and claims_of(reply.content["access_token"])["upn"] == UPN
    assert entra.requests()[-1]["account"] == UPN
    assert refresh(entra, app, first).status == refresh(entra, app, second).status == 200
    entra.set(rotation="refuse")
    assert refresh(entra, app, first).number == 70000
    third = refresh(entra, app, grant(entra, app)).content["refresh_token"]
    assert refresh(entra, app, third).status == 200
    entra.set(rotation="end")
    first = grant(entra, app)
    second = refresh(entra, app, first).content["refresh_token"]
    assert refresh(entra, app, first).number == 70000
    assert refresh(entra, app, second).number == 50173
    entra.set(rotation="refuse", rotate=False)
    token = grant(entra, app)
    assert refresh(entra, app, token).content["refresh_token"] == token == refresh(entra, app, token).content["refresh_token"]


def test_refresh_tokens_end(entra):
    app, stranger = entra.app("device"), entra.app("device")
    token = grant(entra, app)
    assert refresh(entra, stranger, token).number == 70000
    assert refresh(entra, app, "no token").number == 70000
    reply = post(entra, {"grant_type": "refresh_token", "client_id": app.client_id, "refresh_token": token})
    assert reply.number == 900144
    entra.control({"command": "set_user", "user": UPN, "number": 50076})
    reply = refresh(entra, app, token)
    assert (reply.number, reply.content["error"], reply.content["suberror"]) == (50076, "interaction_required", "basic_action")
    entra.control({"command": "set_user", "user": UPN, "number": None})
    assert refresh(entra, app, token).status == 200
    assert entra.revoke(UPN) >= 1
    assert refresh(entra, app, token).number == 50173
    token = grant(entra, app)
    entra.control({"command": "age_grants", "seconds": 91 * 86400})
    assert refresh(entra, app, token).number == 700082


# -- Exchange -----------------------------------------------------------------------------------------------------


def test_exchange_knows_who_may_what(entra, office365):
    app = entra.app(accounts=[UPN])
    token = token_of(entra, app)
    assert login(office365, token).startswith("235 ")
    assert login(office365, token, OTHER).startswith("535 5.7.3 ") and objection(office365) == "scope"
    app.set_principal("registration")
    assert login(office365, token).startswith("535 5.7.3 ") and objection(office365) == "principal"
    app.set_principal(None)
    assert login(office365, token).startswith("535 5.7.3 ") and objection(office365) == "principal"
    app.set_principal("right")
    assert login(office365, token_of(entra, app, scope="https://graph.microsoft.com/.default")).startswith("535 5.7.3 ")
    assert objection(office365) == "audience"
    office365.set(tenant_switch=True, basic_disabled=True)
    assert login(office365, token).startswith("535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled")
    office365.set(tenant_switch=False)
    assert login(office365, token).startswith("235 ")
    office365.set(revoked_tokens=[claims_of(token)["uti"]])
    assert login(office365, token).startswith("535 5.7.3 ") and objection(office365) == "revoked"
    assert login(office365, token[:-8] + "AAAAAAAA").startswith("535 5.7.3 ") and objection(office365) == "signature"
    assert login(office365, "eyJ0").startswith("535 5.7.3 ") and objection(office365) == "malformed"
    office365.set(token_tenant=str(uuid.uuid4()))
    assert login(office365, token_of(entra, app)).startswith("535 5.7.3 ") and objection(office365) == "tenant"
    assert token not in office365.journal_path.read_text()


def test_tokens_end(entra, office365):
    app = entra.app(accounts=[UPN], lifetime=1, refresh_in=0)
    reply = post(entra, with_secret(app))
    assert (reply.content["expires_in"], reply.content["refresh_in"]) == (1, 0)
    ended = entra.make_token(app.client_id, lifetime=-1)
    assert login(office365, ended).startswith("535 5.7.3 ") and objection(office365) == "expired"
    early = entra.make_token(app.client_id, claims={"nbf": int(time.time()) + 60})
    assert login(office365, early).startswith("535 5.7.3 ") and objection(office365) == "early"
    office365.set(token_margin=600)
    assert login(office365, entra.make_token(app.client_id, lifetime=590)).startswith("535 5.7.142 ")
    assert login(office365, entra.make_token(app.client_id, lifetime=610)).startswith("235 ")
    office365.set(token_margin=0)
    entra.set(clock=3600)
    assert login(office365, token_of(entra, app)).startswith("235 ")


def test_classic_model_needs_full_access(entra, office365):
    app = entra.app(model="classic", accounts=[UPN])
    token = token_of(entra, app)
    assert claims_of(token)["roles"] == ["SMTP.SendAsApp"]
    message = f"From: {UPN}\r\nSubject: test\r\n\r\nhello\r\n".encode()
    assert login(office365, token, message=message).startswith("250 ")
    entra.principal(app.client_id, app.object_id)
    assert login(office365, token).startswith("235 ")
    assert login(office365, token, message=message).startswith("430 4.2.0 ")
    none = entra.app(model=None)
    assert login(office365, token_of(entra, none)).startswith("535 5.7.3 ") and objection(office365) == "permission"


# -- trouble ------------------------------------------------------------------------------------------------------


def try_for_token(entra, app):
    """The object that came back for a request, None when nothing whole did within half a second."""
    with contextlib.closing(connect(entra, 0.5)) as connection:
        try:
            connection.request("POST", f"/{TENANT}/oauth2/v2.0/token", urllib.parse.urlencode(with_secret(app)),
                               {"Content-Type": "application/x-www-form-urlencoded"})
            response = connection.getresponse()
            body = response.read(1 << 20)
            return json.loads(body) if response.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError, RecursionError):
            return None


def is_ordinary(answer):
    """A whole answer as there is without a fault."""
    if not isinstance(answer, dict) or not isinstance(answer.get("access_token"), str):
        return False
    token = answer.pop("access_token")
    return answer == {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599} and len(token.split(".")) == 3 \
        and len(token) < 4096


@pytest.mark.parametrize("named", sorted(NAMED))
def test_named_fault(entra, named):
    """None gives the answer that there is without it, and none harms what comes behind it."""
    app = entra.app()
    assert is_ordinary(try_for_token(entra, app))
    entra.fault(named, times=1)
    spoilt = try_for_token(entra, app)
    assert entra.control({"command": "faults"})["faults"][-1]["hits"] == 1
    if named == "refresh-missing":
        return  # there is none anyway
    assert not is_ordinary(spoilt)
    assert is_ordinary(try_for_token(entra, app))


def test_errors_on_demand(entra):
    app = entra.app()
    entra.fault(error=700082, kind="refresh")
    assert post(entra, with_secret(app)).status == 200
    entra.clear_faults()
    entra.fault(error=50196, client_id=app.client_id, skip=1, times=1)
    assert post(entra, with_secret(app)).status == 200
    assert post(entra, with_secret(app)).number == 50196
    assert post(entra, with_secret(app)).status == 200
    entra.fault("plain-429", retry_after=7, times=1)
    reply = post(entra, with_secret(app))
    assert (reply.status, reply.headers["Retry-After"], reply.body) == (429, "7", b"Too many requests")
    entra.fault(error=90055, retry_after="date:60", times=1)
    reply = post(entra, with_secret(app))
    assert reply.status == 429 and reply.headers["Retry-After"].endswith(" GMT")
    for wrong in ({"named": "no such"}, {"action": "odd"}, {"odd": 1}, {"certificate": "odd"}, {"commit": False}):
        with pytest.raises(ControlError):
            entra.add_fault(**wrong)


def test_every_number_that_post365_knows_can_be_said():
    table = (PROJECT / "common" / "entra" / "cause.c").read_text()
    known = {int(number) for row in re.findall(r"\.numbers = {([^}]+)}", table) for number in re.findall(r"\d+", row)}
    assert len(known) > 60 and known <= set(ERRORS)


def test_lost_answer_may_have_had_its_effect(entra):
    app = entra.app("device")
    first = grant(entra, app)
    entra.set(rotation="refuse")
    entra.fault(action="drop", commit=True, kind="refresh", times=1)
    with pytest.raises((OSError, http.client.HTTPException)):
        refresh(entra, app, first)
    assert refresh(entra, app, first).number == 70000
    second = grant(entra, app)
    entra.fault(action="drop", kind="refresh", times=1)
    with pytest.raises((OSError, http.client.HTTPException)):
        refresh(entra, app, second)
    assert refresh(entra, app, second).status == 200


@pytest.mark.parametrize("kind", certificates.WRONG)
def test_wrong_certificate(entra, kind):
    entra.fault(certificate=kind, times=1)
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(entra, "GET", "/")
    assert ask(entra, "GET", "/").status == 404
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    entra.fault(certificate="inspection", times=1)
    with socket.create_connection(("127.0.0.1", entra.port), 5) as plain, \
            context.wrap_socket(plain, server_hostname="localhost") as secure:
        assert certificates.INSPECTION_ISSUER.encode() in secure.getpeercert(binary_form=True)


def test_down_and_up(entra):
    app = entra.app()
    port = entra.port
    entra.down()
    with pytest.raises(ConnectionRefusedError):
        post(entra, with_secret(app))
    entra.up()
    assert entra.port == port and post(entra, with_secret(app)).status == 200


def test_one_connection_serves_many_requests(entra):
    app = entra.app()
    body = urllib.parse.urlencode(with_secret(app))
    connection = connect(entra)
    with contextlib.closing(connection):
        for _ in range(3):
            connection.request("POST", f"/{TENANT}/oauth2/v2.0/token", body, {
                "Content-Type": "application/x-www-form-urlencoded", "client-request-id": "mine",
                "return-client-request-id": "true"})
            reply = Reply(connection.getresponse())
            assert reply.status == 200 and reply.headers["client-request-id"] == "mine"
    assert len({entry["connection"] for entry in entra.requests(client_id=app.client_id)}) == 1


def test_graph_tells_an_app_of_itself(entra):
    app, other = entra.app(), entra.app()
    token = token_of(entra, app, scope="https://graph.microsoft.com/.default")
    path = f"/v1.0/applications(appId='{app.client_id}')?$select=passwordCredentials,keyCredentials"
    reply = ask(entra, "GET", path, Authorization=f"Bearer {token}")
    assert reply.content["passwordCredentials"][0]["keyId"] == app.secret_id, reply.body
    assert ask(entra, "GET", path.replace(app.client_id, other.client_id), Authorization=f"Bearer {token}").status == 403
    assert ask(entra, "GET", path, Authorization=f"Bearer {token_of(entra, app)}").status == 401
    assert ask(entra, "GET", path, Authorization="Bearer x").status == 401


# -- beside it ----------------------------------------------------------------------------------------------------


def plain(entra, what, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", entra.ready["ports"][what], timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", path, headers=headers)
        return Reply(connection.getresponse())


def test_metadata_of_a_vm(entra, office365):
    app = entra.app("managed", accounts=[UPN])
    path = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Foutlook.office365.com"
    mine = f"{path}&client_id={app.client_id}"
    assert plain(entra, "vm", mine).status == 400
    reply = plain(entra, "vm", mine, Metadata="true")
    assert reply.content["expires_in"] == "3599" and reply.content["client_id"] == app.client_id
    assert login(office365, reply.content["access_token"]).startswith("235 ")
    assert plain(entra, "vm", f"{path}&client_id={uuid.uuid4()}", Metadata="true").status == 400
    assert entra.requests(kind="vm")[-1]["status"] == 400
    entra.fault(kind="vm", status=410, body="", times=1)
    assert plain(entra, "vm", mine, Metadata="true").status == 410


def test_metadata_of_arc(entra):
    app = entra.app("managed", metadata="arc")
    path = "/metadata/identity/oauth2/token?api-version=2019-11-01&resource=https%3A%2F%2Foutlook.office365.com"
    reply = plain(entra, "arc", path, Metadata="true")
    assert reply.status == 401
    key = reply.headers["Www-Authenticate"].removeprefix("Basic realm=")
    assert key.endswith(".key")
    with open(key, encoding="ascii") as file:
        shown = "Basic " + file.read()
    assert plain(entra, "arc", path, Metadata="true", Authorization="Basic wrong").status == 401
    assert not os.path.exists(key)
    key = plain(entra, "arc", path, Metadata="true").headers["Www-Authenticate"].removeprefix("Basic realm=")
    with open(key, encoding="ascii") as file:
        shown = "Basic " + file.read()
    reply = plain(entra, "arc", path, Metadata="true", Authorization=shown)
    assert claims_of(reply.content["access_token"])["appid"] == app.client_id
    assert plain(entra, "arc", path, Metadata="true", Authorization=shown).status == 401
    entra.set(arc_realm="/etc/shadow")
    assert plain(entra, "arc", path, Metadata="true").headers["Www-Authenticate"] == "Basic realm=/etc/shadow"


def through_proxy(entra, host, port, **headers):
    """The status of a GET through the proxy, OSError when that says no."""
    connection = http.client.HTTPSConnection("127.0.0.1", entra.ready["ports"]["proxy"], timeout=5,
                                             context=ssl.create_default_context(cafile=entra.ca_file))
    with contextlib.closing(connection):
        connection.set_tunnel(host, port, headers)
        connection.request("GET", f"/{DOMAIN}/v2.0/.well-known/openid-configuration")
        return connection.getresponse().status


def test_proxy(entra):
    assert through_proxy(entra, "localhost", entra.port) == 200
    assert through_proxy(entra, "login.microsoftonline.com", 443) == 200
    with pytest.raises(OSError, match="502"):
        through_proxy(entra, "elsewhere.example", 443)
    entra.set(proxy_login="relay:geheim")
    with pytest.raises(OSError, match="407"):
        through_proxy(entra, "localhost", entra.port)
    right = base64.b64encode(b"relay:geheim").decode()
    assert through_proxy(entra, "localhost", entra.port, **{"Proxy-Authorization": f"Basic {right}"}) == 200
    assert [entry["status"] for entry in entra.journal("proxy")] == [200, 200, 502, 407, 200]
    entra.fault(kind="proxy", status=503, times=1)
    with pytest.raises(OSError, match="503"):
        through_proxy(entra, "localhost", entra.port)
    entra.fault(kind="proxy", action="reset", times=1)
    with pytest.raises(ConnectionResetError):
        through_proxy(entra, "localhost", entra.port)
    assert "geheim" not in entra.journal_path.read_text() and right not in entra.journal_path.read_text()


def test_settings_are_checked(entra):
    for wrong in ({"odd": 1}, {"rotation": "odd"}, {"vm_identities": ["nobody"]}):
        with pytest.raises(ControlError):
            entra.set(**wrong)
    with pytest.raises(ControlError):
        entra.control({"command": "set_app", "client_id": "x", "settings": {"tenant": "nowhere"}})
    with pytest.raises(ControlError):
        entra.control({"command": "odd"})
