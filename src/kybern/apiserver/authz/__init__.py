"""May they: Allow, Deny or NoOpinion, from what is in memory."""
