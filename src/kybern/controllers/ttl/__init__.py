"""Tells kubelets how long they may keep Secrets and ConfigMaps: the longer, the more nodes."""
