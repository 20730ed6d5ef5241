#include "store/sql/test_proxy.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

namespace jetmon::sql {
namespace {

constexpr int kPollMs = 5;
constexpr uint8_t kQuery = 0x03, kPrepare = 0x16;

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool SendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(sent);
  }
  return true;
}

// The text of a command's packet, "" if it has none.
std::string_view TextOf(std::string_view packet) {
  const uint8_t command = packet.size() > 4 ? static_cast<uint8_t>(packet[4]) : 0;
  return command == kQuery || command == kPrepare ? packet.substr(5) : std::string_view();
}

void NoDelay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

TestProxy::TestProxy(uint16_t server) : server_(server) {
  Listen();
  thread_ = std::thread([this] { Run(); });
}

TestProxy::~TestProxy() {
  ending_ = true;
  thread_.join();
  Close();
}

void TestProxy::Listen() {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address = Loopback(port_);
  socklen_t size = sizeof address;
  EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(listen(listener_, 64), 0);
  getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
}

void TestProxy::OnCommand(std::function<Fate(std::string_view)> fate) {
  std::lock_guard lock(mutex_);
  fate_ = std::move(fate);
}

void TestProxy::Refuse() {
  std::lock_guard lock(mutex_);
  if (listener_ >= 0) close(listener_);
  listener_ = -1;
}

void TestProxy::Close() {
  Refuse();
  std::lock_guard lock(mutex_);
  for (Link& link : links_) Cut(link);
  links_.clear();
}

void TestProxy::Open() {
  std::lock_guard lock(mutex_);
  if (listener_ < 0) Listen();
}

bool TestProxy::holds() {
  std::lock_guard lock(mutex_);
  return std::any_of(links_.begin(), links_.end(), [this](const Link& l) { return IsHeld(l); });
}

bool TestProxy::IsHeld(const Link& link) const {
  const int64_t limit = hold_after_;
  return limit > 0 && link.answered > limit;
}

void TestProxy::Cut(Link& link) {
  if (link.dead) return;
  close(link.client);
  close(link.server);
  link.dead = true;
}

void TestProxy::Run() {
  while (!ending_) {
    std::vector<pollfd> fds;
    {
      std::lock_guard lock(mutex_);
      if (listener_ >= 0) fds.push_back({listener_, POLLIN, 0});
      for (const Link& link : links_) {
        if (frozen_) break;
        fds.push_back({link.client, POLLIN, 0});
        if (!IsHeld(link)) fds.push_back({link.server, POLLIN, 0});
      }
    }
    if (poll(fds.data(), fds.size(), kPollMs) <= 0) continue;
    std::lock_guard lock(mutex_);
    const auto ready = [&](int fd) {
      for (const pollfd& p : fds) {
        if (p.fd == fd && p.revents != 0) return true;
      }
      return false;
    };
    // The server first: what it said before the client's next word must not be taken for its
    // answer.
    for (Link& link : links_) {
      if (!frozen_ && ready(link.server)) FromServer(link);
      if (!frozen_ && !link.dead && ready(link.client)) FromClient(link);
    }
    links_.remove_if([](const Link& link) { return link.dead; });
    if (listener_ >= 0 && ready(listener_)) Accept();
  }
}

void TestProxy::Accept() {
  Link link;
  link.client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (link.client < 0) return;
  link.server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(server_);
  if (connect(link.server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    Cut(link);
    return;
  }
  NoDelay(link.client);
  NoDelay(link.server);
  links_.push_back(std::move(link));
}

void TestProxy::FromClient(Link& link) {
  char buffer[65536];
  const ssize_t got = recv(link.client, buffer, sizeof buffer, MSG_DONTWAIT);
  if (got <= 0) return Cut(link);
  link.pending.append(buffer, got);
  // Packet by packet: three bytes of length, a number, the payload.
  while (!link.dead && link.pending.size() >= 4) {
    const auto byte = [&](int i) { return static_cast<uint8_t>(link.pending[i]); };
    const size_t size = 4 + (byte(0) | byte(1) << 8 | byte(2) << 16);
    if (link.pending.size() < size) return;
    const std::string packet = link.pending.substr(0, size);
    link.pending.erase(0, size);
    if (packet[3] != 0) link.commands = true;  // the handshake's answers have numbers
    if (!Forward(link, packet)) return Cut(link);
  }
}

bool TestProxy::Forward(Link& link, std::string_view packet) {
  if (link.commands && packet[3] == 0) {
    link.answered = 0;
    const Fate fate = fate_ ? fate_(TextOf(packet)) : Fate::kPass;
    if (fate == Fate::kCutBefore) return false;
    link.cut_answer = fate == Fate::kCutAfter;
  }
  return SendAll(link.server, packet);
}

void TestProxy::FromServer(Link& link) {
  char buffer[65536];
  const ssize_t got = recv(link.server, buffer, sizeof buffer, MSG_DONTWAIT);
  if (got <= 0 || link.cut_answer) return Cut(link);
  link.answered += got;
  const int64_t limit = cut_after_;
  if (limit > 0 && link.answered > limit) {
    ++cuts_;
    return Cut(link);
  }
  if (!SendAll(link.client, {buffer, static_cast<size_t>(got)})) Cut(link);
}

}  // namespace jetmon::sql
