"""Steps every request passes, in the order of app.FILTERS.

Each fills in a part of the context, or raises an ApiError.
"""
