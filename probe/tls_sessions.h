#ifndef JETMON_PROBE_TLS_SESSIONS_H_
#define JETMON_PROBE_TLS_SESSIONS_H_

#include <chrono>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>

#include "clock/clock.h"
#include "probe/check.h"
#include "probe/lru.h"

namespace jetmon::probe {

// A session that a server let us resume, and what its full handshake showed.
struct TlsSession {
  std::string der;   // an SSL_SESSION without the peer's certificate
  BootTime full_at;  // of the full handshake that it goes back to
  TlsFacts facts;
};

// The sessions kept for resumption, by target: the ones used last, at most so many. A session is
// good for an hour from its full handshake, so that a certificate is seen at least that often.
// About 1 KB each. Thread-safe.
class TlsSessions {
 public:
  static constexpr std::chrono::nanoseconds kLife = std::chrono::hours(1);

  explicit TlsSessions(size_t most) : kept_(most) {}

  void Put(const std::string& target, TlsSession session) {
    std::lock_guard lock(mutex_);
    kept_.Put(target, std::move(session));
  }
  // Nullopt too when its hour is over.
  std::optional<TlsSession> Find(const std::string& target, BootTime now) {
    std::lock_guard lock(mutex_);
    const TlsSession* session = kept_.Find(target);
    if (session == nullptr) return std::nullopt;
    if (now - session->full_at < kLife) return *session;
    kept_.Drop(target);
    return std::nullopt;
  }
  void Drop(const std::string& target) {
    std::lock_guard lock(mutex_);
    kept_.Drop(target);
  }
  size_t size() const {
    std::lock_guard lock(mutex_);
    return kept_.size();
  }

 private:
  mutable std::mutex mutex_;
  Lru<TlsSession> kept_;  // guarded by mutex_
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_TLS_SESSIONS_H_
