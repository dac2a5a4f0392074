"""A search over rank, alpha, dropout and learning rate: chosen on validation, the test opened once."""
