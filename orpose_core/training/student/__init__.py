"""Distillation of the student from a teacher's labels."""
