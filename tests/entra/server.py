"""All of it together, as config.json and the control want it."""

import dataclasses
import json
import os
from pathlib import Path

from .certificates import Certificates
from .control import Control
from .directory import Directory
from .endpoint import Endpoint
from .faults import Faults
from .flows import Flows, Rules
from .issue import Issuer
from .journal import Journal
from .listener import Listener
from .metadata import Metadata
from .problem import Problem, take
from .proxy import Proxy

_FIXED = {"state_directory", "journal", "ready_file", "control_socket", "authority_directory", "hostnames", "ports",
          "arc_keys", "seed", "tenants", "apps"}
_RULES = {field.name for field in dataclasses.fields(Rules)}
_OTHERS = {"date", "delay", "proxy_login", "arc_realm", "vm_identities", "arc_identities"}
_ROTATIONS = ("keep", "refuse", "end")


class Server:
    def __init__(self, config):
        take(config, _FIXED | _RULES | _OTHERS, "the configuration")
        state = Path(config["state_directory"])
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        ports = config.get("ports", {})
        self.ready_file = config.get("ready_file")
        self.journal = Journal(config["journal"])
        self.faults = Faults(config.get("seed", 365))
        self.certificates = Certificates(state, config.get("authority_directory"), config.get("hostnames"))
        self.directory = Directory()
        self.flows = Flows(self.directory, Issuer(state), Rules(), [])
        self.metadata = Metadata(self.flows, config.get("arc_keys", state / "arc"))
        self.endpoint = Endpoint(self.flows, self.certificates, self.faults, self.journal, self.metadata)
        self.proxy = Proxy(self.journal, self.faults, lambda: self.listeners["token"].port)
        for identifier, value in config.get("tenants", {}).items():
            self.set_tenant(identifier, value)
        for client_id, value in config.get("apps", {}).items():
            self.set_app(client_id, value)
        self.set({name: value for name, value in config.items() if name in _RULES | _OTHERS})
        serve = {"token": self.endpoint.serve_tls, "vm": self.endpoint.serve_metadata("vm"),
                 "arc": self.endpoint.serve_metadata("arc"), "proxy": self.endpoint.serve_proxy(self.proxy)}
        self.listeners = {name: Listener(("127.0.0.1", ports.get(name, 0)), function) for name, function in serve.items()}
        port = self.listeners["token"].port
        # The first is the one that it names itself by.
        self.flows.authorities += [f"https://localhost:{port}", f"https://127.0.0.1:{port}", "https://login.microsoftonline.com",
                                   "https://login.microsoftonline.us", "https://login.partner.microsoftonline.cn"]
        if config.get("control_socket"):
            Control(config["control_socket"], self._commands())

    def announce(self):
        """Tells that it listens, in the journal, on standard output and in the file that somebody waits for."""
        ready = {"event": "ready", "pid": os.getpid(), "ca_file": str(self.certificates.ca_file),
                 "ports": {name: listener.port for name, listener in self.listeners.items()},
                 "authority": self.flows.authorities[0], "token_key": self.flows.issuer.public_pem}
        self.journal.write(**ready)
        if self.ready_file:
            fresh = Path(f"{self.ready_file}.new")
            fresh.write_text(json.dumps(ready) + "\n", encoding="utf-8")
            fresh.rename(self.ready_file)
        print(json.dumps(ready), flush=True)

    # -- what may be changed ------------------------------------------------------------------------------------

    def _commands(self):
        return {
            "ping": lambda: None,
            "set": self.set,
            "set_tenant": lambda tenant, settings: self.set_tenant(tenant, settings),
            "set_app": lambda client_id, settings: self.set_app(client_id, settings),
            "set_user": self.set_user,
            "add_fault": lambda fault: {"id": self.faults.add(fault)},
            "remove_fault": lambda id: self.faults.remove(id),
            "clear_faults": self.faults.clear,
            "faults": lambda: {"faults": self.faults.describe()},
            "devices": self.devices,
            "type_code": self.type_code,
            "decline_code": self.decline_code,
            "revoke": self.revoke,
            "age_grants": self.age_grants,
            "down": lambda what="token": self.listeners[what].close(),
            "up": lambda what="token": self.listeners[what].open(),
            "drop_connections": lambda: {"dropped": self.listeners["token"].drop()},
            "make_token": self.make_token,
        }

    def set(self, settings):
        """Rules and the other names that may change; all or nothing."""
        take(settings, _RULES | _OTHERS, "the settings")
        if settings.get("rotation", "keep") not in _ROTATIONS:
            raise Problem(f'"rotation" must be one of {", ".join(_ROTATIONS)}')
        for name in ("vm_identities", "arc_identities"):
            for client_id in settings.get(name, []):
                if client_id.lower() not in self.directory.apps:
                    raise Problem(f"there is no app {client_id}")
        with self.endpoint.lock:
            for name, value in settings.items():
                if name in _RULES:
                    setattr(self.flows.rules, name, value)
                elif name in ("date", "delay"):
                    setattr(self.endpoint, name, value)
                elif name == "proxy_login":
                    self.proxy.login = value
                elif name == "arc_realm":
                    self.metadata.realm = value
                else:
                    self.metadata.identities[name.partition("_")[0]] = value

    def set_tenant(self, tenant, settings):
        with self.endpoint.lock:
            self.directory.set_tenant(tenant, settings)

    def set_app(self, client_id, settings):
        with self.endpoint.lock:
            self.directory.set_app(client_id, settings)

    def set_user(self, user, number):
        """What is wrong with a person, as an AADSTS number; null: nothing."""
        with self.endpoint.lock:
            self.directory.users[user.lower()] = number

    # -- what people do -----------------------------------------------------------------------------------------

    def devices(self):
        """All device codes, without the codes themselves."""
        with self.endpoint.lock:
            return {"devices": [{"user_code": device.user_code, "client_id": device.client_id, "user": device.user,
                                 "declined": device.declined, "used": device.used, "polled": device.polled_at is not None}
                                for device in self.directory.devices.values()]}

    def type_code(self, user_code, user):
        """`user` types the code and agrees."""
        with self.endpoint.lock:
            self.directory.waiting_device(user_code).user = user

    def decline_code(self, user_code):
        with self.endpoint.lock:
            self.directory.waiting_device(user_code).declined = True

    def revoke(self, user, number=50173):
        """Ends all grants of a person, as a new password or an admin does."""
        with self.endpoint.lock:
            return {"ended": self.directory.revoke(user, number)}

    def age_grants(self, seconds):
        """All grants were used this much earlier."""
        with self.endpoint.lock:
            for grant in {id(grant): grant for grant in self.directory.grants.values()}.values():
                grant.used_at -= seconds

    def make_token(self, client_id, audience="https://outlook.office365.com", lifetime=3599, claims=None, remove=()):
        """A token with any claims, signed as all are. The test that asks is the only one who gets to see it."""
        app = self.directory.apps.get(client_id.lower())
        if app is None:
            raise Problem(f"there is no app {client_id}")
        made = {**self.flows.issuer.claims(app, audience, self.endpoint.now(), lifetime), "idtyp": "app",
                "oid": app.object_id, "appidacr": "1", **(claims or {})}
        return {"token": self.flows.issuer.token({name: value for name, value in made.items() if name not in remove}),
                "uti": made["uti"]}
