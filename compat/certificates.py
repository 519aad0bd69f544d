"""Certificate authorities of a test's own, and what they sign."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


def _now():
    return datetime.datetime.now(datetime.timezone.utc)


def name_of(common_name, unit=None):
    """A subject."""
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
    parts += [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit)] if unit else []
    return x509.Name(parts)


def key_pem(key):
    """A private key, not encrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class Issued:
    """A certificate and its key."""

    def __init__(self, certificate, key):
        self.certificate, self.key = certificate, key

    @property
    def pem(self):
        """The certificate."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def files(self, directory, name="client", chain=""):
        """Writes certificate and key into files, and returns their paths."""
        certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
        certificate.write_text(self.pem + chain)
        key.write_text(key_pem(self.key))
        key.chmod(0o600)
        return str(certificate), str(key)


class Authority(Issued):
    """A certificate authority, its own root unless it has an issuer."""

    def __init__(self, name="Test Root", issuer=None):
        key = ec.generate_private_key(ec.SECP256R1())
        builder = x509.CertificateBuilder().subject_name(name_of(name)).public_key(key.public_key())
        builder = builder.issuer_name(issuer.certificate.subject if issuer else name_of(name))
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(_now() - DAY).not_valid_after(_now() + 30 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        super().__init__(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)

    def issue(self, common_name, unit=None, sans=(), usage=ExtendedKeyUsageOID.CLIENT_AUTH, days=1, key=None,
              extensions=()):
        """Signs a certificate for clients; `days` below 0 makes one that has expired."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        start = _now() - 2 * DAY
        builder = x509.CertificateBuilder().subject_name(name_of(common_name, unit)).public_key(key.public_key())
        builder = builder.issuer_name(self.certificate.subject).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(start).not_valid_after(_now() + days * DAY)
        if usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if sans:
            builder = builder.add_extension(x509.SubjectAlternativeName(list(sans)), critical=False)
        for oid, value in extensions:
            encoded = b"\x0c" + bytes([len(value)]) + value.encode()
            builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), encoded), False)
        return Issued(builder.sign(self.key, hashes.SHA256()), key)

    def server_files(self, directory):
        """Files of a certificate for a server on loopback."""
        sans = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        issued = self.issue("localhost", sans=sans, usage=ExtendedKeyUsageOID.SERVER_AUTH, days=20)
        return issued.files(directory, "server")

    def revoke(self, *issued):
        """A revocation list with these certificates."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        builder = builder.last_update(_now() - DAY).next_update(_now() + DAY)
        for one in issued:
            revoked = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number)
            builder = builder.add_revoked_certificate(revoked.revocation_date(_now() - DAY).build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
