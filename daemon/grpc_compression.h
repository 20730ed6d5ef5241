#ifndef JETMON_DAEMON_GRPC_COMPRESSION_H_
#define JETMON_DAEMON_GRPC_COMPRESSION_H_

namespace grpc {
class ServerBuilder;
}  // namespace grpc

namespace jetmon {

// Makes the server refuse compressed messages: gRPC decompresses a message before anybody knows
// who sent it, and holds only the compressed one against its limit of size, so that 256 KiB of
// gzip become 256 MiB. A call that declares gzip or deflate ends with UNIMPLEMENTED,
// "Compression algorithm 'gzip' is disabled."; one that flags a message as compressed without
// declaring how ends with an error of its decoding. Nothing is decompressed in either case.
// Answers are not compressed.
void RefuseCompression(grpc::ServerBuilder& builder);

}  // namespace jetmon

#endif  // JETMON_DAEMON_GRPC_COMPRESSION_H_
