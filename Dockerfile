# syntax of this file is plain: it builds with docker, podman and buildah alike.
#
#   buildah bud --layers --timestamp 0 -t okta-user-sync .
#   docker buildx build --platform linux/amd64,linux/arm64 -t okta-user-sync .
#
# The result holds one static binary, the certificate authorities, and nothing else: no shell, no package manager.

ARG RUST=1.89
FROM rust:${RUST}-alpine AS build
# aws-lc is C: a compiler and make it need, cmake and perl only where no prebuilt assembler fits.
RUN apk add --no-cache build-base cmake perl ca-certificates
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
# The same bytes from the same commit, whoever builds: no paths of this machine, no time but the commit's, one unit.
ARG SOURCE_DATE_EPOCH=0
ENV SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1 \
    CARGO_PROFILE_RELEASE_DEBUG=false \
    CARGO_PROFILE_RELEASE_LTO=fat \
    CARGO_PROFILE_RELEASE_STRIP=symbols \
    CARGO_INCREMENTAL=0 \
    RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=/src=. --remap-path-prefix=/usr/local/cargo=cargo"
# Without the simulators and the demo.
RUN cargo auditable build --locked --release --package okta-user-sync --no-default-features \
 && install -D -m 0755 target/release/okta-user-sync /root-fs/usr/local/bin/okta-user-sync \
 && install -D -m 0644 /etc/ssl/certs/ca-certificates.crt /root-fs/etc/ssl/certs/ca-certificates.crt \
 && printf 'nonroot:x:65532:65532::/:/nonexistent\n' > /root-fs/etc/passwd \
 && find /root-fs -exec touch --no-dereference --date=@${SOURCE_DATE_EPOCH} {} +

FROM scratch
COPY --from=build /root-fs/ /
LABEL org.opencontainers.image.title="okta-user-sync" \
      org.opencontainers.image.description="Keeps the people of Okta apps as Teleport users" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/okta-user-sync"]
CMD ["operator"]
