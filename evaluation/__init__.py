"""How good a model is: data rows, scores, significance. A leaf: no vllm, no service."""
