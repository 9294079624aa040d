"""Reports and model cards, written from saved results."""
