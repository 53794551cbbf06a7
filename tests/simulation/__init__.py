"""The whole control plane under a virtual clock, with seeded chance, faults and invariants.

`chance` makes everything random come from the seed; `profiles` says what a seed brings; `world`
puts the cluster together on `engine` (the memory store, told on) behind `transport` (requests that
get lost); `nodes` plays kubelets; `workload` plays users; `faults` plays misfortune; `invariants`
looks at every write and `settled` at the end. `run` runs one seed, `__main__` many.
"""
