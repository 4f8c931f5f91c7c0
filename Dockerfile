# joey as an image: one binary, no shell, no root.
#   docker build -t joey . && joey operator --print-manifests --image joey | kubectl apply -f -
FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p joey

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/joey /joey
ENTRYPOINT ["/joey"]
