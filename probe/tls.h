#ifndef JETMON_PROBE_TLS_H_
#define JETMON_PROBE_TLS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "probe/check.h"
#include "probe/io.h"

namespace jetmon::probe {

// Whom a TLS connection is to.
struct TlsTarget {
  std::string host;  // lower case, a name without trailing dot or an address without brackets. A
                     // name is sent as SNI; the certificate must be for it, or for the address
  uint16_t port = 443;
  // False for `legacy`: the certificate is reported, and any will do.
  bool judge = true;
};

// TLS over a connection that its owner has made; one handshake, then bytes. It writes to the wire
// only inside its own calls, so that the owner's lease is asked before each packet. Not
// thread-safe.
class TlsStream : public ByteStream {
 public:
  enum class Failure {
    kNone,
    kProtocol,            // an alert, not TLS, no common version or cipher, a broken record
    kConnection,          // the connection under it was reset or has ended
    kCertificate,         // not trusted, not yet valid, for another host, too weak a key
    kCertificateExpired,  // it, or one that it is signed by
    kLocal,               // this machine's fault
  };

  // kOk when done, kAgain, kError: failure() and error() say why. After kOk facts() is filled.
  virtual Io Handshake() = 0;
  virtual Failure failure() const = 0;
  virtual const std::string& error() const = 0;  // one printable line, at most 200 bytes
  // Whether a session was offered for resumption: a handshake that failed then is worth one more,
  // without.
  virtual bool offered_session() const = 0;
  virtual const TlsFacts& facts() const = 0;
};

// Makes TLS streams, and keeps sessions so that most handshakes resume: at least hourly for a
// target, and after Forget, the handshake is a full one, because a resumed one shows no
// certificate. Thread-safe; outlives its streams.
class TlsClient {
 public:
  virtual ~TlsClient() = default;
  // `wire` outlives the stream. Null only when memory is out.
  virtual std::unique_ptr<TlsStream> Open(const TlsTarget& target, ByteStream* wire) = 0;
  // After a failure of any kind: no session of this target is offered again.
  virtual void Forget(const TlsTarget& target) = 0;
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_TLS_H_
