"""The memory that training takes: a formula's parts, the parts as measured, and the two side by side."""
