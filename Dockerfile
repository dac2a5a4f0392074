# Two targets: `docker build --target cpu .` and `docker build --target cuda .`
FROM python:3.11-slim-bookworm AS cpu
# Debian keeps only the newest version of a package, so a pinned one would soon not be there.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc g++ libnuma1 libtcmalloc-minimal4 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 patchbay
WORKDIR /srv/patchbay
# The address of PyTorch's index of CPU wheels, from PyTorch's installation page.
ARG PIP_EXTRA_INDEX_URL
COPY requirements/cpu.txt requirements/cpu.txt
RUN python -m venv .venv && .venv/bin/pip install --no-cache-dir --no-deps -r requirements/cpu.txt
COPY . .
RUN .venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && mkdir /data && chown patchbay /data
USER 10001
ENV PATH=/srv/patchbay/.venv/bin:$PATH PATCHBAY_HOME=/data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/ready', timeout=4)"]
ENTRYPOINT ["patchbay"]
CMD ["serve", "--base", "embedded"]

FROM nvidia/cuda:12.9.1-devel-ubuntu24.04 AS cuda
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 patchbay
WORKDIR /srv/patchbay
COPY requirements/gpu.txt requirements/gpu.txt
RUN python3 -m venv .venv && .venv/bin/pip install --no-cache-dir --no-deps -r requirements/gpu.txt
COPY . .
RUN .venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && mkdir /data && chown patchbay /data
USER 10001
ENV PATH=/srv/patchbay/.venv/bin:$PATH PATCHBAY_HOME=/data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=300s \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/ready', timeout=4)"]
ENTRYPOINT ["patchbay"]
CMD ["serve", "--base", "embedded"]
