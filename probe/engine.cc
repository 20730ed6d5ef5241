#include "probe/engine.h"

#include <algorithm>
#include <utility>

#include "probe/cares_resolver.h"
#include "probe/ip_address.h"
#include "probe/openssl_client.h"
#include "probe/reactor.h"
#include "probe/text.h"

namespace jetmon::probe {
namespace {

constexpr int kMaxReactors = 64;
constexpr size_t kMaxUserAgentBytes = 512;
constexpr size_t kMostDnsAnswers = 200'000;  // about 50 MB

absl::Status Validate(const Engine::Options& options) {
  if (options.reactors < 1 || options.reactors > kMaxReactors) {
    return absl::InvalidArgumentError("probe: reactors is 1 to 64");
  }
  if (options.max_concurrent < options.reactors) {
    return absl::InvalidArgumentError("probe: max_concurrent is at least one a reactor");
  }
  if (options.max_queued < 0) return absl::InvalidArgumentError("probe: max_queued is at least 0");
  return absl::OkStatus();
}

absl::Status Validate(const CheckRequest& request) {
  if (request.timeout <= std::chrono::milliseconds(0) || request.timeout > std::chrono::hours(1)) {
    return absl::InvalidArgumentError("probe: a timeout is more than 0 and at most an hour");
  }
  if (request.user_agent.size() > kMaxUserAgentBytes || !IsOneLine(request.user_agent)) {
    return absl::InvalidArgumentError("probe: a user agent is one line of at most 512 bytes");
  }
  if (request.caller < 0 || request.caller >= kCallers) {
    return absl::InvalidArgumentError("probe: a caller is 0 to 15");
  }
  return request.full == nullptr ? absl::OkStatus() : ValidateRules(*request.full);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(Options options) {
  if (absl::Status status = Validate(options); !status.ok()) return status;
  Reactor::Options each;
  each.clock = options.clock != nullptr ? options.clock : &SystemClock();
  each.safety = std::move(options.safety);
  each.outstanding = std::make_shared<Outstanding>();
  if (!options.source_address.empty()) {
    auto source = ParseIpAddress(options.source_address);
    if (!source.ok()) return source.status();
    each.source = *source;
  }
  each.tls = options.tls;
  if (each.tls == nullptr) {
    auto tls = OpenSslClient::Create({.clock = each.clock, .ca_file = options.ca_file});
    if (!tls.ok()) return tls.status();
    each.tls = *std::move(tls);
  }
  CaresResolver::Options dns;
  dns.clock = each.clock;
  dns.servers = options.resolvers;
  dns.cache = std::make_shared<DnsCache>(kMostDnsAnswers);
  each.resolver = [dns](int epoll_fd) mutable {
    dns.epoll_fd = epoll_fd;
    return CaresResolver::Create(dns);
  };
  std::vector<std::unique_ptr<Reactor>> reactors;
  for (int i = 0; i < options.reactors; ++i) {
    each.thread_name = Cat("probe-", i);
    each.max_concurrent = options.max_concurrent / options.reactors +
                          (i < options.max_concurrent % options.reactors ? 1 : 0);
    reactors.push_back(std::make_unique<Reactor>(each));
    if (absl::Status status = reactors.back()->Start(); !status.ok()) return status;
  }
  const int64_t capacity = int64_t{options.max_concurrent} + options.max_queued;
  return std::unique_ptr<Engine>(
      new Engine(std::move(reactors), std::move(each.outstanding), capacity));
}

Engine::Engine(std::vector<std::unique_ptr<Reactor>> reactors,
               std::shared_ptr<Outstanding> outstanding, int64_t capacity)
    : capacity_(capacity), outstanding_(std::move(outstanding)), reactors_(std::move(reactors)) {}

Engine::~Engine() {
  // All first: a `done` on one of them may submit, which asks another.
  for (auto& reactor : reactors_) reactor->Stop();
  for (auto& reactor : reactors_) reactor->Join();
}

absl::Status Engine::Submit(CheckRequest request, std::function<void(CheckResult)> done) {
  if (absl::Status status = Validate(request); !status.ok()) return status;
  if (!done) return absl::InvalidArgumentError("probe: no one to tell the result");
  std::atomic<int64_t>& outstanding = outstanding_->of[request.caller];
  if (outstanding.fetch_add(1, std::memory_order_relaxed) >= capacity_) {
    outstanding.fetch_sub(1, std::memory_order_relaxed);
    return absl::ResourceExhaustedError("probe: as many checks as fit are running and queued");
  }
  // The less busy of two neighbours: nearly as even as the least busy of all.
  const uint64_t turn = next_.fetch_add(1, std::memory_order_relaxed);
  Reactor& one = *reactors_[turn % reactors_.size()];
  Reactor& two = *reactors_[(turn + 1) % reactors_.size()];
  Reactor& chosen = two.unfinished() < one.unfinished() ? two : one;
  if (chosen.Accept(std::move(request), std::move(done))) return absl::OkStatus();
  outstanding.fetch_sub(1, std::memory_order_relaxed);
  return absl::UnavailableError("probe: the engine is being destroyed");
}

void Engine::CancelAll() {
  for (auto& reactor : reactors_) reactor->CancelAll();
}

Engine::Stats Engine::GetStats() const {
  Stats stats;
  int64_t unfinished = 0;
  for (const auto& reactor : reactors_) {
    unfinished += reactor->unfinished();
    stats.in_flight += reactor->in_flight();
    stats.completed += reactor->completed();
    stats.lost += reactor->lost();
    stats.full_handshakes += reactor->full_handshakes();
    stats.resumed_handshakes += reactor->resumed_handshakes();
  }
  stats.queued = std::max<int64_t>(0, unfinished - stats.in_flight);
  return stats;
}

}  // namespace jetmon::probe
