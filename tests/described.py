"""schemathesis over a running service's own description: no 5xx, no answer that it does not know, no way around the key."""

import subprocess
import sys
from pathlib import Path

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "ignored_auth",
)


def check_described(url: str, key: str, folder: Path, examples: int, seconds: float) -> str:
    """Every operation of `url`/openapi.json, `examples` drawn for each; what schemathesis printed. It writes to `folder`.

    Raises AssertionError with the failures, subprocess.TimeoutExpired after `seconds`.
    """
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"]
    command += ["--header", f"Authorization: Bearer {key}", "--checks", ",".join(CHECKS)]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", str(examples), "--seed", "1", "--max-failures", "20"]
    command += ["--continue-on-failure", "--no-shrink", "--suppress-health-check", "all", "--warnings", "off"]
    command += ["--request-timeout", "60"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout
