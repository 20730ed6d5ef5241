#ifndef JETMON_PROBE_CARES_RESOLVER_H_
#define JETMON_PROBE_CARES_RESOLVER_H_

#include <chrono>
#include <deque>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clock/clock.h"
#include "probe/dns_cache.h"
#include "probe/resolver.h"

namespace jetmon::probe {

// Resolves by c-ares: DNS only (no /etc/hosts), names as they are (no search domains). A and AAAA
// are asked at once; a second family that stays silent is not waited for longer than kGrace. One
// lookup a name at a time. Sockets are made anew now and then, so that source ports change.
class CaresResolver final : public Resolver {
 public:
  struct Options {
    const Clock* clock = nullptr;
    int epoll_fd = -1;
    std::string servers;  // "127.0.0.1:5353,[::1]:53"; empty = those of /etc/resolv.conf
    std::shared_ptr<DnsCache> cache;
    std::chrono::milliseconds first_try{1000};  // then the next server, then twice as long
    std::chrono::milliseconds longest{5000};    // for one lookup
    size_t most_at_once = 1000;                 // lookups; more wait
  };
  static constexpr std::chrono::milliseconds kGrace{1000};
  // An answer with more is not believed: judging and trying them has to end.
  static constexpr size_t kMostAddresses = 128;

  // OK or InvalidArgument naming --resolvers: at most 16, each an address, maybe with a port.
  static absl::Status ValidateServers(const std::string& servers);
  // InvalidArgument as above; ResourceExhausted when c-ares can't be set up.
  static absl::StatusOr<std::unique_ptr<Resolver>> Create(Options options);
  ~CaresResolver() override;

  std::optional<DnsAnswer> Resolve(const std::string& host, DnsWaiter* waiter) override;
  void Cancel(DnsWaiter* waiter) override;
  void OnEvents(int fd, uint32_t epoll_events) override;
  void Advance(BootTime now) override;
  std::chrono::nanoseconds Quiet(BootTime now, std::chrono::nanoseconds most) const override;

 private:
  struct Channel;  // a c-ares channel with its sockets
  struct Lookup;   // of one name, for all who wait for it
  struct Query;    // of one family
  using LookupPtr = std::shared_ptr<Lookup>;

  explicit CaresResolver(Options options);
  absl::Status Renew(BootTime now);
  void Begin(const LookupPtr& lookup, BootTime now);
  void OnSocket(Channel* channel, int fd, bool read, bool write);
  void OnQueryEnd(const Query& query, int ares_status, void* addresses);
  static DnsAnswer WithoutAddress(const Lookup& lookup, int ares_status);
  void Complete(const LookupPtr& lookup, BootTime now, bool timed_out);
  void BeginWaiting(BootTime now);

  const Options options_;
  std::list<std::unique_ptr<Channel>> channels_;  // the last takes new lookups
  std::unordered_map<int, Channel*> sockets_;
  std::unordered_map<std::string, LookupPtr> lookups_;  // by host, waiting ones too
  std::unordered_map<DnsWaiter*, LookupPtr> waiters_;
  std::deque<LookupPtr> waiting_;
  size_t under_way_ = 0;
  BootTime renew_at_, look_at_;
  bool closing_ = false;
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_CARES_RESOLVER_H_
