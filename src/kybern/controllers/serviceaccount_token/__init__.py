"""Fills Secrets that ask for a service account's token, and lets them go with the account."""
