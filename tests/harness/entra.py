"""The stand-in for Entra ID's token endpoint (tests/entra/), and the app registrations that a test makes there.

    entra = place.add(Entra(place.directory / "entra", office365)).start()
    app = entra.app(secret=True, accounts=["relay@example.com"])     # exists at Entra, at Exchange, and as files
    relay = place.add(Relay(..., post365={**entra.parameters(), "post365_oauth2_maps": {"relay@example.com": app.file}},
                            transport=["relay@example.com"])).start()
    entra.fault("plain-503", times=3)
    entra.wait_for_request(kind="app", status=200)
    assert len(entra.requests(kind="app")) == 4

tests/entra/README.md lists settings, control commands, faults and journal entries. `office365` trusts the tokens and knows the
service principals; both stand-ins share an authority, so that one CA file serves.
"""

import datetime
import grp
import os
import pwd
import secrets
import shutil
import sys
import uuid
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from entra import jwt
from entra.directory import stable_id
from entra.faults import NAMED  # noqa: F401, for tests that go through all of them

from . import processes, standin, workplace

TENANT = "c0ffee00-365a-4365-8365-0123456789ab"
DOMAIN = "example.com"
USER = "bin"  # post365_oauth2_user here: another system account that every Debian has
APP_KINDS = ("secret", "certificate", "federated", "device", "managed")


class Entra(standin.StandIn):
    """One endpoint below `directory`, with the tenant TENANT (domain DOMAIN). `settings` are those of its config.json."""

    def __init__(self, directory, office365=None, **settings):
        environment = {**os.environ, "PYTHONPATH": str(workplace.PROJECT / "tests"), "PYTHONDONTWRITEBYTECODE": "1"}
        defaults = {"tenants": {TENANT: {"domains": [DOMAIN]}}, "apps": {}, "ports": {},
                    "arc_keys": str(Path(directory) / "arc")}
        if office365:
            defaults["authority_directory"] = str(office365.directory / "state")
        super().__init__("entra", [sys.executable, "-m", "entra"], directory, {**defaults, **settings}, environment)
        self.office365 = office365
        self.principals = {}

    def start(self, timeout=60.0):
        super().start(timeout)
        # Where it was made only root gets to, and the daemon that reads it is somebody else.
        shutil.copyfile(self.ready["ca_file"], self.ca_file)
        if self.office365:
            self._tell_office365(token_keys=[self.ready["token_key"]])
        return self

    def keep_ports(self):
        self.settings["ports"] = self.ready["ports"]

    @property
    def port(self):
        return self.ready["ports"]["token"]

    @property
    def authority(self):
        """What a registration file says in place of https://login.microsoftonline.com."""
        return self.ready["authority"]

    @property
    def ca_file(self):
        return str(self.directory / "ca.pem")

    @property
    def proxy(self):
        return f"http://127.0.0.1:{self.ready['ports']['proxy']}"

    def metadata(self, kind):
        """The authority of the managed identity: "vm" or "arc"."""
        return f"http://127.0.0.1:{self.ready['ports'][kind]}"

    def parameters(self, **further):
        """What main.cf needs beside post365_oauth2_maps."""
        return {"post365_oauth2_user": USER, "post365_oauth2_CAfile": self.ca_file, "post365_oauth2_timeout": "5s", **further}

    # -- what it knows --------------------------------------------------------------------------------------------

    def tenant(self, identifier, **settings):
        """A further tenant: domains, cloud, exchange (false: no licence with Exchange Online)."""
        self.control({"command": "set_tenant", "tenant": identifier, "settings": settings})
        self.settings["tenants"][identifier] = settings

    def app(self, kind="secret", **options):
        """A new App, see there."""
        return App(self, kind, **options)

    def set(self, **settings):
        """Rules of the endpoint while it runs. Exchange's clock follows the endpoint's."""
        super().set(**settings)
        self.settings.update(settings)
        if "clock" in settings and self.office365:
            self._tell_office365(token_clock=settings["clock"])

    def principal(self, client_id, object_id, scope=(), full_access=()):
        """New-ServicePrincipal and what follows; object_id None: it is removed."""
        self.principals.pop(client_id, None)
        if object_id:
            self.principals[client_id] = {"object_id": object_id, "scope": list(scope), "full_access": list(full_access)}
        self._tell_office365(principals=self.principals)

    def _tell_office365(self, **settings):
        self.office365.set(**settings)
        self.office365.settings.update(settings)  # for its next start

    # -- what happens ---------------------------------------------------------------------------------------------

    def fault(self, named=None, **fault):
        """Adds a fault: one of NAMED and what is different in it, or error=7000222, and so on. Returns its number."""
        return self.add_fault(**({"named": named} if named else {}), **fault)

    def down(self, what="token"):
        """From now on connections are refused; those that there are have ended."""
        self.control({"command": "down", "what": what})

    def up(self, what="token"):
        self.control({"command": "up", "what": what})

    def wait_for_code(self, timeout=60):
        """The user code that waits to be typed."""
        found = []

        def look():
            found[:] = [device["user_code"] for device in self.control({"command": "devices"})["devices"]
                        if device["user"] is None and not device["declined"]]
            return found
        if not processes.wait_until(look, timeout):
            raise TimeoutError(f"no device code waits after {timeout:g} s")
        return found[-1]

    def type_code(self, user_code, user):
        """`user` types the code and agrees."""
        self.control({"command": "type_code", "user_code": user_code, "user": user})

    def decline_code(self, user_code):
        self.control({"command": "decline_code", "user_code": user_code})

    def revoke(self, user, number=50173):
        """All grants of this person end. Returns how many there were."""
        return self.control({"command": "revoke", "user": user, "number": number})["ended"]

    # -- what was asked -------------------------------------------------------------------------------------------

    def requests(self, **wanted):
        """The journal's entries of requests; kind="app", status=401, client_id=..., account=..., number=700027 choose."""
        return [entry for entry in self.journal("request") if _fits(entry, wanted)]

    def wait_for_request(self, count=1, timeout=60, **wanted):
        """The first `count` requests since the start that fit (one: itself, not a list)."""
        found = self.wait_for_count(count, lambda entry: entry["event"] == "request" and _fits(entry, wanted), timeout)
        return found[0] if count == 1 else found

    def make_token(self, client_id, **options):
        """A signed token with any audience, lifetime, claims; without those that `remove` lists."""
        return self.control({"command": "make_token", "client_id": client_id, **options})["token"]


def _fits(entry, wanted):
    return all(entry.get(name) == value for name, value in wanted.items())


class App:
    """An app registration: at Entra, at Exchange, and as files below <entra.directory>/<name>.

    kind        "secret", "certificate", "federated", "device" (no credential, people log in) or "managed" (`metadata` "vm" or
                "arc")
    tenant      its id
    accounts    the mailboxes that it may send for
    model       "rbac" (scope in Exchange), "classic" (role in the token, full access in Exchange), None: no permission at all
    principal   what New-ServicePrincipal was told: "right", "registration" (the app registration's object id), None: nothing
    further     names of an app in tests/entra/README.md: lifetime, refresh_in, disabled, assignment_required, ...

    `file` is the registration file of post365, `client_id`, `object_id`, `secret` and so on what is in it.
    """

    def __init__(self, entra, kind="secret", *, name=None, tenant=TENANT, client_id=None, accounts=(), model="rbac",
                 principal="right", metadata="vm", **further):
        if kind not in APP_KINDS:
            raise ValueError(f"no kind of app: {kind}")
        self.entra, self.kind, self.tenant, self.model, self.metadata = entra, kind, tenant, model, metadata
        self.client_id = client_id or str(uuid.uuid4())
        self.object_id = further.get("object_id", stable_id("principal", self.client_id))
        self.registration_id = stable_id("registration", self.client_id)
        self.directory = entra.directory / (name or f"app-{self.client_id[:8]}")
        self.directory.mkdir(mode=0o755)
        self.secret = self.secret_id = self.certificate = self._federation = None
        self.settings = {"tenant": tenant, "public_client": kind == "device", **further}
        if model == "classic":
            self.settings["roles"] = ["SMTP.SendAsApp"]
        self._names = {"tenant": tenant, "client_id": self.client_id, "cloud": "global",
                       "grant": "user" if kind == "device" else "app", "authority": entra.authority}
        getattr(self, f"_make_{kind}")()
        self.register()
        if kind == "managed":
            self._add_identity()
        self.file = self.write()
        self._principal = principal
        self.accounts = []
        if entra.office365 and kind != "device":
            self.allow(*accounts)

    # -- at Microsoft's -------------------------------------------------------------------------------------------

    def register(self, **settings):
        """Changes the app at Entra."""
        self.settings.update(settings)
        self.entra.control({"command": "set_app", "client_id": self.client_id, "settings": self.settings})
        self.entra.settings["apps"][self.client_id] = self.settings

    def allow(self, *accounts):
        """These mailboxes, and no others, are the app's from now on."""
        self.accounts = list(accounts)
        object_id = {"right": self.object_id, "registration": self.registration_id, None: None}[self._principal]
        self.entra.principal(self.client_id, object_id,
                             self.accounts if self.model == "rbac" else (),
                             self.accounts if self.model == "classic" else ())

    def set_principal(self, principal):
        """"right", "registration" (the wrong object id) or None."""
        self._principal = principal
        self.allow(*self.accounts)

    def _add_identity(self):
        name = f"{self.metadata}_identities"
        self.entra.set(**{name: [*self.entra.settings.get(name, []), self.client_id]})

    # -- files ----------------------------------------------------------------------------------------------------

    def write(self, name="registration.cf", **names):
        """The registration file, with these names instead (None: without). Returns its path."""
        lines = {**self._names, **names}
        path = self.directory / name
        path.write_text("".join(f"{name} = {value}\n" for name, value in lines.items() if value is not None))
        path.chmod(0o644)
        return str(path)

    def put(self, name, data, mode=0o600):
        """A file of the token daemon's account, replaced in one step. Returns its path."""
        path, fresh = self.directory / name, self.directory / f"{name}.new"
        fresh.touch(mode=0o600)
        fresh.write_bytes(data.encode() if isinstance(data, str) else data)
        fresh.chmod(mode)
        if os.geteuid() == 0:
            os.chown(fresh, pwd.getpwnam(USER).pw_uid, grp.getgrgid(pwd.getpwnam(USER).pw_gid).gr_gid)
        fresh.rename(path)
        return str(path)

    # -- secrets --------------------------------------------------------------------------------------------------

    def _make_secret(self):
        self.new_secret()

    def new_secret(self, *, ends=None, keep=True, write=True):
        """A further secret (keep=False: in place of all others), which the file then holds. `ends`: seconds from now."""
        # As Entra makes them, and with what has to be encoded in a form.
        self.secret = f"{secrets.token_urlsafe(6)[:3]}8Q~{secrets.token_urlsafe(24)}+/=&%~"
        self.secret_id = str(uuid.uuid4())
        end = datetime.datetime.now().timestamp() + ends if ends is not None else None
        before = self.settings.get("secrets", []) if keep else []
        self.settings["secrets"] = [*before, {"id": self.secret_id, "value": self.secret, "ends": end}]
        self.register()
        if write:
            self._names["client_secret_file"] = self.put("secret", f"{self.secret}\n")
        return self.secret

    def expire_secrets(self):
        """All of them have ended."""
        self.register(secrets=[{**secret, "ends": 1} for secret in self.settings["secrets"]])

    # -- certificates ---------------------------------------------------------------------------------------------

    def _make_certificate(self):
        self.new_certificate()

    def new_certificate(self, *, days=365, upload=True, keep=True, write=True):
        """A key and a self-signed certificate for it. `upload`: it is put on the app registration."""
        key, self.certificate = make_certificate(days)
        text = self.certificate.public_bytes(serialization.Encoding.PEM).decode()
        if write:
            self._names["certificate_file"] = self.put("certificate.pem", text, 0o644)
            self._names["key_file"] = self.put("key.pem", key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        if upload:
            self.register(certificates=[*(self.settings.get("certificates", []) if keep else []), text])
        return key, self.certificate

    # -- federated credentials ------------------------------------------------------------------------------------

    def _make_federated(self):
        self._federation = {"issuer": "https://kubernetes.example.com", "subject": "system:serviceaccount:mail:post365",
                            "key": rsa.generate_private_key(public_exponent=65537, key_size=2048)}
        public = self._federation["key"].public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        self.settings["federated"] = [{"issuer": self._federation["issuer"], "subject": self._federation["subject"],
                                       "key": public}]
        self._names["federated_token_file"] = self.new_federated_token()

    def new_federated_token(self, *, lifetime=3600, **claims):
        """Writes a fresh one, as Kubernetes does each hour; claims in place of the right ones. Returns its path."""
        now = int(datetime.datetime.now().timestamp())
        token = jwt.sign({"alg": "RS256", "typ": "JWT", "kid": "1"},
                         {"iss": self._federation["issuer"], "sub": self._federation["subject"],
                          "aud": ["api://AzureADTokenExchange"], "iat": now, "nbf": now, "exp": now + lifetime, **claims},
                         self._federation["key"])
        return self.put("federated", token)

    # -- without any ----------------------------------------------------------------------------------------------

    def _make_device(self):
        pass

    def _make_managed(self):
        self._names |= {"managed_identity": self.metadata, "authority": self.entra.metadata(self.metadata)}


def make_certificate(days=365):
    """(RSA key, certificate for it), good from yesterday on; with negative days it has ended."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "post365")])
    now = datetime.datetime.now(datetime.timezone.utc)
    begins = now - datetime.timedelta(days=1 + max(0, -days))
    certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(begins)
                   .not_valid_after(now + datetime.timedelta(days=days)).sign(key, hashes.SHA256()))
    return key, certificate
