"""The training loop and its parts: settings, optimizer, resuming, distribution over processes."""
