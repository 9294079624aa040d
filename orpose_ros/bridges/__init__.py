"""Skeletons as messages of other packages; each module imports one optional package."""
