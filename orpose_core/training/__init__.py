"""Training: the engine, and one module per thing that is trained."""
