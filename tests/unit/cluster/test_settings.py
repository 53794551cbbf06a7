"""Settings: checked, kept, read again."""

import stat

import msgspec
import pytest

from kybern.cluster import settings as module
from kybern.cluster.settings import Settings, SettingsError, load, save


def make(**changes):
    return Settings(data_dir="/data", **changes)


def test_what_is_saved_is_loaded(tmp_path):
    wanted = make(port=7443, token="a-long-token", slot=3, store="memory")
    save(wanted, tmp_path / "cluster.json")
    assert load(tmp_path / "cluster.json") == wanted


def test_the_file_holds_the_token_and_is_the_owners_only(tmp_path):
    path = tmp_path / "cluster.json"
    save(make(), path)
    save(make(token="a-long-token"), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["cluster.json"]


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "cluster.json"
    save(make(port=1), path)

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save(make(port=2), path)
    assert load(path).port == 1


def test_no_file_means_no_cluster(tmp_path):
    with pytest.raises(SettingsError, match=r"there is no cluster in .*start one with `kybern up`"):
        load(tmp_path / "cluster.json")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"port": 1}', '{"data_dir": "/x", "port": "one"}', "\x00\xff"]
)
def test_a_damaged_file_is_said_to_be(tmp_path, text):
    path = tmp_path / "cluster.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(SettingsError, match=r"is damaged .*kybern down --purge"):
        load(path)


def test_a_file_of_a_later_version_with_more_in_it_is_read(tmp_path):
    path = tmp_path / "cluster.json"
    tree = msgspec.to_builtins(make(port=7443))
    path.write_bytes(msgspec.json.encode({**tree, "something_new": 1}))
    assert load(path).port == 7443


def test_good_settings_have_no_problems():
    assert make(store="sqlite", token="12345678").check() == []
    assert make(store="memory").check() == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"port": 0}, "--port 0 is not a port"),
        ({"port": 65536}, "--port 65536"),
        ({"port": -1}, "--port -1"),
        ({"store": "etcd://10.0.0.1"}, "--store etcd://10.0.0.1 cannot be"),
        ({"store": "sqlite:/elsewhere"}, "--store sqlite:/elsewhere"),
        ({"store": "memory:x"}, "--store memory:x"),
        ({"node_monitor_grace": 2.0}, "--node-monitor-grace-period 2s cannot be: use 4s to 1h"),
        (
            {"autoscaler_period": 0.0},
            "--horizontal-pod-autoscaler-sync-period 0s cannot be: use 1s",
        ),
        ({"token": "short"}, "--token is too weak"),
        ({"token": "with\nline break"}, "--token is too weak"),
    ],
)
def test_each_problem_is_one_sentence(changes, words):
    (problem,) = make(**changes).check()
    assert problem.startswith(words)
    assert problem.endswith(".")


def test_several_problems_are_all_told():
    assert len(make(port=0, store="x", token="y").check()) == 3


def test_addresses_that_follow():
    found = make(port=7443, service_cidr="10.98.0.0/16")
    assert found.kubernetes_ip == "10.98.0.1"
    assert found.server == "https://127.0.0.1:7443"


def test_heartbeats_are_as_frequent_as_the_grace_needs():
    assert make().node_lease_seconds == 40
    assert make(node_monitor_grace=8.0).node_lease_seconds == 6
    assert make(node_monitor_grace=4.0).node_lease_seconds == 3
    assert make(node_monitor_grace=600.0).node_lease_seconds == 40


def test_ports_of_ingress():
    assert make(ingress_http_port=0, ingress_https_port=8443).check() == []
    problem = "--ingress-http-port 70000 is not a port: use a number from 0 to 65535."
    assert make(ingress_http_port=70_000).check() == [problem]


def test_networks_of_load_balancers():
    assert make().balancer_cidrs == ("10.176.1.0/24",)
    assert make(load_balancer_cidr="192.0.2.0/28").balancer_cidrs == ("192.0.2.0/28",)
    both = {
        "service_cidr": "10.96.0.0/16,fd00:96::/112", "cluster_cidr": "10.244.0.0/16,fd00:244::/56",
        "node_cidr": "10.176.0.0/24,fd00:176::/64",
    }  # fmt: skip
    assert make(**both).balancer_cidrs == ("10.176.1.0/24", "fd00:176:0:1::/64")
    asked = make(**both, load_balancer_cidr="fd00:9::/120")
    assert asked.balancer_cidrs == ("10.176.1.0/24", "fd00:9::/120")
    assert asked.check() == []


@pytest.mark.parametrize(
    ("networks", "why"),
    [
        ("192.0.2.1/24", "has host bits set"), ("x", "does not appear to be"),
        ("fd00::/64", "one network for each IP family"), ("192.0.2.0/31", "use a /30 or more"),
        ("192.0.2.0/28,198.51.100.0/28", "one network for each IP family"),
        ("10.96.1.0/24", "it overlaps with 10.96.0.0/16"),
    ],
)  # fmt: skip
def test_networks_that_load_balancers_cannot_have(networks, why):
    (problem,) = make(load_balancer_cidr=networks).check()
    assert why in problem
