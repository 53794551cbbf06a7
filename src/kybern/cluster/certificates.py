"""The keys and certificates of a cluster: made once, kept, renewed when they run out.

In:   the settings (names and addresses), and what is in `pki/` already.
Out:  the files of FILES: keys readable by their owner only.
By:   `kybern up`.

The authority and the key of service account tokens are made once and never again: everything that
was ever signed depends on them. Certificates follow from them and are made anew when they are
about to expire or no longer fit the settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kybern.lib import pki
from kybern.lib.clock import SYSTEM

if TYPE_CHECKING:
    from pathlib import Path

    from kybern.cluster.directory import Directory
    from kybern.cluster.settings import Settings

FRONT_PROXY = "front-proxy-client"
LIFETIME = 365 * pki.DAY
RENEW_BEFORE = 60 * pki.DAY


class DamagedError(Exception):
    """The directory holds keys that do not fit together; the message says what to do."""


class Wanted(NamedTuple):
    """One certificate: file name, whom it is for, and what it proves."""

    name: str
    subject: pki.Subject
    server: bool
    client: bool


def wanted(settings: Settings) -> list[Wanted]:
    """Return every certificate that a cluster with these settings has."""
    service = "kubernetes"
    names = ["localhost", service, f"{service}.default", f"{service}.default.svc"]
    names.append(f"{service}.default.svc.{settings.cluster_domain}")
    if settings.node_name:
        names.append(settings.node_name)
    addresses = (
        "127.0.0.1", "::1", settings.kubernetes_ip, *_ips(settings), *settings.gateways,
    )  # fmt: skip
    server = pki.Subject(
        "kube-apiserver", (), tuple(dict.fromkeys(names)), tuple(dict.fromkeys(addresses))
    )
    certificates = [
        Wanted("apiserver", server, server=True, client=False),
        _client("apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
        _client("admin", "kubernetes-admin", "system:masters"),
        _client("controller-manager", "system:kube-controller-manager"),
        _client("scheduler", "system:kube-scheduler"),
    ]
    return certificates if settings.control_plane_only else [*certificates, *of_node(settings)]


def of_node(settings: Settings) -> list[Wanted]:
    """Return the certificates of a node."""
    node = f"system:node:{settings.node_name}"
    kubelet = pki.Subject(node, ("system:nodes",), (settings.node_name,), _ips(settings))
    return [
        _client("kubelet-client", node, "system:nodes"),
        Wanted("kubelet", kubelet, server=True, client=False),
        _client("proxy", "system:kube-proxy", "system:node-proxier"),
    ]


def _ips(settings: Settings) -> tuple[str, ...]:
    return (settings.node_ip, *([settings.node_ip6] if settings.node_ip6 else []))


def _client(name: str, common_name: str, *groups: str) -> Wanted:
    return Wanted(name, pki.Subject(common_name, tuple(groups)), server=False, client=True)


def ensure(directory: Directory, settings: Settings) -> None:
    """Make what is missing or about to expire.

    Raises:
        DamagedError: a key is there without its certificate, or they do not fit.
    """
    now = SYSTEM.now()
    authority = _authority(directory, now)
    _ensure_token_key(directory)
    _issue(directory, wanted(settings), authority, now)
    # Who shows a certificate of this authority may say for whom it speaks: it signs nothing else.
    proxies = _authority(directory, now, "front-proxy-ca")
    _issue(directory, [_client(FRONT_PROXY, FRONT_PROXY)], proxies, now)


def ensure_node(directory: Directory, settings: Settings, cluster: Directory) -> None:
    """Make what a further node on this machine lacks, signed by the cluster's authority.

    Raises:
        DamagedError: as from `ensure`.
    """
    now = SYSTEM.now()
    authority = _authority(cluster, now)
    place, text = directory.pki / "ca.crt", authority.certificate
    if not place.exists() or place.read_bytes() != text:
        place.write_bytes(text)
    _issue(directory, of_node(settings), authority, now)


def _issue(
    directory: Directory, certificates: list[Wanted], authority: pki.KeyPair, now: float
) -> None:
    for certificate in certificates:
        path = directory.pki / f"{certificate.name}.crt"
        key = directory.pki / f"{certificate.name}.key"
        if not (path.exists() and key.exists() and _fits(path, key, certificate, authority, now)):
            pair = pki.issue(
                authority,
                certificate.subject,
                now=now,
                lifetime=LIFETIME,
                server=certificate.server,
                client=certificate.client,
            )
            pair.save(path, key)


def _authority(directory: Directory, now: float, name: str = "ca") -> pki.KeyPair:
    certificate, key = directory.pki / f"{name}.crt", directory.pki / f"{name}.key"
    if not certificate.exists() and not key.exists():
        authority = pki.make_ca("kubernetes" if name == "ca" else name, now=now)
        authority.save(certificate, key)
        return authority
    try:
        authority = pki.KeyPair.load(certificate, key)
        if pki.key_matches(authority):
            return authority
        why = "they do not belong together"
    except (OSError, pki.PkiError) as error:
        why = str(error)
    what = f"the cluster's authority ({certificate} and {key}) cannot be used: {why}"
    raise DamagedError(f"{what}. {_advice(directory)}")


def _ensure_token_key(directory: Directory) -> None:
    path = directory.pki / "sa.key"
    if not path.exists():
        pki.save(path, pki.make_key())
        return
    try:
        pki.public_key_of(path.read_bytes())
    except pki.PkiError as error:
        what = f"the key that signs service accounts' tokens ({path}) cannot be used: {error}"
        raise DamagedError(f"{what}. {_advice(directory)}") from None


def _advice(directory: Directory) -> str:
    return (
        "Restore pki/ from a backup, or remove the cluster and its data with "
        f"`kybern down --purge --data-dir {directory.root}`."
    )


def _fits(path: Path, key: Path, certificate: Wanted, authority: pki.KeyPair, now: float) -> bool:
    try:
        pair = pki.KeyPair.load(path, key)
        subject, _, until = pki.parse_certificate(pair.certificate)
        ours = pki.key_matches(pair) and pki.signed_by(pair.certificate, authority.certificate)
    except pki.PkiError:
        return False
    return ours and subject == certificate.subject and until - now > RENEW_BEFORE
