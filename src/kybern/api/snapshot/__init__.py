"""The group snapshot.storage.k8s.io: types and rules, as upstream's custom resources have them."""
