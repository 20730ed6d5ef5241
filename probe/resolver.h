#ifndef JETMON_PROBE_RESOLVER_H_
#define JETMON_PROBE_RESOLVER_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "clock/clock.h"
#include "probe/ip_address.h"

namespace jetmon::probe {

struct DnsAnswer {
  enum class Status {
    kOk,       // at least one address
    kNoName,   // no such name, or a name without addresses
    kFailed,   // SERVFAIL, refused, malformed: the name's servers, as far as can be told
    kTimeout,  // no resolver has answered
    kLocal,    // no resolver can be reached from here: says nothing about the name
  };
  Status status = Status::kFailed;
  std::string error;                 // one printable line, at most 200 bytes; empty for kOk
  std::vector<IpAddress> addresses;  // of both families, IPv4 first; at most 128
  bool cached = false;
};

// Waits for an answer.
class DnsWaiter {
 public:
  virtual void OnDnsAnswer(const DnsAnswer& answer) = 0;

 protected:
  ~DnsWaiter() = default;
};

// Resolves host names for one reactor, on its thread and with its epoll set. Not thread-safe.
class Resolver {
 public:
  virtual ~Resolver() = default;
  // The cached answer, or nullopt: then the waiter is told later, once, from inside OnEvents or
  // Advance, never from inside Resolve; unless Cancel comes first. `host` is lower case, at most
  // 255 bytes, no address.
  virtual std::optional<DnsAnswer> Resolve(const std::string& host, DnsWaiter* waiter) = 0;
  virtual void Cancel(DnsWaiter* waiter) = 0;

  // The reactor's part. The sockets are registered in its epoll set with EventTag(fd) as data.
  virtual void OnEvents(int fd, uint32_t epoll_events) = 0;
  virtual void Advance(BootTime now) = 0;
  // How long Advance need not be called, at most `most`.
  virtual std::chrono::nanoseconds Quiet(BootTime now, std::chrono::nanoseconds most) const = 0;

  // Odd, and so never a pointer.
  static uint64_t EventTag(int fd) { return (static_cast<uint64_t>(fd) << 1) | 1; }
  static bool IsEventTag(uint64_t data) { return (data & 1) != 0; }
  static int FdOfEventTag(uint64_t data) { return static_cast<int>(data >> 1); }
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_RESOLVER_H_
