"""Measurements of speed on this machine."""
