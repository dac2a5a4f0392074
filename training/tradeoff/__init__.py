"""Quantized bases against the original: speed, memory and quality, each on the engine that would serve it."""
