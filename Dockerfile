# Station, gateway and monitor on an ordinary CPU box, x86-64 or aarch64; see docs/containers.md.
#   docker build -t edge .
ARG BASE_IMAGE=debian:bookworm-slim

# hadolint ignore=DL3006 # the tag is in BASE_IMAGE
FROM ${BASE_IMAGE} AS build
# The release is pinned, and its packages get security fixes: pinned versions would vanish from its archive.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/edge
COPY requirements/runtime.txt /src/requirements/
RUN /opt/edge/bin/pip install --no-cache-dir --only-binary :all: --requirement /src/requirements/runtime.txt
COPY . /src
RUN /opt/edge/bin/pip install --no-cache-dir --no-deps /src

# hadolint ignore=DL3006 # as above
FROM ${BASE_IMAGE}
# hadolint ignore=DL3008 # as above
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 edge \
    && useradd --uid 10001 --gid edge --home-dir /var/lib/edge --no-create-home --shell /usr/sbin/nologin edge \
    && install --directory --owner edge --group edge --mode 0750 /etc/edge /run/edge /var/lib/edge
COPY --from=build /opt/edge /opt/edge
COPY models /opt/edge/models
ENV PATH=/opt/edge/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    EDGE_STATE=/var/lib/edge/state
WORKDIR /opt/edge
USER 10001:10001
# The file that the container's process was started with; the process must show a sign of life of its own.
ENV EDGE_CONFIG=/etc/edge/station.toml
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 CMD ["python", "-m", "edge.commands.doctor_alive"]
ENTRYPOINT ["edge"]
CMD ["run", "/etc/edge/station.toml"]
