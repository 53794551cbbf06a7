"""The stock kubectl, as upstream's `sig-cli` suite uses it, where pods have to run."""

import json

from tests.conformance.marks import conforms
from tests.stories.conftest import IMAGE, eventually
from tests.stories.guestbook import BACKEND, part
from tests.stories.netserver import NODE, PORT, speaking

NAUTILUS = {"name": "update-demo"}
AGNHOST = {"app": "agnhost", "role": "primary"}


def controller(name, labels, container, replicas=1, **pod):
    spec = {"containers": [container], "terminationGracePeriodSeconds": 1, **pod}
    return {
        "apiVersion": "v1", "kind": "ReplicationController",
        "metadata": {"name": name, "labels": labels},
        "spec": {"replicas": replicas, "selector": labels,
                 "template": {"metadata": {"labels": labels}, "spec": spec}},
    }  # fmt: skip


def deployment(name, labels, container, replicas):
    tree = controller(name, labels, container, replicas, volumes=NODE)
    tree |= {"apiVersion": "apps/v1", "kind": "Deployment"}
    tree["spec"]["selector"] = {"matchLabels": labels}
    return tree


def service(name, labels, port, target):
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": labels},
        "spec": {"selector": labels, "ports": [{"port": port, "targetPort": target}]},
    }  # fmt: skip


def running(k, labels, count):
    """Wait for so many pods that run, and no others; return their names."""
    chosen = ",".join(f"{key}={value}" for key, value in labels.items())
    template = (
        '{{range .items}}{{if (index .status.containerStatuses 0).state.running}}'
        '{{.metadata.name}} {{end}}{{end}}'
    )  # fmt: skip

    def look():
        found = k("get", "pods", "-o", "name", "-l", chosen).split()
        listed = k("get", "pods", "-o", "template", "-l", chosen, f"--template={template}",
                   check=False)  # fmt: skip
        names = listed.stdout.split() if listed.returncode == 0 else []
        return names if len(found) == len(names) == count else None

    return eventually(look)


@conforms(
    "[sig-cli] Kubectl client Update Demo should create and stop a replication controller [Conformance]",
    "[sig-cli] Kubectl client Update Demo should scale a replication controller [Conformance]",
)
def test_a_replication_controller_is_created_scaled_and_stopped(k):
    tree = json.dumps(controller("nautilus", NAUTILUS, speaking("serve"), 2, volumes=NODE))
    assert k("create", "-f", "-", stdin=tree) == "replicationcontroller/nautilus created\n"
    for name in running(k, NAUTILUS, 2):
        eventually(lambda n=name: k("get", "--raw", proxied(k, n), check=False).returncode == 0)
        assert k("get", "--raw", proxied(k, name)).split()[0] == name
    for count in (1, 2):
        said = k("scale", "rc", "nautilus", f"--replicas={count}", "--timeout=1m")
        assert said == "replicationcontroller/nautilus scaled\n"
        running(k, NAUTILUS, count)
    k("delete", "--grace-period=0", "--force", "-f", "-", stdin=tree)
    assert k("get", "rc,svc", "-l", "name=update-demo", "--no-headers") == ""
    template = (
        "{{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}}{{end}}{{end}}"
    )
    eventually(
        lambda: not k("get", "pods", "-l", "name=update-demo", "-o", f"go-template={template}")
    )


def proxied(k, name):
    return f"/api/v1/namespaces/{k.namespace}/pods/{name}:{PORT}/proxy/"


def primary(k):
    """Create the controller and the Service that several tests look at; return the pod's name."""
    container = {
        "name": "agnhost-primary", "image": IMAGE, "command": ["sleep", "1000"],
        "ports": [{"name": "agnhost-server", "containerPort": BACKEND}],
    }  # fmt: skip
    k("create", "-f", "-", stdin=json.dumps(controller("agnhost-primary", AGNHOST, container)))
    made = service("agnhost-primary", AGNHOST, BACKEND, "agnhost-server")
    k("create", "-f", "-", stdin=json.dumps(made))
    [name] = running(k, AGNHOST, 1)
    return name


def lines(text, *wanted):
    """Check that lines hold these words, in this order."""
    left = iter(text.splitlines())
    for words in wanted:
        assert any(all(word in line for word in words) for line in left), (words, text)


@conforms(
    "[sig-cli] Kubectl client Kubectl describe should check if kubectl describe prints relevant information for rc and pods [Conformance]",
)
def test_describe_tells_what_matters(k):
    name = primary(k)
    lines(
        k("describe", "pod", name),
        ["Name:", "agnhost-primary-"], ["Namespace:", k.namespace], ["Node:"],
        ["Labels:", "app=agnhost"], ["role=primary"], ["Annotations:"], ["Status:", "Running"],
        ["IP:"], ["Controlled By:", "ReplicationController/agnhost-primary"], ["Image:", IMAGE],
        ["State:", "Running"], ["QoS Class:", "BestEffort"],
    )  # fmt: skip
    lines(
        k("describe", "rc", "agnhost-primary"),
        ["Name:", "agnhost-primary"], ["Namespace:", k.namespace],
        ["Selector:", "app=agnhost,role=primary"], ["Labels:", "app=agnhost"], ["role=primary"],
        ["Annotations:"], ["Replicas:", "1 current", "1 desired"],
        ["Pods Status:", "1 Running", "0 Waiting", "0 Succeeded", "0 Failed"], ["Pod Template:"],
        ["Image:", IMAGE], ["Events:"],
    )  # fmt: skip
    lines(
        k("describe", "service", "agnhost-primary"),
        ["Name:", "agnhost-primary"], ["Namespace:", k.namespace], ["Labels:", "app=agnhost"],
        ["role=primary"], ["Annotations:"], ["Selector:", "app=agnhost", "role=primary"],
        ["Type:", "ClusterIP"], ["IP:"], ["Port:", "<unset>", "6379/TCP"],
        ["TargetPort:", "agnhost-server/TCP"], ["Endpoints:"], ["Session Affinity:"],
    )  # fmt: skip
    node = k.get("nodes")["items"][0]["metadata"]["name"]
    lines(
        k("describe", "node", node),
        ["Name:", node], ["Labels:"], ["Annotations:"], ["CreationTimestamp:"], ["Conditions:"],
        ["Type", "Status", "LastHeartbeatTime", "LastTransitionTime", "Reason", "Message"],
        ["Addresses:"], ["Capacity:"], ["Kernel Version:"], ["Container Runtime Version:"],
        ["Kubelet Version:"],
    )  # fmt: skip
    lines(
        k("describe", "namespace", k.namespace),
        ["Name:", k.namespace], ["Labels:"], ["Annotations:"], ["Status:", "Active"],
    )  # fmt: skip


@conforms(
    "[sig-cli] Kubectl client Kubectl expose should create services for rc [Conformance]",
    "[sig-cli] Kubectl client Kubectl patch should add annotations for pods in rc [Conformance]",
)
def test_expose_and_patch(k):
    name = primary(k)
    address = eventually(lambda: k.get("pod", name)["status"].get("podIP"))

    def leads_to_the_pod(service, port):
        found = k.get("service", service)["spec"]["ports"]
        assert [(p["port"], p["targetPort"]) for p in found] == [(port, BACKEND)]
        subsets = k.get("endpoints", service).get("subsets", [])
        return [(a["ip"], p["port"]) for s in subsets for a in s["addresses"] for p in s["ports"]]

    k("expose", "rc", "agnhost-primary", "--name=rm2", "--port=1234", f"--target-port={BACKEND}")
    eventually(lambda: leads_to_the_pod("rm2", 1234) == [(address, BACKEND)])
    k("expose", "service", "rm2", "--name=rm3", "--port=2345", f"--target-port={BACKEND}")
    eventually(lambda: leads_to_the_pod("rm3", 2345) == [(address, BACKEND)])
    patch = '{"metadata":{"annotations":{"x":"y"}}}'
    assert k("patch", "pod", name, "-p", patch) == f"pod/{name} patched\n"
    [found] = k.get("pods", "-l", "app=agnhost")["items"]
    assert found["metadata"]["annotations"]["x"] == "y"


@conforms(
    "[sig-cli] Kubectl client Guestbook application should create and stop a working application [Conformance]",
)
def test_a_guestbook(k):
    roles = {"primary": 1, "replica": 2, "frontend": 2}
    trees = []
    for role, replicas in roles.items():
        name = "frontend" if role == "frontend" else f"agnhost-{role}"
        labels = {"app": "guestbook", "tier": role}
        port = 80 if role == "frontend" else BACKEND
        made = deployment(name, labels, part(role), replicas)
        trees += [service(name, labels, port, port), made]
    # Services first: their addresses are in the environment of what starts after them.
    trees.sort(key=lambda tree: tree["kind"] != "Service")
    book = json.dumps({"apiVersion": "v1", "kind": "List", "items": trees})
    k("create", "-f", "-", stdin=book)
    for tree in trees:
        if tree["kind"] == "Deployment":
            k("rollout", "status", f"deployment/{tree['metadata']['name']}", "--timeout=100s")
    page = f"/api/v1/namespaces/{k.namespace}/services/frontend/proxy/guestbook?cmd="

    def says(what):
        done = k("get", "--raw", f"{page}{what}", check=False)
        return json.loads(done.stdout)["data"] if done.returncode == 0 else None

    eventually(lambda: says("get&key=messages") == "")
    assert says("set&key=messages&value=TestEntry") == "Updated"
    eventually(lambda: all(says("get&key=messages") == "TestEntry" for _ in range(4)))
    k("delete", "--grace-period=0", "--force", "-f", "-", stdin=book)
    eventually(lambda: k("get", "pods", "-l", "app=guestbook", "-o", "name") == "")
