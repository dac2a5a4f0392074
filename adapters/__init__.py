"""What an adapter is: manifest, checks, archive, store, registry. A leaf: no torch, no vllm."""
