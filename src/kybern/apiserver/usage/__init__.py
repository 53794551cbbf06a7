"""The metrics API, `metrics.k8s.io/v1beta1`: what nodes and pods use.

`samples` asks the kubelets and makes rates of what they count; `serve` answers. Upstream has a
program of its own for this, metrics-server, which is reached through aggregation.
"""
