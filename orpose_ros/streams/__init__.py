"""Messages on their way: kept, paired, paced, and assigned to cameras."""
