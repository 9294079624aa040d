"""Several cameras' skeletons to one per person in the room."""
