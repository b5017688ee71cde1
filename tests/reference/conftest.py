"""The scripts that write the figures need torch; they are no test modules."""

collect_ignore = ["make_torch_figures.py", "modules/record.py", "optimizers/record.py"]
