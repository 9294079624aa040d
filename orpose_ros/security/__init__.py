"""SROS 2 policies, made from what the nodes use."""
