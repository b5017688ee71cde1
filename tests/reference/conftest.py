"""The script that writes the figures needs torch; it is no test module."""

collect_ignore = ["make_torch_figures.py"]
