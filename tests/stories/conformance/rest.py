"""Requests that kubectl cannot make."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl

TOKEN = "a-token-for-stories"


class Rest:
    """A cluster's API, as the administrator with the stories' token."""

    def __init__(self, cluster):
        self.port = cluster.port
        self.context = ssl.create_default_context(cafile=str(cluster.directory / "pki/ca.crt"))
        self.headers = {"Authorization": f"Bearer {TOKEN}"}

    def raw(self, method, path, body=None, **headers):
        """Send a request; return status, headers and body of the answer."""
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=self.context, timeout=30
        )
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = json.dumps(body) if isinstance(body, dict | list) else body
        connection.request(method, path, data, self.headers | named)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders()), text

    def __call__(self, method, path, body=None, content_type="application/json"):
        """Send a request that must succeed; return the tree of the answer."""
        status, _, text = self.raw(method, path, body, content_type=content_type)
        assert status < 300, (status, text)
        return json.loads(text)

    @contextlib.contextmanager
    def upgraded(self, path, protocol):
        """Switch protocols; yield the raw connection."""
        lines = {**self.headers, "Host": "a", "Connection": "Upgrade", "Upgrade": protocol}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=30) as plain,
            self.context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            connection.sendall(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):
                answer += connection.recv(1)
            assert b" 101 " in answer.partition(b"\r\n")[0], answer
            yield connection

    def websocket(self, path, protocol):
        """Open a WebSocket; return the connection."""
        import websocket

        return websocket.create_connection(
            f"wss://127.0.0.1:{self.port}{path}", subprotocols=[protocol], timeout=30,
            sslopt={"context": self.context},
            header=[f"{name}: {value}" for name, value in self.headers.items()],
        )  # fmt: skip
