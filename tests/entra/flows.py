"""The token endpoint: every flow of OAuth 2.0 that post365 uses, checked as Entra ID checks it.

All functions return the object that the answer's JSON is made of, or raise Refusal. They do no I/O, take the time as an
argument, and fill in `seen`, from which the journal is written; no secret is ever put there.
"""

import base64
import binascii
import re
import urllib.parse
from dataclasses import dataclass, field

from . import assertion
from .directory import CLOUDS, RESOURCES, Grant
from .errors import DECLINED, TOO_FAST, Refusal

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
IDLE = 90 * 86400  # seconds after which a refresh token has ended
_ENCODED = re.compile(rb"(?:[A-Za-z0-9._~*+-]|%[0-9A-Fa-f]{2})*")


@dataclass
class Rules:
    """What may be set about the endpoint as a whole."""
    lifetime: float = 3599  # seconds, of access tokens
    refresh_in: float | None = None
    rotation: str = "keep"  # old refresh tokens: keep, refuse, or end the whole grant
    rotate: bool = True  # a new refresh token with each answer
    device_lifetime: float = 900
    device_interval: float = 5
    cloud: str = "global"
    token_version: int = 1
    clock: float = 0  # seconds that the endpoint's clock is ahead


@dataclass
class Seen:
    """What the journal tells of a request."""
    kind: str = "unknown"
    tenant: str | None = None
    client_id: str | None = None
    account: str | None = None
    credential: str | None = None
    scope: str | None = None
    token: str | None = None  # uti of the token that was given
    notes: list = field(default_factory=list)


def parse_form(body, seen):
    """The parameters. What is not percent-encoded as it should be is noted; what cannot be read is refused."""
    values = {}
    for pair in body.split(b"&") if body else []:
        name, equals, value = pair.partition(b"=")
        if not equals or not _ENCODED.fullmatch(name) or not _ENCODED.fullmatch(value):
            seen.notes.append("not-encoded")
        try:
            key, text = (urllib.parse.unquote_plus(part.decode(), errors="strict") for part in (name, value))
        except UnicodeDecodeError as error:
            raise Refusal(90014, {"parameter": "?"}) from error
        if key in values:
            raise Refusal(None, status=400, error="invalid_request", text=f"The parameter '{key}' comes twice.")
        values[key] = text
    return values


class Flows:
    """The endpoint on a Directory with an Issuer. `authorities` are the URLs under which clients know it."""

    def __init__(self, directory, issuer, rules, authorities):
        self.directory, self.issuer, self.rules, self.authorities = directory, issuer, rules, authorities
        self._used = set()  # jti of assertions

    # -- the two addresses ------------------------------------------------------------------------------------

    def token(self, tenant_name, form, authorization, now, seen):
        """POST /<tenant>/oauth2/v2.0/token. `authorization`: the header's value or None."""
        grant_type = form.get("grant_type")
        flows = {"client_credentials": self._app_only, "refresh_token": self._refresh, DEVICE_GRANT: self._poll}
        seen.kind = {"client_credentials": "app", "refresh_token": "refresh", DEVICE_GRANT: "poll"}.get(grant_type, "unknown")
        seen.scope = form.get("scope")
        if not grant_type:
            raise Refusal(900144, {"parameter": "grant_type"})
        if grant_type not in flows:
            raise Refusal(70003, {"value": grant_type})
        form = self._with_basic(form, authorization, seen)
        tenant = self._tenant(tenant_name, form, grant_type, seen)
        app = self._app(tenant, form, seen)
        return flows[grant_type](tenant, app, form, now, seen, tenant_name)

    def device_code(self, tenant_name, form, now, seen):
        """POST /<tenant>/oauth2/v2.0/devicecode"""
        seen.kind, seen.scope = "device", form.get("scope")
        tenant = self._tenant(tenant_name, form, "device", seen)
        app = self._app(tenant, form, seen)
        self._delegated_scope(tenant, form)
        device = self.directory.new_device(app, form["scope"], now, self.rules.device_lifetime, self.rules.device_interval)
        address = "https://login.microsoft.com/device"
        return {"user_code": device.user_code, "device_code": device.code, "verification_uri": address,
                "expires_in": int(self.rules.device_lifetime), "interval": int(self.rules.device_interval),
                "message": f"To sign in, use a web browser to open the page {address} and enter the code {device.user_code} "
                           "to authenticate."}

    def configuration(self, tenant_name, seen):
        """GET /<tenant>/v2.0/.well-known/openid-configuration"""
        seen.kind = "configuration"
        tenant = self.directory.find_tenant(tenant_name)
        if tenant is None:
            raise Refusal(90002, {"tenant": tenant_name})
        seen.tenant = tenant.id
        base = self.authorities[0] if tenant.cloud == self.rules.cloud else CLOUDS[tenant.cloud]
        below = f"{base}/{tenant.id}"
        return {"token_endpoint": f"{below}/oauth2/v2.0/token",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
                "device_authorization_endpoint": f"{below}/oauth2/v2.0/devicecode",
                "issuer": f"{below}/v2.0",
                "tenant_region_scope": {"global": "EU", "china": "AS"}.get(tenant.cloud, "USGov"),
                "cloud_instance_name": urllib.parse.urlsplit(CLOUDS[tenant.cloud]).hostname.removeprefix("login.")}

    # -- who asks -----------------------------------------------------------------------------------------------

    @staticmethod
    def _with_basic(form, authorization, seen):
        """RFC 6749 section 2.3.1: id and secret may come in the header as well."""
        if not authorization:
            return form
        kind, _, data = authorization.partition(" ")
        try:
            name, _, secret = base64.b64decode(data, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            name = secret = ""
        if kind.lower() != "basic" or not name:
            raise Refusal(900144, {"parameter": "client_assertion"})
        seen.credential = "basic"
        return {**form, "client_id": urllib.parse.unquote_plus(name), "client_secret": urllib.parse.unquote_plus(secret)}

    def _tenant(self, name, form, grant_type, seen):
        client_id = form.get("client_id", "-")
        if name.lower() in ("common", "consumers", "organizations"):
            number = 9001023 if grant_type == "client_credentials" else 50194
            raise Refusal(number, {"client_id": client_id})
        tenant = self.directory.find_tenant(name)
        if tenant is None:
            raise Refusal(90002, {"tenant": name})
        seen.tenant = tenant.id
        if tenant.cloud != self.rules.cloud:
            raise Refusal(900439 if tenant.cloud.startswith("usgov") else 90038, {"tenant": name})
        return tenant

    def _app(self, tenant, form, seen):
        client_id = form.get("client_id")
        if not client_id:
            raise Refusal(900144, {"parameter": "client_id"})
        seen.client_id = client_id
        words = {"client_id": client_id, "tenant": tenant.id}
        app = self.directory.apps.get(client_id.lower())
        if app is None or app.tenant != tenant.id:
            raise Refusal(700016, words)
        if not app.principal:
            raise Refusal(7000229, words)
        if app.disabled:
            raise Refusal(7000112, words)
        return app

    def _authenticate(self, app, form, now, seen, tenant_name):
        """The credential that the request shows: "secret", "certificate", "federated", or a Refusal."""
        kind = form.get("client_assertion_type")
        text = form.get("client_assertion")
        if text is not None or kind is not None:
            if kind != assertion.TYPE:
                raise Refusal(900144, {"parameter": "client_assertion_type"})
            if "client_secret" in form:
                seen.notes.append("two-credentials")
            if not text:
                raise Refusal(900144, {"parameter": "client_assertion"})
            return self._check_assertion(app, text, now, seen, tenant_name)
        if "client_secret" not in form:
            raise Refusal(7000218)
        seen.credential = seen.credential or "secret"
        _check_secret(app, form["client_secret"], now)
        return seen.credential

    def _check_assertion(self, app, text, now, seen, tenant_name):
        token = assertion.parse(text)
        if any(name in token.header for name in ("x5t", "x5t#S256")) or not app.federated:
            seen.credential = "certificate"
            # Known by the name in the request's path, and by the tenant's own id.
            audiences = {f"{authority}/{name}/{rest}" for authority in self.authorities
                         for name in (tenant_name, app.tenant) for rest in ("oauth2/v2.0/token", "v2.0")}
            assertion.check_certificate(text, app, audiences, now, self._used)
        else:
            seen.credential = "federated"
            assertion.check_federated(text, app.federated, now)
        return seen.credential

    # -- scopes -------------------------------------------------------------------------------------------------

    def _resource(self, tenant, name):
        """The audience of tokens for a resource as a scope names it."""
        if name not in RESOURCES:
            raise Refusal(500011, {"value": name, "tenant": tenant.id})
        if RESOURCES[name].startswith("00000002-0000-0ff1") and not tenant.exchange:
            raise Refusal(500011, {"value": name, "tenant": tenant.id})
        return name

    def _app_scope(self, tenant, form):
        scope = form.get("scope", "")
        if not scope:
            raise Refusal(900144, {"parameter": "scope"})
        if len(scope.split()) > 1:
            raise Refusal(28002, {"value": scope})
        if not scope.endswith("/.default"):
            raise Refusal(70011, {"value": scope})
        return self._resource(tenant, scope.removesuffix("/.default"))

    def _delegated_scope(self, tenant, form):
        """(audience, scopes): of the scopes without their resource, and offline_access as it is."""
        scope = form.get("scope", "")
        if not scope:
            raise Refusal(900144, {"parameter": "scope"})
        words = scope.split()
        resources = {word.rpartition("/")[0] for word in words if "/" in word}
        if len(resources) > 1:
            raise Refusal(28002, {"value": scope})
        # Without a resource a scope is Graph's.
        name = resources.pop() if resources else "https://graph.microsoft.com"
        return self._resource(tenant, name), [word.rpartition("/")[2] for word in words]

    # -- the flows ------------------------------------------------------------------------------------------------

    def _lifetimes(self, app):
        lifetime = app.lifetime if app.lifetime is not None else self.rules.lifetime
        refresh_in = app.refresh_in if app.refresh_in is not None else self.rules.refresh_in
        answer = {"token_type": "Bearer", "expires_in": int(lifetime), "ext_expires_in": int(lifetime)}
        return lifetime, answer | ({"refresh_in": int(refresh_in)} if refresh_in is not None else {})

    def _app_only(self, tenant, app, form, now, seen, tenant_name):
        if app.is_public() and "client_secret" not in form and "client_assertion" not in form:
            raise Refusal(7000218)
        credential = self._authenticate(app, form, now, seen, tenant_name)
        audience = self._app_scope(tenant, form)
        if app.assignment_required and not app.roles:
            raise Refusal(501051, {"client_id": app.client_id})
        lifetime, answer = self._lifetimes(app)
        token, claims = self.issuer.app_only(app, audience, now, lifetime, self.rules.token_version, credential)
        seen.token = claims["uti"]
        return {**answer, "access_token": token}

    def managed(self, app, audience, now, seen):
        """What a managed identity gets: the token and its lifetime."""
        lifetime, _ = self._lifetimes(app)
        token, claims = self.issuer.app_only(app, audience, now, lifetime, 1, "managed")
        seen.token = claims["uti"]
        return token, lifetime

    def _delegated(self, app, grant, audience, scopes, now, seen, replaced):
        """A token for what was allowed and is asked for, and a refresh token."""
        lifetime, answer = self._lifetimes(app)
        allowed = [scope for scope in scopes if scope != "offline_access"]
        if allowed != [".default"] and not set(allowed) <= set(app.scopes):
            raise Refusal(65001, {"client_id": app.client_id})
        if allowed == [".default"]:
            allowed = app.scopes
        if self.directory.users.get(grant.user.lower()):
            raise Refusal(self.directory.users[grant.user.lower()], {"user": grant.user})
        token, claims = self.issuer.delegated(app, audience, now, lifetime, self.rules.token_version, grant.user, allowed)
        seen.token = claims["uti"]
        grant.used_at = now
        answer |= {"scope": " ".join(f"{audience}/{scope}" for scope in allowed), "access_token": token}
        if "offline_access" in grant.scopes:
            answer["refresh_token"] = replaced
            if self.rules.rotate or replaced is None:
                answer["refresh_token"] = self.directory.new_refresh_token(grant, replaced)
        return answer

    def _check_public(self, app, form, now, seen, tenant_name):
        """Who asks for a delegated token: a public client shows nothing, any other its credential."""
        shown = "client_secret" in form or "client_assertion" in form
        if shown and app.is_public():
            raise Refusal(700025)
        if shown:
            self._authenticate(app, form, now, seen, tenant_name)
        elif not app.public_client:
            raise Refusal(7000218)
        else:
            seen.credential = "none"

    def _poll(self, tenant, app, form, now, seen, tenant_name):
        if not form.get("device_code"):
            raise Refusal(900144, {"parameter": "device_code"})
        device = self.directory.devices.get(form["device_code"])
        if device is None or device.client_id != app.client_id:
            raise Refusal(70018)
        self._check_public(app, form, now, seen, tenant_name)
        seen.account = device.user
        if device.used:
            raise Refusal(90120)
        if now > device.ends:
            raise Refusal(70019)
        if device.declined:
            raise Refusal(DECLINED.number, error=DECLINED.error, text=DECLINED.text)
        too_fast = device.polled_at is not None and now - device.polled_at < device.interval - 0.2
        device.polled_at = now
        if too_fast:
            device.interval += 5  # RFC 8628 section 3.5
            raise Refusal(**TOO_FAST)
        if device.user is None:
            raise Refusal(70016)
        audience, scopes = self._delegated_scope(tenant, {"scope": device.scope})
        grant = Grant(tenant.id, app.client_id, device.user, scopes, now)
        answer = self._delegated(app, grant, audience, scopes, now, seen, None)
        device.used = True
        return answer

    def _refresh(self, tenant, app, form, now, seen, tenant_name):
        token = form.get("refresh_token")
        if not token:
            raise Refusal(900144, {"parameter": "refresh_token"})
        self._check_public(app, form, now, seen, tenant_name)
        grant = self.directory.grants.get(token)
        if grant is None:
            raise Refusal(70000, {"reason": "The refresh token is malformed or unknown."})
        seen.account = grant.user
        if grant.tenant != tenant.id:
            raise Refusal(7000012)
        if grant.client_id != app.client_id:
            raise Refusal(70000, {"reason": "The refresh token was given to another client."})
        if grant.over:
            raise Refusal(grant.over)
        if now - grant.used_at > IDLE:
            raise Refusal(700082, {"reason": f"It was inactive for {IDLE // 86400} days."})
        if token in self.directory.spent and self.rules.rotation != "keep":
            if self.rules.rotation == "end":
                grant.over = 50173
            raise Refusal(70000, {"reason": "The refresh token was used before."})
        audience, scopes = self._delegated_scope(tenant, form)
        return self._delegated(app, grant, audience, scopes, now, seen, token)


def _check_secret(app, shown, now):
    words = {"client_id": app.client_id}
    for secret in app.secrets:
        if secret.value == shown:
            if secret.ends is not None and now > secret.ends:
                raise Refusal(7000222, words)
            return
    raise Refusal(7000215, words)
