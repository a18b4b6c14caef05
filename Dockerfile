# The image of workers, API and set-up: the package alone, run by a user without rights.
FROM python:3.12.11-slim-bookworm

COPY pyproject.toml README.md LICENSE /build/
COPY lineage /build/lineage
COPY streams /build/streams
COPY schemas /build/schemas
COPY policies /build/policies
RUN pip install --no-cache-dir /build && rm -rf /build \
    && useradd --system --create-home --uid 10001 lineage \
    && install -d -o lineage -g lineage /data
USER lineage
WORKDIR /home/lineage
ENV LINEAGE_DATA=/data PYTHONUNBUFFERED=1
ENTRYPOINT ["lineage"]
