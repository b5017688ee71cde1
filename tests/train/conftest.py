"""The script that writes the figures needs scikit-learn; it is no test module."""

collect_ignore = ["make_sklearn_figures.py"]
