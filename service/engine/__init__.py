"""The engine: the only place that knows vLLM."""
