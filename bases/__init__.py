"""Base models that ship with the project."""
