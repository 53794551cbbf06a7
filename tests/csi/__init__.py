"""A CSI driver of our own, as an outsider would write it: `python -m tests.csi.driver --help`."""
