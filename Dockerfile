# syntax of this file is plain: it builds with docker, podman and buildah alike.
#
#   buildah bud --layers --timestamp 0 -t okta-user-sync .
#   docker buildx build --platform linux/amd64,linux/arm64 -t okta-user-sync .
#
# The result holds one static binary, the certificate authorities, and nothing else: no shell, no package manager. On a
# machine with Rust the same image needs no other image to be fetched: image/build, then image/pack.

# Later than what the sources need: see image/build.
ARG RUST=1.93
FROM rust:${RUST}-alpine AS build
# aws-lc is C: a compiler and make it need, cmake and perl only where no prebuilt assembler fits.
RUN apk add --no-cache bash build-base cmake coreutils perl
# Dependencies are listed inside the binary, so that a scanner of the image finds them.
RUN cargo install --locked --version 0.7.7 cargo-auditable
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY crates crates
COPY tests tests
COPY crds crds
COPY charts charts
COPY examples examples
COPY benches benches
COPY image image
ARG SOURCE_DATE_EPOCH=0
RUN SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH}" image/build /root-fs

FROM scratch
COPY --from=build /root-fs/ /
LABEL org.opencontainers.image.title="okta-user-sync" \
      org.opencontainers.image.description="Keeps the people of Okta apps as Teleport users" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/okta-user-sync"]
CMD ["operator"]
