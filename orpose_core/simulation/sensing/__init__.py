"""Cameras, ray casting, shading and the noise of depth sensors."""
