"""The notebook of a week of experiments, rendered from records alone, in English or Portuguese."""
