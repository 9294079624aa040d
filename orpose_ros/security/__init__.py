"""SROS 2: what each node may do, from what the nodes really use."""
