"""What an API server is told when it starts.

In:   flags, read by cmd.
Out:  one checked, frozen value.
By:   app and whoever it makes.
"""

# msgspec resolves the annotations of Structs: they are not postponed in this file.

import ipaddress
from pathlib import Path

import msgspec


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one API server. The names follow upstream's flags.

    Attributes:
        bind_address: where to listen; all interfaces when empty.
        port: where to listen.
        advertise_address: what the `kubernetes` Service leads to; found out when empty.
        service_cidr: what cluster IPs are taken from; two networks, of IPv4 and of IPv6, with a
            comma for a cluster of both, the default first.
        node_ports: first and last port for NodePort Services.
        cluster_domain: what Service names end with.
        issuer: `iss` of service account tokens.
        api_audiences: what a token must be meant for; the issuer when empty.
        longest_token: the most seconds a requested token is valid; 0 for no limit.
        service_account_key: PEM of the EC key that signs service account tokens; one for this run
            only when empty.
        service_account_public_keys: PEM of more keys whose tokens are good, such as those of an
            API server beside this one, or the key before the current one.
        token: a static bearer token for an administrator; none when empty.
        bootstrap_tokens: whether Secrets of type bootstrap.kubernetes.io/token let machines join.
        token_file: more static tokens, in upstream's columns.
        kubelet_certificate: PEM file shown to kubelets.
        kubelet_key: its key.
        kubelet_ca: PEM file kubelets' certificates must come from; unchecked when empty.
        client_ca: PEM file of who signs clients' certificates, for other servers to know.
        front_proxy_certificate: PEM file shown to API servers behind this one.
        front_proxy_key: its key.
        front_proxy_ca: PEM file of who signed it, for other servers to know.
        front_proxy_names: common names which that certificate may have.
        request_timeout: seconds a short request may take.
        event_ttl: seconds events are kept.
        server_lease: seconds after which a silent API server counts as gone to the others that
            serve the same store.
        max_mutating_requests: writes under way at a time.
        max_queued_requests: writes that may wait for their turn.
    """

    bind_address: str = ""
    port: int = 6443
    advertise_address: str = ""
    service_cidr: str = "10.96.0.0/12"
    node_ports: tuple[int, int] = (30000, 32767)
    cluster_domain: str = "cluster.local"
    issuer: str = "https://kubernetes.default.svc.cluster.local"
    api_audiences: tuple[str, ...] = ()
    longest_token: int = 0
    service_account_key: bytes = b""
    service_account_public_keys: tuple[bytes, ...] = ()
    token: str = ""
    bootstrap_tokens: bool = False
    token_file: Path | None = None
    kubelet_certificate: Path | None = None
    kubelet_key: Path | None = None
    kubelet_ca: Path | None = None
    client_ca: Path | None = None
    front_proxy_certificate: Path | None = None
    front_proxy_key: Path | None = None
    front_proxy_ca: Path | None = None
    front_proxy_names: tuple[str, ...] = ("front-proxy-client",)
    request_timeout: float = 60.0
    event_ttl: float = 3600.0
    server_lease: float = 15.0
    max_mutating_requests: int = 600
    max_queued_requests: int = 2000

    def check(self) -> list[str]:
        """Return what is wrong with the settings, one sentence each."""
        problems = self._network_problems()
        first, last = self.node_ports
        if not 0 < first <= last < 65536:
            problems.append(f"node ports {first}-{last} are not a range of ports")
        if self.token_file is not None and not self.token_file.is_file():
            problems.append(f"there is no token file {self.token_file}")
        return problems

    def _network_problems(self) -> list[str]:
        try:
            networks = [ipaddress.ip_network(cidr) for cidr in self.service_cidrs]
        except ValueError as error:
            return [f"the service CIDR is not one: {error}"]
        problems = [
            f"the service CIDR {network} is too small: use a /{network.max_prefixlen - 3}"
            for network in networks
            if network.num_addresses < 8
        ]
        if len({network.version for network in networks}) < len(networks):
            problems.append(f"the service CIDRs {self.service_cidr} are of the same IP family")
        return problems

    @property
    def service_cidrs(self) -> tuple[str, ...]:
        """What cluster IPs are taken from, one network for each family."""
        return tuple(self.service_cidr.split(","))

    @property
    def audiences(self) -> tuple[str, ...]:
        """What service account tokens must be meant for."""
        return self.api_audiences or (self.issuer,)
