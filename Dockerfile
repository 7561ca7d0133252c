# The service, for a CPU or an NVIDIA GPU. Build: docker compose build. The collection is mounted, not copied in.
FROM python:3.11-slim-bookworm

# OMP_WAIT_POLICY is read by the OpenMP runtimes when they are loaded; see docs/architecture.md, "Threads and memory".
ENV OMP_WAIT_POLICY=PASSIVE \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HDHE_HOST=0.0.0.0 \
    HDHE_COLLECTION=/collection \
    HDHE_LOG_FORMAT=json

WORKDIR /app
COPY pyproject.toml README.md LICENSE hdhe.py ./
COPY indexes indexes
COPY retrieval retrieval
COPY training training
COPY service service
RUN pip install --no-cache-dir '.[milvus]' \
    && useradd --create-home --uid 1000 hdhe \
    && install --directory --owner hdhe /collection

USER hdhe
EXPOSE 8000
# Ready, not merely up: until the model and the index are loaded nobody should send requests here.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
CMD ["hdhe", "serve"]
