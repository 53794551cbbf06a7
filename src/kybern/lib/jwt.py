"""JSON Web Tokens: signed claims (RFC 7515, 7517, 7518).

In:   claims as a tree of JSON; keys in PEM, or as a key set.
Out:  a token; or the claims of one whose signature is good; a key set to publish.
By:   the API server: service account tokens, and tokens from OpenID providers.

Only signatures are judged here. Whether a token has expired, and is meant for us, is the
caller's to decide: the claims are returned as they are.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_CURVES = {"ES256": ("P-256", 32), "ES384": ("P-384", 48), "ES512": ("P-521", 66)}


class InvalidToken(ValueError):
    """The text is not a token, or none of the keys signed it."""


class PublicKey:
    """A key to verify with.

    Attributes:
        kid: the key's id; as upstream computes it, the hash of the key, unless it was given.
        algorithms: what it verifies, the usual one first.
    """

    __slots__ = ("_key", "algorithms", "kid")

    def __init__(self, key: Any, kid: str = "") -> None:
        from cryptography.hazmat.primitives.asymmetric import ec, rsa

        self._key = key
        if isinstance(key, rsa.RSAPublicKey):
            self.algorithms: tuple[str, ...] = ("RS256", "RS384", "RS512")
        elif isinstance(key, ec.EllipticCurvePublicKey):
            by_size = {256: "ES256", 384: "ES384", 521: "ES512"}
            self.algorithms = (by_size[key.curve.key_size],)
        else:
            raise ValueError("only RSA and EC keys are supported")  # noqa: TRY004  # it is a value
        self.kid = kid or key_id(key)

    @classmethod
    def from_pem(cls, pem: bytes) -> PublicKey:
        """Read a public key, or the public half of a private key or certificate."""
        return cls(_public_key(pem))

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> PublicKey:
        """Read one key of a key set.

        Raises:
            ValueError: a kind of key that is not supported, or a malformed one.
        """
        try:
            return cls(_from_jwk(jwk), str(jwk.get("kid", "")))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a JSON web key: {error}") from None

    def verify(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Say whether this key made the signature."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

        if algorithm not in self.algorithms:
            return False
        try:
            if algorithm.startswith("RS"):
                self._key.verify(signature, signed, padding.PKCS1v15(), _hash(algorithm))
            else:
                size = _CURVES[algorithm][1]
                if len(signature) != 2 * size:
                    return False
                r, s = int.from_bytes(signature[:size]), int.from_bytes(signature[size:])
                der = utils.encode_dss_signature(r, s)
                self._key.verify(der, signed, ec.ECDSA(_hash(algorithm)))
        except InvalidSignature:
            return False
        return True

    def jwk(self) -> dict[str, str]:
        """Return the key as an entry of a key set."""
        algorithm = self.algorithms[0]
        numbers = self._key.public_numbers()
        entry = {"use": "sig", "kid": self.kid, "alg": algorithm}
        if algorithm.startswith("RS"):
            return {"kty": "RSA", **entry, "n": _encode_int(numbers.n), "e": _encode_int(numbers.e)}
        curve, size = _CURVES[algorithm]
        x, y = numbers.x.to_bytes(size), numbers.y.to_bytes(size)
        return {"kty": "EC", **entry, "crv": curve, "x": _encode(x), "y": _encode(y)}


class Signer:
    """Signs tokens with one private key: ES256 for an EC P-256 key, RS256 for an RSA key."""

    __slots__ = ("_header", "_key", "algorithm", "public_key")

    def __init__(self, private_key: bytes) -> None:
        """Take a private key (PEM)."""
        from cryptography.hazmat.primitives import serialization

        self._key: Any = serialization.load_pem_private_key(private_key, None)
        self.public_key = PublicKey(self._key.public_key())
        self.algorithm = self.public_key.algorithms[0]
        header = {"alg": self.algorithm, "kid": self.public_key.kid}
        self._header = _encode(msgspec.json.encode(header))

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return a token with these claims."""
        from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

        signed = f"{self._header}.{_encode(msgspec.json.encode(claims))}"
        if self.algorithm.startswith("RS"):
            signature = self._key.sign(signed.encode(), padding.PKCS1v15(), _hash(self.algorithm))
        else:
            der = self._key.sign(signed.encode(), ec.ECDSA(_hash(self.algorithm)))
            size = _CURVES[self.algorithm][1]
            r, s = utils.decode_dss_signature(der)
            signature = r.to_bytes(size) + s.to_bytes(size)
        return f"{signed}.{_encode(signature)}"


class Verifier:
    """Verifies tokens with any of several keys."""

    __slots__ = ("keys",)

    def __init__(self, keys: Iterable[PublicKey]) -> None:
        self.keys = tuple(keys)

    def verify(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that one of the keys signed.

        Raises:
            InvalidToken: it is malformed, or no key signed it.
        """
        header, claims, signed, signature = _split(token)
        algorithm, kid = header.get("alg"), header.get("kid")
        for key in self.keys:
            if kid and key.kid != kid:
                continue
            if key.verify(str(algorithm), signed, signature):
                return claims
        raise InvalidToken("no known key signed this token")


def unverified(token: str) -> dict[str, Any]:
    """Return the claims of a token without verifying it, to see who should.

    Raises:
        InvalidToken: it is malformed.
    """
    return _split(token)[1]


def key_set(keys: Iterable[PublicKey]) -> dict[str, list[dict[str, str]]]:
    """Return the document in which an issuer publishes its keys."""
    return {"keys": [key.jwk() for key in keys]}


def key_id(public_key: Any) -> str:
    """Return the id upstream gives a key: the hash of its SubjectPublicKeyInfo."""
    from cryptography.hazmat.primitives import serialization as s

    der = public_key.public_bytes(s.Encoding.DER, s.PublicFormat.SubjectPublicKeyInfo)
    return _encode(hashlib.sha256(der).digest())


def _split(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    parts = token.split(".")
    if len(parts) != 3:
        raise InvalidToken("a token has three parts")
    try:
        header = msgspec.json.decode(_decode(parts[0]), type=dict[str, Any])
        claims = msgspec.json.decode(_decode(parts[1]), type=dict[str, Any])
        signature = _decode(parts[2])
        signed = f"{parts[0]}.{parts[1]}".encode("ascii")
    except (ValueError, msgspec.MsgspecError) as error:
        raise InvalidToken(f"malformed token: {error}") from None
    return header, claims, signed, signature


def _public_key(pem: bytes) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    if b"CERTIFICATE" in pem:
        return x509.load_pem_x509_certificate(pem).public_key()
    if b"PRIVATE KEY" in pem:
        return serialization.load_pem_private_key(pem, None).public_key()
    return serialization.load_pem_public_key(pem)


def _from_jwk(jwk: Mapping[str, Any]) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if jwk["kty"] == "RSA":
        e, n = (int.from_bytes(_decode(jwk[part])) for part in ("e", "n"))
        return rsa.RSAPublicNumbers(e, n).public_key()
    curves = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
    if jwk["kty"] != "EC" or jwk["crv"] not in curves:
        raise ValueError("unsupported kind of key")
    x, y = (int.from_bytes(_decode(jwk[part])) for part in ("x", "y"))
    return ec.EllipticCurvePublicNumbers(x, y, curves[jwk["crv"]]).public_key()


def _hash(algorithm: str) -> Any:
    from cryptography.hazmat.primitives import hashes

    kinds: dict[str, Any] = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
    return kinds[algorithm[2:]]()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _encode_int(number: int) -> str:
    return _encode(number.to_bytes((number.bit_length() + 7) // 8))


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
