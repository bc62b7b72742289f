# syntax=docker/dockerfile:1
# The image of Stockade: one static binary, no shell, no libraries, an unprivileged user. `make image` assembles the
# same one without Docker.
FROM rust:1.99.1-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends musl-tools && rm -rf /var/lib/apt/lists/*
WORKDIR /stockade
COPY . .
ENV CARGO_TARGET_DIR=/target
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/target \
    target="$(uname -m)-unknown-linux-musl" && \
    rustup target add "$target" && \
    cargo build --release --locked --target "$target" -p stockade && \
    cp "/target/$target/release/stockade" /stockade.bin && \
    strip /stockade.bin

FROM gcr.io/distroless/static-debian12:nonroot
LABEL org.opencontainers.image.title=stockade \
      org.opencontainers.image.licenses=Apache-2.0
COPY --from=build /stockade.bin /stockade
USER 65532:65532
ENTRYPOINT ["/stockade"]
