"""Load on a running service, with locust: HTTP only, so that it can be pointed at any build."""
