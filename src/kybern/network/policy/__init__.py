"""NetworkPolicies, enforced for the pods of one node.

`peers` knows which pods a selector means, `plan` makes a `Ruleset` of policies and pods, `script`
turns the difference of two rulesets into a transaction, `enforcer` follows the cluster and applies.

What comes to a pod is judged on its own node, and so is what it sends. Both are seen where packets
are forwarded: after a Service's address has been replaced by that of a pod. The node itself, and
the cluster's DNS on it, always reach its pods and are reached by them.
"""
