"""Data in, models out: recipes, the training loop, and the rates, batches and checkpoints it stands on.

Public: `training.recipe.Recipe` and `training.recipe_file.load_recipe` (a checked YAML file), `training.loop.train`
(a recipe to a bundle), `training.distillation.loop.distill` (a teacher and a recipe to a student), and
`training.commands.register`. This file imports none of them, because the front door
passes through it and `hdhe --help` must not wait for torch.
"""
