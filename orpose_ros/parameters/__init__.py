"""Parameters of the nodes: typed, described and ranged, declared from dataclasses."""
