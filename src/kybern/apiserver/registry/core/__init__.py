"""Resources of the core group that are not generic."""
