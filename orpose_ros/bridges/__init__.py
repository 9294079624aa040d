"""Skeletons as messages of other packages; each module imports one of them, which need not be installed."""
