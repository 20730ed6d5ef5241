#include "daemon/test_grpc_call.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string_view>
#include <utility>

namespace jetmon {
namespace {

// HTTP/2 frames (RFC 9113, 6).
enum FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8
};
constexpr uint8_t kEndStream = 1, kEndHeaders = 4, kAck = 1;
constexpr int64_t kFirstWindow = 65'535;
constexpr size_t kMostInFrame = 16'384;
constexpr uint32_t kStream = 1;

struct Frame {
  uint8_t type = 0, flags = 0;
  uint32_t stream = 0;
  std::string payload;
};

std::string Number(uint32_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<char>(value >> (8 * i)));
  return out;
}

uint32_t NumberIn(std::string_view bytes) {
  uint32_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<uint8_t>(c);
  return value;
}

// A header field for HPACK: literal, not indexed, not Huffman-coded. Both at most 126 bytes.
std::string Field(std::string_view name, std::string_view value) {
  std::string out(1, '\0');
  for (const std::string_view text : {name, value}) {
    out.push_back(static_cast<char>(text.size()));
    out.append(text);
  }
  return out;
}

// The value of a field in a header block as gRPC's server writes it: the first time on a connection
// as a literal. Empty when it is not there.
std::string ValueIn(std::string_view block, std::string_view name) {
  const size_t at = block.find(name);
  if (at == std::string_view::npos || at + name.size() >= block.size()) return "";
  const size_t length_at = at + name.size();
  return std::string(block.substr(length_at + 1, static_cast<uint8_t>(block[length_at])));
}

class Http2Client {
 public:
  explicit Http2Client(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval limit{20, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
    SendAll("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    Send(kSettings, 0, 0, "");
  }
  ~Http2Client() { close(fd_); }
  Http2Client(const Http2Client&) = delete;
  Http2Client& operator=(const Http2Client&) = delete;

  void Send(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
    std::string frame = Number(static_cast<uint32_t>(payload.size()), 3);
    frame.push_back(static_cast<char>(type));
    frame.push_back(static_cast<char>(flags));
    frame += Number(stream, 4);
    SendAll(frame.append(payload));
  }

  // Sends `body` as the windows allow, and reads on until the stream's trailers have come.
  RawAnswer Exchange(std::string_view body) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    Frame frame;
    do {
      while (!body.empty() && connection_window_ > 0 && stream_window_ > 0) {
        const size_t n =
            std::min<size_t>({body.size(), kMostInFrame, static_cast<size_t>(connection_window_),
                              static_cast<size_t>(stream_window_)});
        Send(kData, n == body.size() ? kEndStream : 0, kStream, body.substr(0, n));
        body.remove_prefix(n);
        connection_window_ -= static_cast<int64_t>(n);
        stream_window_ -= static_cast<int64_t>(n);
      }
      // The server's pings would go on for ever.
      if (std::chrono::steady_clock::now() > until || !Read(&frame)) return {};
    } while (!Take(frame));
    RawAnswer answer;
    const std::string status = ValueIn(frame.payload, "grpc-status");
    if (frame.type == kHeaders && !status.empty()) answer.status = std::atoi(status.c_str());
    answer.message = ValueIn(frame.payload, "grpc-message");
    return answer;
  }

 private:
  // Whether the stream has ended with this frame.
  bool Take(const Frame& frame) {
    switch (frame.type) {
      case kSettings:
        TakeSettings(frame);
        return false;
      case kPing:
        if ((frame.flags & kAck) == 0) Send(kPing, kAck, 0, frame.payload);
        return false;
      case kWindowUpdate:
        (frame.stream == 0 ? connection_window_ : stream_window_) += NumberIn(frame.payload);
        return false;
      case kHeaders:
        return (frame.flags & kEndStream) != 0;
      default:
        return frame.type == kRstStream || frame.type == kGoAway;
    }
  }
  void TakeSettings(const Frame& frame) {
    if ((frame.flags & kAck) != 0) return;
    for (std::string_view rest = frame.payload; rest.size() >= 6; rest.remove_prefix(6)) {
      const int64_t value = NumberIn(rest.substr(2, 4));
      if (NumberIn(rest.substr(0, 2)) != 4) continue;  // SETTINGS_INITIAL_WINDOW_SIZE
      stream_window_ += value - first_window_;
      first_window_ = value;
    }
    Send(kSettings, kAck, 0, "");
  }
  bool Read(Frame* frame) {
    std::string head;
    if (!ReadAll(9, &head)) return false;
    frame->type = static_cast<uint8_t>(head[3]);
    frame->flags = static_cast<uint8_t>(head[4]);
    frame->stream = NumberIn(head.substr(5));
    return ReadAll(NumberIn(head.substr(0, 3)), &frame->payload);
  }
  bool ReadAll(size_t size, std::string* out) {
    out->resize(size);
    for (size_t got = 0; got < size;) {
      const ssize_t n = recv(fd_, out->data() + got, size - got, 0);
      if (n <= 0) return false;
      got += static_cast<size_t>(n);
    }
    return true;
  }
  // What the peer takes; it may close before all of it.
  void SendAll(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }

  const int fd_;
  int64_t first_window_ = kFirstWindow;
  int64_t connection_window_ = kFirstWindow;
  int64_t stream_window_ = kFirstWindow;
};

// Bytes of a line of /proc/self/status such as "VmHWM:".
size_t MemoryOf(std::string_view name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name)) return std::strtoull(line.c_str() + name.size(), nullptr, 10) << 10;
  }
  ADD_FAILURE() << "no " << name;
  return 0;
}

}  // namespace

RawAnswer CallRaw(int port, const RawCall& call) {
  std::string body(1, call.compressed ? '\1' : '\0');
  body += Number(static_cast<uint32_t>(call.message.size()), 4) + call.message;
  std::string fields = Field(":method", "POST") + Field(":scheme", "http") +
                       Field(":path", call.method) + Field(":authority", "localhost") +
                       Field("content-type", "application/grpc") + Field("te", "trailers");
  if (!call.encoding.empty()) fields += Field("grpc-encoding", call.encoding);
  // The peak so far is forgotten (proc(5), clear_refs).
  std::ofstream("/proc/self/clear_refs") << "5" << std::flush;
  const size_t before = MemoryOf("VmHWM:");
  Http2Client client(port);
  client.Send(kHeaders, kEndHeaders, kStream, fields);
  RawAnswer answer = client.Exchange(body);
  answer.peak_growth = MemoryOf("VmHWM:") - before;
  return answer;
}

std::string CompressedZeros(const std::string& encoding, size_t size) {
  z_stream z{};
  EXPECT_EQ(deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, encoding == "gzip" ? 15 + 16 : 15, 8,
                         Z_DEFAULT_STRATEGY),
            Z_OK);
  std::string zeros(1 << 16, '\0'), out, piece(1 << 16, '\0');
  int result = Z_OK;
  while (result != Z_STREAM_END) {
    if (z.avail_in == 0) {
      z.avail_in = static_cast<uInt>(std::min(size, zeros.size()));
      z.next_in = reinterpret_cast<Bytef*>(zeros.data());
      size -= z.avail_in;
    }
    z.avail_out = static_cast<uInt>(piece.size());
    z.next_out = reinterpret_cast<Bytef*>(piece.data());
    result = deflate(&z, size == 0 ? Z_FINISH : Z_NO_FLUSH);
    out.append(piece.data(), piece.size() - z.avail_out);
  }
  deflateEnd(&z);
  return out;
}

}  // namespace jetmon
