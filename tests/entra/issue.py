"""Access tokens as Entra ID writes them for Exchange Online: signed, with the claims that post365 reads."""

import secrets

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from . import certificates, directory, jwt

EARLY = 300  # seconds that nbf lies before the moment of issue


class Issuer:
    """The endpoint's signing key, kept in `state` from one start to the next."""

    def __init__(self, state):
        path = state / "signing.key"
        if path.exists():
            self._key = serialization.load_pem_private_key(path.read_bytes(), None)
        else:
            self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            certificates.write_private(path, certificates.pem_of_key(self._key))
        self.public_key = self._key.public_key()
        self.public_pem = self.public_key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        digest = hashes.Hash(hashes.SHA256())
        digest.update(self.public_pem.encode())
        self._kid = jwt.encode(digest.finalize()[:20])

    def token(self, claims):
        """Signed as it is. Claims are Issuer.claims()'s, or whatever a test wants."""
        return jwt.sign({"typ": "JWT", "alg": "RS256", "x5t": self._kid, "kid": self._kid}, claims, self._key)

    @staticmethod
    def claims(app, audience, now, lifetime, version=1):
        """What is in every token for this app."""
        claims = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{app.tenant}/",
            "iat": int(now) - EARLY, "nbf": int(now) - EARLY, "exp": int(now + lifetime),
            "aio": secrets.token_urlsafe(24), "app_displayname": app.name,
            "rh": secrets.token_urlsafe(20), "tid": app.tenant,
            "uti": secrets.token_urlsafe(16), "ver": "1.0",
        }
        if version == 2:
            claims |= {"iss": f"https://login.microsoftonline.com/{app.tenant}/v2.0", "azp": app.client_id, "ver": "2.0"}
        else:
            claims |= {"appid": app.client_id}
        return claims

    def app_only(self, app, audience, now, lifetime, version, credential):
        claims = self.claims(app, audience, now, lifetime, version)
        claims["azpacr" if version == 2 else "appidacr"] = {"secret": "1", "basic": "1"}.get(credential, "2")
        claims |= {"idtyp": "app", "oid": app.object_id, "sub": app.object_id}
        if app.roles:
            claims["roles"] = app.roles
        return self.token(claims), claims

    def delegated(self, app, audience, now, lifetime, version, user, scopes):
        claims = self.claims(app, audience, now, lifetime, version)
        claims["azpacr" if version == 2 else "appidacr"] = "0" if app.is_public() else "1"
        claims |= {"idtyp": "user", "oid": directory.stable_id("user", user.lower()), "sub": secrets.token_urlsafe(32),
                   "scp": " ".join(scopes), "name": user.split("@")[0].title(), "amr": ["pwd", "mfa"]}
        claims |= {"preferred_username": user} if version == 2 else {"upn": user, "unique_name": user}
        return self.token(claims), claims
