"""Brings VolumeSnapshots together with what stands for them at the driver."""
