#include "probe/openssl_client.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "probe/certificate.h"
#include "probe/openssl_stream.h"
#include "probe/text.h"

namespace jetmon::probe {
namespace {

size_t Certificates(SSL_CTX* context) {
  return static_cast<size_t>(
      sk_X509_OBJECT_num(X509_STORE_get0_objects(SSL_CTX_get_cert_store(context))));
}

// A folder of hashed names is looked into when an issuer is wanted: what is in it is not in the
// store.
bool SystemHasFolder() {
  // Who names another by the environment knows what is in it.
  if (std::getenv(X509_get_default_cert_dir_env()) != nullptr) return true;
  std::error_code error;
  std::filesystem::directory_iterator folder(X509_get_default_cert_dir(), error);
  return !error && folder != std::filesystem::directory_iterator();
}

absl::Status LoadCas(SSL_CTX* context, const std::string& ca_file) {
  ERR_clear_error();
  if (ca_file.empty()) {
    SSL_CTX_set_default_verify_paths(context);
    if (Certificates(context) > 0 || SystemHasFolder()) return absl::OkStatus();
    return absl::FailedPreconditionError(
        "this machine has no CA certificates, so every site's would look bad: install the package "
        "ca-certificates, or name a PEM file by --ca_file");
  }
  if (SSL_CTX_load_verify_file(context, ca_file.c_str()) == 1) return absl::OkStatus();
  // The first says it; the others, where it was noticed.
  return absl::InvalidArgumentError(
      Cat("--ca_file=", ca_file,
          " can't be read as PEM certificates: ", OpenSslReason(ERR_peek_error())));
}

}  // namespace

absl::StatusOr<std::shared_ptr<OpenSslClient>> OpenSslClient::Create(Options options) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  if (context == nullptr || !OpenSslStream::Prepare(context)) {
    SSL_CTX_free(context);
    return absl::InternalError("probe: OpenSSL can't be set up");
  }
  std::shared_ptr<OpenSslClient> client(new OpenSslClient(context, options));
  if (absl::Status s = LoadCas(context, options.ca_file); !s.ok()) return s;
  return client;
}

OpenSslClient::OpenSslClient(ssl_ctx_st* context, const Options& options)
    : context_(context),
      clock_(options.clock != nullptr ? *options.clock : SystemClock()),
      sessions_(options.max_sessions) {}

OpenSslClient::~OpenSslClient() { SSL_CTX_free(context_); }

std::unique_ptr<TlsStream> OpenSslClient::Open(const TlsTarget& target, ByteStream* wire) {
  return OpenSslStream::Open(context_, target, wire, &sessions_, clock_);
}

void OpenSslClient::Forget(const TlsTarget& target) { sessions_.Drop(OpenSslStream::Key(target)); }

}  // namespace jetmon::probe
