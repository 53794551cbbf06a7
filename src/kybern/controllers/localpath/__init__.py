"""The storage class `local-path`: volumes on the disk of the node a pod runs on.

The controller decides and writes the objects; the kubelet of the node, asked through the API
server, makes, grows and removes what holds the data (`kubelet.volumes.local_images`).
"""
