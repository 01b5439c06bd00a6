"""JSON Web Tokens (RFC 7519) as octets: read, verified, signed. What claims mean is others' business."""

import base64
import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding


def encode(data):
    """base64url without padding, RFC 7515 section 2."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    """ValueError unless it is exactly that."""
    if not text.isascii() or "=" in text:
        raise ValueError("not base64url without padding")
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if encode(data) != text:
        raise ValueError("not the canonical base64url")
    return data


def _object(part):
    value = json.loads(decode(part), object_pairs_hook=_unique)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _unique(pairs):
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name comes twice")
    return dict(pairs)


class Token:
    """A compact JWS, not verified yet. ValueError when it is none."""

    def __init__(self, text):
        parts = text.split(".")
        if len(parts) != 3:
            raise ValueError(f"{len(parts)} parts, not 3")
        self.header, self.claims = _object(parts[0]), _object(parts[1])
        self.signature = decode(parts[2])
        self.signed = ".".join(parts[:2]).encode()

    def is_signed_by(self, key):
        """By this RSA public key, in the manner that the header names: PS256 (salt as long as the digest) or
        RS256."""
        manner = {"PS256": padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256().digest_size),
                  "RS256": padding.PKCS1v15()}.get(self.header.get("alg"))
        if manner is None:
            return False
        try:
            key.verify(self.signature, self.signed, manner, hashes.SHA256())
        except InvalidSignature:
            return False
        return True


def sign(header, claims, key):
    """A token signed RS256 or PS256, as the header's alg says."""
    manner = {"PS256": padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256().digest_size),
              "RS256": padding.PKCS1v15()}[header["alg"]]
    text = ".".join(encode(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return f"{text}.{encode(key.sign(text.encode(), manner, hashes.SHA256()))}"
