"""Training: the loop, and what it leaves behind: a record of the run, a live display, a report to read."""
