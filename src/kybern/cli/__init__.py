"""The command line: one verb a file, in `verbs/`; what the user sees, in `output/`.

A verb reads its flags, says what it does while it does it, and ends with exit code 0 (done),
1 (failed: one clear sentence and what to try) or 2 (wrong usage).
"""
