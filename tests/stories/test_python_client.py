"""The official Python client: create, list, watch, patch, log, exec, delete."""

import pytest

from .conftest import IMAGE


@pytest.fixture
def core(cluster):
    kubernetes = pytest.importorskip("kubernetes")
    config = kubernetes.client.Configuration()
    loader = kubernetes.config.kube_config
    loader.load_kube_config(
        str(cluster.directory / "admin.kubeconfig"), client_configuration=config
    )
    with kubernetes.client.ApiClient(config) as client:
        yield kubernetes.client.CoreV1Api(client)


# the client leaves sockets to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_whole_story(core, namespace):
    from kubernetes import client, watch
    from kubernetes.stream import stream

    body = client.V1Pod(
        metadata=client.V1ObjectMeta(name="p", labels={"app": "p"}),
        spec=client.V1PodSpec(
            termination_grace_period_seconds=1,
            containers=[
                client.V1Container(
                    name="c", image=IMAGE, command=["sh", "-c", "echo hello; sleep 1000"]
                )
            ],
        ),
    )
    created = core.create_namespaced_pod(namespace, body)
    seen = []
    for event in watch.Watch().stream(
        core.list_namespaced_pod, namespace, label_selector="app=p", timeout_seconds=30
    ):
        seen.append(event["type"])
        conditions = event["object"].status.conditions or []
        if any(c.type == "Ready" and c.status == "True" for c in conditions):
            break
    assert seen[0] == "ADDED"
    assert "MODIFIED" in seen

    core.patch_namespaced_pod("p", namespace, {"metadata": {"labels": {"more": "yes"}}})
    (pod,) = core.list_namespaced_pod(namespace, label_selector="more=yes").items
    assert pod.metadata.uid == created.metadata.uid
    assert core.read_namespaced_pod_log("p", namespace) == "hello\n"
    command = stream(
        core.connect_get_namespaced_pod_exec, "p", namespace, command=["echo", "there"],
        stdout=True, stderr=True, stdin=False, tty=False, _preload_content=False,
    )  # fmt: skip
    command.run_forever(timeout=30)
    assert command.read_all() == "there\n"
    command.sock.shutdown()  # the client leaves it open when the server has closed it
    core.delete_namespaced_pod("p", namespace)
    with pytest.raises(client.ApiException) as caught:
        core.read_namespaced_pod("nobody", namespace)
    assert caught.value.status == 404
