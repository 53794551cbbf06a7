"""kube-proxy: what a Service promises, in the kernel.

Services and EndpointSlices come from informers into `model.py`, which answers what each Service
leads to now. `rules.py` turns the difference between what the kernel has and what it should have
into one transaction; `nft.py` hands that to nftables. `sync.py` is the loop: it gathers the changes
of one moment, so that the cost grows with the change and not with the number of Services.

Only our own table is ever touched.
"""
