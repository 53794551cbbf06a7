"""Two versions of HorizontalPodAutoscaler over one storage."""
