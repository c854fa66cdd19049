# All bases can be replaced; deploy/dev/standin-bases.sh makes local ones where no registry can be reached.
# The runtime needs glibc and libgcc, no shell: SQLite and TLS are in the binary. A distroless base is smaller.
ARG NODE_BASE=node:22-bookworm-slim
ARG BUILD_BASE=rust:1.95-bookworm
ARG RUNTIME_BASE=debian:bookworm-slim

FROM ${NODE_BASE} AS web
WORKDIR /web
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN npm ci
COPY web ./
# The types of the dashboard's operations are made from it.
COPY schema.graphql /schema.graphql
RUN npm run build

FROM ${BUILD_BASE} AS build
WORKDIR /build
# The dependencies alone, over empty sources: this layer lasts until Cargo.toml or Cargo.lock changes.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src benches data && touch src/lib.rs && echo 'fn main() {}' >src/main.rs \
    && touch $(sed -n '/^\[\[bench\]\]$/{n;s|^name = "\(.*\)"$|benches/\1.rs|p}' Cargo.toml) \
    && cargo build --release --locked
COPY build.rs ./
COPY --from=web /web/dist web/dist
COPY migrations migrations
COPY src src
# Cargo goes by modification times, and the copied files may be older than the empty ones.
RUN touch src/lib.rs src/main.rs && cargo build --release --locked

FROM ${RUNTIME_BASE}
LABEL org.opencontainers.image.title="Project Services" \
      org.opencontainers.image.description="Managed PostgreSQL and Redis for a preview platform's projects, over GraphQL" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /build/target/release/project-services /usr/local/bin/project-services
# For a PostgreSQL whose certificate a public authority has signed.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# A new volume takes its owner from the directory that it covers.
COPY --from=build --chown=65532:65532 /build/data /data
VOLUME /data
ENV DATA_DIR=/data LISTEN_ADDRESS=0.0.0.0:8080
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["project-services"]
CMD ["serve"]
