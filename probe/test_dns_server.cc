#include "probe/test_dns_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace jetmon::probe {
namespace {

constexpr uint16_t kA = 1, kCname = 5, kAaaa = 28;

void Require(bool ok, const char* what) {
  if (ok) return;
  std::perror(what);
  std::abort();
}

void Append16(std::string* out, uint16_t value) {
  out->push_back(static_cast<char>(value >> 8));
  out->push_back(static_cast<char>(value & 0xff));
}

uint16_t Read16(std::string_view text, size_t at) {
  return static_cast<uint16_t>((static_cast<unsigned char>(text[at]) << 8) |
                               static_cast<unsigned char>(text[at + 1]));
}

std::string Labels(const std::string& host) {
  std::string out;
  size_t at = 0;
  while (at < host.size()) {
    const size_t dot = std::min(host.find('.', at), host.size());
    out.push_back(static_cast<char>(dot - at));
    out += host.substr(at, dot - at);
    at = dot + 1;
  }
  out.push_back('\0');
  return out;
}

std::string Record(const std::string& owner, uint16_t type, uint32_t ttl, const std::string& data) {
  std::string out = Labels(owner);
  Append16(&out, type);
  Append16(&out, 1);
  Append16(&out, static_cast<uint16_t>(ttl >> 16));
  Append16(&out, static_cast<uint16_t>(ttl & 0xffff));
  Append16(&out, static_cast<uint16_t>(data.size()));
  return out + data;
}

std::string Bytes(const std::string& address) {
  const bool v6 = address.find(':') != std::string::npos;
  std::string out(v6 ? 16 : 4, '\0');
  Require(inet_pton(v6 ? AF_INET6 : AF_INET, address.c_str(), out.data()) == 1, "inet_pton");
  return out;
}

// The name and type asked for; an empty name if it is no query.
std::pair<std::string, uint16_t> Question(std::string_view query, size_t* end) {
  std::string host;
  size_t at = 12;
  while (at < query.size() && query[at] != 0) {
    const size_t n = static_cast<unsigned char>(query[at]);
    if (at + n + 1 >= query.size()) return {};
    if (!host.empty()) host.push_back('.');
    host += query.substr(at + 1, n);
    at += n + 1;
  }
  if (at + 5 > query.size()) return {};
  *end = at + 5;
  return {host, Read16(query, at + 1)};
}

}  // namespace

struct TestDnsServer::Due {
  std::chrono::steady_clock::time_point at;
  Reply reply;
  sockaddr_storage to;
  socklen_t to_size;
};

TestDnsServer::TestDnsServer(const std::string& address, uint16_t port) : address_(address) {
  const bool v6 = address.find(':') != std::string::npos;
  sockaddr_storage at{};
  // The port stands at the same place in both.
  auto* in = reinterpret_cast<sockaddr_in*>(&at);
  auto* in6 = reinterpret_cast<sockaddr_in6*>(&at);
  at.ss_family = v6 ? AF_INET6 : AF_INET;
  Require(inet_pton(at.ss_family, address.c_str(),
                    v6 ? static_cast<void*>(&in6->sin6_addr) : &in->sin_addr) == 1,
          "inet_pton");
  socklen_t size = v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  // Both sockets at one port: try until the same is free for both.
  for (int i = 0; i < 100 && tcp_fd_ < 0; ++i) {
    udp_fd_ = socket(at.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    in->sin_port = htons(port);
    Require(bind(udp_fd_, reinterpret_cast<sockaddr*>(&at), size) == 0, "bind");
    Require(getsockname(udp_fd_, reinterpret_cast<sockaddr*>(&at), &size) == 0, "getsockname");
    tcp_fd_ = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(tcp_fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(tcp_fd_, reinterpret_cast<sockaddr*>(&at), size) == 0) break;
    close(std::exchange(tcp_fd_, -1));
    close(udp_fd_);
  }
  Require(tcp_fd_ >= 0 && listen(tcp_fd_, 64) == 0, "listen");
  const int large = 4 << 20;
  setsockopt(udp_fd_, SOL_SOCKET, SO_RCVBUF, &large, sizeof(large));
  port_ = ntohs(in->sin_port);
  Require(pipe(wake_) == 0, "pipe");
  thread_ = std::thread([this] { Serve(); });
}

TestDnsServer::~TestDnsServer() {
  close(wake_[1]);
  thread_.join();
  for (const int fd : {udp_fd_, tcp_fd_, wake_[0]}) close(fd);
}

void TestDnsServer::Set(const std::string& host, Name name) {
  std::lock_guard lock(mutex_);
  names_[host] = std::move(name);
}

std::string TestDnsServer::address() const {
  const bool v6 = address_.find(':') != std::string::npos;
  return (v6 ? "[" + address_ + "]" : address_) + ":" + std::to_string(port_);
}

int TestDnsServer::queries(const std::string& host, bool v6) const {
  std::lock_guard lock(mutex_);
  const auto at = queries_.find({host, v6});
  return at == queries_.end() ? 0 : at->second;
}

int TestDnsServer::queries() const {
  std::lock_guard lock(mutex_);
  return all_;
}

int TestDnsServer::tcp_queries() const {
  std::lock_guard lock(mutex_);
  return tcp_;
}

size_t TestDnsServer::ports() const {
  std::lock_guard lock(mutex_);
  return ports_.size();
}

void TestDnsServer::Serve() {
  for (;;) {
    pollfd waiting[] = {{udp_fd_, POLLIN, 0}, {tcp_fd_, POLLIN, 0}, {wake_[0], POLLIN, 0}};
    poll(waiting, 3, due_.empty() ? -1 : 1);
    if (waiting[2].revents != 0) return;
    if (waiting[1].revents != 0) {
      const int connection = accept4(tcp_fd_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection >= 0) ServeTcp(connection);
    }
    if (waiting[0].revents != 0) ServeUdp();
    SendDue();
  }
}

void TestDnsServer::ServeUdp() {
  char buffer[4096];
  Due due{};
  due.to_size = sizeof(due.to);
  const ssize_t n = recvfrom(udp_fd_, buffer, sizeof(buffer), 0,
                             reinterpret_cast<sockaddr*>(&due.to), &due.to_size);
  if (n < 12) return;
  {
    std::lock_guard lock(mutex_);
    ++ports_[ntohs(reinterpret_cast<sockaddr_in*>(&due.to)->sin_port)];
  }
  due.reply = Answer({buffer, static_cast<size_t>(n)}, false);
  due.at = std::chrono::steady_clock::now() + due.reply.delay;
  if (!due.reply.packet.empty()) due_.push_back(std::move(due));
}

void TestDnsServer::SendDue() {
  const auto now = std::chrono::steady_clock::now();
  std::erase_if(due_, [&](const Due& due) {
    if (due.at > now) return false;
    const auto* to = reinterpret_cast<const sockaddr*>(&due.to);
    if (due.reply.empty_first) sendto(udp_fd_, "", 0, 0, to, due.to_size);
    const std::string& packet = due.reply.packet;
    sendto(udp_fd_, packet.data(), packet.size(), 0, to, due.to_size);
    return true;
  });
}

// One query a connection.
void TestDnsServer::ServeTcp(int connection) {
  std::string query;
  char buffer[4096];
  while (query.size() < 2 || query.size() < 2u + Read16(query, 0)) {
    const ssize_t n = recv(connection, buffer, sizeof(buffer), 0);
    if (n <= 0) break;
    query.append(buffer, static_cast<size_t>(n));
  }
  if (query.size() > 14) {
    const std::string answer = Answer(std::string_view(query).substr(2), true).packet;
    std::string framed;
    Append16(&framed, static_cast<uint16_t>(answer.size()));
    framed += answer;
    send(connection, framed.data(), framed.size(), MSG_NOSIGNAL);
  }
  close(connection);
}

TestDnsServer::Reply TestDnsServer::Answer(std::string_view query, bool tcp) {
  size_t end = 12;
  const auto [host, type] = Question(query, &end);
  const bool v6 = type == kAaaa;
  std::lock_guard lock(mutex_);
  const int asked_before = queries_[{host, v6}]++;
  ++all_;
  if (tcp) ++tcp_;
  const auto at = names_.find(host);
  Name name;
  if (at != names_.end()) name = at->second;
  Reply reply{"", name.delay, name.empty_first};
  if (v6 ? name.silent6 : name.silent4) return reply;
  if (asked_before < (v6 ? name.lost6 : name.lost4)) return reply;
  if (name.garbage) {
    reply.packet = std::string(query.substr(0, 2)) + "\x81\x80 garbage behind the head";
    return reply;
  }
  const bool cut = name.truncated && !tcp;
  const int code = at == names_.end() ? 3 : v6 && name.code6 != 0 ? name.code6 : name.code;
  std::string records;
  int count = 0;
  std::string owner = host;
  for (int i = 0; i < 20 && !name.alias.empty(); ++i) {
    records += Record(owner, kCname, name.ttl, Labels(name.alias));
    ++count;
    owner = name.alias;
    const auto target = names_.find(owner);
    if (target == names_.end()) break;
    name = target->second;
  }
  if (asked_before > 0 && !name.then_v4.empty()) {
    name.v4 = name.then_v4[std::min<size_t>(asked_before - 1, name.then_v4.size() - 1)];
  }
  for (const std::string& address : v6 ? name.v6 : name.v4) {
    records += Record(owner, v6 ? kAaaa : kA, name.ttl, Bytes(address));
    ++count;
  }
  std::string& out = reply.packet;
  out = query.substr(0, 2);
  out.push_back(static_cast<char>(cut ? 0x87 : 0x85));  // answer, authoritative, recursion wanted
  out.push_back(static_cast<char>(0x80 | code));
  Append16(&out, 1);
  Append16(&out, static_cast<uint16_t>(cut ? 0 : count));
  Append16(&out, 0);
  Append16(&out, 0);
  out += query.substr(12, end - 12);
  if (!cut) out += records;
  return reply;
}

}  // namespace jetmon::probe
