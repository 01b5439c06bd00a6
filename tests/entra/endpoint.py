"""One HTTPS endpoint: connections, addresses, and what a fault makes of an answer. What is said is Flows' business."""

import itertools
import json
import ssl
import threading
import time
import urllib.parse
import uuid

from . import faults as trouble
from . import http, jwt
from .errors import Refusal
from .flows import DEVICE_GRANT, Seen, parse_form

_JSON = {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store, no-cache", "Pragma": "no-cache",
         "Expires": "-1", "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
         "X-Content-Type-Options": "nosniff", "Set-Cookie": "fpc=AsOmE; path=/; secure; HttpOnly; SameSite=None"}
_HANDSHAKE = 60  # seconds


class Endpoint:
    """`serve_tls` and `serve_plain(kind)` take a connection each; they may run in any number of threads."""

    def __init__(self, flows, certificates, faults, journal, metadata):
        self.flows, self.certificates, self.faults, self.journal = flows, certificates, faults, journal
        self.metadata = metadata
        self.lock = threading.RLock()  # around all that changes what flows know
        self.date = None  # None: as the endpoint's clock says; a number of seconds beside it; "": none; any other literal
        self.delay = 0.0  # seconds before each answer
        self._connections = itertools.count(1)

    def now(self):
        return time.time() + self.flows.rules.clock

    # -- connections ----------------------------------------------------------------------------------------------

    def serve_tls(self, stream):
        number = next(self._connections)
        fault = self.faults.match("connect")
        self.journal.write("connect", connection=number, fault=fault.number if fault else None)
        if fault:
            time.sleep(fault.delay or 0)
            if not self.faults.act(fault, http.Connection(stream), b""):
                return
        fault = self.faults.match("tls")
        kind = "right"
        if fault:
            time.sleep(fault.delay or 0)
            kind = fault.certificate or kind
            if not self.faults.act(fault, http.Connection(stream), b""):
                return
        stream.settimeout(_HANDSHAKE)
        try:
            secure = self.certificates.contexts[kind].wrap_socket(stream, server_side=True)
        except (OSError, ssl.SSLError) as error:
            self.journal.write("tls-failed", connection=number, certificate=kind, reason=str(error))
            return
        with secure:
            secure.settimeout(None)
            self.journal.write("tls", connection=number, certificate=kind, version=secure.version())
            self._converse(http.Connection(secure), number, self._answer_token)
        self.journal.write("disconnect", connection=number)

    def serve_metadata(self, kind):
        """What takes a connection to "vm" or "arc"."""
        def serve(stream):
            number = next(self._connections)
            self._converse(http.Connection(stream), number, answer, kind)

        def answer(request, seen, now):
            return self.metadata.answer(kind, request, now, seen)
        return serve

    def serve_proxy(self, proxy):
        def serve(stream):
            connection = http.Connection(stream)
            request = connection.read()
            if request:
                proxy.serve(connection, request)
        return serve

    def _converse(self, connection, number, answer, kind=None):
        """Request after request, until one of both has enough. `kind`: what all of them are."""
        try:
            while request := connection.read():
                if not self._exchange(connection, number, request, answer, kind):
                    return
        except http.Closed as error:
            self.journal.write("broken-off", connection=number, reason=str(error))

    # -- one request ------------------------------------------------------------------------------------------------

    def _exchange(self, connection, number, request, answer, kind):
        """Returns whether the connection goes on."""
        arrived = time.time()
        seen = Seen(kind=kind) if kind else self._look(request)
        correlation = request.headers.get("client-request-id") or str(uuid.uuid4())
        fault = self.faults.match("answer", kind=seen.kind, tenant=seen.tenant, client_id=seen.client_id,
                                  account=seen.account)
        time.sleep((fault.delay or 0) if fault else self.delay)
        reply, value, refusal = None, None, None
        if fault is None or fault.commits:
            with self.lock:
                reply, value, refusal = self._true_answer(request, seen, correlation, answer)
        if fault is not None:
            reply, refusal = self._spoil(fault, reply, value, refusal, correlation, seen)
        self._note(number, request, seen, reply, refusal, fault, arrived, correlation)
        if reply is not None and request.headers.get("return-client-request-id", "").lower() == "true":
            reply.headers["client-request-id"] = correlation
        data = http.octets(reply, self._date()) if reply is not None else b""
        if fault is None:
            connection.write(data)
        elif not self.faults.act(fault, connection, data):
            return False
        return reply.headers.get("Connection") != "close" and request.headers.get("connection", "").lower() != "close"

    def _note(self, number, request, seen, reply, refusal, fault, arrived, correlation):
        """The journal has the request before the client has its answer."""
        self.journal.write(
            "request", connection=number, arrived=arrived, method=request.method, path=request.target.split("?")[0],
            kind=seen.kind, tenant=seen.tenant, client_id=seen.client_id, account=seen.account, credential=seen.credential,
            scope=seen.scope, token=seen.token, status=reply.status if reply else None,
            error=refusal.error if refusal else None, number=refusal.number if refusal else None,
            fault=fault.number if fault else None, notes=seen.notes, correlation=correlation,
            user_agent=request.headers.get("user-agent"), host=request.headers.get("host"))

    def _look(self, request):
        """What is known of a request before it is answered, for faults that are about some of them."""
        seen = Seen(kind=_kind_of(request.target))
        parts = request.target.split("/")
        tenant = self.flows.directory.find_tenant(parts[1]) if len(parts) > 1 else None
        seen.tenant = tenant.id if tenant else None
        try:
            form = parse_form(request.body, Seen())
        except Refusal:
            return seen
        seen.client_id = form.get("client_id")
        if seen.kind == "token":
            seen.kind = _kind_of_grant(form)
        owner = self.flows.directory.grants.get(form.get("refresh_token")) or \
            self.flows.directory.devices.get(form.get("device_code"))
        seen.account = owner.user if owner else None
        return seen

    def _true_answer(self, request, seen, correlation, answer):
        """(Answer, the object in it, the Refusal)"""
        try:
            value = answer(request, seen, self.now())
            if isinstance(value, http.Answer):
                return value, None, None
            return http.Answer(200, dict(_JSON), json.dumps(value).encode()), value, None
        except Refusal as refusal:
            return self._refuse(refusal, correlation), None, refusal

    def _refuse(self, refusal, correlation):
        value = refusal.answer(self.now(), correlation, self.flows.authorities[0])
        return http.Answer(refusal.status, {**_JSON, "x-ms-request-id": value["trace_id"]}, json.dumps(value).encode())

    # -- the addresses ----------------------------------------------------------------------------------------------

    def _answer_token(self, request, seen, now):
        path = urllib.parse.unquote(urllib.parse.urlsplit(request.target).path)
        tenant, _, rest = path.lstrip("/").partition("/")
        if rest == "v2.0/.well-known/openid-configuration" and request.method == "GET":
            return self.flows.configuration(tenant, seen)
        if path.startswith("/v1.0/applications"):
            return self._graph(path, request, seen)
        if rest not in ("oauth2/v2.0/token", "oauth2/v2.0/devicecode"):
            seen.kind = "unknown"
            return http.Answer(404, {"Content-Type": "text/html"}, b"<html>404</html>")
        if request.method != "POST":
            raise Refusal(900561, {"value": request.method})
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise Refusal(900144, {"parameter": "grant_type"})
        form = parse_form(request.body, seen)
        if rest == "oauth2/v2.0/devicecode":
            return self.flows.device_code(tenant, form, now, seen)
        return self.flows.token(tenant, form, request.headers.get("authorization"), now, seen)

    def _graph(self, path, request, seen):
        """GET /v1.0/applications(appId='...'): an app may look at itself."""
        seen.kind = "graph"
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        try:
            token = jwt.Token(text)
            claims = token.claims if kind == "Bearer" and token.is_signed_by(self.flows.issuer.public_key) else {}
        except ValueError:
            claims = {}
        app = self.flows.directory.apps.get(path.partition("'")[2].partition("'")[0].lower())
        seen.client_id = claims.get("appid")
        if claims.get("aud") != "https://graph.microsoft.com" or claims.get("exp", 0) < self.now():
            return _graph_error(401, "InvalidAuthenticationToken", "Access token validation failure.")
        if app is None or claims.get("appid") != app.client_id:
            return _graph_error(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
        return {"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#applications/$entity", **app.credentials()}

    # -- what a fault does ------------------------------------------------------------------------------------------

    def _date(self):
        if isinstance(self.date, str):
            return self.date or None
        return self.now() + (self.date or 0)

    def _spoil(self, fault, reply, value, refusal, correlation, seen):
        """The answer that the fault makes of the true one."""
        if fault.error is not None:
            refusal = Refusal(fault.error, {"client_id": seen.client_id, "tenant": seen.tenant, "user": seen.account},
                              status=fault.status, error=fault.word, text=fault.text, suberror=fault.suberror)
            reply = self._refuse(refusal, correlation)
        elif fault.body is not None:
            reply = http.Answer(fault.status or 200, dict(_JSON), fault.body.encode())
            refusal = None
        elif value is not None and any(fault.value.get(name) for name in ("replace", "remove", "raw", "append", "token")):
            reply.body = trouble.change(value, fault)
        elif reply is not None and fault.status:
            reply.status = fault.status
        if reply is not None:
            reply.headers.update(fault.headers or {})
            if fault.retry_after is not None:
                reply.headers["Retry-After"] = self._retry_after(fault.retry_after)
        return reply, refusal

    def _retry_after(self, value):
        """Seconds, any text, or "date:5": five seconds from now."""
        if isinstance(value, str) and value.startswith("date:"):
            return http.date(self.now() + float(value[5:]))
        return str(value)


def _kind_of(target):
    for end, kind in (("/oauth2/v2.0/token", "token"), ("/oauth2/v2.0/devicecode", "device"),
                      ("/openid-configuration", "configuration")):
        if target.partition("?")[0].endswith(end):
            return kind
    return "graph" if target.startswith("/v1.0/applications") else "unknown"


def _kind_of_grant(form):
    if form.get("grant_type") == "refresh_token":
        return "refresh"
    if form.get("grant_type") == DEVICE_GRANT:
        return "poll"
    return "app" if form.get("grant_type") == "client_credentials" else "unknown"


def _graph_error(status, code, text):
    return http.Answer(status, {"Content-Type": "application/json"},
                       json.dumps({"error": {"code": code, "message": text}}).encode())
