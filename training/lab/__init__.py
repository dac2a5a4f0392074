"""A week of experiments in one command: on the embedded base and the sample tasks, to the filled notebook."""
