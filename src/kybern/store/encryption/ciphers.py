"""The forms in which values are stored: upstream's, byte for byte.

In:   a value, and the key of the object it belongs to.
Out:  what follows the prefix `k8s:enc:<provider>:v1:<name of the key>:`; and the way back.
By:   encryption.rules.

    aescbc     16 random bytes, then AES-CBC with PKCS#7 padding
    aesgcm     12 random bytes, then AES-GCM; the object's key is authenticated with the value
    secretbox  24 random bytes, then NaCl's secretbox (XSalsa20 and Poly1305)
    identity   no prefix: the value itself
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable

ENCRYPTED = b"k8s:enc:"
"""With what every value starts that is not plain."""

_BLOCK = 16
_TOO_SHORT = "the stored data was shorter than the required size"
_PLAIN = (b"{", b"k8s\x00")


class CannotOpen(Exception):
    """These bytes were not written with this key, or somebody changed them since."""


@dataclass(frozen=True)
class Cipher:
    """One key of one provider.

    Attributes:
        name: what the configuration calls the key.
        secret: the key.
    """

    name: str
    secret: bytes = field(repr=False)
    provider: ClassVar[str]
    """As the prefix has it."""
    title: ClassVar[str]
    """As upstream's messages have it."""

    @cached_property
    def prefix(self) -> bytes:
        """With what values start that were written with it."""
        return b"%b%b:v1:%b:" % (ENCRYPTED, self.provider.encode(), self.name.encode())

    def seal(self, data: bytes, key: str) -> bytes:
        """Return the value as it is stored, without the prefix."""
        raise NotImplementedError

    def open(self, data: bytes, key: str) -> bytes:
        """Return the value.

        Raises:
            CannotOpen: it is not one of ours.
        """
        raise NotImplementedError


class AesGcm(Cipher):
    """AES-GCM: nobody can change a value, or put it in the place of another."""

    provider, title = "aesgcm", "AES"

    @cached_property
    def _aead(self) -> Any:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self.secret)

    def seal(self, data: bytes, key: str) -> bytes:
        """Encrypt with a random nonce."""
        nonce = os.urandom(12)
        sealed: bytes = self._aead.encrypt(nonce, data, key.encode())
        return nonce + sealed

    def open(self, data: bytes, key: str) -> bytes:
        """Decrypt and authenticate."""
        from cryptography.exceptions import InvalidTag

        if len(data) < 12:
            raise CannotOpen(_TOO_SHORT)
        try:
            opened: bytes = self._aead.decrypt(data[:12], data[12:], key.encode())
        except InvalidTag:
            raise CannotOpen("cipher: message authentication failed") from None
        return opened


class AesCbc(Cipher):
    """AES-CBC: nothing shows that a value was changed, or that the key is another one."""

    provider, title = "aescbc", "AES"

    @cached_property
    def _cipher(self) -> Callable[[bytes], Any]:
        from cryptography.hazmat.primitives.ciphers import Cipher as Ready
        from cryptography.hazmat.primitives.ciphers import algorithms, modes

        algorithm = algorithms.AES(self.secret)
        return lambda start: Ready(algorithm, modes.CBC(start))

    def seal(self, data: bytes, key: str) -> bytes:
        """Encrypt with a random start."""
        del key
        start = os.urandom(_BLOCK)
        padding = _BLOCK - len(data) % _BLOCK
        encryptor = self._cipher(start).encryptor()
        sealed: bytes = encryptor.update(data + bytes([padding]) * padding)
        return start + sealed

    def open(self, data: bytes, key: str) -> bytes:
        """Decrypt; what does not look like an object then, was written with another key."""
        del key
        if len(data) < 2 * _BLOCK:
            raise CannotOpen(_TOO_SHORT)
        if len(data) % _BLOCK:
            raise CannotOpen("the stored data is not a multiple of the block size")
        padded: bytes = self._cipher(data[:_BLOCK]).decryptor().update(data[_BLOCK:])
        padding = padded[-1]
        if not 0 < padding <= _BLOCK:
            raise CannotOpen("invalid PKCS7 data (empty or not padded)")
        if padded[-padding:] != bytes([padding]) * padding:
            raise CannotOpen("invalid padding on input")
        opened = padded[:-padding]
        if not opened.startswith(_PLAIN):  # one wrong key in 256 gets here
            raise CannotOpen("invalid padding on input")
        return opened


class Secretbox(Cipher):
    """XSalsa20 and Poly1305."""

    provider, title = "secretbox", "Secretbox"

    @cached_property
    def _box(self) -> Any:
        from nacl.secret import SecretBox

        return SecretBox(self.secret)

    def seal(self, data: bytes, key: str) -> bytes:
        """Encrypt with a random nonce."""
        del key
        return bytes(self._box.encrypt(data, os.urandom(24)))

    def open(self, data: bytes, key: str) -> bytes:
        """Decrypt and authenticate."""
        from nacl.exceptions import CryptoError

        del key
        if len(data) < 24:
            raise CannotOpen(_TOO_SHORT)
        try:
            opened: bytes = self._box.decrypt(data)
        except (CryptoError, ValueError):
            raise CannotOpen("decryption failed") from None
        return opened


class Identity(Cipher):
    """As it is."""

    provider, title = "identity", ""
    prefix = b""

    def seal(self, data: bytes, key: str) -> bytes:
        """Return the value."""
        del key
        return data

    def open(self, data: bytes, key: str) -> bytes:
        """Return the value, if it is plain."""
        del key
        if data.startswith(ENCRYPTED):
            raise CannotOpen("identity transformer tried to read encrypted data")
        return data


IDENTITY = Identity("", b"")
PROVIDERS: dict[str, type[Cipher]] = {each.provider: each for each in (AesGcm, AesCbc, Secretbox)}
