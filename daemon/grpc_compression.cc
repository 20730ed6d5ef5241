#include "daemon/grpc_compression.h"

#include <grpc/grpc.h>
#include <grpcpp/server_builder.h>

namespace jetmon {

void RefuseCompression(grpc::ServerBuilder& builder) {
  // Ends the call, and tells the client which encodings are taken.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  // Leaves out the filter that decompresses. The refusal alone has been seen to come first; without
  // the filter nothing depends on that.
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
}

}  // namespace jetmon
