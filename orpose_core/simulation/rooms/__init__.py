"""Rooms of the simulation, their equipment, and the scenes that put people into them."""
