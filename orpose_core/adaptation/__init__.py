"""From recordings of a site to a network that knows it: label, split, train, score, report."""
