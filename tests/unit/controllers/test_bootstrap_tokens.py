"""Bootstrap tokens sign `cluster-info` and end, against the real API server."""

from __future__ import annotations

import pytest
from tests.unit.controllers.cluster import cluster

from kybern.api import errors
from kybern.api.core import bootstrap_tokens as tokens
from kybern.api.core.v1 import ConfigMap, Secret
from kybern.api.meta.v1 import ObjectMeta
from kybern.cmd import cluster_info
from kybern.lib.clock import rfc3339, run_virtual

CONTROLLERS = ("bootstrapsigner", "tokencleaner")


def token(name, expires=None):
    data = {
        "token-id": name,
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-signing": "true",
        "usage-bootstrap-authentication": "true",
    }
    if expires is not None:
        data["expiration"] = rfc3339(expires)
    metadata = ObjectMeta(name=tokens.PREFIX + name, namespace="kube-system")
    return Secret(metadata=metadata, type=tokens.TYPE, stringData=data)


def test_tokens_sign_and_end():
    async def main():
        async with cluster(*CONTROLLERS, nodes=False) as it:
            for _ in range(2):  # the second start of a cluster finds everything
                await cluster_info.ensure(it.client, "https://192.0.2.1:6443", b"PEM")
            await it.client.create(token("abcdef"))
            await it.client.create(token("ghijkl", it.clock.now() + 60))
            await it.settle(2)

            async def signers():
                info = await it.client.get(ConfigMap, "cluster-info", "kube-public")
                text = info.data.pop("kubeconfig")
                assert "https://192.0.2.1:6443" in text
                for key, signature in info.data.items():
                    name = key.removeprefix("jws-kubeconfig-")
                    assert signature == tokens.signature(text, name, "0123456789abcdef")
                return sorted(info.data)

            assert await signers() == ["jws-kubeconfig-abcdef", "jws-kubeconfig-ghijkl"]
            await it.settle(60)
            with pytest.raises(errors.NotFound):
                await it.client.get(Secret, tokens.PREFIX + "ghijkl", "kube-system")
            assert await signers() == ["jws-kubeconfig-abcdef"]
            await it.quiet()

    run_virtual(main())
