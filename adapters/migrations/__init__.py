"""How the registry's tables came to be as they are, a file for each step; run by adapters.database at start."""
