#ifndef JETMON_PROBE_OPENSSL_CLIENT_H_
#define JETMON_PROBE_OPENSSL_CLIENT_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "clock/clock.h"
#include "probe/tls.h"
#include "probe/tls_sessions.h"

struct ssl_ctx_st;

namespace jetmon::probe {

// TLS 1.0 to 1.3 by OpenSSL. Old versions and weak ciphers are spoken, because a site that has
// nothing better is up; certificates are judged as browsers judge them: a chain to a CA of the
// store, in date by the wall clock, for this host, keys of at least 112 bits' strength.
class OpenSslClient final : public TlsClient {
 public:
  struct Options {
    const Clock* clock = nullptr;  // null = SystemClock()
    std::string ca_file;           // PEM; empty = the system's store
    size_t max_sessions = 50000;   // kept for resumption
  };

  // InvalidArgument for a file that holds no CA; FailedPrecondition when the system has none: then
  // every certificate would look bad.
  static absl::StatusOr<std::shared_ptr<OpenSslClient>> Create(Options options);
  ~OpenSslClient() override;

  std::unique_ptr<TlsStream> Open(const TlsTarget& target, ByteStream* wire) override;
  void Forget(const TlsTarget& target) override;
  size_t sessions() const { return sessions_.size(); }

 private:
  OpenSslClient(ssl_ctx_st* context, const Options& options);

  ssl_ctx_st* const context_;
  const Clock& clock_;
  TlsSessions sessions_;
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_OPENSSL_CLIENT_H_
