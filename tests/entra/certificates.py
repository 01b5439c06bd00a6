"""The certificates that the endpoint shows: the right one, and the wrong ones of a bad day.

The authority is the one of the stand-in for smtp.office365.com where its directory is given, so that one CA file serves
for both; otherwise one of our own, kept from one start to the next.
"""

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOSTNAMES = ["login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn",
             "graph.microsoft.com", "localhost", "127.0.0.1", "::1"]

# name: (names on it, from day, to day, issuer)
_KINDS = {
    "right": (None, -1, 365, "authority"),
    "name": (["mail.elsewhere.example"], -1, 365, "authority"),
    "expired": (None, -30, -1, "authority"),
    "future": (None, 1, 365, "authority"),
    "self-signed": (None, -1, 365, None),
    "untrusted": (None, -1, 365, "stranger"),
    "inspection": (None, -1, 365, "inspection"),
}
WRONG = [kind for kind in _KINDS if kind != "right"]
INSPECTION_ISSUER = "Contoso Web Proxy TLS Inspection CA"


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def _day(count):
    return now() + datetime.timedelta(days=count)


def name(common_name, organization=None):
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternatives(names):
    found = []
    for one in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(one)))
        except ValueError:
            found.append(x509.DNSName(one))
    return x509.SubjectAlternativeName(found)


def _usage(certificates):
    """What a key is for: signing certificates, or else handshakes."""
    return x509.KeyUsage(digital_signature=not certificates, key_cert_sign=certificates, crl_sign=certificates,
                         content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
                         encipher_only=False, decipher_only=False)


def _issue(subject, key, issuer, issuer_key, days, names):
    """A certificate of an authority (names is None) or of a server."""
    builder = (x509.CertificateBuilder()
               .subject_name(subject).issuer_name(issuer).public_key(key.public_key())
               .serial_number(x509.random_serial_number())
               .not_valid_before(_day(days[0])).not_valid_after(_day(days[1]))
               .add_extension(x509.BasicConstraints(ca=names is None, path_length=None), critical=True)
               .add_extension(_usage(certificates=names is None), critical=True)
               .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
               .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False))
    if names is not None:
        builder = (builder.add_extension(_alternatives(names), critical=False)
                   .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False))
    return builder.sign(issuer_key, hashes.SHA256())


def pem_of_key(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def write_private(path, data):
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(data)


class _Authority:
    def __init__(self, common_name, organization=None, loaded=None):
        if loaded:
            self.certificate, self.key = loaded
            return
        self.key = ec.generate_private_key(ec.SECP256R1())
        subject = name(common_name, organization)
        self.certificate = _issue(subject, self.key, subject, self.key, (-1, 3650), None)


def _own_authority(directory):
    """The one in `directory`, made if there is none."""
    certificate, key = directory / "ca.pem", directory / "ca.key"
    if certificate.exists() and key.exists():
        return _Authority(None, loaded=(x509.load_pem_x509_certificate(certificate.read_bytes()),
                                        serialization.load_pem_private_key(key.read_bytes(), None)))
    made = _Authority("Stand-in for Entra ID, test authority")
    write_private(key, pem_of_key(made.key))
    certificate.write_bytes(pem(made.certificate))
    return made


class Certificates:
    """`contexts[kind]` is the server's side of TLS with that certificate; `ca_file` is to be trusted."""

    def __init__(self, state, authority=None, hostnames=None):
        """`authority`: a directory with ca.pem and ca.key, None: `state` itself."""
        self.ca_file = Path(authority or state) / "ca.pem"
        issuers = {
            "authority": _own_authority(Path(authority or state)),
            "stranger": _Authority("Unknown authority"),
            "inspection": _Authority(INSPECTION_ISSUER, "Contoso IT Security"),
        }
        self.contexts = {kind: self._context(state, kind, hostnames or HOSTNAMES, issuers) for kind in _KINDS}

    @staticmethod
    def _context(state, kind, hostnames, issuers):
        names, *days, issuer = _KINDS[kind]
        names = names or hostnames
        key = ec.generate_private_key(ec.SECP256R1())
        subject = name(names[0])
        signer = issuers[issuer] if issuer else None
        certificate = _issue(subject, key, signer.certificate.subject if signer else subject,
                             signer.key if signer else key, days, names)
        path = Path(state) / f"server-{kind}.pem"
        write_private(path, pem(certificate) + pem_of_key(key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(path)
        return context
