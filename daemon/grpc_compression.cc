#include "daemon/grpc_compression.h"

#include <grpc/grpc.h>
#include <grpcpp/server_builder.h>

namespace jetmon {

void RefuseCompression(grpc::ServerBuilder& builder) {
  // Ends the call, and tells the client which encodings are taken.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  // Removes the filter that decompresses: it runs beside the refusal, and may be faster.
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
}

}  // namespace jetmon
