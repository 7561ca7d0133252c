"""The methods of distillation: terms of a loss, each a row of one table (`table.py`), by what they compare."""
