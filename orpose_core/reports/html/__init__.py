"""Pages about results, evaluations, labels, adaptations and weights, each in one HTML file."""
