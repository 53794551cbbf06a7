"""Carries out VolumeAttachments: asks drivers to attach volumes to nodes, and to detach them."""
