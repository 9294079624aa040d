"""Pages of one HTML file each, to look at: about results, evaluations, labels, adaptations and weights."""
