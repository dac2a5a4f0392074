"""What can go wrong before or beside the load itself."""


class LoadTestError(RuntimeError):
    """The load test could not do its work; the message says why and what to do."""


class ScenarioError(LoadTestError):
    """A scenario that is not there or says something unknown; the message names the way out."""
