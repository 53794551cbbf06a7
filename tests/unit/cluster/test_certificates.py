"""The keys and certificates of a cluster."""

import stat

import pytest

from kybern.cluster import certificates
from kybern.cluster.certificates import DamagedError, ensure, wanted
from kybern.cluster.directory import Directory
from kybern.cluster.settings import Settings
from kybern.lib import pki
from kybern.lib.clock import SYSTEM


@pytest.fixture
def directory(tmp_path):
    made = Directory(tmp_path)
    made.make()
    return made


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=str(tmp_path), node_name="box", node_ip="10.1.2.3")


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.pki.iterdir()}


def subject(directory, name):
    return pki.parse_certificate((directory.pki / f"{name}.crt").read_bytes())[0]


def test_everything_is_made_and_signed_by_one_authority(directory, settings):
    ensure(directory, settings)
    authority = (directory.pki / "ca.crt").read_bytes()
    for certificate in wanted(settings):
        path = directory.pki / f"{certificate.name}.crt"
        assert pki.signed_by(path.read_bytes(), authority)
        assert pki.key_matches(pki.KeyPair.load(path, path.with_suffix(".key")))
    for path in directory.pki.glob("*.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_names_prove_what_they_should(directory, settings):
    ensure(directory, settings)
    server = subject(directory, "apiserver")
    assert {"localhost", "kubernetes.default.svc.cluster.local", "box"} <= set(server.dns_names)
    assert {"127.0.0.1", "10.96.0.1", "10.1.2.3"} <= set(server.ip_addresses)
    admin = subject(directory, "admin")
    assert (admin.common_name, admin.organizations) == ("kubernetes-admin", ("system:masters",))
    kubelet = subject(directory, "kubelet-client")
    assert (kubelet.common_name, kubelet.organizations) == ("system:node:box", ("system:nodes",))
    assert subject(directory, "kubelet").ip_addresses == ("10.1.2.3",)


def test_without_a_node_there_is_nothing_for_one(directory, settings):
    only = Settings(data_dir=settings.data_dir, control_plane_only=True)
    ensure(directory, only)
    assert not (directory.pki / "kubelet.crt").exists()
    assert (directory.pki / "scheduler.crt").exists()


def test_a_second_time_changes_nothing(directory, settings):
    ensure(directory, settings)
    before = contents(directory)
    ensure(directory, settings)
    assert contents(directory) == before


def test_other_settings_renew_only_what_they_touch(directory, settings):
    ensure(directory, settings)
    before = contents(directory)
    moved = Settings(data_dir=settings.data_dir, node_name="box", node_ip="10.9.9.9")
    ensure(directory, moved)
    changed = {name for name, data in contents(directory).items() if before[name] != data}
    assert changed == {"apiserver.crt", "apiserver.key", "kubelet.crt", "kubelet.key"}


def test_what_is_about_to_expire_is_renewed_but_not_the_authority(directory, settings, monkeypatch):
    now = SYSTEM.now()

    class Earlier:
        def now(self):
            return now - certificates.LIFETIME + certificates.RENEW_BEFORE - 10

    with monkeypatch.context() as patched:
        patched.setattr(certificates, "SYSTEM", Earlier())
        ensure(directory, settings)
    before = contents(directory)
    ensure(directory, settings)
    after = contents(directory)
    same = {name for name in after if after[name] == before[name]}
    assert same == {"ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.key"}


@pytest.mark.parametrize("name", ["admin.crt", "admin.key"])
def test_a_damaged_or_missing_certificate_or_key_is_made_anew(directory, settings, name):
    ensure(directory, settings)
    for damage in ("remove", "garbage", "foreign"):
        path = directory.pki / name
        if damage == "remove":
            path.unlink()
        elif damage == "garbage":
            path.write_text("no such thing")
        else:
            path.write_bytes((directory.pki / name.replace("admin", "scheduler")).read_bytes())
        ensure(directory, settings)
        pair = pki.KeyPair.load(directory.pki / "admin.crt", directory.pki / "admin.key")
        assert pki.key_matches(pair)
        assert subject(directory, "admin").common_name == "kubernetes-admin"


def test_certificates_of_another_authority_are_made_anew(directory, settings):
    ensure(directory, settings)
    other = pki.make_ca("kubernetes", now=SYSTEM.now())
    other.save(directory.pki / "ca.crt", directory.pki / "ca.key")
    ensure(directory, settings)
    admin = (directory.pki / "admin.crt").read_bytes()
    assert pki.signed_by(admin, (directory.pki / "ca.crt").read_bytes())


def test_half_an_authority_is_not_replaced(directory, settings):
    ensure(directory, settings)
    (directory.pki / "ca.key").unlink()
    with pytest.raises(DamagedError, match=r"authority .* cannot be used: .*down --purge"):
        ensure(directory, settings)


@pytest.mark.parametrize("name", ["ca.crt", "ca.key", "sa.key"])
def test_a_damaged_key_of_everything_is_said(directory, settings, name):
    ensure(directory, settings)
    (directory.pki / name).write_text("-----BEGIN NOTHING-----\n")
    with pytest.raises(DamagedError, match=r"cannot be used: .*Restore pki/ from a backup"):
        ensure(directory, settings)


def test_an_authority_with_the_key_of_another_is_said(directory, settings):
    ensure(directory, settings)
    (directory.pki / "ca.key").write_bytes((directory.pki / "admin.key").read_bytes())
    with pytest.raises(DamagedError, match="do not belong together"):
        ensure(directory, settings)
