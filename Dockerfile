# The image of every process on AWS: code server, webserver, daemon, each run, and the task of the morning.
#
#   docker build --tag finops_assets .
#   docker run --rm finops_assets finops --version
#
# In production name the base by its digest: --build-arg PYTHON=python:3.13-slim-trixie@sha256:...
ARG PYTHON=python:3.13-slim-trixie

#checkov:skip=CKV_DOCKER_7:The tag is the argument's, above.
FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/venv && python -m venv /opt/build
# What is depended on first: it changes less often than the code. Every file is one whose hash is known.
COPY requirements requirements
RUN /opt/venv/bin/pip install --require-hashes --requirement requirements/deployment.txt \
    && /opt/build/bin/pip install --require-hashes --requirement requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY finops_assets finops_assets
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /opt/wheel . \
    && /opt/venv/bin/pip install --no-deps --no-index /opt/wheel/*.whl
# Two homes, of which DAGSTER_HOME names one: a task a run, or everything in one task.
COPY deploy /opt/finops
RUN mkdir -p /opt/dagster/ecs /opt/dagster/single \
    && cp /opt/finops/dagster.yaml /opt/finops/workspace.yaml /opt/dagster/ecs \
    && cp /opt/finops/workspace.yaml /opt/dagster/single \
    && /opt/venv/bin/python /opt/finops/overlay.py /opt/finops/dagster.yaml /opt/finops/single.yaml \
       > /opt/dagster/single/dagster.yaml

FROM ${PYTHON}
LABEL org.opencontainers.image.title="finops_assets" org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 finops && useradd --uid 10001 --gid finops --no-create-home --home-dir /work finops \
    && install -d -o finops -g finops /work /run-locks
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/finops /opt/finops
COPY --from=build /opt/dagster /opt/dagster
ENV PATH=/opt/venv/bin:/opt/finops:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TMPDIR=/tmp \
    DAGSTER_HOME=/opt/dagster/ecs \
    DAGSTER_GRPC_HOST=0.0.0.0 DAGSTER_GRPC_PORT=4000 \
    DAGSTER_WEBSERVER_HOST=0.0.0.0 DAGSTER_WEBSERVER_PORT=3000 \
    DAGSTER_POSTGRES_PORT=5432 PGSSLMODE=require \
    FINOPS_HOME=/work/.finops
# All that is written: everything else may be a read-only file system. /run-locks is for everything in one task, where
# the containers of code server and daemon share it.
VOLUME ["/work", "/tmp", "/run-locks"]
WORKDIR /work
USER 10001:10001
EXPOSE 3000 4000
# Of the process that was started; a run has none, and is watched by Dagster itself.
HEALTHCHECK --interval=60s --timeout=30s --start-period=180s --retries=3 \
    CMD ["python", "/opt/finops/healthcheck.py", "started"]
CMD ["start", "webserver"]
