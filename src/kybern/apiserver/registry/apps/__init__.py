"""Resources of apps that are not generic."""
