"""What may be stored: plugins that change or refuse objects, in the order of chain.PLUGINS."""
