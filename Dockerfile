# `essential serve` on CPUs. docs/docker.md says how to build it, and how to run it.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS dependencies
# PyTorch's index of builds for CPUs. Without it torch comes from pip's own index: on x86-64 with 4 GB of parts for GPUs.
ARG TORCH_INDEX
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /venv
ENV PATH=/venv/bin:$PATH
WORKDIR /build
COPY constraints.txt pyproject.toml ./
# The version stands for the whole package, so that a change of its code leaves this large layer as it is.
COPY src/essential/version.py src/essential/
RUN touch README.md \
    && pip install -c constraints.txt pip setuptools \
    && pip install -c constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} --no-build-isolation '.[serve]'

FROM dependencies AS package
COPY README.md LICENSE ./
COPY src src
RUN pip install --no-build-isolation --no-deps --prefix /package .

FROM ${BASE}
# Bundles, and what is downloaded for them: all that has to last is here.
ENV HOME=/data PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1
RUN useradd --uid 10001 --home-dir /data essential && install -d -o essential -g essential /data
COPY --from=dependencies /venv /venv
COPY --from=package /package /venv
USER essential
WORKDIR /data
VOLUME /data
EXPOSE 8765
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", \
    "from urllib.request import urlopen; urlopen('http://127.0.0.1:8765/api/v1/health', timeout=4)"]
ENTRYPOINT ["essential"]
CMD ["serve", "actions.bundle", "--host", "0.0.0.0"]
