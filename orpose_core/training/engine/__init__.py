"""The training loop and what every training shares: settings, optimiser, resume, distribution."""
