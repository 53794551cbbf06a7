"""What a pod is called, in messages, in its host name and in its files.

In:   a Pod.
Out:  text.
By:   everything in the kubelet. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kybern.api.core.v1 import Pod

HOST_NAME_MAX = 63
MANAGED = "# Kubernetes-managed hosts file.\n"
MANAGED_HOST_NETWORK = "# Kubernetes-managed hosts file (host network).\n"
LOCAL = (
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::0\tip6-localnet\n"
    "fe00::0\tip6-mcastprefix\n"
    "fe00::1\tip6-allnodes\n"
    "fe00::2\tip6-allrouters\n"
)


def described(pod: Pod) -> str:
    """Return `name_namespace(uid)`, as upstream's messages have it."""
    meta = pod.metadata
    return f"{meta.name}_{meta.namespace}({meta.uid})"


def host_name(pod: Pod, node_host_name: str) -> str:
    """Return the host name inside the pod's sandbox."""
    if pod.spec.hostNetwork:
        return node_host_name
    return pod.spec.hostnameOverride or short_name(pod)


def short_name(pod: Pod) -> str:
    """Return the host name of a pod with a network of its own, without a domain."""
    if pod.spec.hostname:
        return pod.spec.hostname
    return (pod.metadata.name or "")[:HOST_NAME_MAX].rstrip("-.")


def domain_name(pod: Pod, cluster_domain: str) -> str:
    """Return the domain of a pod with a subdomain; "" without one."""
    if pod.spec.hostnameOverride or not pod.spec.subdomain:
        return ""
    return f"{pod.spec.subdomain}.{pod.metadata.namespace}.svc.{cluster_domain}"


def sandbox_host_name(pod: Pod, node_host_name: str, cluster_domain: str) -> str:
    """Return the host name the kernel shows in the pod.

    Raises:
        ValueError: the pod wants its full name as host name, and that is too long.
    """
    name = host_name(pod, node_host_name)
    domain = domain_name(pod, cluster_domain)
    if pod.spec.setHostnameAsFQDN and domain and not pod.spec.hostNetwork:
        full = f"{name}.{domain}"
        if len(full) > 64:
            raise ValueError(
                f"failed to construct FQDN from pod hostname and cluster domain, FQDN {full} "
                f"is too long (64 characters is the max, {len(full)} characters requested)"
            )
        return full
    return name


def hosts_file(pod: Pod, ips: tuple[str, ...], cluster_domain: str, node_hosts: str) -> str:
    """Return the content of the pod's /etc/hosts; `node_hosts` is the node's own."""
    if pod.spec.hostNetwork:
        return MANAGED_HOST_NETWORK + node_hosts + _aliases(pod)
    domain = domain_name(pod, cluster_domain)
    name = pod.spec.hostnameOverride or short_name(pod)
    names = f"{name}.{domain}\t{name}" if domain else name
    return MANAGED + LOCAL + "".join(f"{ip}\t{names}\n" for ip in ips) + _aliases(pod)


def log_directory_name(namespace: str, name: str, uid: str) -> str:
    """Return the name of the directory with a pod's container logs."""
    return f"{namespace}_{name}_{uid}"


def uid_of_log_directory(name: str) -> str:
    """Return whose logs are in a directory of this name; "" when it is no such name."""
    parts = name.split("_")
    return parts[2] if len(parts) == 3 else ""


def _aliases(pod: Pod) -> str:
    if not pod.spec.hostAliases:
        return ""
    lines = (f"{a.ip}\t" + "\t".join(a.hostnames or ()) for a in pod.spec.hostAliases)
    return "\n# Entries added by HostAliases.\n" + "".join(f"{line}\n" for line in lines)
