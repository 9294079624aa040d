"""A recording to soft and hard label files, by a teacher."""
