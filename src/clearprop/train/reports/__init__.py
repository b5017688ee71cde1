"""Pages about runs, made of their records: one for each run, and comparisons of several."""
