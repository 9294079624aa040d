"""Poses of a whole recording, written as files and overlays."""
