#ifndef JETMON_PROBE_IO_H_
#define JETMON_PROBE_IO_H_

#include <cstddef>
#include <string_view>

namespace jetmon::probe {

// How one step on a non-blocking connection ended.
enum class Io {
  kOk,
  kAgain,  // wait for the socket
  kEnd,    // the peer has closed its side in order (Read only)
  kError,  // the peer's fault, or the network's between
  kLocal,  // this machine's fault (no descriptor, no port, no route): says nothing about the peer
};

// A stream of bytes to and from a peer. Not thread-safe.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // kOk: `*done` bytes, at least one, were taken. kAgain, kError.
  virtual Io Write(std::string_view bytes, size_t* done) = 0;
  // kOk: `*done` bytes, at least one, were read. kAgain, kEnd, kError.
  virtual Io Read(char* buffer, size_t size, size_t* done) = 0;
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_IO_H_
