"""One module for each library. Each has ``make_step(workload)``: a function that trains a step and returns the loss."""
