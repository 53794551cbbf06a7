"""Where the API server is, and who we are to it.

In:   a kubeconfig, the files a pod is given, or nothing at all.
Out:  a frozen `ClientConfig`, and from it an SSL context and request headers.
By:   cmd, cli; `client.transport.TlsTransport` takes the result.

Credentials in memory (`*-data`) and in files are both understood. A token in a file is read again
when it is older than a minute, as bound service account tokens rotate. Exec plugins and proxies
of kubeconfigs are refused with a sentence, not ignored.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class ConfigError(Exception):
    """The configuration cannot be used; the message says what to change."""


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """One API server and one identity.

    Attributes:
        server: base URL, such as `https://127.0.0.1:6443`.
        ca: PEM of the authorities to trust; empty means the system's.
        insecure: do not verify the server at all.
        server_name: name to expect in the server's certificate, when not the URL's host.
        certificate: PEM of the client certificate, possibly with its chain.
        key: PEM of the client key.
        token: bearer token.
        token_file: file with a bearer token; wins over `token`.
        username: for basic authentication.
        password: for basic authentication.
        impersonate_user: act as this user.
        impersonate_groups: with these groups.
        namespace: default namespace of the context.
    """

    server: str
    ca: bytes = b""
    insecure: bool = False
    server_name: str = ""
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)
    token: str = field(default="", repr=False)
    token_file: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    impersonate_user: str = ""
    impersonate_groups: tuple[str, ...] = ()
    namespace: str = "default"

    def impersonating(self, user: str, groups: tuple[str, ...] = ()) -> ClientConfig:
        """Return the same connection, acting as somebody else."""
        return replace(self, impersonate_user=user, impersonate_groups=groups)


def load_kubeconfig(path: str | os.PathLike[str] = "", context: str = "") -> ClientConfig:
    """Read a kubeconfig: the file given, else the first of $KUBECONFIG, else ~/.kube/config.

    Raises:
        ConfigError: no such file, context, cluster or user, or something unsupported in them.
    """
    file = Path(path) if path else _default_path()
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read the kubeconfig {file}: {error.strerror}") from error
    return parse_kubeconfig(text, base=file.parent, context=context)


def parse_kubeconfig(text: str, *, base: Path = Path(), context: str = "") -> ClientConfig:
    """Turn the text of a kubeconfig into a configuration; relative paths start at `base`."""
    import yaml

    try:
        tree = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except yaml.YAMLError as error:
        raise ConfigError(f"the kubeconfig is not YAML: {error}") from error
    if not isinstance(tree, dict):
        raise ConfigError("the kubeconfig is empty")
    chosen = context or tree.get("current-context") or ""
    if not chosen:
        raise ConfigError("the kubeconfig has no current-context, and no context was asked for")
    ctx = _named(tree, "contexts", "context", chosen)
    cluster = _named(tree, "clusters", "cluster", ctx.get("cluster", ""))
    user = _named(tree, "users", "user", ctx["user"]) if ctx.get("user") else {}
    server = cluster.get("server") or ""
    if not server:
        raise ConfigError(f"cluster {ctx.get('cluster')!r} of the kubeconfig has no server")
    for unsupported, where in (("proxy-url", cluster), ("exec", user), ("auth-provider", user)):
        if where.get(unsupported):
            raise ConfigError(f"the kubeconfig uses {unsupported!r}, which is not supported")
    return ClientConfig(
        server=server.rstrip("/"),
        ca=_data(cluster, "certificate-authority", base),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        server_name=cluster.get("tls-server-name") or "",
        certificate=_data(user, "client-certificate", base),
        key=_data(user, "client-key", base),
        token=user.get("token") or "",
        token_file=str(base / user["tokenFile"]) if user.get("tokenFile") else "",
        username=user.get("username") or "",
        password=user.get("password") or "",
        impersonate_user=user.get("as") or "",
        impersonate_groups=tuple(user.get("as-groups") or ()),
        namespace=ctx.get("namespace") or "default",
    )


def in_cluster(directory: Path = SERVICE_ACCOUNT) -> ClientConfig:
    """Return the configuration a pod finds in its environment and its mounted token.

    Raises:
        ConfigError: this process does not run in a pod with a service account.
    """
    host, port = (
        os.environ.get("KUBERNETES_SERVICE_HOST"),
        os.environ.get("KUBERNETES_SERVICE_PORT"),
    )
    if not host or not port:
        raise ConfigError("not in a cluster: KUBERNETES_SERVICE_HOST and _PORT are not set")
    try:
        ca = (directory / "ca.crt").read_bytes()
        namespace = (directory / "namespace").read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"not in a cluster: {error.filename}: {error.strerror}") from error
    return ClientConfig(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        ca=ca,
        token_file=str(directory / "token"),
        namespace=namespace,
    )


def ssl_context(config: ClientConfig) -> ssl.SSLContext | None:
    """Build the TLS side of a configuration; None for a plain http server."""
    if not config.server.startswith("https://"):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if config.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif config.ca:
        try:
            context.load_verify_locations(cadata=config.ca.decode("ascii"))
        except (ssl.SSLError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"the certificate authority is not a PEM certificate: {error}"
            ) from error
    else:
        context.load_default_certs()
    if config.certificate:
        _load_client_certificate(context, config)
    return context


def _load_client_certificate(context: ssl.SSLContext, config: ClientConfig) -> None:
    # ssl reads certificates only from files; this one is ours alone and gone right after.
    with tempfile.TemporaryDirectory(prefix="kybern-") as directory:
        file = Path(directory) / "client.pem"
        file.touch(mode=0o600)
        file.write_bytes(config.certificate.rstrip(b"\n") + b"\n" + config.key)
        try:
            context.load_cert_chain(file)
        except ssl.SSLError as error:
            raise ConfigError(
                f"the client certificate and its key cannot be used: {error}"
            ) from error


def _default_path() -> Path:
    first = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(first) if first else Path.home() / ".kube" / "config"


def _named(tree: dict[str, Any], section: str, key: str, name: str) -> dict[str, Any]:
    for item in tree.get(section) or ():
        if item.get("name") == name:
            value = item.get(key)
            return value if isinstance(value, dict) else {}
    raise ConfigError(f"the kubeconfig has no {key} named {name!r}")


def _data(tree: dict[str, Any], key: str, base: Path) -> bytes:
    if inline := tree.get(f"{key}-data"):
        try:
            return base64.b64decode(inline, validate=True)
        except (binascii.Error, TypeError) as error:
            raise ConfigError(f"{key}-data of the kubeconfig is not base64") from error
    if not (file := tree.get(key)):
        return b""
    try:
        return Path(base, file).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot read {key} {file!r} of the kubeconfig: {error.strerror}"
        ) from error
