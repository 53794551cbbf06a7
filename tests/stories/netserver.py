"""A server and a client of stories about packets: what busybox has not, above all UDP.

Run by the tests' own Python inside pods, which see the node's files at /node (see `speaking`):
`netserver.py serve` says its host name on TCP and UDP port 8080 and speaks an upgraded protocol;
`netserver.py ask ADDRESS` sends a datagram and prints what comes back; `netserver.py
knock ADDRESS` begins connections until its input ends, and prints how many came about;
`netserver.py health SECONDS` says by the gRPC health protocol that it serves, so long.
"""

import selectors
import shlex
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = 8080


def speaking(*words):
    """Return a container that runs this file."""
    plainly = [] if words[0] == "health" else ["-S"]  # gRPC is among the site's packages
    script = shlex.join([sys.executable, *plainly, str(Path(__file__).resolve()), *words])
    return {
        "name": "c", "image": "kybern.local/busybox:1",
        "command": ["sh", "-c", f"exec chroot /node {script}"],
        "volumeMounts": [{"name": "node", "mountPath": "/node"}],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    }  # fmt: skip


NODE = [{"name": "node", "hostPath": {"path": "/"}}]


class Handler(BaseHTTPRequestHandler):
    """Says the host's name, or echoes in capitals on an upgraded connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.headers.get("Upgrade"):
            self.send_response(101)
            self.send_header("Connection", "Upgrade")
            self.send_header("Upgrade", self.headers["Upgrade"])
            self.end_headers()
            while data := self.connection.recv(4096):
                self.connection.sendall(data.upper())
            self.close_connection = True
            return
        body = f"{socket.gethostname()} {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve():
    """Serve for ever."""
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("", PORT))

    def answer():
        while True:
            _, sender = datagrams.recvfrom(2048)
            datagrams.sendto(socket.gethostname().encode(), sender)

    threading.Thread(target=answer, daemon=True).start()
    ThreadingHTTPServer(("", PORT), Handler).serve_forever()


def ask(address, port=PORT):
    """Send a datagram; return what comes back, nothing when nothing does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(1)
        try:
            datagrams.sendto(b"hostname", (address, int(port)))
            return datagrams.recv(2048).decode()
        except OSError:
            return ""


def health(seconds):
    """Say SERVING for so many seconds from the first question on, then NOT_SERVING."""
    from concurrent.futures import ThreadPoolExecutor

    import grpc

    began = []

    def check(_request, _context):
        began.append(time.monotonic())
        return b"\x08\x01" if began[-1] - began[0] < float(seconds) else b"\x08\x02"

    methods = {"Check": grpc.unary_unary_rpc_method_handler(check)}
    server = grpc.server(ThreadPoolExecutor(1))
    handlers = grpc.method_handlers_generic_handler("grpc.health.v1.Health", methods)
    server.add_generic_rpc_handlers((handlers,))
    server.add_insecure_port(f"0.0.0.0:{PORT}")
    server.start()
    server.wait_for_termination()


def knock(address, port=PORT):
    """Begin connections, one every ten milliseconds; return how many came about."""
    under_way, succeeded = {}, 0
    with selectors.DefaultSelector() as ready:
        ready.register(sys.stdin, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select(0.01):
                if key.fileobj is sys.stdin:
                    return str(succeeded)
                ready.unregister(key.fileobj)
                succeeded += not key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                under_way.pop(key.fileobj)
                key.fileobj.close()
            now = time.monotonic()
            for old in [each for each, began in under_way.items() if now - began > 0.5]:
                ready.unregister(old)
                under_way.pop(old)
                old.close()
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex((address, int(port)))
            ready.register(one, selectors.EVENT_WRITE)
            under_way[one] = now


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    if sys.argv[1] == "health":
        health(sys.argv[2])
    sys.stdout.write({"ask": ask, "knock": knock}[sys.argv[1]](*sys.argv[2:]))
