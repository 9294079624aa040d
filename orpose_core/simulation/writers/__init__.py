"""Simulated recordings on disk: data set folders, bags, pictures, statistics."""
