#ifndef JETMON_STORE_SQL_URL_H_
#define JETMON_STORE_SQL_URL_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace jetmon::sql {

// Where a database is.
struct DatabaseUrl {
  struct Host {
    std::string name;  // a name or an IP address, IPv6 without brackets
    uint16_t port = 3306;
  };

  std::string engine;  // "sqlite" or "mysql"
  std::string path;    // absolute: of an embedded database
  // Of a server. The hosts are tried in this order until one answers; later ones take over when it
  // fails (nodes of a Galera cluster, or a primary and its stand-in).
  std::string user;
  std::vector<Host> hosts;
  std::string socket;  // absolute path of a Unix socket, instead of hosts
  std::string database;

  // Without a password, as a log may show it.
  std::string ToString() const;
};

// Reads `sqlite:///absolute/path/file.db` or `mysql://user@host[:port][,host[:port]...]/database`
// or `mysql://user@localhost/database?socket=/absolute/path`. InvalidArgument for another form and
// for a password in the URL, one line with what to type.
absl::StatusOr<DatabaseUrl> ParseDatabaseUrl(std::string_view url);

}  // namespace jetmon::sql

#endif  // JETMON_STORE_SQL_URL_H_
