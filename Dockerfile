# syntax=docker/dockerfile:1
# The images of Stockade (default) and of its node agent (`--target agent`): static binaries, no shell, no libraries.
# `make image` assembles the same ones without Docker.
FROM rust:1.99.1-bookworm AS build
WORKDIR /stockade
COPY . .
ENV CARGO_TARGET_DIR=/target

FROM build AS build-stockade
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/target \
    apt-get update && e2e/cluster/rootfs stockade release /rootfs

FROM build AS build-agent
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/target \
    apt-get update && e2e/cluster/rootfs agent release /rootfs

FROM scratch AS agent
LABEL org.opencontainers.image.title=stockade-agent \
      org.opencontainers.image.licenses=Apache-2.0
COPY --from=build-agent /rootfs /
USER 0:0
ENTRYPOINT ["/stockade-agent"]

FROM gcr.io/distroless/static-debian12:nonroot
LABEL org.opencontainers.image.title=stockade \
      org.opencontainers.image.licenses=Apache-2.0
COPY --from=build-stockade /rootfs /
USER 65532:65532
ENTRYPOINT ["/stockade"]
