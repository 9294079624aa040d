"""Knowledge distillation: the teacher, its pseudo-labels, and what the student learns from them."""
