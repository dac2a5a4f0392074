"""Data in, an adapter or a base out, with a record of how: training, quantizing, pretraining, samples, reports."""
