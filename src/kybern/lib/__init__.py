"""What any program of this shape needs, and nothing that knows Kubernetes.

Each module could be a library of its own: time, tasks, channels, back-off, logs, metrics,
keys and certificates, protobuf on Structs, and HTTP/1.1 with its upgrades. Everything above
imports from here; nothing here imports from above.
"""
