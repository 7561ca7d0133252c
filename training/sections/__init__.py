"""The parts of a recipe, one file a part; `training.recipe` puts them together."""
