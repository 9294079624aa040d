"""Common functions of all nodes: start, stop, monitoring of inputs, diagnostics."""
