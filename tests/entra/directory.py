"""What Entra ID knows: tenants, applications, who granted them what. Read from JSON, for the start and for the control."""

import secrets
import time
import uuid
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from . import assertion
from .problem import Problem, take

# The two names of Exchange Online for app-only and delegated tokens, and others that a token could be asked for.
RESOURCES = {
    "https://outlook.office365.com": "00000002-0000-0ff1-ce00-000000000000",
    "https://outlook.office.com": "00000002-0000-0ff1-ce00-000000000000",
    "https://outlook.office365.us": "00000002-0000-0ff1-ce00-000000000000",
    "https://partner.outlook.cn": "00000002-0000-0ff1-ce00-000000000000",
    "https://graph.microsoft.com": "00000003-0000-0000-c000-000000000000",
}
CLOUDS = {"global": "https://login.microsoftonline.com", "usgov": "https://login.microsoftonline.us",
          "usgov-dod": "https://login.microsoftonline.us", "china": "https://login.partner.microsoftonline.cn"}


def stable_id(*words):
    """A GUID that is the same in each run."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(["entra", *words])))


@dataclass
class Tenant:
    id: str
    domains: list
    cloud: str = "global"
    exchange: bool = True  # there is a licence with Exchange Online

    @classmethod
    def read(cls, identifier, value):
        take(value, {"domains", "cloud", "exchange"}, "a tenant")
        if value.get("cloud", "global") not in CLOUDS:
            raise Problem(f'"cloud" must be one of {", ".join(CLOUDS)}')
        return cls(identifier.lower(), [domain.lower() for domain in value.get("domains", [])],
                   value.get("cloud", "global"), value.get("exchange", True))


@dataclass
class Secret:
    id: str
    value: str
    ends: float | None = None  # seconds since 1970


@dataclass
class App:
    """An app registration with its service principal in one tenant."""
    client_id: str
    tenant: str
    name: str = "post365"
    registration_id: str = ""  # object id of the app registration
    object_id: str = ""  # object id of the service principal: the token's oid
    secrets: list = field(default_factory=list)
    certificates: list = field(default_factory=list)
    federated: list = field(default_factory=list)
    public_client: bool = False  # "Allow public client flows"
    roles: list = field(default_factory=list)  # ["SMTP.SendAsApp"]: the classic permission model
    scopes: list = field(default_factory=lambda: ["SMTP.Send"])  # what is consented to for delegated use
    principal: bool = True  # there is a service principal
    disabled: bool = False
    assignment_required: bool = False
    lifetime: float | None = None  # seconds; None: the endpoint's
    refresh_in: float | None = None

    _NAMES = {"tenant", "name", "registration_id", "object_id", "secrets", "certificates", "federated", "public_client",
              "roles", "scopes", "principal", "disabled", "assignment_required", "lifetime", "refresh_in"}

    @classmethod
    def read(cls, client_id, value, before=None):
        """A new one, or `before` with what `value` changes."""
        take(value, cls._NAMES, "an app")
        known = {name: getattr(before, name) for name in cls._NAMES} if before else {
            "registration_id": stable_id("registration", client_id), "object_id": stable_id("principal", client_id)}
        known.update(value)
        if "tenant" not in known:
            raise Problem("an app needs a \"tenant\"")
        if "secrets" in value:
            known["secrets"] = [Secret(**take(one, {"id", "value", "ends"}, "a secret")) for one in value["secrets"]]
        if "certificates" in value:
            known["certificates"] = [_certificate(one) for one in value["certificates"]]
        if "federated" in value:
            known["federated"] = [_federated(one) for one in value["federated"]]
        return cls(client_id, **known)

    def credentials(self):
        """What Graph tells of them."""
        return {"appId": self.client_id, "id": self.registration_id, "displayName": self.name,
                "passwordCredentials": [{"keyId": secret.id, "hint": secret.value[:3], "endDateTime": _iso(secret.ends)}
                                        for secret in self.secrets],
                "keyCredentials": [{"keyId": stable_id("key", str(certificate.serial_number)), "type": "AsymmetricX509Cert",
                                    "usage": "Verify", "endDateTime": _iso(assertion.validity(certificate)[1].timestamp())}
                                   for certificate in self.certificates]}

    def is_public(self):
        """It has no credential at all."""
        return not (self.secrets or self.certificates or self.federated)


def _iso(seconds):
    return None if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _certificate(text):
    try:
        return x509.load_pem_x509_certificate(text.encode())
    except ValueError as error:
        raise Problem(f"not a certificate in PEM: {error}") from error


def _federated(value):
    take(value, {"issuer", "subject", "audience", "key"}, "a federated credential")
    try:
        return {"audience": assertion.FEDERATED_AUDIENCE, **value,
                "key": serialization.load_pem_public_key(value["key"].encode())}
    except (KeyError, ValueError) as error:
        raise Problem(f"a federated credential needs issuer, subject, and key in PEM: {error}") from error


@dataclass
class Grant:
    """A refresh token's line of descent: who allowed what to whom. It dies as a whole."""
    tenant: str
    client_id: str
    user: str
    scopes: list
    used_at: float
    over: int | None = None  # the AADSTS number that it is refused with from now on


@dataclass
class Device:
    """A device code that waits to be typed."""
    code: str
    user_code: str
    tenant: str
    client_id: str
    scope: str  # as it was asked for
    ends: float
    interval: float
    polled_at: float | None = None
    user: str | None = None
    declined: bool = False
    used: bool = False


class Directory:
    """All of it. Time is an argument."""

    def __init__(self):
        self.tenants, self.apps = {}, {}
        self.grants = {}  # refresh token -> Grant
        self.spent = set()  # refresh tokens that a newer one has replaced
        self.devices = {}  # device code -> Device
        self.users = {}  # UPN -> the AADSTS number of what is wrong with it, None

    # -- read from JSON ---------------------------------------------------------------------------------------

    def set_tenant(self, identifier, value):
        self.tenants[identifier.lower()] = Tenant.read(identifier, value)

    def set_app(self, client_id, value):
        app = App.read(client_id.lower(), value, self.apps.get(client_id.lower()))
        if app.tenant not in self.tenants:
            raise Problem(f"there is no tenant {app.tenant}")
        self.apps[app.client_id] = app

    # -- found --------------------------------------------------------------------------------------------------

    def find_tenant(self, name):
        name = name.lower()
        return self.tenants.get(name) or next(
            (tenant for tenant in self.tenants.values() if name in tenant.domains), None)

    def waiting_device(self, user_code):
        for device in self.devices.values():
            if device.user_code == user_code and device.user is None and not device.declined:
                return device
        raise Problem(f"no device code waits under {user_code}")

    # -- grants ---------------------------------------------------------------------------------------------

    def new_device(self, app, scope, now, lifetime, interval):
        alphabet = "BCDFGHJKLMNPQRSTVWXYZ"
        device = Device("D" + secrets.token_urlsafe(64), "".join(secrets.choice(alphabet) for _ in range(9)), app.tenant,
                        app.client_id, scope, now + lifetime, interval)
        self.devices[device.code] = device
        return device

    def new_refresh_token(self, grant, replaced=None):
        token = f"1.A{secrets.token_urlsafe(9)}.{secrets.token_urlsafe(400)}"
        self.grants[token] = grant
        if replaced is not None:
            self.spent.add(replaced)
        return token

    def revoke(self, user, number):
        """All grants of a person end; the number is what they are refused with. Returns how many there were."""
        ended = {id(grant): grant for grant in self.grants.values() if grant.user.lower() == user.lower() and not grant.over}
        for grant in ended.values():
            grant.over = number
        return len(ended)
