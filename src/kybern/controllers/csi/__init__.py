"""What the controllers of storage drivers share: how a driver is reached and spoken to.

A driver's controller service is called through the kubelet of a node that runs it. Where somebody
runs upstream's sidecars for a driver, ours stand aside.
"""
