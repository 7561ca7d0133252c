"""Knowledge distillation: what a student can learn from a teacher, as terms of a loss, and the runs that use them."""
