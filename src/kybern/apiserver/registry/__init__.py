"""The resources: kind, strategy, subresources and columns; generic.py has the verbs over the store."""
