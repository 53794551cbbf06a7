"""The file that says what is encrypted with what: upstream's EncryptionConfiguration.

In:   YAML or JSON of `apiserver.config.k8s.io/v1`.
Out:  `Rules`; or a ConfigError that names every problem, in upstream's words.
By:   cmd, encryption.reload.
"""

# msgspec resolves the annotations of Structs: they are not postponed in this file.

import binascii
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

import msgspec

from kybern.api import yaml_text
from kybern.api.field_path import Path, Problem, forbidden, invalid, required
from kybern.store.encryption.ciphers import IDENTITY, PROVIDERS, Cipher
from kybern.store.encryption.rules import Resource, Rules, parse_resource

API_VERSION, KIND = "apiserver.config.k8s.io/v1", "EncryptionConfiguration"
SIZES = {"aesgcm": (16, 24, 32), "aescbc": (16, 24, 32), "secretbox": (32,)}
ALL = Resource("*", "*")
NO_REST = ("apiserveripinfo", "serviceipallocations", "servicenodeportallocations")


class ConfigError(Exception):
    """The file cannot be used; the message says why."""


class Key(msgspec.Struct, forbid_unknown_fields=True):
    """A key and what it is called."""

    name: str = ""
    secret: str = ""


class Keys(msgspec.Struct, forbid_unknown_fields=True):
    """The keys of one provider; the first one writes."""

    keys: list[Key] = []


class Provider(msgspec.Struct, forbid_unknown_fields=True):
    """Exactly one of these."""

    aesgcm: Keys | None = None
    aescbc: Keys | None = None
    secretbox: Keys | None = None
    identity: dict[str, Any] | None = None
    kms: dict[str, Any] | None = None

    def given(self) -> list[str]:
        """Return the names of those that are there."""
        return [name for name in self.__struct_fields__ if getattr(self, name) is not None]


class Group(msgspec.Struct, forbid_unknown_fields=True):
    """Some resources and their providers; the first one writes, all of them read."""

    resources: list[str] = []
    providers: list[Provider] = []


class EncryptionConfiguration(msgspec.Struct, forbid_unknown_fields=True):
    """The file."""

    kind: str = ""
    apiVersion: str = ""  # noqa: N815
    resources: list[Group] = []


def load(path: FilePath) -> Rules:
    """Read a file.

    Raises:
        ConfigError: it cannot be read, or cannot be used.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    try:
        return parse(data)
    except ConfigError as error:
        raise ConfigError(f"the encryption configuration {path} cannot be used: {error}") from None


def parse(data: bytes) -> Rules:
    """Read the text of a file.

    Raises:
        ConfigError: it cannot be used.
    """
    try:
        tree, duplicates = yaml_text.load(data)
        if duplicates:
            raise ConfigError("; ".join(duplicates))
        config = msgspec.convert(tree, EncryptionConfiguration)
    except (yaml_text.YamlError, msgspec.ValidationError) as error:
        raise ConfigError(str(error)) from None
    if (config.apiVersion, config.kind) != (API_VERSION, KIND):
        raise ConfigError(
            f"it is a {config.apiVersion} {config.kind}, and should be a {API_VERSION} {KIND}"
        )
    if problems := list(check(config)):
        raise ConfigError("; ".join(map(str, problems)))
    chains: dict[Resource, list[Cipher]] = {}
    for group in config.resources:
        ciphers = [cipher for provider in group.providers for cipher in _ciphers(provider)]
        for name in group.resources:
            chains.setdefault(parse_resource(name), []).extend(ciphers)
    return Rules({resource: tuple(ciphers) for resource, ciphers in chains.items()})


def _ciphers(provider: Provider) -> Iterator[Cipher]:
    (name,) = provider.given()
    if name == "identity":
        yield IDENTITY
        return
    for key in getattr(provider, name).keys:
        yield PROVIDERS[name](key.name, binascii.a2b_base64(key.secret))


def check(config: EncryptionConfiguration) -> Iterator[Problem]:
    """Return what is wrong."""
    root = Path("resources")
    if not config.resources:
        yield required(root, "at least one resources is required")
    for index, group in enumerate(config.resources):
        resources, providers = root[index] / "resources", root[index] / "providers"
        if not group.resources:
            yield required(resources, f"at least one {resources} is required")
        yield from _check_overlap(group.resources, resources)
        for number, name in enumerate(group.resources):
            if problem := _name_problem(name):
                yield invalid(resources[number], name, problem)
        if not group.providers:
            yield required(providers, f"at least one {providers} is required")
        for number, provider in enumerate(group.providers):
            yield from _check_provider(provider, providers[number])


def _check_overlap(names: list[str], path: Path) -> Iterator[Problem]:
    parsed = [parse_resource(name) for name in names]
    if len(set(parsed)) < len(parsed):
        yield invalid(path, names, "the same resource cannot be specified multiple times")
    if any(
        one == Resource("*", "*")
        or (one.group == other.group and "*" in (one.plural, other.plural))
        for one in parsed
        for other in parsed
        if one != other
    ):
        yield invalid(
            path, names,
            "using overlapping resources such as 'secrets' and '*.' in the same resource list is "
            "not allowed as they will be masked",
        )  # fmt: skip


def _overlap(one: Resource, other: Resource) -> bool:
    same_group = one.group == other.group
    return one == ALL or (same_group and "*" in (one.plural, other.plural))


def _name_problem(name: str) -> str:
    resource = parse_resource(name)
    if name != name.lower():
        return "resource name should not contain capital letters"
    if name == "*":
        return (
            "use '*.' to encrypt all the resources from core API group or *.* to encrypt all "
            "resources"
        )
    if name in NO_REST:
        return "resources which do not have REST API/s cannot be encrypted"
    if resource.group == "events.k8s.io":
        return (
            "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use "
            "'events' instead in the config file"
        )
    if resource.group == "extensions":
        return "'extensions' group has been removed and cannot be used for encryption"
    if resource.group == "*" and resource.plural != "*":
        return "encrypting the same resource across groups is not supported"
    return ""


def _check_provider(provider: Provider, path: Path) -> Iterator[Problem]:
    given = provider.given()
    if not given:
        yield invalid(
            path, {},
            "provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, "
            "Secretbox, Identity",
        )  # fmt: skip
    elif len(given) > 1:
        yield invalid(
            path, given,
            "more than one provider specified in a single element, should split into different "
            "list elements",
        )  # fmt: skip
    elif given == ["kms"]:
        yield forbidden(
            path / "kms", "kms is not supported: use secretbox, aesgcm or aescbc with a local key"
        )
    elif given != ["identity"]:
        name = given[0]
        keys: list[Key] = getattr(provider, name).keys
        yield from _check_keys(keys, path / name / "keys", SIZES[name])


def _check_keys(keys: list[Key], path: Path, sizes: tuple[int, ...]) -> Iterator[Problem]:
    if not keys:
        yield required(path, "at least one keys is required")
    for index, key in enumerate(keys):
        place = path[index]
        if not key.name:
            yield required(place / "name", "name is a mandatory field for a key")
        if not key.secret:
            yield required(place / "secret", "secret is a mandatory field for a key")
            continue
        try:
            size = len(binascii.a2b_base64(key.secret, strict_mode=True))
        except binascii.Error:
            yield invalid(place / "secret", "REDACTED", "secrets must be base64 encoded")
            continue
        if size not in sizes:
            wanted = " ".join(map(str, sizes))
            yield invalid(
                place / "secret", "REDACTED",
                f"secret is not of the expected length, got {size}, expected one of [{wanted}]",
            )  # fmt: skip
