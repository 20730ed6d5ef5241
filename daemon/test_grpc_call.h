#ifndef JETMON_DAEMON_TEST_GRPC_CALL_H_
#define JETMON_DAEMON_TEST_GRPC_CALL_H_

#include <cstddef>
#include <string>

namespace jetmon {

// One gRPC call as it goes over the wire, for what no client of gRPC sends.
struct RawCall {
  std::string method;      // "/package.Service/Method"
  std::string encoding;    // of the grpc-encoding header, which is left out when empty
  bool compressed = true;  // the message's flag
  std::string message;     // as it is sent
};

// More than a call that is refused may make a process grow by, its shadow memory under a sanitizer
// included, and a quarter of what 256 MiB that were decompressed take.
inline constexpr size_t kMostGrowth = size_t{64} << 20;

struct RawAnswer {
  int status = -1;  // of grpc-status; -1 when the call ended without
  std::string message;
  size_t peak_growth = 0;  // bytes by which this process grew at most while the call lasted
};

// Makes the call on a connection of its own to 127.0.0.1:`port`, and waits for its end, 20 s at
// most. The peak is this process's, so a server in the same process is measured with it.
RawAnswer CallRaw(int port, const RawCall& call);

// `size` zeros, compressed as gRPC's `encoding` ("gzip" or "deflate"): about a thousandth of them.
std::string CompressedZeros(const std::string& encoding, size_t size);

}  // namespace jetmon

#endif  // JETMON_DAEMON_TEST_GRPC_CALL_H_
