"""The service's own routes, a file for each kind of thing they show."""
