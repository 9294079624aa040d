"""What `orpose benchmark` measures on this machine, one module per thing that is measured."""
