"""Where a machine of Azure asks for its own token: the metadata service of a VM, and the agent of Azure Arc."""

import hmac
import json
import os
import secrets
import urllib.parse
from pathlib import Path

from .http import Answer

_PATH = "/metadata/identity/oauth2/token"


def _json(status, value, **headers):
    return Answer(status, {"Content-Type": "application/json; charset=utf-8", **headers}, json.dumps(value).encode())


def _no(status, error, text):
    return _json(status, {"error": error, "error_description": text})


class Metadata:
    """Both services on Flows. `identities`: {"vm": [client ids, the system-assigned one first], "arc": the same};
    `keys`: the directory of Arc's key files; `realm`: what is said instead of a key file's path."""

    def __init__(self, flows, keys):
        self.flows, self.keys = flows, Path(keys)
        self.identities = {"vm": [], "arc": []}
        self.realm = None
        self._given = None  # the key file that a client was sent to

    def answer(self, kind, request, now, seen):
        """`kind` is "vm" or "arc"."""
        seen.kind = kind
        address = urllib.parse.urlsplit(request.target)
        query = dict(urllib.parse.parse_qsl(address.query))
        if address.path != _PATH or request.method != "GET":
            return _no(404, "not_found", "The requested resource is unknown.")
        if request.headers.get("metadata") != "true" or "x-forwarded-for" in request.headers:
            return _no(400, "invalid_request", "Required metadata header not specified")
        if not query.get("api-version", "") >= {"vm": "2018-02-01", "arc": "2019-11-01"}[kind] or not query.get("resource"):
            return _no(400, "bad_request_102", "Required parameter 'api-version' or 'resource' is missing or too old")
        if kind == "arc" and not self._is_proven(request):
            return self._challenge()
        return self._token(kind, query, now, seen)

    def _token(self, kind, query, now, seen):
        known = self.identities[kind]
        client_id = query.get("client_id", known[0] if known else None)
        if client_id not in known:
            return _no(400, "invalid_request", "Identity not found")
        app = self.flows.directory.apps[client_id.lower()]
        seen.client_id, seen.tenant, seen.credential, seen.scope = app.client_id, app.tenant, "managed", query["resource"]
        token, lifetime = self.flows.managed(app, query["resource"].rstrip("/"), now, seen)
        return _json(200, {"access_token": token, "client_id": app.client_id, "expires_in": str(int(lifetime)),
                           "expires_on": str(int(now + lifetime)), "ext_expires_in": str(int(lifetime)),
                           "not_before": str(int(now) - 300), "resource": query["resource"], "token_type": "Bearer"})

    # -- Arc ----------------------------------------------------------------------------------------------------

    def _challenge(self):
        """401, and a file that only who belongs to this machine can read."""
        self.keys.mkdir(mode=0o755, parents=True, exist_ok=True)
        path = self.keys / f"{secrets.token_hex(16)}.key"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(64))
        if self._given:
            self._given.unlink(missing_ok=True)
        self._given = path
        return Answer(401, {"Www-Authenticate": f"Basic realm={self.realm or path}"})

    def _is_proven(self, request):
        kind, _, shown = request.headers.get("authorization", "").partition(" ")
        if self._given is None or kind != "Basic" or not self._given.exists():
            return False
        right = hmac.compare_digest(shown, self._given.read_text())
        if right:
            self._given.unlink()
            self._given = None
        return right
