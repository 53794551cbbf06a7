"""CRI v1, and the few containerd messages beside it, as Structs with protobuf field numbers.

Source of the numbers: kubernetes `staging/src/k8s.io/cri-api/pkg/apis/runtime/v1/api.proto`.
Only the messages the kubelet sends or reads are here, and of those the Linux fields.
`sandbox.py` pods, `container.py` containers, `image.py` images, `service.py` requests and answers.
"""
