"""Network maps to poses; the only place that knows half-pixel offsets."""
