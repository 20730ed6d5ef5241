#ifndef JETMON_PROBE_CARES_CHANNEL_H_
#define JETMON_PROBE_CARES_CHANNEL_H_

#include <ares.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clock/clock.h"

namespace jetmon::probe {

// A c-ares channel: its sockets, and what they tell of the resolvers that c-ares does not pass on.
// It asks DNS only. Not thread-safe.
class CaresChannel {
 public:
  // Told from inside c-ares, so it must not call into it, nor destroy the channel.
  class Owner {
   public:
    // What a socket waits for; neither: it is about to be closed.
    virtual void OnSocket(CaresChannel* channel, int fd, bool read, bool write) = 0;
    // What came in from a resolver, before c-ares has read it: over UDP a whole packet.
    virtual void OnPacket(std::string_view packet) = 0;

   protected:
    ~Owner() = default;
  };
  struct Options {
    const Clock* clock = nullptr;
    std::string servers;  // as ValidateDnsServers takes them
    std::chrono::milliseconds first_try{1000};
  };

  // ResourceExhausted when c-ares can't be set up, InvalidArgument for servers that it does not
  // take.
  static absl::StatusOr<std::unique_ptr<CaresChannel>> Create(const Options& options, Owner* owner);
  // Each query that is left is called back once more.
  ~CaresChannel();
  CaresChannel(const CaresChannel&) = delete;
  CaresChannel& operator=(const CaresChannel&) = delete;

  ares_channel handle() const { return handle_; }
  // Whether since then a resolver was found not to be there, and none has answered that still is.
  bool CutOffSince(BootTime then) const;

  // The owner's counts.
  size_t queries = 0;  // not yet called back
  size_t lookups = 0;  // not yet ended

 private:
  struct Server {
    std::string address;  // the bytes of a sockaddr
    BootTime answered, missed;
  };

  CaresChannel(const Clock* clock, Owner* owner) : clock_(clock), owner_(owner) {}
  int Open(int family, int type, int protocol);
  int Close(int fd);
  int Connect(int fd, const sockaddr* to, socklen_t size);
  ssize_t Receive(int fd, void* data, size_t size, int flags, sockaddr* from, socklen_t* from_size);
  ssize_t Send(int fd, const iovec* pieces, int count);
  // Takes note of what a socket's call failed with; errno stays.
  ssize_t Note(int fd, ssize_t result);

  const Clock* const clock_;
  Owner* const owner_;
  ares_channel handle_ = nullptr;
  std::vector<Server> servers_;              // those connected to so far
  std::unordered_map<int, size_t> sockets_;  // each one's server
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_CARES_CHANNEL_H_
