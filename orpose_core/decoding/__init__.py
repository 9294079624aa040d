"""Decoding of network maps into poses; the only package that handles half-pixel offsets."""
