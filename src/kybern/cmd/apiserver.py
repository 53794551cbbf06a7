"""`kybern apiserver`: the API server alone.

In:   flags with upstream's names, certificates, a store.
Out:  HTTPS, until told to stop.
By:   the command line; whoever swaps one part of a cluster.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, cast

from kybern.cmd import encryption, flags
from kybern.cmd.process import Fatal, run
from kybern.lib import logs

if TYPE_CHECKING:
    import ssl
    from argparse import Namespace

    from kybern.apiserver.config import Config
    from kybern.cmd.stores import Place

log = logs.get("apiserver")

CERTIFICATES = Path("/var/run/kubernetes")  # upstream's place
MODES = {"Node", "RBAC"}
JSON = "application/json"
REMOTE = {
    "--requestheader-username-headers": "X-Remote-User",
    "--requestheader-uid-headers": "X-Remote-Uid",
    "--requestheader-group-headers": "X-Remote-Group",
    "--requestheader-extra-headers-prefix": "X-Remote-Extra-",
}
UNSAID = object()


def main() -> None:
    """Run an API server."""
    args = parse()
    run(lambda: apiserver(args), "apiserver")


def parse(words: list[str] | None = None) -> Namespace:
    """Read the flags; they are checked as far as that is possible without doing anything."""
    parser = flags.Parser("apiserver", "Serve the Kubernetes API.")
    _add_store(parser)
    _add_serving(parser)
    _add_identities(parser)
    _add_policy(parser)
    args = parser.parse_args(words)
    for one, other in (
        ("tls_cert_file", "tls_private_key_file"),
        ("kubelet_client_certificate", "kubelet_client_key"),
        ("etcd_certfile", "etcd_keyfile"),
        ("proxy_client_cert_file", "proxy_client_key_file"),
    ):
        if bool(getattr(args, one)) != bool(getattr(args, other)):
            names = " and ".join(f"--{name.replace('_', '-')}" for name in (one, other))
            parser.error(f"{names} go together")
    if len(args.service_account_issuer or ()) > 1:
        parser.error("--service-account-issuer can be given once; several are not supported")
    if set(args.authorization_mode or MODES) != MODES:
        parser.error("--authorization-mode can only be Node,RBAC")
    if not args.secure_port:
        parser.error("--secure-port cannot be 0: an API server has to listen")
    try:
        args.store = _place(args)
    except ValueError as error:
        parser.error(str(error))
    return args


def _add_store(parser: flags.Parser) -> None:
    option = parser.option
    option(
        "--store",
        "where the data is: sqlite:///PATH, etcd://HOST:PORT,... or memory",
        type=_store,
        default=UNSAID,
        metavar="URL",
    )
    parser.listing("--etcd-servers", "the same for etcd, as upstream says it", metavar="URL,…")
    option("--etcd-cafile", "who signs the certificates of etcd", type=flags.file)
    option("--etcd-certfile", "the certificate that is shown to etcd", type=flags.file)
    option("--etcd-keyfile", "its key", type=flags.file)
    option("--etcd-prefix", "what all keys in etcd begin with", default="/registry")
    option(
        "--etcd-compaction-interval",
        "how often the past is forgotten, up to the time before; 0 leaves that to others",
        type=flags.duration,
        default=300.0,
    )
    option("--storage-media-type", f"only {JSON}", type=flags.among(JSON), default=JSON)


def _place(args: Namespace) -> Place:
    """Return where the data is.

    Raises:
        ValueError: it is not said, or said wrongly.
    """
    if not args.etcd_servers:
        if args.store is UNSAID:
            raise ValueError("say where the data is, with --store or --etcd-servers")
        return cast("Place", args.store)
    if args.store is not UNSAID:
        raise ValueError("--store and --etcd-servers exclude each other")
    from kybern.store.kv.etcd.address import of_servers

    return of_servers(
        args.etcd_servers,
        cafile=args.etcd_cafile,
        certfile=args.etcd_certfile,
        keyfile=args.etcd_keyfile,
        prefix=f"/{args.etcd_prefix.strip('/')}",
    )


def _add_serving(parser: flags.Parser) -> None:
    option = parser.option
    option(
        "--encryption-provider-config", "what is encrypted in the store, and how", type=flags.file
    )
    parser.switch(
        "--encryption-provider-config-automatic-reload",
        "read that file again when it changes",
        default=False,
    )
    option("--bind-address", "where to listen; everywhere by default", type=flags.address)
    option("--secure-port", "the port to listen on", type=flags.port, default=6443)
    option("--advertise-address", "what the kubernetes Service leads to", type=flags.address)
    option("--tls-cert-file", "certificate of the server", type=flags.file)
    option("--tls-private-key-file", "its key", type=flags.file)
    option(
        "--cert-dir",
        "where a certificate of its own goes when there is no --tls-cert-file",
        type=Path,
        default=CERTIFICATES,
    )
    option(
        "--service-cluster-ip-range",
        "network of the ClusterIPs; two, of IPv4 and of IPv6, for Services of both",
        type=flags.networks,
        default="10.96.0.0/16",
    )
    option(
        "--service-node-port-range",
        "ports for NodePort Services",
        type=flags.port_range,
        default=(30000, 32767),
    )
    option("--cluster-domain", "what names of Services end with", default="cluster.local")
    option(
        "--request-timeout", "how long a short request may take", type=flags.duration, default=60.0
    )
    option("--event-ttl", "how long events are kept", type=flags.duration, default=3600.0)
    option("--max-mutating-requests-inflight", "writes at a time", type=int, default=600)


def _add_identities(parser: flags.Parser) -> None:
    option = parser.option
    option("--client-ca-file", "who may sign clients' certificates", type=flags.file)
    parser.switch(
        "--enable-bootstrap-token-auth",
        "Secrets of type bootstrap.kubernetes.io/token let machines join",
        default=False,
    )
    option("--token-auth-file", 'static tokens: token,user,uid,"groups"', type=flags.file)
    parser.listing("--service-account-issuer", "issuer of service accounts' tokens")
    option("--service-account-signing-key-file", "the key that signs them", type=flags.file)
    parser.listing(
        "--service-account-key-file", "more keys whose tokens are good", flags.file, "FILE"
    )
    parser.listing("--api-audiences", "what a token must be meant for")
    option(
        "--service-account-max-token-expiration",
        "the longest a token may be asked for",
        type=flags.duration,
        default=0.0,
    )
    option("--kubelet-client-certificate", "what is shown to kubelets", type=flags.file)
    option("--kubelet-client-key", "its key", type=flags.file)
    option("--kubelet-certificate-authority", "who signs kubelets' certificates", type=flags.file)
    option("--proxy-client-cert-file", "what is shown to API servers behind this", type=flags.file)
    option("--proxy-client-key-file", "its key", type=flags.file)
    option("--requestheader-client-ca-file", "who signed that", type=flags.file)
    parser.listing("--requestheader-allowed-names", "common names it may have")
    for flag, header in REMOTE.items():
        parser.listing(flag, f"{header} is what it is", flags.among(header))
    parser.fixed("--enable-aggregator-routing", "endpoints are asked, no cluster IPs", value=True)


def _add_policy(parser: flags.Parser) -> None:
    parser.listing(
        "--authorization-mode", "Node,RBAC is what there is", flags.among(*sorted(MODES))
    )
    parser.listing(
        "--enable-admission-plugins", "plugins besides the usual ones", flags.among(*_plugins())
    )
    parser.refuse("--disable-admission-plugins", "the plugins that are there always run")
    parser.fixed("--anonymous-auth", "anonymous requests get 401", value=False)
    parser.fixed("--allow-privileged", "privileged containers may be asked for", value=True)


def _plugins() -> tuple[str, ...]:
    from kybern.apiserver.admission.plugins import PLUGINS

    return tuple(plugin.__name__ for plugin in PLUGINS)


def _store(text: str) -> Place:
    from kybern.cmd.stores import place

    try:
        return place(text)
    except ValueError as error:
        raise flags.wrong(str(error)) from None


def config_of(args: Namespace) -> Config:
    """Return the API server's settings.

    Raises:
        Fatal: a file cannot be read, or the settings cannot work.
    """
    from kybern.apiserver.config import Config

    try:
        signing = args.service_account_signing_key_file
        others: list[Path] = args.service_account_key_file or []
        issuers = flags.words(args.service_account_issuer, ())
        config = Config(
            bind_address=args.bind_address or "",
            port=args.secure_port,
            advertise_address=args.advertise_address or "",
            service_cidr=args.service_cluster_ip_range,
            node_ports=args.service_node_port_range,
            cluster_domain=args.cluster_domain,
            issuer=issuers[0]
            if issuers
            else f"https://kubernetes.default.svc.{args.cluster_domain}",
            api_audiences=flags.words(args.api_audiences, ()),
            longest_token=int(args.service_account_max_token_expiration),
            service_account_key=signing.read_bytes() if signing else b"",
            service_account_public_keys=tuple(path.read_bytes() for path in others),
            bootstrap_tokens=args.enable_bootstrap_token_auth,
            token_file=args.token_auth_file,
            kubelet_certificate=args.kubelet_client_certificate,
            kubelet_key=args.kubelet_client_key,
            kubelet_ca=args.kubelet_certificate_authority,
            client_ca=args.client_ca_file,
            front_proxy_certificate=args.proxy_client_cert_file,
            front_proxy_key=args.proxy_client_key_file,
            front_proxy_ca=args.requestheader_client_ca_file,
            front_proxy_names=flags.words(args.requestheader_allowed_names, ()),
            request_timeout=args.request_timeout,
            event_ttl=args.event_ttl,
            max_mutating_requests=args.max_mutating_requests_inflight,
        )
    except OSError as error:
        raise Fatal(f"cannot read {error.filename}: {error.strerror}.") from None
    if problems := config.check():
        raise Fatal(f"{'; '.join(problems)}.")
    return config


async def apiserver(args: Namespace) -> None:
    """Serve until cancelled."""
    from kybern.apiserver.app import ApiServer
    from kybern.cmd.serving import cannot_listen
    from kybern.cmd.stores import open_store
    from kybern.lib.clock import SYSTEM
    from kybern.lib.http.server import serve
    from kybern.lib.tasks import Tasks

    flags.configure_logs(args)
    config = config_of(args)
    context = tls(args, config)
    rules = encryption.rules(args.encryption_provider_config)
    store = await open_store(args.store, rules, compact_every=args.etcd_compaction_interval)
    try:
        try:
            server = ApiServer(config, store, SYSTEM)
        except ValueError as error:  # a token file or a key that is none
            raise Fatal(f"the credentials cannot be used: {error}.") from None
        async with Tasks("apiserver", clock=SYSTEM) as tasks:
            tasks.spawn_forever(store.run, "store")
            if args.encryption_provider_config_automatic_reload:
                encryption.follow(args.encryption_provider_config, store, tasks)
            await encryption.start(server)
            try:
                listener = await serve(server.app, config.bind_address, config.port, ssl=context)
            except OSError as error:
                flag = "--secure-port"
                raise Fatal(cannot_listen(config.bind_address, config.port, error, flag)) from None
            tasks.spawn_forever(server.run, "follow")
            log.info("serving", port=listener.port)
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                await server.leave()
                await listener.close()
                await server.close()
    finally:
        await store.close()


def tls(args: Namespace, config: Config) -> ssl.SSLContext:
    """Return the TLS side of the server.

    Raises:
        Fatal: the certificate, its key or the authority cannot be used.
    """
    import ipaddress

    from kybern.apiserver.bootstrap.kubernetes_service import our_address
    from kybern.cmd.serving import server_tls

    service = "kubernetes.default.svc"
    names = ("localhost", "kubernetes", "kubernetes.default", service)
    addresses = {"127.0.0.1", str(ipaddress.ip_network(config.service_cidrs[0])[1])}
    addresses |= {config.bind_address, our_address(config.advertise_address)} - {""}
    return server_tls(
        args.tls_cert_file,
        args.tls_private_key_file,
        (*names, f"{service}.{config.cluster_domain}"),
        tuple(sorted(addresses)),
        client_ca=args.client_ca_file.read_bytes() if args.client_ca_file else None,
        directory=args.cert_dir,
        base="apiserver",
    )


if __name__ == "__main__":
    main()
