#include <cppconn/driver.h>
#include <mysql_driver.h>
#include <unistd.h>

#include <atomic>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "store/sql/mysql_error.h"
#include "store/sql/mysql_session.h"

namespace jetmon::sql {
namespace {

// A server that can ends a slow statement itself, and then has this long to say so.
constexpr std::chrono::seconds kMoreThanTheServer{2};

// Zero dates and such are v1's; what we write is checked strictly. || joins text, as in SQLite.
constexpr char kMode[] =
    "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO,"
    "PIPES_AS_CONCAT,ANSI_QUOTES";

bool IsLoopback(const std::string& host) {
  return host == "localhost" || host == "::1" || absl::StartsWith(host, "127.");
}

class MysqlConnector final : public Connector {
 public:
  MysqlConnector(DatabaseUrl url, ServerOptions options)
      : url_(std::move(url)), options_(std::move(options)) {
    bool local = true;
    for (const auto& host : url_.hosts) local = local && IsLoopback(host.name);
    tls_ = options_.tls == ServerOptions::Tls::kVerify ||
           (options_.tls == ServerOptions::Tls::kAuto && !local);
  }
  const Dialect& dialect() const override { return MysqlDialect(); }
  bool IsCurrent(const Connection& connection) const override {
    return static_cast<const MysqlSession&>(connection).host() == in_use_.load();
  }

  // The host in use, else the next one that answers: a process writes through one at a time.
  absl::StatusOr<std::unique_ptr<Connection>> Connect(
      std::chrono::seconds statement_limit) override {
    const size_t first = in_use_.load();
    absl::Status why;
    for (size_t i = 0, n = url_.hosts.size(); i < n; ++i) {
      const size_t host = (first + i) % n;
      auto made = ConnectTo(host, statement_limit);
      if (made.ok()) {
        in_use_.store(host);
        return std::unique_ptr<Connection>(std::move(*made));
      }
      why.Update(Named(made.status(), host));
    }
    return why;
  }

  void Avoid(const Connection& connection) override {
    size_t host = static_cast<const MysqlSession&>(connection).host();
    in_use_.compare_exchange_strong(host, (host + 1) % url_.hosts.size());
  }

 private:
  absl::Status Named(const absl::Status& s, size_t host) const {
    const auto& h = url_.hosts[host];
    absl::Status named(
        s.code(),
        absl::StrCat("the database at ",
                     url_.socket.empty() ? absl::StrCat(h.name, ":", h.port) : url_.socket, ": ",
                     s.message()));
    s.ForEachPayload([&](absl::string_view key, const absl::Cord& value) {
      named.SetPayload(key, absl::Cord(std::string(value)));
    });
    return named;
  }

  ::sql::ConnectOptionsMap Properties(size_t host, std::chrono::seconds silence) const {
    const auto seconds = [](std::chrono::seconds s) { return static_cast<int>(s.count()); };
    const auto text = [](const std::string& s) { return ::sql::SQLString(s.data(), s.size()); };
    ::sql::ConnectOptionsMap p;
    const auto& h = url_.hosts[host];
    if (url_.socket.empty()) {
      const bool v6 = h.name.find(':') != std::string::npos;
      p["hostName"] =
          text(absl::StrCat("tcp://", v6 ? absl::StrCat("[", h.name, "]") : h.name, ":", h.port));
    } else {
      p["hostName"] = text(absl::StrCat("unix://", url_.socket));
    }
    p["userName"] = text(url_.user);
    p["password"] = text(options_.password);
    p["schema"] = text(url_.database);
    // An UPDATE that changes nothing has matched all the same; fences count on it.
    p["CLIENT_FOUND_ROWS"] = true;
    p["OPT_CHARSET_NAME"] = text("utf8mb4");
    p["OPT_RECONNECT"] = false;
    p["OPT_CONNECT_TIMEOUT"] = seconds(options_.connect_limit);
    p["OPT_READ_TIMEOUT"] = seconds(silence);
    p["OPT_WRITE_TIMEOUT"] = seconds(silence);
    if (tls_) {
      p["sslEnforce"] = true;
      p["sslVerify"] = true;
      p[options_.tls_ca.empty() ? "sslCAPath" : "sslCA"] =
          text(options_.tls_ca.empty() ? "/etc/ssl/certs" : options_.tls_ca);
      if (!options_.tls_certificate.empty()) p["sslCert"] = text(options_.tls_certificate);
      if (!options_.tls_key.empty()) p["sslKey"] = text(options_.tls_key);
    }
    return p;
  }

  absl::StatusOr<std::unique_ptr<MysqlSession>> ConnectTo(
      size_t host, std::chrono::seconds statement_limit) const {
    const std::chrono::seconds silence = statement_limit + kMoreThanTheServer;
    ::sql::ConnectOptionsMap properties = Properties(host, silence);
    std::unique_ptr<::sql::Connection> made;
    auto s = CatchMysql([&] { made.reset(Driver()->connect(properties)); });
    if (!s.ok()) return s;
    auto connection = NewMysqlSession(std::move(made), host, silence);
    if (s = SetUp(*connection, statement_limit); !s.ok()) return s;
    if (s = Examine(*connection); !s.ok()) return s;
    return connection;
  }

  static ::sql::Driver* Driver() {
    static ::sql::Driver* const driver = ::sql::mysql::get_mysql_driver_instance();
    return driver;  // made once: making it is not thread-safe
  }

  absl::Status SetUp(MysqlSession& c, std::chrono::seconds statement_limit) const {
    const std::string set =
        absl::StrCat("SET SESSION sql_mode = '", kMode,
                     "', time_zone = '+00:00', innodb_lock_wait_timeout = 5, autocommit = 1");
    for (const std::string& sql :
         {std::string("SET NAMES utf8mb4 COLLATE utf8mb4_bin"), set,
          std::string("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")}) {
      if (auto s = c.Plain(sql.c_str()); !s.ok()) return s;
    }
    // What not every server of the family has: 1193, unknown variable.
    for (const std::string& sql :
         {// Galera: a decision is made on what was committed anywhere before.
          std::string("SET SESSION wsrep_sync_wait = 3"),
          // MariaDB: a process that was stopped before its COMMIT must not hold others up.
          std::string("SET SESSION idle_write_transaction_timeout = 5"),
          absl::StrCat("SET SESSION max_statement_time = ", statement_limit.count())}) {
      absl::Status s = c.Plain(sql.c_str());
      if (!s.ok() && !absl::StartsWith(EngineText(s), "1193:")) return s;
    }
    return absl::OkStatus();
  }

  // What the session is, not what was asked for.
  absl::Status Examine(MysqlSession& c) const {
    if (tls_) {
      auto cipher = c.Ask("SHOW SESSION STATUS LIKE 'Ssl_cipher'", 1);
      if (!cipher.ok()) return cipher.status();
      if (cipher->empty()) return MysqlStatus(2026, "the session has no cipher");
    }
    auto read_only = c.Ask("SELECT @@GLOBAL.read_only", 0);
    if (!read_only.ok()) return read_only.status();
    // Users with more rights than they need could write there all the same, to a replica.
    if (*read_only != "0" && *read_only != "OFF") return MysqlStatus(1290, "read_only is on");
    auto ready = c.Ask("SHOW GLOBAL STATUS LIKE 'wsrep_ready'", 1);
    if (!ready.ok()) return ready.status();
    auto galera = c.Ask("SHOW GLOBAL VARIABLES LIKE 'wsrep_on'", 1);
    if (!galera.ok()) return galera.status();
    if (*galera != "ON") return absl::OkStatus();
    if (*ready != "ON") return MysqlStatus(1047, "wsrep_ready is not ON");
    if (auto s = c.SetGalera(); !s.ok()) {
      if (absl::IsUnavailable(s)) return s;
      return absl::UnavailableError(
          "this cluster's server does not know @@in_transaction; Jetmon 2 needs Galera of MariaDB");
    }
    return absl::OkStatus();
  }

  const DatabaseUrl url_;
  const ServerOptions options_;
  bool tls_ = false;
  std::atomic<size_t> in_use_{0};
};

absl::Status CheckFile(const char* flag, const std::string& path) {
  if (path.empty() || access(path.c_str(), R_OK) == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--", flag, ": can't read ", path));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Connector>> NewMysqlConnector(const DatabaseUrl& url,
                                                             const ServerOptions& options) {
  if (auto s = CheckFile("database_tls_ca", options.tls_ca); !s.ok()) return s;
  if (auto s = CheckFile("database_tls_certificate", options.tls_certificate); !s.ok()) return s;
  if (auto s = CheckFile("database_tls_key", options.tls_key); !s.ok()) return s;
  return std::unique_ptr<Connector>(std::make_unique<MysqlConnector>(url, options));
}

}  // namespace jetmon::sql
