"""The controller that counts what quotas limit."""
