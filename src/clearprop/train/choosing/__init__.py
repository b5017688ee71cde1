"""Several trainings in the place of one: folds, settings, first weights, and how their answers are put together."""
