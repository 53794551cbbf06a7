"""Keeps as many pods as a ReplicationController asks for: ReplicaSets under an older name."""
