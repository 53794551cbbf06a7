"""Steps every request passes, in the order of app.FILTERS. Each fills in the context or raises an ApiError."""
