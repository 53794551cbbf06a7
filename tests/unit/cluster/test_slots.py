"""Networks and ports that two clusters do not share."""

import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.ports import free_port

from kybern.cluster import slots
from kybern.cluster.slots import SLOTS, NoSlotError, claim, networks, release


@pytest.fixture
def marks(tmp_path):
    return tmp_path / "marks"


@pytest.fixture
def root(tmp_path):
    def make(name):
        path = tmp_path / name
        path.mkdir(exist_ok=True)
        return path

    return make


def test_slots_do_not_overlap():
    found = [networks(slot) for slot in range(SLOTS)]
    cidrs = [
        ipaddress.ip_network(n[k])
        for n in found
        for k in ("service_cidr", "cluster_cidr", "node_cidr")
    ]
    for i, one in enumerate(cidrs):
        assert one.is_private
        assert not any(one.overlaps(other) for other in cidrs[i + 1 :])
    for name in ("bridge", "nft_table", "dns_ip"):
        assert len({n[name] for n in found}) == SLOTS
    assert all(len(n["bridge"]) <= 15 for n in found)
    for n in found:
        assert ipaddress.ip_address(n["dns_ip"]) in ipaddress.ip_network(n["service_cidr"])


def test_the_first_has_the_usual_networks():
    assert networks(0)["service_cidr"] == "10.96.0.0/16"
    assert networks(0)["cluster_cidr"] == "10.244.0.0/16"


def test_each_cluster_gets_its_own_and_keeps_it(root, marks):
    assert claim(root("a"), marks) == 0
    assert claim(root("b"), marks) == 1
    assert claim(root("a"), marks) == 0
    assert claim(root("b"), marks) == 1


def test_a_slot_given_back_is_used_again(root, marks):
    claim(root("a"), marks)
    claim(root("b"), marks)
    release(root("a"), marks)
    assert claim(root("c"), marks) == 0
    assert claim(root("b"), marks) == 1


def test_the_slot_of_a_directory_that_is_gone_is_free(root, marks):
    claim(root("a"), marks)
    root("a").rmdir()
    assert claim(root("b"), marks) == 0


def test_a_cluster_with_data_has_its_slot_or_none(root, marks):
    assert claim(root("a"), marks, earlier=3) == 3  # after a reboot, when no mark is left
    assert claim(root("a"), marks, earlier=3) == 3
    assert claim(root("b"), marks) == 0
    with pytest.raises(NoSlotError, match=r"the cluster in .*/a has the networks of this one"):
        claim(root("c"), marks, earlier=3)


def test_a_released_slot_that_nobody_has(root, marks):
    release(root("a"), marks)


def test_all_taken_names_a_way_out(root, marks):
    for i in range(SLOTS):
        assert claim(root(f"c{i}"), marks) == i
    with pytest.raises(NoSlotError, match=r"16 clusters .*kybern down --purge --data-dir .*c0"):
        claim(root("one-more"), marks)


def test_two_at_the_same_time_do_not_get_the_same(root, marks):
    roots = [root(f"c{i}") for i in range(8)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda path: claim(path, marks), roots))
    assert sorted(found) == list(range(8))


def test_a_port_is_taken_on_whatever_address():
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family, socket.SOCK_STREAM) as taken:
            try:
                taken.bind((host, free_port()))
            except OSError:
                continue  # no IPv6 here
            taken.listen()
            port = taken.getsockname()[1]
            assert not slots.port_is_free(port)
            assert slots.free_port(port) > port
        assert slots.port_is_free(port)


def test_a_port_taken_for_datagrams_only():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        port = free_port(socket.SOCK_STREAM, socket.SOCK_DGRAM)
        taken.bind(("127.0.0.1", port))
        assert slots.port_is_free(port)
        assert not slots.port_is_free(port, datagrams=True)
        assert slots.free_port(port, datagrams=True) > port


def test_no_free_port_is_said(monkeypatch):
    monkeypatch.setattr(slots, "port_is_free", lambda port, datagrams: False)
    with pytest.raises(NoSlotError, match="no port from 10 to 509 is free"):
        slots.free_port(10)


def test_the_nodes_address_is_one_of_this_machine():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((slots.node_address(), 0))


@pytest.mark.parametrize(
    ("machine", "node"),
    [("Big_Box", "big-box"), ("web.example.com", "web.example.com"), ("-x-", "x"), ("_", "node")],
)
def test_a_nodes_name_is_a_dns_name(monkeypatch, machine, node):
    class Uname:
        nodename = machine

    monkeypatch.setattr(slots.os, "uname", lambda: Uname)
    assert slots.host_name() == node
