"""Prompting, retrieval and fine-tuning on identical items: quality, latency, cost, and when to use which."""
