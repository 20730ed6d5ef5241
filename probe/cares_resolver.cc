#include "probe/cares_resolver.h"

#include <ares.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "probe/dns_servers.h"
#include "probe/text.h"

namespace jetmon::probe {
namespace {

using std::chrono::milliseconds;

constexpr std::chrono::seconds kChannelLife{30};
// Lookups begun in one loop, each with two packets: a resolver's socket has room for some hundreds.
constexpr int kMostBegunInALoop = 200;
// How often c-ares looks for queries to be sent again, and this for lookups that take too long.
constexpr milliseconds kLookEvery{50};
// What was not answered stays with c-ares until its last try, and each has an id of 16 bits, drawn
// until one is free.
constexpr size_t kMostQueriesOfAChannel = 20'000;
constexpr size_t kHeaderBytes = 12;
constexpr int kTypeA = 1, kTypeAaaa = 28;
// Codes of an answer.
enum { kServfail = 2, kNxdomain = 3, kRefused = 5 };

// The question that an answer repeats: "host", lower case, and the type behind it. An empty host
// for what is none.
std::pair<std::string, int> QuestionOf(std::string_view answer) {
  std::string host;
  size_t at = kHeaderBytes;
  while (at < answer.size() && answer[at] != 0) {
    const size_t length = static_cast<unsigned char>(answer[at]);
    if (length > 63 || at + 1 + length > answer.size()) return {};
    if (!host.empty()) host.push_back('.');
    for (const char c : answer.substr(at + 1, length)) {
      host.push_back(absl::ascii_tolower(static_cast<unsigned char>(c)));
    }
    at += 1 + length;
  }
  if (at + 3 > answer.size()) return {};
  return {host, static_cast<unsigned char>(answer[at + 1]) * 256 +
                    static_cast<unsigned char>(answer[at + 2])};
}

}  // namespace

// What is known of one family.
struct CaresResolver::Family {
  bool ended = false;
  DnsAnswer::Status status = DnsAnswer::Status::kTimeout;
  bool no_such_name = false;  // of no type, so it says it for the other family too
  int refused_by = 0;         // what a resolver answered without knowing: 2 SERVFAIL, 5 REFUSED...
  int ares_status = ARES_ETIMEOUT;
  std::vector<IpAddress> found;

  // Whether asking again soon would not change it.
  bool settled() const {
    return status == DnsAnswer::Status::kOk || status == DnsAnswer::Status::kNoName;
  }
};

struct CaresResolver::Lookup {
  std::string host;
  std::vector<DnsWaiter*> waiters;
  bool begun = false, ended = false;
  BootTime began;
  CaresChannel* channel = nullptr;  // until it ends
  BootTime until;                   // when it ends, answered or not
  Family v4, v6;
  int64_t ttl_s = INT32_MAX;
};

struct CaresResolver::Query {
  CaresResolver* owner;
  CaresChannel* channel;
  LookupPtr lookup;
  bool v6;
};

absl::StatusOr<std::unique_ptr<Resolver>> CaresResolver::Create(Options options) {
  if (absl::Status s = ValidateDnsServers(options.servers); !s.ok()) return s;
  std::unique_ptr<CaresResolver> resolver(new CaresResolver(std::move(options)));
  if (absl::Status s = resolver->Renew(resolver->options_.clock->Boot()); !s.ok()) return s;
  return std::unique_ptr<Resolver>(std::move(resolver));
}

CaresResolver::CaresResolver(Options options) : options_(std::move(options)) {}

CaresResolver::~CaresResolver() {
  closing_ = true;
  channels_.clear();  // each query is called back once more
}

absl::Status CaresResolver::Renew(BootTime now) {
  auto channel = CaresChannel::Create({options_.clock, options_.servers, options_.first_try}, this);
  if (!channel.ok()) return channel.status();
  channels_.push_back(*std::move(channel));
  renew_at_ = now + kChannelLife;
  return absl::OkStatus();
}

std::optional<DnsAnswer> CaresResolver::Resolve(const std::string& host, DnsWaiter* waiter) {
  const BootTime now = options_.clock->Boot();
  if (auto cached = options_.cache->Find(host, now); cached.has_value()) return cached;
  LookupPtr& lookup = lookups_[host];
  if (lookup == nullptr) {
    lookup = std::make_shared<Lookup>();
    lookup->host = host;
    waiting_.push_back(lookup);
  }
  lookup->waiters.push_back(waiter);
  waiters_[waiter] = lookup;
  // It is begun in Advance, so that no waiter is told from in here.
  return std::nullopt;
}

void CaresResolver::Cancel(DnsWaiter* waiter) {
  const auto at = waiters_.find(waiter);
  if (at == waiters_.end()) return;
  const LookupPtr lookup = std::move(at->second);
  waiters_.erase(at);
  std::erase(lookup->waiters, waiter);
  // One that was sent goes on, for the cache.
  if (lookup->waiters.empty() && !lookup->begun) lookups_.erase(lookup->host);
}

void CaresResolver::BeginWaiting(BootTime now) {
  int begun = 0;
  while (under_way_ < options_.most_at_once && !waiting_.empty() && begun < kMostBegunInALoop) {
    const LookupPtr lookup = std::move(waiting_.front());
    waiting_.pop_front();
    if (lookup->waiters.empty()) continue;
    Begin(lookup, now);
    ++begun;
  }
}

void CaresResolver::Begin(const LookupPtr& lookup, BootTime now) {
  // If no other can be made this one has to do.
  if (channels_.back()->queries >= kMostQueriesOfAChannel) (void)Renew(now);
  lookup->begun = true;
  lookup->began = now;
  lookup->until = now + options_.longest;
  ++under_way_;
  CaresChannel* channel = lookup->channel = channels_.back().get();
  ++channel->lookups;
  // With the dot, c-ares asks for it as it is: else, whatever its flags say, it tries search
  // domains too, and knows "localhost" by itself.
  const std::string name = lookup->host + ".";
  ares_addrinfo_hints hints{};
  hints.ai_flags = ARES_AI_NOSORT;
  hints.ai_socktype = SOCK_STREAM;
  for (const bool v6 : {false, true}) {
    hints.ai_family = v6 ? AF_INET6 : AF_INET;
    ++channel->queries;
    ares_getaddrinfo(
        channel->handle(), name.c_str(), nullptr, &hints,
        [](void* data, int status, int, ares_addrinfo* addresses) {
          const std::unique_ptr<Query> query(static_cast<Query*>(data));
          --query->channel->queries;
          query->owner->OnQueryEnd(*query, status, addresses);
          if (addresses != nullptr) ares_freeaddrinfo(addresses);
        },
        new Query{this, channel, lookup, v6});
  }
}

// c-ares tells no more of a resolver that does not know than of one that it could not ask, and
// nothing while it asks the next: so this reads, in what comes in, who knew nothing of what.
// Over TCP a packet may come in pieces and is not read; it follows one over UDP, which was.
void CaresResolver::OnPacket(std::string_view packet) {
  if (packet.size() < kHeaderBytes) return;
  const int code = packet[3] & 15;
  if (code == 0 || code == kNxdomain) return;
  const auto [host, type] = QuestionOf(packet);
  const auto at = lookups_.find(host);
  if (at == lookups_.end() || !at->second->begun) return;
  if (type == kTypeA) at->second->v4.refused_by = code;
  if (type == kTypeAaaa) at->second->v6.refused_by = code;
}

void CaresResolver::OnQueryEnd(const Query& query, int ares_status, void* addresses) {
  Lookup& lookup = *query.lookup;
  if (closing_ || lookup.ended) return;
  Family& family = query.v6 ? lookup.v6 : lookup.v4;
  if (ares_status == ARES_SUCCESS && addresses != nullptr) {
    const auto* info = static_cast<const ares_addrinfo*>(addresses);
    for (const ares_addrinfo_cname* c = info->cnames; c != nullptr; c = c->next) {
      lookup.ttl_s = std::min<int64_t>(lookup.ttl_s, c->ttl);
    }
    for (const ares_addrinfo_node* n = info->nodes; n != nullptr; n = n->ai_next) {
      IpAddress address;
      if (n->ai_family == AF_INET && !query.v6) {
        const auto* in = reinterpret_cast<const sockaddr_in*>(n->ai_addr);
        std::memcpy(address.bytes.data(), &in->sin_addr, 4);
      } else if (n->ai_family == AF_INET6 && query.v6) {
        address.family = IpAddress::Family::kV6;
        const auto* in = reinterpret_cast<const sockaddr_in6*>(n->ai_addr);
        std::memcpy(address.bytes.data(), &in->sin6_addr, 16);
      } else {
        continue;
      }
      lookup.ttl_s = std::min<int64_t>(lookup.ttl_s, n->ai_ttl);
      std::vector<IpAddress>& found = family.found;
      const bool known = std::find(found.begin(), found.end(), address) != found.end();
      if (!known && found.size() <= kMostAddresses) found.push_back(address);
    }
  }
  if (ares_status == ARES_SUCCESS && family.found.empty()) ares_status = ARES_ENODATA;
  Judge(lookup, ares_status, &family);
  const BootTime now = options_.clock->Boot();
  if (lookup.v4.ended && lookup.v6.ended) return Complete(query.lookup, now);
  if (ares_status == ARES_SUCCESS) lookup.until = std::min(lookup.until, now + options_.grace);
}

// What c-ares' last word on one family says of the name, or of the way to its servers.
void CaresResolver::Judge(const Lookup& lookup, int ares_status, Family* family) {
  using Status = DnsAnswer::Status;
  const CaresChannel& channel = *lookup.channel;
  family->ended = true;
  family->ares_status = ares_status;
  switch (ares_status) {
    case ARES_SUCCESS:
      family->status = Status::kOk;
      return;
    case ARES_ENOTFOUND:
      family->no_such_name = true;
      [[fallthrough]];
    case ARES_ENODATA:
    case ARES_EBADNAME:
      family->status = Status::kNoName;
      return;
    case ARES_ETIMEOUT:
      family->status = channel.CutOffSince(lookup.began) ? Status::kLocal : Status::kTimeout;
      break;
    // No resolver that could be asked, no descriptor to ask with: unless one did answer.
    case ARES_ECONNREFUSED:
    case ARES_ENOMEM:
    case ARES_EFILE:
      family->status = Status::kLocal;
      break;
    default:
      family->status = Status::kFailed;
  }
  if (family->refused_by != 0) family->status = Status::kFailed;
}

// What two answers without any address come to. What could not be asked from here may have an
// answer; that the name does not exist is true of both families; else the first that failed counts.
DnsAnswer CaresResolver::WithoutAddress(const Lookup& lookup) {
  using Status = DnsAnswer::Status;
  for (const Family* family : {&lookup.v4, &lookup.v6}) {
    if (family->status == Status::kLocal) {
      return {Status::kLocal, "no resolver can be reached", {}, false};
    }
  }
  if (lookup.v4.no_such_name || lookup.v6.no_such_name) {
    return {Status::kNoName, "no such name", {}, false};
  }
  const Family& family = lookup.v4.settled() ? lookup.v6 : lookup.v4;
  const bool no_name = family.status == Status::kNoName;
  switch (no_name ? 0 : family.refused_by) {
    case 0:
      break;
    case kServfail:
      return {Status::kFailed, "the resolver says SERVFAIL", {}, false};
    case kRefused:
      return {Status::kFailed, "the resolver says REFUSED", {}, false};
    default:
      return {Status::kFailed, Cat("the resolver says code ", family.refused_by), {}, false};
  }
  return {family.status,
          no_name ? "the name has no address" : ares_strerror(family.ares_status),
          {},
          false};
}

void CaresResolver::Complete(const LookupPtr& lookup, BootTime now) {
  using Status = DnsAnswer::Status;
  for (Family* family : {&lookup->v4, &lookup->v6}) {
    if (!family->ended) Judge(*lookup, ARES_ETIMEOUT, family);
  }
  DnsAnswer answer;
  answer.addresses = std::move(lookup->v4.found);
  answer.addresses.insert(answer.addresses.end(), lookup->v6.found.begin(), lookup->v6.found.end());
  if (answer.addresses.empty()) {
    answer = WithoutAddress(*lookup);
  } else if (answer.addresses.size() > kMostAddresses) {
    answer = {Status::kFailed, "more than 128 addresses", {}, false};
  } else {
    answer.status = Status::kOk;
  }
  lookup->ended = true;
  --lookup->channel->lookups;
  --under_way_;
  lookups_.erase(lookup->host);
  if (lookup->v4.settled() && lookup->v6.settled()) {
    options_.cache->Put(lookup->host, answer, std::chrono::seconds(lookup->ttl_s), now);
  } else if (answer.status == Status::kOk) {
    options_.cache->Put(lookup->host, answer,
                        std::min(kPartial, std::chrono::seconds(lookup->ttl_s)), now);
  }
  while (!lookup->waiters.empty()) {
    DnsWaiter* waiter = lookup->waiters.back();
    lookup->waiters.pop_back();
    waiters_.erase(waiter);
    waiter->OnDnsAnswer(answer);
  }
}

void CaresResolver::OnSocket(CaresChannel* channel, int fd, bool read, bool write) {
  if (!read && !write) {
    sockets_.erase(fd);
    epoll_ctl(options_.epoll_fd, EPOLL_CTL_DEL, fd, nullptr);
    return;
  }
  epoll_event event{};
  event.events = (read ? EPOLLIN : 0u) | (write ? EPOLLOUT : 0u);
  event.data.u64 = EventTag(fd);
  const bool known = !sockets_.emplace(fd, channel).second;
  epoll_ctl(options_.epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
}

void CaresResolver::OnEvents(int fd, uint32_t epoll_events) {
  const auto at = sockets_.find(fd);
  if (at == sockets_.end()) return;
  const bool broken = (epoll_events & (EPOLLERR | EPOLLHUP)) != 0;
  const bool read = broken || (epoll_events & EPOLLIN) != 0;
  const bool write = (epoll_events & EPOLLOUT) != 0;
  ares_process_fd(at->second->handle(), read ? fd : ARES_SOCKET_BAD, write ? fd : ARES_SOCKET_BAD);
}

void CaresResolver::Advance(BootTime now) {
  // A channel that can't be made leaves the one before in service.
  if (now >= renew_at_ && !waiting_.empty() && !Renew(now).ok()) renew_at_ = now + kChannelLife;
  if (now < look_at_) return BeginWaiting(now);
  look_at_ = now + kLookEvery;
  // What has come is read before anything is found to be late: on a busy reactor its event may have
  // to wait behind those of a thousand checks.
  std::vector<int> readable;
  for (const auto& [fd, channel] : sockets_) readable.push_back(fd);
  for (const int fd : readable) OnEvents(fd, EPOLLIN);
  for (const auto& channel : channels_) {
    if (channel->queries > 0) {
      ares_process_fd(channel->handle(), ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    }
  }
  std::vector<LookupPtr> late;
  for (const auto& [host, lookup] : lookups_) {
    if (lookup->begun && lookup->until <= now) late.push_back(lookup);
  }
  for (const LookupPtr& lookup : late) {
    if (!lookup->ended) Complete(lookup, now);
  }
  BeginWaiting(now);
  // What such a channel still asks for nobody waits for.
  while (channels_.size() > 1 && channels_.front()->lookups == 0) channels_.pop_front();
}

std::chrono::nanoseconds CaresResolver::Quiet(BootTime now, std::chrono::nanoseconds most) const {
  if (lookups_.empty()) return most;
  if (!waiting_.empty() && under_way_ < options_.most_at_once) return std::chrono::nanoseconds(0);
  return std::clamp<std::chrono::nanoseconds>(look_at_ - now, std::chrono::nanoseconds(0), most);
}

}  // namespace jetmon::probe
