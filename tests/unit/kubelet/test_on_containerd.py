"""The kubelet on a real containerd: real processes, mounts, packets and streams."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from tests.contracts import containerd_fixture
from tests.contracts.containerd_fixture import BUSYBOX_IMAGE
from tests.unit.kubelet.node_under_test import NODE, pod_tree

from kybern.api import codec
from kybern.api.core.v1 import ConfigMap, Namespace, NamespaceSpec, Pod, ServiceAccount
from kybern.api.errors import AlreadyExists, NotFound
from kybern.api.meta.v1 import ObjectMeta
from kybern.apiserver.app import ApiServer
from kybern.apiserver.config import Config
from kybern.client.in_process import InProcessTransport
from kybern.client.rest import Client
from kybern.client.transport import MASTER
from kybern.kubelet import images
from kybern.kubelet.agent import Kubelet
from kybern.kubelet.config import KubeletConfig
from kybern.kubelet.housekeeping import Housekeeping
from kybern.kubelet.runtime.cri import CriRuntime
from kybern.lib import pki
from kybern.lib.clock import SYSTEM
from kybern.lib.http import spdy, websocket
from kybern.lib.http.client import HttpClient
from kybern.lib.tasks import Tasks
from kybern.lib.tls import client_context
from kybern.network.filter import NodeFilter
from kybern.store.kv.memory import MemoryEngine
from kybern.store.objects import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from kybern.cmd.containerd import Containerd
    from kybern.network.config import NetworkConfig

pytestmark = pytest.mark.e2e

Place = "tuple[Path, Containerd, NetworkConfig]"


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[Path, Containerd, NetworkConfig]]:
    if why := containerd_fixture.why_not():
        pytest.skip(why)
    with containerd_fixture.running(2) as (directory, made, network):

        async def load() -> None:
            for recipe in (
                images.pause_recipe(made.sandbox_image),
                containerd_fixture.busybox_recipe(),
            ):
                await images.load_bytes(images.archive(recipe), made.socket, made.ctr)

        asyncio.run(load())
        certificates(directory)
        yield directory, made, network


def certificates(directory: Path) -> None:
    now = SYSTEM.now()
    authority = pki.make_ca("test", now=now)
    authority.save(directory / "ca.crt", directory / "ca.key")
    server = pki.Subject("system:node:one", ("system:nodes",), ("one",), ("127.0.0.1",))
    pki.issue(authority, server, now=now, server=True).save(
        directory / "kubelet.crt", directory / "kubelet.key"
    )
    for name, groups in (("api", ("system:masters",)), ("stranger", ("system:nodes",))):
        subject = pki.Subject(name, groups)
        pair = pki.issue(authority, subject, now=now, client=True)
        pair.save(directory / f"{name}.crt", directory / f"{name}.key")


class RealNode:
    """A kubelet on containerd, with an API server of its own."""

    def __init__(self, place: tuple[Path, Containerd, NetworkConfig], tasks: Tasks) -> None:
        self.directory, self.made, self.network = place
        self.tasks = tasks
        config = Config(service_account_key=pki.make_key())
        self.server = ApiServer(config, Store(MemoryEngine(), SYSTEM), SYSTEM)
        self.client = Client(InProcessTransport(self.server.app, MASTER), SYSTEM)
        self.runtime = CriRuntime(self.made.endpoint, SYSTEM)
        self.filter = NodeFilter(self.network)

    async def start(self) -> None:
        await self.server.start()
        self.tasks.spawn(self.server.run(), name="server")
        with contextlib.suppress(AlreadyExists):
            meta = ObjectMeta(name="default")
            await self.client.create(Namespace(metadata=meta, spec=NamespaceSpec()))
        await self.client.create(
            ServiceAccount(metadata=ObjectMeta(name="default", namespace="default"))
        )
        await self.filter.start()
        await self.start_kubelet()

    async def start_kubelet(self) -> None:
        d = self.directory
        self.config = KubeletConfig(
            node_name="one", data_dir=d, runtime_endpoint="", bind_address="127.0.0.1", port=0,
            node_ip="127.0.0.1", tls_cert=d / "kubelet.crt", tls_key=d / "kubelet.key",
            client_ca=d / "ca.crt", pod_cidr=self.network.pod_cidr,
        )  # fmt: skip
        node = Client(InProcessTransport(self.server.app, NODE), SYSTEM)
        self.kubelet = Kubelet(self.config, node, self.runtime, SYSTEM, host_ports=self.filter)
        self.running = self.tasks.spawn(self.kubelet.run(), name="kubelet")
        async with asyncio.timeout(20):
            await self.kubelet.ready.wait()

    async def kill_kubelet(self) -> None:
        self.running.cancel()
        await asyncio.wait([self.running])

    def http(self, who: str = "api") -> HttpClient:
        d = self.directory
        tls = client_context((d / "ca.crt").read_bytes(), d / f"{who}.crt", d / f"{who}.key")
        assert self.kubelet._server is not None
        assert self.kubelet._server._server is not None
        return HttpClient(f"https://127.0.0.1:{self.kubelet._server._server.port}", ssl=tls)

    async def create(self, name: str = "pod", script: str = "sleep 1000", **spec: Any) -> Pod:
        main = {"name": "main", "image": BUSYBOX_IMAGE, "command": ["sh", "-c", script]}
        main |= spec.pop("main", {})
        spec.setdefault("terminationGracePeriodSeconds", 1)
        tree = pod_tree(name, containers=[main], **spec)
        return await self.client.create(codec.from_tree(tree, Pod))

    async def wait(self, name: str, fits: Any, seconds: float = 20) -> Pod:
        async with asyncio.timeout(seconds):
            while True:
                pod = await self.client.get(Pod, name, "default")
                if fits(pod):
                    return pod
                await asyncio.sleep(0.005)

    async def ready(self, name: str = "pod") -> Pod:
        return await self.wait(name, is_ready)

    async def run(self, script: str, name: str = "pod") -> str:
        pod = await self.client.get(Pod, name, "default")
        [status] = pod.status.containerStatuses or []
        id_ = (status.containerID or "").rpartition("/")[2]
        done = await self.runtime.exec_sync(id_, ["sh", "-c", script], 10)
        assert done.exit_code == 0, done
        return done.stdout.decode()

    async def delete_all(self) -> None:
        await self.client.delete_collection(Pod, "default")
        async with asyncio.timeout(30):
            while (await self.client.list(Pod, "default"))[0]:
                await asyncio.sleep(0.01)
            while await self.runtime.sandboxes() or any(self.config.logs_dir.iterdir()):
                await asyncio.sleep(0.01)


def is_ready(pod: Pod) -> bool:
    return any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or ())


@contextlib.asynccontextmanager
async def real_node(place: tuple[Path, Containerd, NetworkConfig]) -> AsyncIterator[RealNode]:
    async with Tasks("real node") as tasks:
        it = RealNode(place, tasks)
        await it.start()
        try:
            yield it
            await it.delete_all()
        finally:
            await it.kill_kubelet()
            await it.runtime.close()
        assert tasks.failures == 0


def tell(place: Any, story: Any) -> None:
    import uvloop

    async def main() -> None:
        async with asyncio.timeout(90), real_node(place) as it:
            await story(it)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_a_pod_sees_its_volumes_and_leaves_nothing_behind(place: Any) -> None:
    async def story(it: RealNode) -> None:
        meta = ObjectMeta(name="settings", namespace="default")
        await it.client.create(ConfigMap(metadata=meta, data={"a": "1", "b": "2"}))
        await it.create(
            automountServiceAccountToken=False,
            securityContext={"fsGroup": 2000, "runAsUser": 1000},
            main={
                "resources": {"limits": {"memory": "64Mi", "cpu": "500m"}},
                "volumeMounts": [
                    {"name": "work", "mountPath": "/work"},
                    {"name": "mem", "mountPath": "/mem"},
                    {"name": "all", "mountPath": "/all"},
                    {"name": "settings", "mountPath": "/one", "subPath": "a"},
                    {"name": "work", "mountPath": "/part", "subPath": "deep/er"},
                ],
            },
            volumes=[
                {"name": "work", "emptyDir": {}},
                {"name": "mem", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
                {"name": "settings", "configMap": {"name": "settings"}},
                {
                    "name": "all",
                    "projected": {
                        "sources": [
                            {"configMap": {"name": "settings"}},
                            {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}},
                        ]
                    },
                },
            ],
        )
        pod = await it.ready()
        uid = pod.metadata.uid or ""
        assert pod.status.qosClass == "Guaranteed"
        assert await it.run("id -u; id -G") == "1000\n0 2000\n"
        assert await it.run("cat /all/a /one; stat -c %a.%g /work") == "112777.2000\n"
        assert (await it.run("mount | grep -c 'on /mem type tmpfs'")).strip() == "1"
        assert await it.run(
            "touch /work/x /part/y; ls /work/deep/er; ls -lL /all/token | cut -c1-10"
        ) == ("y\n-rw-r-----\n")
        assert "search default.svc.cluster.local" in await it.run("cat /etc/resolv.conf")
        assert f"{pod.status.podIP}\tpod" in await it.run("cat /etc/hosts")
        await it.client.patch(ConfigMap, "settings", "default", {"data": {"a": "new"}})
        async with asyncio.timeout(5):
            while await it.run("cat /all/a") != "new":
                await asyncio.sleep(0.02)
        assert await it.run("cat /one") == "1"  # sub-paths do not follow
        limit = Path(f"/sys/fs/cgroup/memory{it.config.pods_cgroup}/pod{uid}/memory.limit_in_bytes")
        if limit.exists():
            assert limit.read_text().strip() == str(64 << 20)
        await it.delete_all()
        assert str(it.config.pods_dir / uid) not in Path("/proc/self/mountinfo").read_text()
        assert list(it.config.pods_dir.iterdir()) == []
        assert list(it.config.logs_dir.iterdir()) == []
        left = subprocess.run(
            ["find", "/sys/fs/cgroup", "-name", f"*{uid}*"], capture_output=True, text=True
        )
        assert left.stdout == ""

    tell(place, story)


def test_commands_run_with_their_streams(place: Any) -> None:
    async def story(it: RealNode) -> None:
        await it.create()
        await it.ready()
        http = it.http()

        def target(*command: str, **streams: str) -> str:
            query = [*streams.items(), *(("command", word) for word in command)]
            return "/exec/default/pod/main?" + urlencode(query)

        async def over_websocket(protocol: str, sent: list[bytes], path: str) -> dict[int, bytes]:
            socket = await websocket.connect(http, path, protocols=(protocol,))
            for message in sent:
                await socket.send(message)
            got: dict[int, bytearray] = {}
            async for message in socket:
                assert isinstance(message, bytes)
                got.setdefault(message[0], bytearray()).extend(message[1:])
            assert socket.close_code == 1000
            return {channel: bytes(data) for channel, data in got.items()}

        script = "cat; echo err >&2; exit 3"
        path = target("sh", "-c", script, input="1", output="1", error="1")
        got = await over_websocket(
            "v5.channel.k8s.io", [b"\x00hello ", b"\x00you", b"\xff\x00"], path
        )
        assert (got[1], got[2]) == (b"hello you", b"err\n")
        assert b'"exitCode"' in got[3] or b"ExitCode" in got[3]
        assert b'"3"' in got[3]
        path = target("dd", "if=/dev/zero", "bs=1M", "count=32", output="1")
        for protocol in ("v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io"):
            got = await over_websocket(protocol, [], path)
            assert len(got[1]) == 32 << 20
        path = target("sh", "-c", "stty size; tty", input="1", output="1", tty="1")
        size = b'\x04{"Width":77,"Height":33}'
        got = await over_websocket("v5.channel.k8s.io", [size], path)
        assert b"/dev/pts/" in got[1]
        headers = {"X-Stream-Protocol-Version": "v4.channel.k8s.io"}
        path = target("md5sum", input="1", output="1")
        data = os.urandom(3 << 20)
        async with await spdy.connect(http, path, headers) as session:
            error = await session.open({"streamtype": "error"})
            stdin = await session.open({"streamtype": "stdin"})
            stdout = await session.open({"streamtype": "stdout"})
            for start in range(0, len(data), 1 << 16):
                stdin.write(data[start : start + (1 << 16)])
                await stdin.drain()
            stdin.write_eof()
            said = b""
            while part := await stdout.read():
                said += part
            assert said.split()[0].decode() == hashlib.md5(data).hexdigest()
            assert b"Success" in await error.read()
        await http.close()

    tell(place, story)


def test_who_may_ask_the_kubelet(place: Any) -> None:
    async def story(it: RealNode) -> None:
        stranger, friend = it.http("stranger"), it.http()
        assert (await stranger.request("GET", "/pods")).status == 403
        assert (await stranger.request("GET", "/healthz")).status == 200
        answer = await friend.request("GET", "/pods")
        assert answer.status == 200
        assert (await friend.request("GET", "/nothing")).status == 404
        assert (await friend.request("GET", "/containerLogs/default/no/main")).status == 404
        assert b"pods" in await (await friend.request("GET", "/stats/summary")).read()
        await stranger.close()
        await friend.close()

    tell(place, story)


def test_logs_are_read_followed_and_rotated(place: Any) -> None:
    async def story(it: RealNode) -> None:
        script = "for i in 1 2 3; do echo line$i; done; read x; echo got $x; exit 1"
        await it.create(script=script, main={"stdin": True})
        pod = await it.ready()
        http = it.http()

        async def log(query: str = "") -> str:
            answer = await http.request("GET", f"/containerLogs/default/pod/main?{query}")
            return (await answer.read()).decode()

        async with asyncio.timeout(5):
            while await log() != "line1\nline2\nline3\n":
                await asyncio.sleep(0.02)
        assert await log("tailLines=1") == "line3\n"
        assert (await log("timestamps=true&tailLines=1")).endswith("Z line3\n")
        assert "not found" in await log("previous=true")
        assert it.kubelet.roster is not None
        worker = it.kubelet.roster.find("default", "pod")
        assert worker is not None
        directory = it.config.logs_dir / f"default_pod_{pod.metadata.uid}" / "main"
        keeper = Housekeeping(it.config, it.kubelet.roster, it.runtime, SYSTEM, None)  # type: ignore[arg-type]
        await keeper._rotate(worker.record.view.containers[0].id, directory / "0.log")
        following = asyncio.get_running_loop().create_task(log("follow=true"))
        attach = "/attach/default/pod/main?input=1"
        socket = await websocket.connect(http, attach, protocols=("v5.channel.k8s.io",))
        await socket.send(b"\x00hello\n")
        assert "got hello" in await asyncio.wait_for(following, 10)
        await socket.close()
        assert len(list(directory.iterdir())) >= 2

        def again(pod: Pod) -> bool:
            return (pod.status.containerStatuses or [])[0].restartCount == 1

        await it.wait("pod", again)
        assert (await log("previous=true")).endswith("got hello\n")
        await http.close()

    tell(place, story)


def test_a_killed_process_is_replaced_within_moments(place: Any) -> None:
    async def story(it: RealNode) -> None:
        await it.create()
        pod = await it.ready()
        [status] = pod.status.containerStatuses or []
        id_ = (status.containerID or "").rpartition("/")[2]
        began = SYSTEM.monotonic()
        kill_container(it, id_)

        def again(pod: Pod) -> bool:
            [status] = pod.status.containerStatuses or []
            return status.restartCount == 1 and status.ready

        pod = await it.wait("pod", again)
        assert SYSTEM.monotonic() - began < 5
        [status] = pod.status.containerStatuses or []
        assert status.lastState is not None
        assert status.lastState.terminated is not None
        assert status.lastState.terminated.exitCode == 137
        assert status.lastState.terminated.reason == "Error"

    tell(place, story)


def kill_container(it: RealNode, id_: str) -> None:
    ctr = [it.made.ctr, "--address", str(it.made.socket), "--namespace", "k8s.io"]
    subprocess.run([*ctr, "tasks", "kill", "-s", "SIGKILL", id_], check=True)


def test_a_pod_survives_its_kubelet_and_its_containerd_events(place: Any) -> None:
    async def story(it: RealNode) -> None:
        await it.create()
        await it.create("ends", script="sleep 1", restartPolicy="Never")
        await it.ready("ends")
        before = await it.ready()
        await it.kill_kubelet()
        await asyncio.sleep(1.5)  # one ends while nobody looks
        await it.start_kubelet()
        over = await it.wait("ends", lambda p: p.status.phase == "Succeeded")
        assert over.status.containerStatuses[0].state.terminated.exitCode == 0  # type: ignore[index,union-attr]
        after = await it.ready()
        assert after.status == before.status
        kill_container(it, (after.status.containerStatuses[0].containerID or "").rpartition("/")[2])  # type: ignore[index]
        await it.wait("pod", lambda p: p.status.containerStatuses[0].restartCount == 1)

    tell(place, story)


def test_ends_of_several_kinds(place: Any) -> None:
    async def story(it: RealNode) -> None:
        never = {"restartPolicy": "Never"}
        await it.create("good", "echo bye > /dev/termination-log", **never)
        log = {"terminationMessagePolicy": "FallbackToLogsOnError"}
        await it.create("bad", "echo sorry; exit 3", main=log, **never)
        memory = {"resources": {"limits": {"memory": "16Mi"}}}
        await it.create("big", "tail /dev/zero", main=memory, **never)
        await it.create("none", main={"command": ["/not/there"]}, **never)
        ends = {}
        for name in ("good", "bad", "big", "none"):
            pod = await it.wait(name, lambda p: p.status.phase in ("Succeeded", "Failed"))
            ended = pod.status.containerStatuses[0].state.terminated  # type: ignore[index,union-attr]
            assert ended is not None
            ends[name] = (pod.status.phase, ended.exitCode, ended.reason, ended.message)
        assert ends["good"] == ("Succeeded", 0, "Completed", "bye\n")
        assert ends["bad"] == ("Failed", 3, "Error", "sorry\n")
        assert ends["big"][:3] == ("Failed", 137, "OOMKilled")
        assert ends["none"][:3] == ("Failed", 128, "StartError")
        assert "/not/there" in (ends["none"][3] or "")

    tell(place, story)


def test_pods_reach_each_other_and_host_ports_lead_in(place: Any) -> None:
    async def story(it: RealNode) -> None:
        web = "echo hi > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"
        ports = [{"containerPort": 8080, "hostPort": 18765}]
        probe = {"httpGet": {"port": 8080}, "periodSeconds": 1}
        await it.create("web", web, main={"ports": ports, "readinessProbe": probe})
        await it.create()
        server = await it.ready("web")
        await it.ready()
        url = f"http://{server.status.podIP}:8080/"
        assert await it.run(f"wget -qO- {url}") == "hi\n"
        gateway = it.network.gateway
        assert await it.run(f"wget -qO- http://{gateway}:18765/") == "hi\n"
        assert (await it.run("ip route | head -1")).startswith(f"default via {gateway}")
        with pytest.raises(NotFound):
            await it.client.get(Pod, "nobody", "default")

    tell(place, story)
