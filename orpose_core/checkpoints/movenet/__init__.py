"""MoveNet of TensorFlow.js: its graph model read, converted, and kept as weights of orpose."""
