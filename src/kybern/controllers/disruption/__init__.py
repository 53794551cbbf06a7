"""Says how many pods may be taken away at a time, for PodDisruptionBudgets."""
