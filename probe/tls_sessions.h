#ifndef JETMON_PROBE_TLS_SESSIONS_H_
#define JETMON_PROBE_TLS_SESSIONS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "clock/clock.h"
#include "probe/lru.h"

namespace jetmon::probe {

// A session that a server let us resume, and what its full handshake showed of the certificate.
struct TlsSession {
  std::string der;   // an SSL_SESSION without the peer's certificate
  BootTime full_at;  // of the full handshake that it goes back to
  int64_t not_before_s = 0, not_after_s = 0;
  std::string subject, issuer;
};

// The sessions kept for resumption, by target, at most so many. A session is good for an hour from
// its full handshake, so that a certificate is seen at least that often. About 650 bytes each.
// Thread-safe.
class TlsSessions {
 public:
  static constexpr std::chrono::nanoseconds kLife = std::chrono::hours(1);

  explicit TlsSessions(size_t most) : kept_(most) {}

  // When there is no place, a session that is still good is not pushed out: of more targets than
  // fit, checked in turn, each would be gone right before its next turn, and none ever resumed.
  void Put(const std::string& target, TlsSession session, BootTime now) {
    std::lock_guard lock(mutex_);
    if (kept_.full() && kept_.Find(target) == nullptr) {
      const TlsSession* oldest = kept_.Oldest();
      if (oldest == nullptr || now - oldest->full_at < kLife) return;
    }
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
