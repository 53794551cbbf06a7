"""How a node's ingress works.

In:   values from `cmd`.
Out:  IngressConfig.
By:   everything in this folder.
"""

from pathlib import Path

import msgspec

CONTROLLER = "kybern.io/haproxy"
"""What an IngressClass names when its Ingresses are ours."""


class IngressConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a node's ingress works.

    Attributes:
        node_name: host of the events we record.
        address: address of the node, for the status of every Ingress.
        directory: where haproxy's files go; made when there is an Ingress, private to root.
        http_port: where HTTP is listened for on all addresses; 0 for any free port.
        https_port: the same for HTTPS.
        program: name or path of haproxy; it may be installed later.
    """

    node_name: str
    address: str
    directory: Path
    http_port: int = 80
    https_port: int = 443
    program: str = "haproxy"
