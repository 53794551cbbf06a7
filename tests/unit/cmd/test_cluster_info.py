"""What a machine that joins finds, and what it may do."""

from __future__ import annotations

import asyncio

from tests.unit.apiserver.harness import ADMIN, Server

from kybern.api import yaml_text
from kybern.client.in_process import InProcessTransport
from kybern.client.rest import Client
from kybern.cmd import cluster_info
from kybern.lib.clock import SYSTEM

INFO = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


def test_everybody_may_read_it_and_tokens_may_ask_for_certificates():
    async def story():
        async with Server() as server:
            assert (await server.get(INFO, user=None)).status == 403
            client = Client(InProcessTransport(server.api.app, ADMIN), SYSTEM)
            await cluster_info.ensure(client, "https://192.0.2.1:6443", b"PEM")
            await cluster_info.ensure(client, "https://192.0.2.2:6443", b"PEM")
            await server.settle()
            text = (await server.get(INFO, user=None)).tree["data"]["kubeconfig"]
            tree = yaml_text.load(text.encode())[0]
            assert tree["clusters"] == [{
                "name": "",
                "cluster": {
                    "server": "https://192.0.2.2:6443", "certificate-authority-data": "UEVN",
                },
            }]  # fmt: skip
            assert (await server.delete(INFO, user=None)).status == 403

            async def may(group, verb, resource, sub="", api="certificates.k8s.io"):
                wanted = {"verb": verb, "group": api, "resource": resource, "subresource": sub}
                spec = {"user": "x", "groups": [group], "resourceAttributes": wanted}
                return (await server.post(REVIEWS, {"spec": spec})).tree["status"]["allowed"]

            requests = "certificatesigningrequests"
            joining, nodes = cluster_info.GROUP, "system:nodes"
            assert await may(joining, "create", requests)
            assert await may(joining, "create", requests, "nodeclient")
            assert not await may(joining, "create", requests, "selfnodeclient")
            assert await may(nodes, "create", requests, "selfnodeclient")
            assert await may(joining, "get", "nodes", api="")
            assert not await may(joining, "list", "nodes", api="")

    asyncio.run(story())
