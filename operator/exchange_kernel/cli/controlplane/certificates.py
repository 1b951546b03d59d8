"""Who trusts whom: one authority for the API server and its clients, another for etcd, and the credentials they issue.

Two authorities, because etcd lets in everyone whom its own has signed: a client of the API server must not be able to go round it.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from exchange_kernel.cli.controlplane.paths import write_private

#: The authority lives as long as its cluster; what it issues is issued anew at every start.
AUTHORITY_LIFETIME = datetime.timedelta(days=3650)
CREDENTIAL_LIFETIME = datetime.timedelta(days=365)
#: A certificate is valid from a little before now, so that a clock set back slightly does not reject it.
BACKDATED = datetime.timedelta(hours=1)

LOOPBACK = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        return write_private(folder / f"{name}.crt", self.certificate), write_private(folder / f"{name}.key", self.key)


@dataclass(frozen=True, slots=True)
class Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, name: str) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            _builder(subject, subject, key.public_key(), AUTHORITY_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def kept_in(cls, folder: Path, name: str) -> Authority:
        """The one written there before, or a new one, written there now."""
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        if not (certificate.exists() and key.exists()):
            created = cls.create(f"exchange-kernel {name}")
            Credential(created.pem, _private_pem(created.key)).write(folder, name)
            return created
        loaded = load_pem_private_key(key.read_bytes(), password=None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{key} is not a key of ours")
        return cls(x509.load_pem_x509_certificate(certificate.read_bytes()), loaded)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def client(self, user: str, groups: Sequence[str] = ()) -> Credential:
        """The API server reads the user from the common name, the groups from the organizations (Kubernetes: X.509 client certificates)."""
        return self._issue(user, groups, (ExtendedKeyUsageOID.CLIENT_AUTH,), ())

    def server(self, name: str) -> Credential:
        """For 127.0.0.1 and localhost. Fit for a client too: etcd calls itself with the certificate it serves."""
        return self._issue(name, (), (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH), LOOPBACK)

    def _issue(self, user: str, groups: Sequence[str], usages: Sequence[x509.ObjectIdentifier],
               hosts: Sequence[x509.GeneralName]) -> Credential:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([
            *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups),
            x509.NameAttribute(NameOID.COMMON_NAME, user),
        ])
        builder = (
            _builder(subject, self.certificate.subject, key.public_key(), CREDENTIAL_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        return Credential(builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM), _private_pem(key))


def signing_key_kept_in(folder: Path, name: str) -> tuple[Path, Path]:
    """The key pair that signs service-account tokens, as (private, public) PEM files; created once, for tokens outlive a restart."""
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    if not (private.exists() and public.exists()):
        key = ec.generate_private_key(ec.SECP256R1())
        write_private(private, _private_pem(key))
        write_private(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey,
             lifetime: datetime.timedelta) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key).serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED).not_valid_after(now + lifetime)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(digital_signature=True, key_cert_sign=signs_certificates, crl_sign=signs_certificates, content_commitment=False,
                         key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
