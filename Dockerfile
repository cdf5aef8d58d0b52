FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
# The same flags as "make build".
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/zmsg ./cmd/server

# No shell, no libc, no package manager: the binary, certificates and time zones.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/zmsg /zmsg
# A number, so that Kubernetes can see it is not root.
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["/zmsg", "healthcheck"]
ENTRYPOINT ["/zmsg"]
