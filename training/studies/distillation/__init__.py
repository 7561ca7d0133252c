"""Studies of distillation: the tables of the slides, part II, as rows, and what such rows need."""
