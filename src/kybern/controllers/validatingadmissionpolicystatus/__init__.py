"""Says in a ValidatingAdmissionPolicy's status what is odd about the types in its expressions.

`plan` checks them against the kinds the policy is about; `controller` writes the warnings down.
"""
