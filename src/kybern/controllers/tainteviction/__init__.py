"""Deletes pods that do not tolerate a NoExecute taint of their node, or only for a while."""
