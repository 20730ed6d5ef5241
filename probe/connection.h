#ifndef JETMON_PROBE_CONNECTION_H_
#define JETMON_PROBE_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "probe/io.h"
#include "probe/ip_address.h"

namespace jetmon::probe {

// One non-blocking TCP connection to one address; owns its socket. Sends nothing by itself: whoever
// calls Connect or Write has asked the lease. Not thread-safe.
class Connection final : public ByteStream {
 public:
  Connection() = default;
  ~Connection() override { Close(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Makes a socket for the address, bound to `source` if that is of its family. kOk or kLocal. Must
  // be closed before.
  Io Prepare(const IpAddress& address, const std::optional<IpAddress>& source);
  // Begins to connect; one system call. kAgain: wait until the socket is writable, then it is
  // connected, unless it reports an error.
  Io Connect(const IpAddress& address, uint16_t port);
  // After the socket reported an error or a hang-up: kOk if it is connected all the same, or
  // kError.
  Io Connected();
  Io Write(std::string_view bytes, size_t* done) override;
  Io Read(char* buffer, size_t size, size_t* done) override;
  void Close();
  // Closes so that nothing that waits to be sent is sent any more.
  void Abort();

  int fd() const { return fd_; }        // -1 when closed
  int error() const { return error_; }  // an errno

 private:
  Io Failed(int error);

  int fd_ = -1;
  int error_ = 0;
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_CONNECTION_H_
