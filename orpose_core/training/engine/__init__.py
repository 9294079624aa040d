"""The training loop and its parts: settings, optimiser, resuming, distribution over processes."""
