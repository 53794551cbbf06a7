"""The further nodes on a machine, as files, and the cables to them, as commands."""

import ipaddress
import json
import subprocess
from types import SimpleNamespace

import pytest

from kybern.cluster import certificates, fleet, kubeconfigs, processes, wires
from kybern.cluster import settings as settings_file
from kybern.cluster.directory import Directory
from kybern.cluster.settings import Settings
from kybern.cluster.wires import WireError
from kybern.lib import pki


@pytest.fixture
def cluster(tmp_path):
    """A cluster of three nodes, as `up` writes its directory."""
    directory = Directory(tmp_path / "d")
    directory.make()
    settings = Settings(
        data_dir=str(directory.root), slot=2, port=7443, nodes=3, token="a-long-token",
        node_name="box", node_ip="192.0.2.9", node_cidr="10.178.0.0/24",
    )  # fmt: skip
    settings_file.save(settings, directory.settings)
    certificates.ensure(directory, settings)
    kubeconfigs.write(directory, settings)
    return directory, settings


@pytest.fixture
def machine(monkeypatch):
    """A machine that remembers its links and namespaces, and what it was told."""
    made = SimpleNamespace(links={"lo", "eth0"}, spaces=set(), inside={}, told=[], refuse="")

    def run(words, **how):
        text = how.get("input") or ""
        made.told.append((words[1:], text))
        answer = ""
        if "address" in words:
            answer = json.dumps(
                [{"mtu": 1400, "flags": ["UP"], "addr_info": [{"local": "192.0.2.9"}]}]
            )
        elif "link" in words:
            names = sorted(made.inside[words[2]]) if "-n" in words else sorted(made.links)
            answer = json.dumps([{"ifname": name} for name in names])
        elif "list" in words:
            answer = (
                json.dumps([{"name": name} for name in sorted(made.spaces)]) if made.spaces else ""
            )
        for line in text.splitlines():
            match line.split():
                case ["link", "add", name, *rest]:
                    made.links.add(name)
                    if "netns" in rest:
                        made.inside[rest[-1]].add("eth0")
                case ["link", "delete", name]:
                    made.links.remove(name)
                case ["netns", "add", name]:
                    made.spaces.add(name)
                    made.inside[name] = {"lo"}
                case ["netns", "delete", name]:
                    made.spaces.remove(name)
        failed = bool(made.refuse and made.refuse in text)
        return subprocess.CompletedProcess(words, int(failed), answer, "RTNETLINK answers: no")

    monkeypatch.setattr(wires.subprocess, "run", run)
    return made


def test_a_further_node_has_what_a_machine_elsewhere_would_have(cluster, machine):
    directory, settings = cluster
    fleet.prepare(directory, settings)
    assert fleet.indexes(directory) == [2, 3]
    assert fleet.names(directory, settings) == ["box", "box-2", "box-3"]
    place = fleet.directory_of(directory, 2)
    chosen = settings_file.load(place.settings)
    assert chosen.node_only
    assert (chosen.node_name, chosen.node_ip) == ("box-2", "10.178.0.2")
    assert chosen.api_server == chosen.server == "https://10.178.0.1:7443"
    assert chosen.token == ""
    assert {each.name for each in place.pki.iterdir()} == {
        "ca.crt", "kubelet.crt", "kubelet.key", "kubelet-client.crt", "kubelet-client.key",
        "proxy.crt", "proxy.key",
    }  # fmt: skip
    pair = pki.KeyPair.load(place.pki / "kubelet-client.crt", place.pki / "kubelet-client.key")
    assert pki.parse_certificate(pair.certificate)[0].common_name == "system:node:box-2"
    assert (place.kubeconfigs / "proxy.kubeconfig").exists()
    assert not place.admin_kubeconfig.exists()


def test_the_api_servers_certificate_is_good_for_its_nodes(cluster):
    directory, settings = cluster
    [server] = [each for each in certificates.wanted(settings) if each.name == "apiserver"]
    assert settings.gateway in server.subject.ip_addresses
    assert settings.gateway == "10.178.0.1"


def test_nodes_share_nothing(cluster):
    directory, settings = cluster
    found = [settings, *(fleet.node_settings(directory, settings, index) for index in (2, 3))]
    for name in ("data_dir", "node_name", "node_ip", "cgroup_root", "netns"):
        assert len({getattr(each, name) for each in found}) == 3
    assert [each.cgroup_root for each in found] == [
        "/kubepods-2", "/kubepods-2-2", "/kubepods-2-3",
    ]  # fmt: skip


def test_a_long_name_stays_a_name(cluster):
    directory, settings = cluster
    long = Settings(data_dir="/x", node_name="a" * 60 + ".b", nodes=12)
    assert fleet.node_settings(directory, long, 12).node_name == "a" * 60 + "-12"


def test_cables_are_laid_once(cluster, machine):
    directory, settings = cluster
    wires.lay(settings, [2, 3])
    assert machine.links == {"lo", "eth0", "kybern2-nodes", "kybern2-n2", "kybern2-n3"}
    assert machine.spaces == {"kybern2-2", "kybern2-3"}
    said = "".join(text for _, text in machine.told)
    assert "mtu 1400" in said
    assert "route replace 192.0.2.9/32 dev eth0 scope link" in said
    machine.told.clear()
    wires.lay(settings, [2, 3])
    assert " add " not in "".join(text for words, text in machine.told if "-batch" in words)
    assert all(len(name) <= 15 for name in machine.links)


def test_a_cable_whose_namespace_is_gone_is_laid_anew(cluster, machine):
    _, settings = cluster
    wires.lay(settings, [2])
    machine.spaces.clear()
    machine.told.clear()
    wires.lay(settings, [2])
    said = "".join(text for _, text in machine.told)
    assert said.index("link delete kybern2-n2") < said.index("link add kybern2-n2")


def test_everything_is_taken_down(cluster, machine):
    directory, settings = cluster
    fleet.prepare(directory, settings)
    assert fleet.cut(directory, settings) == []
    assert (machine.links, machine.spaces) == ({"lo", "eth0"}, set())
    assert fleet.cut(directory, settings) == []


def test_a_cluster_of_one_node_has_nothing_to_take_down(tmp_path, machine):
    assert fleet.cut(Directory(tmp_path), Settings(data_dir="/x")) == []
    assert machine.told == []


def test_what_the_kernel_refuses_is_said(cluster, machine):
    directory, settings = cluster
    machine.refuse = "netns add"
    with pytest.raises(WireError, match="RTNETLINK answers: no"):
        wires.lay(settings, [2])
    machine.refuse = "link delete"
    assert "RTNETLINK answers: no" in wires.cut(settings, 2)[0]


def test_a_node_runs_in_its_network_under_its_name(cluster):
    directory, settings = cluster
    assert fleet.within(settings) == ()
    words = fleet.within(fleet.node_settings(directory, settings, 2))
    assert "--net=/run/netns/kybern2-2" in words
    assert words[-1] == "box-2"


def test_only_nodes_that_do_not_run_are_started(cluster, machine, monkeypatch):
    directory, settings = cluster
    fleet.prepare(directory, settings)
    running = {fleet.directory_of(directory, 2)}
    started = []
    monkeypatch.setattr(processes, "find", lambda place: (1, []) if place in running else None)
    monkeypatch.setattr(processes, "start", lambda place, *_: started.append(place.root.name))
    assert fleet.start(directory, settings) == ["box-3"]
    assert started == ["3"]


def test_a_node_that_is_taken_away_leaves_nothing(cluster, machine):
    directory, settings = cluster
    fleet.prepare(directory, settings)
    assert fleet.remove(directory, settings, [3]) == []
    assert fleet.indexes(directory) == [2]
    assert machine.spaces == {"kybern2-2"}


def test_what_a_killed_node_left_is_cleaned_up_where_it_was(cluster, machine, monkeypatch):
    directory, settings = cluster
    fleet.prepare(directory, settings)
    place = fleet.directory_of(directory, 2)
    place.state.write_text('{"pid": 4194305, "children": []}')
    asked = []
    monkeypatch.setattr(processes, "clean_up", lambda *words: asked.append(words))
    machine.links.discard("kybern2-n2")
    machine.spaces.discard("kybern2-2")  # the machine was started anew
    assert fleet.stop([place, fleet.directory_of(directory, 3)])
    [(where, helpers, _, within)] = asked
    assert (where, [each.name for each in helpers]) == (place, ["containerd"])
    assert within[-1] == "box-2"
    assert "kybern2-2" in machine.spaces


def test_addresses_of_nodes_are_no_pods_and_no_services():
    settings = Settings(data_dir="/x")
    nodes = ipaddress.ip_network(settings.node_cidr)
    for other in (settings.cluster_cidr, settings.service_cidr):
        assert not nodes.overlaps(ipaddress.ip_network(other))
