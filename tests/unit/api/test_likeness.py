from __future__ import annotations

from kybern.api.core.v1 import Container, ContainerPort, PodSecurityContext, PodSpec
from kybern.api.likeness import difference, same


def test_nothing_is_like_nothing_in_whatever_form():
    assert same(PodSpec(nodeName=""), PodSpec())
    assert same(PodSpec(volumes=[]), PodSpec())
    assert same(PodSpec(nodeSelector={}), PodSpec())
    assert same(PodSpec(hostNetwork=False), PodSpec())
    assert same(ContainerPort(hostPort=0, containerPort=1), ContainerPort(containerPort=1))


def test_numbers_and_values_count():
    assert not same(PodSecurityContext(runAsUser=0), PodSecurityContext())
    assert not same(PodSpec(nodeName="a"), PodSpec())
    assert not same(PodSpec(nodeSelector={"a": "b"}), PodSpec(nodeSelector={"a": "c"}))


def test_a_difference_shows_what_changed_and_counts_the_rest():
    old = PodSpec(containers=[Container(name="a", image="x")], dnsPolicy="Default")
    new = PodSpec(containers=[Container(name="a", image="y")], dnsPolicy="ClusterFirst")
    lines = difference(old, new).splitlines()
    assert lines[0] == "  core.PodSpec{"
    assert '-\t\t\tImage: "x",' in [line.replace("- ", "-") for line in lines]
    assert '- \tDNSPolicy: "Default",' in lines
    assert '+ \tDNSPolicy: "ClusterFirst",' in lines
    assert lines[-1] == "  }"
