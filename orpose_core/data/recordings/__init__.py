"""Recordings as streams of frames: bags, image folders, MVOR."""
