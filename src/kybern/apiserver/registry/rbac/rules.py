"""One rule of a Role: what it allows, and whether it is covered by others.

In:   rules as the Structs of rbac/v1 have them.
Out:  Rule, which matches requests; `uncovered`, the parts of rules that others do not allow.
By:   authz.rbac, and the strategies of roles and bindings. Pure.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kybern.api.rbac.v1 import PolicyRule
    from kybern.apiserver.context import Attributes, RequestContext

ALL = "*"


class Rule:
    """A compiled PolicyRule."""

    __slots__ = ("any_group", "any_resource", "any_verb", "groups", "names", "resources", "urls",
                 "verbs")  # fmt: skip

    def __init__(self, rule: PolicyRule) -> None:
        self.verbs = frozenset(rule.verbs or ())
        self.any_verb = ALL in self.verbs
        self.groups = frozenset(rule.apiGroups or ())
        self.any_group = ALL in self.groups
        self.resources = frozenset(rule.resources or ())
        self.any_resource = ALL in self.resources
        self.names = frozenset(rule.resourceNames or ())
        self.urls = tuple(rule.nonResourceURLs or ())

    def allows(self, asked: Attributes | RequestContext) -> bool:
        """Say whether the rule allows this."""
        if not self.any_verb and asked.verb not in self.verbs:
            return False
        if not asked.is_resource:
            return any(_url_fits(url, asked.path) for url in self.urls)
        return (
            (self.any_group or asked.group in self.groups)
            and (self.any_resource or self._resource_fits(asked.plural, asked.subresource))
            and (not self.names or asked.name in self.names)
        )

    def _resource_fits(self, plural: str, subresource: str) -> bool:
        if not subresource:
            return plural in self.resources
        return f"{plural}/{subresource}" in self.resources or f"*/{subresource}" in self.resources

    def covers(self, part: Part) -> bool:
        """Say whether this rule allows one indivisible part of another rule."""
        if not self.any_verb and part.verb not in self.verbs:
            return False
        if part.url is not None:
            return any(_url_covers(url, part.url) for url in self.urls)
        plural, _, subresource = part.resource.partition("/")
        resource = (
            self.any_resource
            or part.resource in self.resources
            or (bool(subresource) and f"*/{subresource}" in self.resources)
        )
        del plural
        return (
            resource
            and (self.any_group or part.group in self.groups)
            and (not self.names or (part.name is not None and part.name in self.names))
        )


class Part:
    """One verb on one resource of one group, maybe one name: or one verb on one URL."""

    __slots__ = ("group", "name", "resource", "url", "verb")

    def __init__(
        self, verb: str, group: str = "", resource: str = "", name: str | None = None,
        url: str | None = None,
    ) -> None:  # fmt: skip
        self.verb = verb
        self.group = group
        self.resource = resource
        self.name = name
        self.url = url

    def __str__(self) -> str:
        if self.url is not None:
            return f'{{NonResourceURLs:["{self.url}"], Verbs:["{self.verb}"]}}'
        names = f'ResourceNames:["{self.name}"], ' if self.name is not None else ""
        return (
            f'{{APIGroups:["{self.group}"], Resources:["{self.resource}"], {names}'
            f'Verbs:["{self.verb}"]}}'
        )


def parts(rule: PolicyRule) -> list[Part]:
    """Split a rule into its indivisible parts."""
    verbs = rule.verbs or ()
    names: Sequence[str | None] = rule.resourceNames or (None,)
    found = [
        Part(verb, group, resource, name)
        for group, resource, verb, name in product(
            rule.apiGroups or (), rule.resources or (), verbs, names
        )
    ]
    return found + [Part(v, url=url) for url, v in product(rule.nonResourceURLs or (), verbs)]


def uncovered(owned: Sequence[Rule], wanted: Iterable[PolicyRule]) -> list[Part]:
    """Return the parts of `wanted` that none of the owned rules allows."""
    return [
        part
        for rule in wanted
        for part in parts(rule)
        if not any(own.covers(part) for own in owned)
    ]


def _url_fits(pattern: str, path: str) -> bool:
    if pattern in (ALL, path):
        return True
    return pattern.endswith(ALL) and path.startswith(pattern[:-1])


def _url_covers(owned: str, wanted: str) -> bool:
    if owned in (ALL, wanted):
        return True
    return owned.endswith(ALL) and wanted.startswith(owned[:-1])
