#include "probe/cares_channel.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>

namespace jetmon::probe {
namespace {

constexpr int kTries = 3;
constexpr int kReceiveBytes = 1 << 20;
constexpr char kDnsOnly[] = "b";

bool InitLibrary() {
  static const bool ok = ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS;
  return ok;
}

bool IsDatagramSocket(int fd) {
  int type = 0;
  socklen_t size = sizeof(type);
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_DGRAM;
}

}  // namespace

absl::StatusOr<std::unique_ptr<CaresChannel>> CaresChannel::Create(const Options& options,
                                                                   Owner* owner) {
  std::unique_ptr<CaresChannel> channel(new CaresChannel(options.clock, owner));
  ares_options settings{};
  settings.flags = ARES_FLAG_NOALIASES;
  settings.timeout = static_cast<int>(options.first_try.count());
  settings.tries = kTries;
  settings.lookups = const_cast<char*>(kDnsOnly);
  settings.sock_state_cb_data = channel.get();
  settings.sock_state_cb = [](void* data, ares_socket_t fd, int read, int write) {
    auto* self = static_cast<CaresChannel*>(data);
    self->owner_->OnSocket(self, fd, read != 0, write != 0);
  };
  const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
                   ARES_OPT_SOCK_STATE_CB;
  if (!InitLibrary() || ares_init_options(&channel->handle_, &settings, mask) != ARES_SUCCESS) {
    return absl::ResourceExhaustedError("probe: c-ares can't be set up");
  }
  if (!options.servers.empty() &&
      ares_set_servers_ports_csv(channel->handle_, options.servers.c_str()) != ARES_SUCCESS) {
    return absl::InvalidArgumentError("--resolvers: c-ares does not take these");
  }
  static const ares_socket_functions sockets = {
      [](int family, int type, int protocol, void* self) {
        return static_cast<CaresChannel*>(self)->Open(family, type, protocol);
      },
      [](int fd, void* self) { return static_cast<CaresChannel*>(self)->Close(fd); },
      [](int fd, const sockaddr* to, socklen_t size, void* self) {
        return static_cast<CaresChannel*>(self)->Connect(fd, to, size);
      },
      [](int fd, void* data, size_t size, int flags, sockaddr* from, socklen_t* from_size,
         void* self) -> ares_ssize_t {
        return static_cast<CaresChannel*>(self)->Receive(fd, data, size, flags, from, from_size);
      },
      [](int fd, const iovec* pieces, int count, void* self) -> ares_ssize_t {
        return static_cast<CaresChannel*>(self)->Send(fd, pieces, count);
      }};
  ares_set_socket_functions(channel->handle_, &sockets, channel.get());
  return channel;
}

CaresChannel::~CaresChannel() {
  if (handle_ != nullptr) ares_destroy(handle_);
}

bool CaresChannel::CutOffSince(BootTime then) const {
  bool missed = false;
  for (const Server& server : servers_) {
    if (server.answered >= then && server.answered > server.missed) return false;
    missed |= server.missed >= then;
  }
  return missed;
}

int CaresChannel::Open(int family, int type, int protocol) {
  const int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (fd >= 0 && type == SOCK_DGRAM) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kReceiveBytes, sizeof(kReceiveBytes));
  }
  return fd;
}

int CaresChannel::Close(int fd) {
  sockets_.erase(fd);
  return close(fd);
}

int CaresChannel::Connect(int fd, const sockaddr* to, socklen_t size) {
  const std::string address(reinterpret_cast<const char*>(to), size);
  auto server = std::find_if(servers_.begin(), servers_.end(),
                             [&](const Server& s) { return s.address == address; });
  if (server == servers_.end()) server = servers_.insert(server, {address, {}, {}});
  sockets_[fd] = static_cast<size_t>(server - servers_.begin());
  return static_cast<int>(Note(fd, connect(fd, to, size)));
}

ssize_t CaresChannel::Receive(int fd, void* data, size_t size, int flags, sockaddr* from,
                              socklen_t* from_size) {
  const ssize_t n = recvfrom(fd, data, size, flags, from, from_size);
  if (n > 0) {
    if (const auto at = sockets_.find(fd); at != sockets_.end()) {
      servers_[at->second].answered = clock_->Boot();
    }
    owner_->OnPacket({static_cast<const char*>(data), static_cast<size_t>(n)});
  }
  return Note(fd, n);
}

ssize_t CaresChannel::Send(int fd, const iovec* pieces, int count) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces);
  message.msg_iovlen = static_cast<size_t>(count);
  const ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
  // c-ares would take a full buffer for a resolver that is not there, and give up in no time. To
  // the name it is a packet that was lost: it is sent again.
  if (n < 0 && (errno == EAGAIN || errno == ENOBUFS) && IsDatagramSocket(fd)) {
    ssize_t size = 0;
    for (int i = 0; i < count; ++i) size += static_cast<ssize_t>(pieces[i].iov_len);
    return size;
  }
  return Note(fd, n);
}

ssize_t CaresChannel::Note(int fd, ssize_t result) {
  const int error = errno;
  if (result < 0 && error != EAGAIN && error != EINTR && error != EINPROGRESS) {
    if (const auto at = sockets_.find(fd); at != sockets_.end()) {
      servers_[at->second].missed = clock_->Boot();
    }
  }
  errno = error;
  return result;
}

}  // namespace jetmon::probe
