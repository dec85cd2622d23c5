# Sluice as one image: the gateway, and with another command the registrator or the embedded agent.

# Any Node with npm installs; what runs later is the Node that the lock file names. Base images are pinned by their
# exact tags; who mirrors them adds the digest that the mirror has.
FROM node:22.15.0-bookworm-slim AS install
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY tools/setup.mjs tools/node-binary.mjs tools/
# No package's install script runs; Node's binary is a package whose hash the lock file has.
# --force: packages that ask for the newer Node are installed by the older one.
RUN npm ci --omit=dev --ignore-scripts --force --no-audit --no-fund --loglevel=error \
 && node tools/setup.mjs \
 && find node_modules/isolated-vm/prebuilds -mindepth 1 -maxdepth 1 ! -name 'linux-*' -exec rm -r {} +

FROM debian:bookworm-20250929-slim
# What the Node binary is linked with, and the certificates of public authorities for Consul over TLS.
# `docker compose exec gateway sluice status` finds the command on the PATH.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates libatomic1 libstdc++6 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin sluice \
 && printf '#!/bin/sh\nexec /app/node_modules/.bin/node --disable-sigusr1 /app/gateway/cli.ts "$@"\n' \
      > /usr/local/bin/sluice \
 && chmod 755 /usr/local/bin/sluice \
 && install --directory --owner=sluice --group=sluice /var/lib/sluice /app/.cache
WORKDIR /app
COPY --from=install /app/node_modules node_modules
# What .dockerignore lets through: the sources without tests.
COPY . .
USER sluice
ENV NODE_ENV=production \
    NODE_COMPILE_CACHE=/app/.cache/compile \
    PATH=/app/node_modules/.bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# Code compiled here need not be compiled, nor stripped of its types, in each container.
RUN node gateway/cli.ts --help > /dev/null \
 && node gateway/worker/worker.ts
# The admin API is for commands in the container, which find its token in the data directory. To reach it from
# elsewhere, give it an address on a network of its own and a token: docs/admin-api.md.
ENV SLUICE_HTTP=0.0.0.0:8080 \
    SLUICE_ADMIN=127.0.0.1:1995 \
    SLUICE_DATA_DIR=/var/lib/sluice
VOLUME /var/lib/sluice
EXPOSE 8080
# Node is process 1 and handles SIGTERM, SIGINT and SIGHUP itself; there is no shell in between.
ENTRYPOINT ["node", "gateway/cli.ts"]
CMD ["start"]
STOPSIGNAL SIGTERM
# For the gateway, without --admin-cert. A container with another command switches it off.
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch('http://' + process.env.SLUICE_ADMIN.replace(/^(0\\.0\\.0\\.0)?:/, '127.0.0.1:').replace('[::]', '[::1]') + '/healthz').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
