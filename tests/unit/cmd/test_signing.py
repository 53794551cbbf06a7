"""With which authorities the controller manager signs."""

from __future__ import annotations

import pytest

from kybern.cmd import controller_manager, signing
from kybern.cmd.process import Fatal
from kybern.lib import pki

CLIENT, KUBELET = "kubernetes.io/kube-apiserver-client", "kubernetes.io/kubelet-serving"


@pytest.fixture
def files(tmp_path):
    for name in ("one", "two"):
        ca = pki.make_ca(name, now=1.7e9)
        ca.save(tmp_path / f"{name}.crt", tmp_path / f"{name}.key")
    return tmp_path


def parse(*words):
    return controller_manager.parse([f"--kubeconfig={__file__}", *words])


def pair(flag, files, certificate, key):
    return (
        f"--cluster-signing{flag}-cert-file={files / certificate}",
        f"--cluster-signing{flag}-key-file={files / key}",
    )


def test_none_one_or_several(files):
    assert signing.authorities(parse()) == {}
    everything = signing.authorities(parse(*pair("", files, "one.crt", "one.key")))
    assert set(everything) == set(signing.SIGNERS.values())
    some = parse(
        *pair("-kubelet-serving", files, "one.crt", "one.key"),
        *pair("-kube-apiserver-client", files, "two.crt", "two.key"),
    )
    found = signing.authorities(some)
    assert set(found) == {CLIENT, KUBELET}
    assert found[CLIENT].certificate == (files / "two.crt").read_bytes()


def test_what_cannot_be(files, capsys):
    with pytest.raises(SystemExit):
        parse(f"--cluster-signing-cert-file={files / 'one.crt'}")
    assert "--cluster-signing-key-file go together" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse(
            *pair("", files, "one.crt", "one.key"),
            *pair("-kubelet-client", files, "one.crt", "one.key"),
        )
    assert "at the same time" in capsys.readouterr().err
    with pytest.raises(Fatal, match=r"one\.key is not the key of .*two\.crt"):
        signing.authorities(parse(*pair("", files, "two.crt", "one.key")))
    (files / "junk").write_text("nothing")
    with pytest.raises(Fatal, match="cannot sign with"):
        signing.authorities(parse(*pair("", files, "junk", "one.key")))
