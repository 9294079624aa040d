"""People of the synthetic room: skeletons that move, bodies around them, who is cast for a scene."""
