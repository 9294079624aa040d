"""Training: the engine, and one package per kind of network."""
