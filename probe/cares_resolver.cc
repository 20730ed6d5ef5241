#include "probe/cares_resolver.h"

#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "probe/text.h"

namespace jetmon::probe {
namespace {

using std::chrono::milliseconds;

constexpr std::chrono::seconds kChannelLife{30};
constexpr int kTries = 3;
constexpr size_t kMostServers = 16;
constexpr int kReceiveBytes = 1 << 20;  // answers to a thousand lookups may come at once
// How often c-ares looks for queries to be sent again, and this for lookups that take too long.
constexpr milliseconds kLookEvery{20};
constexpr char kDnsOnly[] = "b";

bool InitLibrary() {
  static const bool ok = ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS;
  return ok;
}

// "192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]", "[2001:db8::53]:5353". c-ares
// itself would take 127.1, and read port 65537 as 1.
bool IsServer(std::string_view text) {
  std::string_view address = text, port;
  if (text.starts_with("[")) {
    const size_t end = text.find(']');
    if (end == text.npos) return false;
    address = text.substr(1, end - 1);
    if (address.find(':') == address.npos) return false;
    port = text.substr(end + 1);
    if (!port.empty() && !port.starts_with(":")) return false;
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    address = text.substr(0, text.find(':'));
    port = text.substr(address.size());
  }
  if (!ParseIpAddress(address).ok()) return false;
  if (port.empty()) return true;
  port.remove_prefix(1);
  if (!AllDigits(port) || port.size() > 5) return false;
  const int number = std::stoi(std::string(port));
  return number >= 1 && number <= 65535;
}

// Only what c-ares says of a name, or of its servers by way of a resolver. Of a resolver that could
// not be asked, and of one that did not know, it says the same: see Channel.
DnsAnswer::Status StatusOf(int ares_status) {
  switch (ares_status) {
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_EBADNAME:
      return DnsAnswer::Status::kNoName;
    case ARES_ETIMEOUT:
      return DnsAnswer::Status::kTimeout;
    case ARES_ENOMEM:
    case ARES_EFILE:
      return DnsAnswer::Status::kLocal;
    default:
      return DnsAnswer::Status::kFailed;
  }
}

}  // namespace

struct CaresResolver::Channel {
  CaresResolver* owner = nullptr;
  ares_channel handle = nullptr;
  size_t queries = 0;  // not yet called back
  // When a resolver last answered, whatever it said, and when one last was found not to be there.
  BootTime answered, unreachable;
  ~Channel() {
    if (handle != nullptr) ares_destroy(handle);
  }

  // Takes note of what a socket's call came to; errno stays.
  ssize_t Note(ssize_t result, bool received) {
    const int error = errno;
    if (result > 0 && received) answered = owner->options_.clock->Boot();
    if (result < 0 && error != EAGAIN && error != EINTR && error != EINPROGRESS) {
      unreachable = owner->options_.clock->Boot();
    }
    errno = error;
    return result;
  }
};

namespace {

int OpenSocket(int family, int type, int protocol, void*) {
  const int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (fd >= 0 && type == SOCK_DGRAM) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kReceiveBytes, sizeof(kReceiveBytes));
  }
  return fd;
}

int CloseSocket(int fd, void*) { return close(fd); }

}  // namespace

struct CaresResolver::Lookup {
  std::string host;
  std::vector<DnsWaiter*> waiters;
  bool begun = false, ended = false;
  BootTime began;
  Channel* channel = nullptr;  // while it has queries
  int queries = 0;             // of the two, not yet answered
  BootTime until;              // when it ends, answered or not
  std::vector<IpAddress> v4, v6;
  int64_t ttl_s = INT32_MAX;
  // ARES_SUCCESS: addresses were found.
  int status4 = ARES_ETIMEOUT, status6 = ARES_ETIMEOUT;
};

struct CaresResolver::Query {
  Channel* channel;
  LookupPtr lookup;
  bool v6;
};

absl::Status CaresResolver::ValidateServers(const std::string& servers) {
  size_t count = 0;
  for (std::string_view left = servers; !servers.empty(); ++count) {
    const size_t comma = left.find(',');
    const std::string_view item = left.substr(0, comma);
    if (count == kMostServers) return absl::InvalidArgumentError("--resolvers takes 16 at most");
    if (!IsServer(item)) {
      return absl::InvalidArgumentError(
          Cat("--resolvers takes IP addresses with or without a port, by commas, such as "
              "192.0.2.53,[2001:db8::53]:5353; not \"",
              OneLine(item, 60), "\""));
    }
    if (comma == left.npos) break;
    left.remove_prefix(comma + 1);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Resolver>> CaresResolver::Create(Options options) {
  if (absl::Status s = ValidateServers(options.servers); !s.ok()) return s;
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
  ares_options settings{};
  settings.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
  settings.timeout = static_cast<int>(options_.first_try.count());
  settings.tries = kTries;
  settings.lookups = const_cast<char*>(kDnsOnly);
  auto channel = std::make_unique<Channel>();
  channel->owner = this;
  settings.sock_state_cb_data = channel.get();
  settings.sock_state_cb = [](void* data, ares_socket_t fd, int read, int write) {
    auto* of = static_cast<Channel*>(data);
    of->owner->OnSocket(of, fd, read != 0, write != 0);
  };
  const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
                   ARES_OPT_SOCK_STATE_CB;
  if (!InitLibrary() || ares_init_options(&channel->handle, &settings, mask) != ARES_SUCCESS) {
    return absl::ResourceExhaustedError("probe: c-ares can't be set up");
  }
  const std::string& servers = options_.servers;
  if (!servers.empty() &&
      ares_set_servers_ports_csv(channel->handle, servers.c_str()) != ARES_SUCCESS) {
    return absl::InvalidArgumentError("--resolvers: c-ares does not take these");
  }
  static const ares_socket_functions sockets = {
      OpenSocket, CloseSocket,
      [](int fd, const sockaddr* to, socklen_t size, void* of) {
        return static_cast<int>(static_cast<Channel*>(of)->Note(connect(fd, to, size), false));
      },
      [](int fd, void* data, size_t size, int flags, sockaddr* from, socklen_t* from_size,
         void* of) -> ares_ssize_t {
        const ssize_t n = recvfrom(fd, data, size, flags, from, from_size);
        return static_cast<Channel*>(of)->Note(n, true);
      },
      [](int fd, const iovec* pieces, int count, void* of) -> ares_ssize_t {
        msghdr message{};
        message.msg_iov = const_cast<iovec*>(pieces);
        message.msg_iovlen = static_cast<size_t>(count);
        return static_cast<Channel*>(of)->Note(sendmsg(fd, &message, MSG_NOSIGNAL), false);
      }};
  ares_set_socket_functions(channel->handle, &sockets, channel.get());
  channels_.push_back(std::move(channel));
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
  while (under_way_ < options_.most_at_once && !waiting_.empty()) {
    const LookupPtr lookup = std::move(waiting_.front());
    waiting_.pop_front();
    if (!lookup->waiters.empty()) Begin(lookup, now);
  }
}

void CaresResolver::Begin(const LookupPtr& lookup, BootTime now) {
  lookup->begun = true;
  lookup->began = now;
  lookup->until = now + options_.longest;
  lookup->queries = 2;
  ++under_way_;
  Channel* channel = lookup->channel = channels_.back().get();
  ares_addrinfo_hints hints{};
  hints.ai_flags = ARES_AI_NOSORT;
  hints.ai_socktype = SOCK_STREAM;
  for (const bool v6 : {false, true}) {
    hints.ai_family = v6 ? AF_INET6 : AF_INET;
    ++channel->queries;
    ares_getaddrinfo(
        channel->handle, lookup->host.c_str(), nullptr, &hints,
        [](void* data, int status, int, ares_addrinfo* addresses) {
          const std::unique_ptr<Query> query(static_cast<Query*>(data));
          --query->channel->queries;
          query->channel->owner->OnQueryEnd(*query, status, addresses);
          if (addresses != nullptr) ares_freeaddrinfo(addresses);
        },
        new Query{channel, lookup, v6});
  }
}

void CaresResolver::OnQueryEnd(const Query& query, int ares_status, void* addresses) {
  Lookup& lookup = *query.lookup;
  if (closing_ || lookup.ended) return;
  std::vector<IpAddress>& found = query.v6 ? lookup.v6 : lookup.v4;
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
      const bool known = std::find(found.begin(), found.end(), address) != found.end();
      if (!known && found.size() <= kMostAddresses) found.push_back(address);
    }
  }
  if (ares_status == ARES_SUCCESS && found.empty()) ares_status = ARES_ENODATA;
  (query.v6 ? lookup.status6 : lookup.status4) = ares_status;
  const BootTime now = options_.clock->Boot();
  if (--lookup.queries == 0) return Complete(query.lookup, now, false);
  if (ares_status == ARES_SUCCESS) lookup.until = std::min(lookup.until, now + kGrace);
}

DnsAnswer CaresResolver::WithoutAddress(const Lookup& lookup, int ares_status) {
  using Status = DnsAnswer::Status;
  if (ares_status == ARES_ECONNREFUSED || ares_status == ARES_ETIMEOUT) {
    const Channel& channel = *lookup.channel;
    if (channel.answered < lookup.began && channel.unreachable >= lookup.began) {
      return {Status::kLocal, "no resolver can be reached", {}, false};
    }
    if (ares_status == ARES_ECONNREFUSED) {
      return {Status::kFailed, "the name's servers fail (SERVFAIL or REFUSED)", {}, false};
    }
  }
  const Status status = StatusOf(ares_status);
  const bool no_name = status == Status::kNoName;
  return {status, no_name ? "the name has no address" : ares_strerror(ares_status), {}, false};
}

// What two answers come to. A name that does not exist, or has no address of one family, says
// nothing of the other's failure.
void CaresResolver::Complete(const LookupPtr& lookup, BootTime now, bool timed_out) {
  using Status = DnsAnswer::Status;
  DnsAnswer answer;
  answer.addresses = std::move(lookup->v4);
  answer.addresses.insert(answer.addresses.end(), lookup->v6.begin(), lookup->v6.end());
  const bool no_name = lookup->status4 == ARES_ENOTFOUND || lookup->status6 == ARES_ENOTFOUND;
  int worse = lookup->status4;
  if (StatusOf(worse) == Status::kNoName || StatusOf(worse) == Status::kLocal) {
    worse = lookup->status6;
  }
  if (!answer.addresses.empty()) {
    answer.status = Status::kOk;
    if (answer.addresses.size() > kMostAddresses) {
      answer = {Status::kFailed, "more than 128 addresses", {}, false};
    }
  } else if (no_name) {
    answer = {Status::kNoName, "no such name", {}, false};
  } else {
    answer = WithoutAddress(*lookup, worse);
  }
  lookup->ended = true;
  --under_way_;
  lookups_.erase(lookup->host);
  // An answer of which a part is missing is not kept.
  if (!timed_out) {
    options_.cache->Put(lookup->host, answer, std::chrono::seconds(lookup->ttl_s), now);
  }
  while (!lookup->waiters.empty()) {
    DnsWaiter* waiter = lookup->waiters.back();
    lookup->waiters.pop_back();
    waiters_.erase(waiter);
    waiter->OnDnsAnswer(answer);
  }
}

void CaresResolver::OnSocket(Channel* channel, int fd, bool read, bool write) {
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
  ares_process_fd(at->second->handle, read ? fd : ARES_SOCKET_BAD, write ? fd : ARES_SOCKET_BAD);
}

void CaresResolver::Advance(BootTime now) {
  // A channel that can't be made leaves the one before in service.
  if (now >= renew_at_ && !waiting_.empty() && !Renew(now).ok()) renew_at_ = now + kChannelLife;
  BeginWaiting(now);
  if (now < look_at_) return;
  look_at_ = now + kLookEvery;
  // What has come is read before anything is found to be late: on a busy reactor its event may have
  // to wait behind those of a thousand checks.
  std::vector<int> readable;
  for (const auto& [fd, channel] : sockets_) readable.push_back(fd);
  for (const int fd : readable) OnEvents(fd, EPOLLIN);
  for (const auto& channel : channels_) {
    if (channel->queries > 0) {
      ares_process_fd(channel->handle, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    }
  }
  std::vector<LookupPtr> late;
  for (const auto& [host, lookup] : lookups_) {
    if (lookup->begun && lookup->until <= now) late.push_back(lookup);
  }
  for (const LookupPtr& lookup : late) {
    if (!lookup->ended) Complete(lookup, now, true);
  }
  if (!late.empty()) BeginWaiting(now);
  while (channels_.size() > 1 && channels_.front()->queries == 0) channels_.pop_front();
}

std::chrono::nanoseconds CaresResolver::Quiet(BootTime now, std::chrono::nanoseconds most) const {
  if (lookups_.empty()) return most;
  if (!waiting_.empty() && under_way_ < options_.most_at_once) return std::chrono::nanoseconds(0);
  return std::clamp<std::chrono::nanoseconds>(look_at_ - now, std::chrono::nanoseconds(0), most);
}

}  // namespace jetmon::probe
