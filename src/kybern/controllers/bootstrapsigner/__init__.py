"""Signs `kube-public/cluster-info` with every bootstrap token, for machines that join to check."""
