"""The HTTP service: one base, many adapters, from upload to measured answer."""
