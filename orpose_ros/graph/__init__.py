"""The graph of nodes, as one of them sees it."""
