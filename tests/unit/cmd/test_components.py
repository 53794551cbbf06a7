"""From the flags of each component to its settings."""

from pathlib import Path

import pytest

from kybern.cmd import apiserver, controller_manager, dns, kubelet, proxy, scheduler
from kybern.cmd.process import Fatal
from kybern.dns.listen import Address as Listen
from kybern.dns.upstreams import Server
from kybern.lib import pki
from kybern.store.kv.etcd.address import Address

ALL = (apiserver, controller_manager, dns, kubelet, proxy, scheduler)


@pytest.fixture
def file(tmp_path):
    """Return the path of a new file."""

    def make(name, data=b"x"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return make


@pytest.fixture
def refused(capsys):
    """Parse wrong flags; return what is said."""

    def parse(module, *words):
        with pytest.raises(SystemExit) as end:
            module.parse(list(words))
        assert end.value.code == 2
        return capsys.readouterr().err

    return parse


@pytest.mark.parametrize("module", ALL, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_component_explains_its_flags(module, capsys):
    with pytest.raises(SystemExit) as end:
        module.parse(["--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: kybern {module.__name__.rpartition('.')[2].replace('_', '-')}")
    assert "--logging-format" in said


@pytest.mark.parametrize("module", ALL, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_component_refuses_what_it_does_not_know(module, refused):
    needed = ["--store=memory"] if module is apiserver else []
    assert "no such flag: --no-such-flag" in refused(module, *needed, "--no-such-flag")


# --- API server ------------------------------------------------------------------------------


def test_the_usual_flags_of_an_api_server(file):
    key = file("sa.key", pki.make_key())
    certificate = file("kubelet.crt")
    args = apiserver.parse(
        [
            "--store=sqlite:///var/lib/x/state.db",
            "--bind-address=127.0.0.1",
            "--secure-port=7443",
            "--advertise-address=10.1.2.3",
            "--service-cluster-ip-range=10.50.0.0/16",
            "--service-node-port-range=31000-31999",
            "--service-account-issuer=https://issuer",
            f"--service-account-signing-key-file={key}",
            f"--service-account-key-file={key}",
            "--api-audiences=a,b",
            f"--kubelet-client-certificate={certificate}",
            f"--kubelet-client-key={certificate}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--request-timeout=30s",
        ]
    )
    config = apiserver.config_of(args)
    assert str(args.store) == "/var/lib/x/state.db"
    assert (config.bind_address, config.port) == ("127.0.0.1", 7443)
    assert config.service_cidr == "10.50.0.0/16"
    assert config.node_ports == (31000, 31999)
    assert config.issuer == "https://issuer"
    assert config.audiences == ("a", "b")
    assert config.service_account_key == key.read_bytes()
    assert config.service_account_public_keys == (key.read_bytes(),)
    assert config.kubelet_certificate == certificate
    assert config.request_timeout == 30.0


def test_an_api_server_on_etcd_takes_upstreams_flags():
    args = apiserver.parse(
        ["--etcd-servers=https://10.0.0.1:2379,https://10.0.0.2:2379", "--etcd-prefix=/elsewhere",
         f"--etcd-cafile={__file__}", "--etcd-compaction-interval=1h"]
    )  # fmt: skip
    assert args.store == Address(
        ("10.0.0.1:2379", "10.0.0.2:2379"), tls=True, cafile=Path(__file__), prefix="/elsewhere"
    )
    assert args.etcd_compaction_interval == 3600.0
    assert apiserver.parse(["--store=etcd://h:1,h:2"]).store == Address(("h:1", "h:2"))


def test_an_api_server_needs_little():
    args = apiserver.parse(["--store=memory"])
    config = apiserver.config_of(args)
    assert args.store is None
    assert config.issuer == "https://kubernetes.default.svc.cluster.local"
    assert config.check() == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "say where the data is, with --store or --etcd-servers"),
        (("--store=etcd://10.0.0.1",), "'10.0.0.1' in 'etcd://10.0.0.1' is not of the form"),
        (("--store=postgres://x",), "is neither sqlite:///PATH nor etcd://HOST:PORT nor memory"),
        (("--store=sqlite://",), "is neither"),
        (("--store=memory", "--etcd-servers=http://127.0.0.1:2379"), "exclude each other"),
        (("--etcd-servers=ftp://127.0.0.1:2379",), "is not of the form https://host:port"),
        (("--etcd-servers=http://a:1,https://b:1",), "either all members of etcd speak https"),
        (("--etcd-servers=http://a:1", f"--etcd-certfile={__file__}"), "go together"),
        (("--etcd-servers=http://a:1", f"--etcd-cafile={__file__}"), "are of no use"),
        (
            ("--store=memory", "--storage-media-type=application/yaml"),
            "not one of application/json",
        ),
        (("--store=memory", "--authorization-mode=AlwaysAllow"), "is not one of Node, RBAC"),
        (("--store=memory", "--authorization-mode=RBAC"), "can only be Node,RBAC"),
        (("--store=memory", "--enable-admission-plugins=Magic"), "'Magic' is not one of"),
        (("--store=memory", "--disable-admission-plugins=Priority"), "always run"),
        (("--store=memory", "--anonymous-auth=true"), "only false"),
        (("--store=memory", "--secure-port=0"), "has to listen"),
        (("--store=memory", "--client-ca-file=/nope"), "there is no file /nope"),
        (("--store=memory", "--tls-cert-file=/etc/hosts"), "go together"),
        (("--store=memory", "--kubelet-client-key=/etc/hosts"), "go together"),
        (
            ("--store=memory", "--service-account-issuer=a", "--service-account-issuer=b"),
            "can be given once",
        ),
    ],
)
def test_wrong_flags_of_an_api_server(refused, words, said):
    assert said in refused(apiserver, *words)


def test_settings_that_cannot_work():
    args = apiserver.parse(["--store=memory", "--service-cluster-ip-range=10.0.0.0/31"])
    with pytest.raises(Fatal, match="too small"):
        apiserver.config_of(args)


# --- controllers and scheduler ---------------------------------------------------------------


def test_the_usual_flags_of_a_controller_manager():
    args = controller_manager.parse(
        ["--controllers=*,-deployment-controller", "--node-monitor-grace-period=20s",
         "--use-service-account-credentials=true", "--leader-elect=false", "--secure-port=0",
         "--bind-address=127.0.0.1"]
    )  # fmt: skip
    config = controller_manager.config_of(args)
    assert config.controllers == ("*", "-deployment-controller")
    assert config.node_monitor_grace_period == 20.0
    assert (args.leader_elect, args.secure_port) == (False, 0)
    assert controller_manager.config_of(controller_manager.parse([])).controllers == ("*",)


def test_a_controller_nobody_knows(refused):
    said = refused(controller_manager, "--controllers=*,-no-such")
    assert "there is no controller named 'no-such'" in said


@pytest.mark.parametrize("module", [controller_manager, scheduler])
def test_times_of_an_election_must_fit(refused, module):
    said = refused(module, "--leader-elect-renew-deadline=20s")
    assert "--leader-elect-lease-duration must be longer than" in said
    assert "15s, 20s, 2s" in said


def test_the_authority_for_pods_is_the_kubeconfigs_unless_a_file_is_named(file):
    from kybern.client.config import ClientConfig

    where = ClientConfig("https://x", ca=b"of the kubeconfig")
    assert controller_manager._authority(controller_manager.parse([]), where) == "of the kubeconfig"
    path = file("ca.crt", b"of the file")
    args = controller_manager.parse([f"--root-ca-file={path}"])
    assert controller_manager._authority(args, where) == "of the file"
    path.write_bytes(b"\xff\xff")
    with pytest.raises(Fatal, match="holds no PEM certificate"):
        controller_manager._authority(args, where)


def test_a_second_scheduler_has_a_name():
    assert scheduler.config_of(scheduler.parse(["--scheduler-name=mine"])).name == "mine"
    assert scheduler.config_of(scheduler.parse([])).name == "default-scheduler"


def test_a_scheduler_without_a_name(refused):
    assert "name cannot be empty" in refused(scheduler, "--scheduler-name=")


# --- node ------------------------------------------------------------------------------------


def test_the_usual_flags_of_a_kubelet(tmp_path):
    args = kubelet.parse(
        ["--hostname-override=Box", "--node-ip=10.1.2.3", "--root-dir", str(tmp_path),
         "--container-runtime-endpoint=unix:///run/x.sock", "--cluster-dns=10.96.0.10",
         "--cluster-domain=example.org", "--pod-cidr=10.1.0.0/24", "--max-pods=50",
         "--node-labels=a=b,c=d", "--register-with-taints=k=v:NoSchedule",
         "--system-reserved=cpu=200m,memory=100Mi", "--kube-reserved=cpu=1",
         "--container-log-max-size=1Mi", "--port=0"]
    )  # fmt: skip
    config = kubelet.config_of(args)
    assert (config.node_name, config.node_ip) == ("box", "10.1.2.3")
    assert config.runtime_endpoint == "unix:///run/x.sock"
    assert (config.cluster_dns, config.cluster_domain) == (("10.96.0.10",), "example.org")
    assert config.labels == {"a": "b", "c": "d"}
    assert config.taints == ("k=v:NoSchedule",)
    assert config.reserved == {"cpu": "1200m", "memory": "100Mi"}
    assert (config.log_max_bytes, config.max_pods, config.port) == (1 << 20, 50, 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--system-reserved=cpu=lots",), "'lots' is not an amount"),
        (("--cluster-dns=dns.local",), "is not an IP address"),
        (("--cgroup-driver=magic",), "no cgroup driver 'magic'"),
        (("--root-dir=relative",), "is not an absolute path"),
        (("--tls-cert-file=/etc/hosts",), "go together"),
        (("--config=/etc/kubelet.yaml",), "use the flags"),
        (("--anonymous-auth",), "only false"),
    ],
)
def test_wrong_flags_of_a_kubelet(refused, words, said):
    assert said in refused(kubelet, *words)


def test_the_flags_of_a_proxy(refused):
    args = proxy.parse(["--cluster-cidr=10.1.0.0/16", "--healthz-bind-address=0.0.0.0:0"])
    assert (args.cluster_cidr, args.healthz_bind_address) == ("10.1.0.0/16", ("0.0.0.0", 0))
    assert args.metrics_bind_address == ("127.0.0.1", 10249)
    args = proxy.parse(["--nodeport-addresses=primary,10.1.0.0/16"])
    assert args.nodeport_addresses == ["primary", "10.1.0.0/16"]
    assert "is not one of nftables" in refused(proxy, "--proxy-mode=iptables")


def test_the_flags_of_a_dns_server(refused):
    args = dns.parse(
        ["--bind-address=127.0.0.1,::1", "--port=5353", "--cluster-dns=10.96.0.10",
         "--upstream=9.9.9.9,[::1]:54", "--ttl=10", "--stub-domain=acme.local=10.0.0.1+10.0.0.2:54",
         "--config-map=a/b"]
    )  # fmt: skip
    config = dns.config_of(args)
    assert config.listen == (Listen("127.0.0.1", 5353), Listen("::1", 5353))
    assert config.upstreams == (Server("9.9.9.9", 53), Server("::1", 54))
    assert (config.ttl, config.cluster_ips) == (10, ("10.96.0.10",))
    assert config.stub_domains == (("acme.local", ("10.0.0.1", "10.0.0.2:54")),)
    assert config.config_map == "a/b"
    assert "'corp' has no servers" in refused(dns, "--stub-domain=corp")
    assert "config_map is not namespace/name" in refused(dns, "--config-map=a")
    assert "domain is not a DNS name" in refused(dns, "--cluster-domain=a..b")
    assert dns.config_of(dns.parse([])).listen == (Listen("127.0.0.1", 53),)
