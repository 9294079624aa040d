"""What is seen, shown in a browser: the cameras' small images, the room in space, and a time line."""
