"""What a pod's resolv.conf says.

In:   a Pod's dnsPolicy and dnsConfig, the node's resolv.conf, the cluster's DNS.
Out:  the DNSConfig of its sandbox.
By:   pods/act.py. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kybern.kubelet.runtime.messages.sandbox import DNSConfig

if TYPE_CHECKING:
    from kybern.api.core.v1 import Pod, PodDNSConfig

NAME_SERVERS_MAX = 3
SEARCHES_MAX = 32
NDOTS = "ndots:5"


@dataclass(frozen=True, slots=True)
class Resolver:
    """A parsed resolv.conf."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def parse_resolv_conf(text: str) -> Resolver:
    """Read a resolv.conf; of several search or options lines the last one counts."""
    servers: list[str] = []
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    for line in text.splitlines():
        words = line.split("#", 1)[0].split(";", 1)[0].split()
        if len(words) < 2:
            continue
        if words[0] == "nameserver":
            servers.append(words[1])
        elif words[0] == "search":
            # A single dot, the root, is no search domain; C libraries choke on it.
            searches = tuple(w if w == "." else w.removesuffix(".") for w in words[1:])
        elif words[0] == "options":
            options = tuple(words[1:])
    return Resolver(tuple(servers), searches, options)


def pod_dns(pod: Pod, node: Resolver, cluster_dns: tuple[str, ...], domain: str) -> DNSConfig:
    """Return the resolver configuration of a pod."""
    policy = effective_policy(pod, has_cluster_dns=bool(cluster_dns))
    if policy == "None":
        config = DNSConfig()
    elif policy == "ClusterFirst":
        searches = [*_cluster_searches(pod, domain), *node.searches]
        options = [NDOTS, *(o for o in node.options if not o.startswith("ndots:"))]
        config = DNSConfig(list(cluster_dns), _unique(searches), options)
    else:
        config = DNSConfig(list(node.servers), list(node.searches), list(node.options))
    if pod.spec.dnsConfig is not None:
        config = _merged(config, pod.spec.dnsConfig)
    config.servers = config.servers[:NAME_SERVERS_MAX]
    config.searches = config.searches[:SEARCHES_MAX]
    return config


def effective_policy(pod: Pod, *, has_cluster_dns: bool) -> str:
    """Return `ClusterFirst`, `Default` or `None`, after host networking has had its say."""
    policy = pod.spec.dnsPolicy or "ClusterFirst"
    if policy == "None":
        return policy
    if policy == "ClusterFirstWithHostNet" or (
        policy == "ClusterFirst" and not pod.spec.hostNetwork
    ):
        return "ClusterFirst" if has_cluster_dns else "Default"
    return "Default"


def _cluster_searches(pod: Pod, domain: str) -> list[str]:
    if not domain:
        return []
    return [f"{pod.metadata.namespace}.svc.{domain}", f"svc.{domain}", domain]


def _merged(config: DNSConfig, more: PodDNSConfig) -> DNSConfig:
    options = {name: option for option in config.options for name in [option.split(":")[0]]}
    for extra in more.options or ():
        name = extra.name or ""
        options[name] = f"{name}:{extra.value}" if extra.value else name
    return DNSConfig(
        _unique([*config.servers, *(more.nameservers or ())]),
        _unique([*config.searches, *(more.searches or ())]),
        list(options.values()),
    )


def _unique(items: list[str]) -> list[str]:
    return list(dict.fromkeys(items))
