#include "probe/hostile_case.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <future>
#include <thread>

namespace jetmon::probe {
namespace {

constexpr int kMostRuns = 5;

int ListenAt(const std::string& address, int backlog, uint16_t* port) {
  const bool v6 = address.find(':') != std::string::npos;
  sockaddr_in in{};
  sockaddr_in6 in6{};
  in.sin_family = AF_INET;
  in6.sin6_family = AF_INET6;
  in.sin_port = in6.sin6_port = htons(*port);
  auto* to = v6 ? reinterpret_cast<sockaddr*>(&in6) : reinterpret_cast<sockaddr*>(&in);
  socklen_t size = v6 ? sizeof(in6) : sizeof(in);
  void* bytes = v6 ? static_cast<void*>(&in6.sin6_addr) : static_cast<void*>(&in.sin_addr);
  EXPECT_EQ(inet_pton(to->sa_family, address.c_str(), bytes), 1) << address;
  const int fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(bind(fd, to, size), 0) << address << ":" << *port << ": " << strerror(errno);
  EXPECT_EQ(listen(fd, backlog), 0);
  EXPECT_EQ(getsockname(fd, to, &size), 0);
  *port = ntohs(v6 ? in6.sin6_port : in.sin_port);
  return fd;
}

int64_t StatusKilobytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field + ":")) return std::stoll(line.substr(field.size() + 1));
  }
  ADD_FAILURE() << "no " << field;
  return 0;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Said& said) {
  return out << OutcomeName(said.outcome) << ", error " << static_cast<int>(said.error_code)
             << ", class \"" << said.failure_class << "\", code " << said.http_code;
}

Said SaidBy(const CheckResult& result) {
  return {result.outcome, result.error_code, result.failure_class, result.http_code};
}

std::vector<Ended> RunAll(Engine& engine, const std::vector<CheckRequest>& requests) {
  std::vector<Ended> ended(requests.size());
  std::vector<size_t> left(requests.size());
  for (size_t i = 0; i < left.size(); ++i) left[i] = i;
  for (int run = 0; run < kMostRuns && !left.empty(); ++run) {
    std::vector<std::future<Ended>> running;
    for (const size_t i : left) {
      auto promise = std::make_shared<std::promise<Ended>>();
      running.push_back(promise->get_future());
      const BootTime began = SystemClock().Boot();
      const absl::Status status = engine.Submit(requests[i], [promise, began](CheckResult r) {
        promise->set_value({std::move(r), SystemClock().Boot() - began});
      });
      EXPECT_TRUE(status.ok()) << status;
      if (!status.ok()) promise->set_value({});
    }
    std::vector<size_t> again;
    for (size_t k = 0; k < left.size(); ++k) {
      Ended& e = ended[left[k]] = running[k].get();
      if (e.result.detail == "the engine was paused") again.push_back(left[k]);
    }
    left.swap(again);
  }
  return ended;
}

std::vector<CheckRequest> InAllModes(const std::string& url, std::chrono::milliseconds timeout) {
  std::vector<CheckRequest> requests;
  for (const char* mode : kModes) {
    requests.push_back(MakeRequest(url, mode));
    requests.back().timeout = timeout;
  }
  return requests;
}

void ExpectSaid(const std::string& what, const std::vector<Ended>& ended, const Verdicts& verdicts,
                std::chrono::nanoseconds slack) {
  ASSERT_EQ(ended.size(), verdicts.size()) << what;
  for (size_t i = 0; i < ended.size(); ++i) {
    EXPECT_EQ(SaidBy(ended[i].result), verdicts[i])
        << what << ", " << kModes[i] << ": " << ended[i].result.detail;
    EXPECT_LT(ended[i].took, slack) << what;
  }
}

Tripwire::Tripwire(const std::string& address, uint16_t port) : port_(port) {
  fd_ = ListenAt(address, 64, &port_);
}

Tripwire::~Tripwire() { close(fd_); }

bool Tripwire::Touched() const {
  pollfd waiting{fd_, POLLIN, 0};
  return poll(&waiting, 1, 0) > 0;
}

FullBacklog::FullBacklog(const std::string& address, uint16_t port) : port_(port) {
  listener_ = ListenAt(address, 0, &port_);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  EXPECT_EQ(inet_pton(AF_INET, address.c_str(), &to.sin_addr), 1);
  to.sin_port = htons(port_);
  // Until one hangs.
  for (bool hangs = false; !hangs && fillers_.size() < 100;) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    fillers_.push_back(fd);
    [[maybe_unused]] const int begun = connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to));
    pollfd connected{fd, POLLOUT, 0};
    hangs = poll(&connected, 1, 300) == 0;
  }
  EXPECT_LT(fillers_.size(), 100u);
}

FullBacklog::~FullBacklog() {
  for (const int fd : fillers_) close(fd);
  close(listener_);
}

size_t AwaitDescriptors(size_t count) {
  const BootTime until = SystemClock().Boot() + std::chrono::seconds(10);
  size_t open = OpenDescriptors();
  while (open > count && SystemClock().Boot() < until) {
    std::this_thread::yield();
    open = OpenDescriptors();
  }
  return open;
}

PeakMemory::PeakMemory() {
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak begins anew
  before_ = StatusKilobytes("VmRSS");
}

int64_t PeakMemory::growth() const { return (StatusKilobytes("VmHWM") - before_) * 1024; }

}  // namespace jetmon::probe
