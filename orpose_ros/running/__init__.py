"""What every node does beside its task: start, stop, watch its inputs, and report on itself."""
