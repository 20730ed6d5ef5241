#ifndef JETMON_PROBE_CARES_RESOLVER_H_
#define JETMON_PROBE_CARES_RESOLVER_H_

#include <chrono>
#include <deque>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clock/clock.h"
#include "probe/cares_channel.h"
#include "probe/dns_cache.h"
#include "probe/resolver.h"

namespace jetmon::probe {

// Resolves by c-ares: DNS only (no /etc/hosts), names as they are (no search domains). A and AAAA
// are asked at once; a second family that stays silent is not waited for longer than `grace`. One
// lookup a name at a time. Sockets are made anew now and then, so that source ports change and
// /etc/resolv.conf is read again.
class CaresResolver final : public Resolver, private CaresChannel::Owner {
 public:
  struct Options {
    const Clock* clock = nullptr;
    int epoll_fd = -1;
    std::string servers;  // "127.0.0.1:5353,[::1]:53"; empty = those of /etc/resolv.conf
    std::shared_ptr<DnsCache> cache;
    std::chrono::milliseconds first_try{1000};  // then the next server, then twice as long
    std::chrono::milliseconds longest{5000};    // for one lookup
    // For the second family, from the answer of the first. Longer than the first try, so that one
    // lost packet does not cost the family.
    std::chrono::milliseconds grace{1500};
    // Lookups; more wait. So many that names whose servers are silent, for which each lasts the
    // longest, don't keep the others waiting: a check that waits has one, and ends as a timeout.
    size_t most_at_once = 10'000;
  };
  // How long an answer is kept of which one family failed: for the hops of one check.
  static constexpr std::chrono::seconds kPartial{5};
  // An answer with more is not believed: judging and trying them has to end.
  static constexpr size_t kMostAddresses = 128;

  // InvalidArgument for servers that ValidateDnsServers does not take; ResourceExhausted when
  // c-ares can't be set up.
  static absl::StatusOr<std::unique_ptr<Resolver>> Create(Options options);
  ~CaresResolver() override;

  std::optional<DnsAnswer> Resolve(const std::string& host, DnsWaiter* waiter) override;
  void Cancel(DnsWaiter* waiter) override;
  void OnEvents(int fd, uint32_t epoll_events) override;
  void Advance(BootTime now) override;
  std::chrono::nanoseconds Quiet(BootTime now, std::chrono::nanoseconds most) const override;

 private:
  struct Lookup;  // of one name, for all who wait for it
  struct Family;  // what it has found
  struct Query;   // of one family
  using LookupPtr = std::shared_ptr<Lookup>;

  explicit CaresResolver(Options options);
  absl::Status Renew(BootTime now);
  void Begin(const LookupPtr& lookup, BootTime now);
  void OnSocket(CaresChannel* channel, int fd, bool read, bool write) override;
  void OnPacket(std::string_view packet) override;
  void OnQueryEnd(const Query& query, int ares_status, void* addresses);
  static void Judge(const Lookup& lookup, int ares_status, Family* family);
  static DnsAnswer WithoutAddress(const Lookup& lookup);
  void Complete(const LookupPtr& lookup, BootTime now);
  void BeginWaiting(BootTime now);

  const Options options_;
  std::list<std::unique_ptr<CaresChannel>> channels_;  // the last takes new lookups
  std::unordered_map<int, CaresChannel*> sockets_;
  std::unordered_map<std::string, LookupPtr> lookups_;  // by host, waiting ones too
  std::unordered_map<DnsWaiter*, LookupPtr> waiters_;
  std::deque<LookupPtr> waiting_;
  size_t under_way_ = 0;
  BootTime renew_at_, look_at_;
  bool closing_ = false;
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_CARES_RESOLVER_H_
