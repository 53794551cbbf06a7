"""Health, metrics, and certificates that a component makes for itself."""

import argparse
import asyncio
import socket
import ssl
import stat

import pytest
from tests.ports import free_port

from kybern.api.authentication.v1 import TokenReview, TokenReviewStatus, UserInfo
from kybern.api.authorization.v1 import SubjectAccessReview, SubjectAccessReviewStatus
from kybern.api.errors import Forbidden
from kybern.client.transport import Unreachable
from kybern.cmd import serving
from kybern.cmd.process import Fatal
from kybern.cmd.serving import Window, keep_own, open_tls_window, open_window, server_tls
from kybern.lib import pki
from kybern.lib.clock import SYSTEM
from kybern.lib.http.messages import Request


def ask(window, path, **headers):
    request = Request("GET", path, "", headers, b"", "", None)
    answer = asyncio.run(window.app(request))
    return answer.status, answer.body.decode()


class Reviewer:
    """Knows one token, whose user may or may not read metrics."""

    def __init__(self, *, allowed=True, error=None):
        self.allowed, self.error, self.asked = allowed, error, []

    async def create(self, review):
        if self.error is not None:
            raise self.error
        self.asked.append(review)
        if isinstance(review, TokenReview):
            good = review.spec.token == "good"
            user = UserInfo(username="ada", groups=["readers"]) if good else None
            return TokenReview(status=TokenReviewStatus(authenticated=good, user=user))
        assert isinstance(review, SubjectAccessReview)
        return SubjectAccessReview(status=SubjectAccessReviewStatus(allowed=self.allowed))


def test_health_is_open_and_readiness_the_components():
    ready = []
    window = Window(lambda: bool(ready), Reviewer())
    assert ask(window, "/healthz") == ask(window, "/livez/") == (200, "ok")
    assert ask(window, "/readyz")[0] == 500
    ready.append(1)
    assert ask(window, "/readyz") == (200, "ok")
    assert ask(window, "/")[0] == 404


def test_metrics_where_everybody_may():
    status, text = ask(Window(lambda: True), "/metrics")
    assert status == 200
    assert "process_cpu_seconds_total" in text


def test_metrics_for_a_caller_the_api_server_knows_and_allows():
    reviewer = Reviewer()
    assert ask(Window(lambda: True, reviewer), "/metrics", authorization="Bearer good")[0] == 200
    spec = reviewer.asked[1].spec
    assert (spec.user, spec.groups) == ("ada", ["readers"])
    assert (spec.nonResourceAttributes.path, spec.nonResourceAttributes.verb) == ("/metrics", "get")


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic good", "Bearer bad"])
def test_metrics_without_a_good_token(value):
    headers = {"authorization": value} if value else {}
    assert ask(Window(lambda: True, Reviewer()), "/metrics", **headers)[0] == 401


def test_metrics_for_a_caller_who_may_not():
    window = Window(lambda: True, Reviewer(allowed=False))
    status, text = ask(window, "/metrics", authorization="Bearer good")
    assert status == 403
    assert "'ada' cannot get path '/metrics'" in text


@pytest.mark.parametrize("error", [Unreachable("down"), Forbidden("no", {})])
def test_metrics_while_the_api_server_cannot_be_asked(error):
    window = Window(lambda: True, Reviewer(error=error))
    assert ask(window, "/metrics", authorization="Bearer good")[0] == 500


def test_a_taken_port_is_one_sentence(live):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Fatal, match=rf"cannot listen on 127.0.0.1, port {port}: .*--some-flag"):
            live(open_window(Window(lambda: True), "127.0.0.1", port, "--some-flag"))


def window_flags(**changes):
    usual = {"secure_port": 0, "bind_address": "127.0.0.1", "tls_cert_file": None,
             "tls_private_key_file": None}  # fmt: skip
    return argparse.Namespace(**{**usual, **changes})


def test_port_0_serves_nothing(live):
    async def main():
        async with open_tls_window(window_flags(), Window(lambda: True), "part"):
            pass

    live(main())


def test_over_tls_with_a_certificate_of_its_own(live):
    port = free_port()

    async def main():
        window = Window(lambda: True)
        async with open_tls_window(window_flags(secure_port=port), window, "part"):
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            writer.write(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            return answer

    assert live(main()).endswith(b"\r\n\r\nok")


def test_its_own_certificate_is_kept_and_can_be_trusted(tmp_path):
    names, addresses = ("box", "localhost"), ("127.0.0.1",)
    paths = keep_own(names, addresses, tmp_path / "pki", "part")
    before = [path.read_bytes() for path in paths]
    assert [path.name for path in paths] == ["part.crt", "part.key"]
    assert stat.S_IMODE(paths[1].stat().st_mode) == 0o600
    assert pki.parse_certificate(before[0])[0].dns_names == names
    keep_own(names, addresses, tmp_path / "pki", "part")
    assert [path.read_bytes() for path in paths] == before
    trusting = ssl.create_default_context(cafile=str(paths[0]))
    handshake(server_tls(*paths, names), trusting, "localhost")


def handshake(server, client, name):
    """Let two contexts talk in memory."""
    one, other = ssl.MemoryBIO(), ssl.MemoryBIO()
    talking = client.wrap_bio(one, other, server_hostname=name)
    listening = server.wrap_bio(other, one, server_side=True)
    for _ in range(4):
        for side in (talking, listening):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue


def test_a_directory_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Fatal, match="cannot write to"):
        keep_own(("box",), (), tmp_path / "file/pki", "part")


def test_files_that_are_no_certificate_are_one_sentence(tmp_path):
    path = tmp_path / "x.pem"
    path.write_text("no")
    with pytest.raises(Fatal, match=r"x\.pem and .*x\.pem cannot be used"):
        server_tls(path, path, ("box",))


def test_an_authority_that_is_none_is_one_sentence():
    with pytest.raises(Fatal, match="cannot be used"):
        server_tls(None, None, ("box",), client_ca=b"no certificate")


def test_a_certificate_of_its_own_needs_no_directory():
    context = server_tls(
        None, None, ("box",), client_ca=pki.make_ca("x", now=SYSTEM.now()).certificate
    )
    assert context.verify_mode == ssl.CERT_OPTIONAL
    assert serving.HEALTH == ("/healthz", "/livez", "/readyz")
