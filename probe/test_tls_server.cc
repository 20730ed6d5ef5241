#include "probe/test_tls_server.h"

#include <openssl/err.h>
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace jetmon::probe {
namespace {

SSL_CTX* MakeContext(const TestIdentity& identity, const TestTlsServer::Options& options) {
  signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to sockets that the peer may have closed
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
  SSL_CTX_set_min_proto_version(context, options.min_version);
  SSL_CTX_set_max_proto_version(context, options.max_version);
  SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>("t"), 1);
  if (!options.tickets) {
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  }
  bool ok = SSL_CTX_use_certificate(context, identity.certificate.get()) == 1 &&
            SSL_CTX_use_PrivateKey(context, identity.key.get()) == 1;
  for (const auto& c : identity.chain) ok = ok && SSL_CTX_add1_chain_cert(context, c.get()) == 1;
  if (!ok) {
    ERR_print_errors_fp(stderr);
    std::abort();
  }
  if (options.prepare) options.prepare(context);
  return context;
}

}  // namespace

bool TestTlsServer::Connection::Send(std::string_view bytes) {
  size_t n = 0;
  while (!bytes.empty() && SSL_write_ex(ssl_, bytes.data(), bytes.size(), &n) == 1) {
    bytes.remove_prefix(n);
  }
  return bytes.empty();
}

void TestTlsServer::Connection::Goodbye() { SSL_shutdown(ssl_); }

TestTlsServer::TestTlsServer(const TestIdentity& identity, Handler handler)
    : TestTlsServer(identity, std::move(handler), Options()) {}

TestTlsServer::TestTlsServer(const TestIdentity& identity, Handler handler, const Options& options)
    : handler_(std::move(handler)),
      options_(options),
      context_(MakeContext(identity, options)),
      server_([this](TestServer::Connection& raw, const std::string&) { Serve(raw); },
              options.workers, "127.0.0.1", TestServer::Reading::kRaw) {
  SSL_CTX_set_client_hello_cb(context_, OnHello, this);
}

TestTlsServer::~TestTlsServer() { SSL_CTX_free(context_); }

std::string TestTlsServer::Url(std::string_view path) const {
  return "https" + server_.Url(path).substr(4);
}

std::string TestTlsServer::last_name() const {
  std::lock_guard lock(mutex_);
  return last_name_;
}

int TestTlsServer::OnHello(SSL* ssl, int* alert, void* self) {
  const unsigned char* data = nullptr;
  size_t size = 0;
  const bool psk = SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_psk, &data, &size) == 1;
  const bool ticket =
      SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_session_ticket, &data, &size) == 1 && size > 0;
  if (static_cast<TestTlsServer*>(self)->options_.refuse_resumption && (psk || ticket)) {
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
  }
  return SSL_CLIENT_HELLO_SUCCESS;
}

void TestTlsServer::Serve(TestServer::Connection& raw) {
  SSL* ssl = SSL_new(context_);
  SSL_set_fd(ssl, raw.fd());
  if (SSL_accept(ssl) == 1) {
    {
      const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
      std::lock_guard lock(mutex_);
      last_name_ = name != nullptr ? name : "";
    }
    ++(SSL_session_reused(ssl) == 1 ? resumed_ : full_);
    std::string request;
    char buffer[4096];
    size_t n = 0;
    while (request.find("\r\n\r\n") == std::string::npos &&
           SSL_read_ex(ssl, buffer, sizeof(buffer), &n) == 1) {
      request.append(buffer, n);
    }
    Connection connection(raw, ssl);
    if (!request.empty()) handler_(connection, request);
  }
  ERR_clear_error();
  SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(ssl);
}

}  // namespace jetmon::probe
