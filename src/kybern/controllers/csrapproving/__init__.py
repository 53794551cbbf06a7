"""Approves the client certificates of kubelets that may have one."""
