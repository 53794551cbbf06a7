"""The little that the command line asks a server itself, over real TLS."""

import json
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec
import pytest

from kybern.cli import api
from kybern.cluster import settings as settings_file
from kybern.cluster.settings import Settings
from kybern.lib.tls import server_context


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/broken":
            self.wfile.write(b"this is no HTTP\r\n\r\n")
            return
        subject = dict(pair[0] for pair in self.connection.getpeercert()["subject"])
        body = b'{"type":"ADDED","object":{"n":1}}\n{"type":"MODIFIED","object":{"n":2}}\n'
        if self.path == "/who":
            body = subject["commonName"].encode()
        self.send_response(403 if self.path == "/refused" else 200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def settings(directory):
    """Serve with the certificates of a data directory."""
    pki = directory.pki
    context = server_context(
        pki / "apiserver.crt", pki / "apiserver.key", (pki / "ca.crt").read_bytes()
    )
    context.verify_mode = ssl.CERT_REQUIRED
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Settings(data_dir=str(directory.root), port=server.server_port)
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_asks_as_the_administrator(directory, settings):
    assert api.get(directory, settings, "/who") == api.Answer(200, b"kubernetes-admin")


def test_a_refusal_is_an_answer(directory, settings):
    assert api.get(directory, settings, "/refused").status == 403


def test_no_http_is_an_os_error(directory, settings):
    with pytest.raises(OSError, match="broken answer"):
        api.get(directory, settings, "/broken")


def test_nobody_there_is_an_os_error(directory):
    nobody = Settings(data_dir=str(directory.root), port=1)
    assert not api.listens(nobody)
    with pytest.raises(OSError, match="refused"):
        api.get(directory, nobody, "/who")


def test_a_watch_yields_events_until_it_ends(directory, settings):
    assert api.listens(settings)
    found = list(api.watch(directory, settings, "/watch", timeout=5))
    assert [event["object"]["n"] for event in found] == [1, 2]


def test_a_refused_watch_is_an_os_error(directory, settings):
    with pytest.raises(OSError, match="the watch was refused"):
        list(api.watch(directory, settings, "/refused", timeout=5))


def test_another_authority_is_not_trusted(directory, settings, tmp_path):
    from kybern.cluster import certificates
    from kybern.cluster.directory import Directory

    other = Directory(tmp_path / "other")
    other.make()
    certificates.ensure(other, settings)
    with pytest.raises(ssl.SSLError):
        api.get(other, settings, "/who")


def test_a_node_elsewhere_asks_the_first_server_that_takes_connections(directory):
    chosen = msgspec.structs.replace(
        settings_file.load(directory.settings), api_server="https://127.0.0.1:1"
    )
    assert api._server(directory, chosen) == "https://127.0.0.1:1"
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        url = f"https://127.0.0.1:{other.getsockname()[1]}"
        (directory.root / "servers.json").write_text(json.dumps([url]))
        assert api._server(directory, chosen) == url
