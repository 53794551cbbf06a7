"""A registry of images: what `pull` needs of the distribution protocol, from an archive."""

import contextlib
import hashlib
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@contextlib.contextmanager
def registry(archive, port):
    """Serve the image of an archive as written by `docker save`, under every name, on localhost.

    Yields the list of the manifests that were asked for.
    """
    blobs, manifest = _contents(archive)
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self._answer(body=False)

        def do_GET(self):
            self._answer(body=True)

        def _answer(self, *, body):
            *_, kind, what = self.path.split("/")
            data = manifest if kind == "manifests" else blobs.get(what, b"")
            if kind == "manifests" and body:
                asked.append(what)
            self.send_response(200 if data or self.path == "/v2/" else 404)
            self.send_header("Content-Type", MANIFEST if kind == "manifests" else "a/b")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Docker-Content-Digest", _digest(data))
            self.end_headers()
            if body:
                self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()


def _digest(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _contents(archive):
    """Return an archive's blobs by digest, and a manifest of them."""
    with tarfile.open(archive) as tar:
        files = {m.name: tar.extractfile(m).read() for m in tar.getmembers() if m.isfile()}
    described = json.loads(files["manifest.json"])[0]
    config, layers = files[described["Config"]], [files[name] for name in described["Layers"]]
    blobs = {_digest(data): data for data in (config, *layers)}

    def part(kind, data):
        return {"mediaType": kind, "digest": _digest(data), "size": len(data)}

    return blobs, json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": part("application/vnd.oci.image.config.v1+json", config),
        "layers": [part("application/vnd.oci.image.layer.v1.tar", each) for each in layers],
    }).encode()  # fmt: skip
