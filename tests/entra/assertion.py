"""Client assertions: a JWT in place of a secret, checked as strictly as Microsoft documents it and more.

With a certificate the client signs itself; with a federated credential another issuer has, and what counts is who
that is and whom it speaks of.
"""

import hashlib
from datetime import timezone

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from . import jwt
from .errors import Refusal

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SKEW = 300  # seconds that a clock may be off
LONGEST = 600  # seconds from nbf to exp
FEDERATED_AUDIENCE = "api://AzureADTokenExchange"


def thumbprints(certificate):
    """{header parameter: its value} for a certificate."""
    der = certificate.public_bytes(serialization.Encoding.DER)
    return {"x5t#S256": jwt.encode(hashlib.sha256(der).digest()),
            "x5t": jwt.encode(hashlib.sha1(der).digest())}  # noqa: S324, as the protocol has it


def validity(certificate):
    """From when to when, as two datetimes with a time zone."""
    if hasattr(certificate, "not_valid_after_utc"):
        return certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return (certificate.not_valid_before.replace(tzinfo=timezone.utc),
            certificate.not_valid_after.replace(tzinfo=timezone.utc))


def parse(text):
    try:
        return jwt.Token(text)
    except ValueError as error:
        raise Refusal(50027, {"reason": f"IDX14100: {error}."}) from error


def _number(claims, name):
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Refusal(50027, {"reason": f"The claim '{name}' must be a number."})
    return value


def _text(claims, name):
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise Refusal(50027, {"reason": f"The claim '{name}' must be a string."})
    return value


def check_times(claims, now, longest=None):
    """700024 unless `now` lies between nbf and exp, five minutes more or less."""
    begins, ends = _number(claims, "nbf"), _number(claims, "exp")
    if "iat" in claims:
        _number(claims, "iat")
    words = {"reason": f"assertion valid from {begins}, expiry time of assertion {ends}"}
    if not begins - SKEW <= now <= ends + SKEW or begins >= ends:
        raise Refusal(700024, words)
    if longest and ends - begins > longest:
        raise Refusal(700024, {"reason": f"the assertion is valid for {ends - begins:g} s, {longest} are allowed"})


def _certificate_of(token, certificates, now):
    """The registered certificate that the header names; its key and its time are checked."""
    named = [(name, token.header[name]) for name in ("x5t#S256", "x5t") if name in token.header]
    if not named:
        raise Refusal(50027, {"reason": "No certificate thumbprint specified in token header."})
    for certificate in certificates:
        prints = thumbprints(certificate)
        if all(prints[name] == value for name, value in named):
            begins, ends = validity(certificate)
            if not begins.timestamp() <= now <= ends.timestamp():
                raise Refusal(700027, {"reason": f"The key used is expired., Found key 'Start={begins}, End={ends}'"})
            return certificate
    raise Refusal(700027, {"reason": f"The key was not found., Thumbprint of key used by client: '{named[0][1]}'"})


def check_certificate(text, app, audiences, now, used):
    """The assertion of an app with its own certificate. Returns the certificate. `audiences`: what aud may be;
    `used`: the set of the jti that have been seen, which this one joins."""
    token = parse(text)
    if token.header.get("alg") not in ("PS256", "RS256"):
        raise Refusal(50027, {"reason": f"The algorithm '{token.header.get('alg')}' is not supported."})
    if token.header.get("typ", "JWT") != "JWT":
        raise Refusal(50027, {"reason": f"The type '{token.header['typ']}' is not supported."})
    certificate = _certificate_of(token, app.certificates, now)
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or not token.is_signed_by(key):
        raise Refusal(700027, {"reason": "The provided signature value did not match the expected signature value."})
    claims = token.claims
    if _text(claims, "iss") != _text(claims, "sub"):
        raise Refusal(50048)
    if claims["iss"] != app.client_id:
        raise Refusal(700021)
    if claims.get("aud") not in audiences:
        raise Refusal(700023, {"reason": f"'{claims.get('aud')}' is not one of {', '.join(sorted(audiences))}."})
    check_times(claims, now, LONGEST)
    identifier = (app.client_id, _text(claims, "jti"))
    if identifier in used:
        raise Refusal(700024, {"reason": "the assertion was used before"})
    used.add(identifier)
    return certificate


def check_federated(text, credentials, now):
    """The assertion of a foreign issuer. `credentials`: dicts of issuer, subject, audience and key."""
    token = parse(text)
    claims = token.claims
    issuer, subject = _text(claims, "iss"), _text(claims, "sub")
    of_issuer = [one for one in credentials if one["issuer"] == issuer]
    if not of_issuer:
        raise Refusal(700211, {"value": issuer})
    of_subject = [one for one in of_issuer if one["subject"] == subject]
    if not of_subject:
        raise Refusal(700213, {"value": subject})
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if not any(one["audience"] in audiences for one in of_subject):
        raise Refusal(700212, {"value": audience})
    if not any(token.is_signed_by(one["key"]) for one in of_subject):
        raise Refusal(50012, {"reason": "The signature of the federated token could not be verified."})
    ends = _number(claims, "exp")
    begins = _number(claims, "nbf") if "nbf" in claims else ends - 1
    if now > ends + SKEW or now < begins - SKEW:
        raise Refusal(700024, {"reason": f"assertion valid from {begins}, expiry time of assertion {ends}"})
