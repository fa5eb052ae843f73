"""Signatures (ed25519) and encryption (age) of packages; keys come from the environment or Airflow (spec 6).

A secret is named, never written: ``env:NAME`` is a variable of the environment, ``airflow:ID`` the password of an
Airflow connection. No message here holds any of it.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Iterable

from kanta.errors import KantaError

Sign = Callable[[bytes], bytes]


def secret(name: str) -> str:
    """The secret that ``env:NAME`` or ``airflow:ID`` names. Raises KantaError when there is none."""
    kind, _, key = name.partition(":")
    found: str | None = None
    if kind == "env":
        found = os.environ.get(key)
    elif kind == "airflow":
        found = connection(key).get("password")
    if not found:
        raise KantaError(
            f"There is no key at {name}",
            where="distribution.keys",
            next_step="set the variable (env:NAME) or make the Airflow connection (airflow:ID)",
        )
    return found


def connection(name: str) -> dict[str, str]:
    """An Airflow connection's host, login, password, port and extras, as text; what is empty is left out."""
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        found = Connection.get(name)
    except AirflowNotFoundException:
        raise KantaError(
            f"There is no Airflow connection {name}",
            where="programme/settings.yaml",
            next_step=f"airflow connections add {name}, or set AIRFLOW_CONN_{name.upper()}",
        ) from None
    parts = {"host": found.host, "login": found.login, "password": found.password, "port": found.port}
    return {key: str(value) for key, value in (parts | found.extra_dejson).items() if value}


def signer(name: str | None) -> Sign | None:
    """What signs with the private key that ``name`` names (PEM, or 32 bytes in base64); None without a name."""
    if not name:
        return None
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    text = secret(name)
    try:
        key = (
            load_pem_private_key(text.encode(), None)
            if text.startswith("-----")
            else Ed25519PrivateKey.from_private_bytes(base64.b64decode(text, validate=True))
        )
    except (ValueError, TypeError, binascii.Error):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise KantaError(
            f"The key at {name} is no ed25519 private key", next_step="give it as PEM or 32 bytes in base64"
        )
    return lambda content: base64.b64encode(key.sign(content)) + b"\n"


def public(name: str) -> str:
    """The public key, in base64, of the private key that ``name`` names: what the other side verifies with."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(secret(name)))
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def is_signed(content: bytes, signature: bytes | None, keys: Iterable[str]) -> bool:
    """Whether a signature (base64) of the content is of one of the public keys (32 bytes in base64)."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    for key in keys:
        try:
            given = base64.b64decode((signature or b"").strip(), validate=True)
            Ed25519PublicKey.from_public_bytes(base64.b64decode(key, validate=True)).verify(given, content)
        except (InvalidSignature, ValueError, binascii.Error):
            continue
        return True
    return False


def encrypt(content: bytes, recipient: str) -> bytes:
    """Content as only the holder of the recipient's age identity can read it. Raises ValueError for no recipient."""
    import pyrage

    try:
        found: bytes = pyrage.encrypt(content, [pyrage.x25519.Recipient.from_str(recipient)])
    except pyrage.RecipientError as error:
        raise ValueError("its recipient is no age key") from error
    return found


def decrypt(content: bytes, identity: str) -> bytes:
    """What was encrypted, for an age identity (``AGE-SECRET-KEY-1…``). Raises ValueError if it is not ours."""
    import pyrage

    try:
        found: bytes = pyrage.decrypt(content, [pyrage.x25519.Identity.from_str(identity)])
    except (pyrage.DecryptError, pyrage.IdentityError) as error:
        raise ValueError("it is not encrypted for this store") from error
    return found
