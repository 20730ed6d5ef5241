#ifndef JETMON_STORE_SQL_MYSQL_SESSION_H_
#define JETMON_STORE_SQL_MYSQL_SESSION_H_

#include <cppconn/connection.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "store/sql/connection.h"

namespace jetmon::sql {

// A connection to a MySQL server, as who makes it needs it besides.
class MysqlSession : public Connection {
 public:
  // Which of the URL's hosts it leads to.
  virtual size_t host() const = 0;
  // It is a session of a cluster. Internal if its server can't say whether a transaction is open.
  virtual absl::Status SetGalera() = 0;
  // A statement without parameters that the prepared protocol need not know.
  virtual absl::Status Plain(const char* sql) = 0;
  // One value of the session: of `SELECT what` or of `SHOW ... LIKE` (its second column).
  virtual absl::StatusOr<std::string> Ask(const char* sql, int column) = 0;
};

// `silence`: after so long without a word the client library gives the server up.
std::unique_ptr<MysqlSession> NewMysqlSession(std::unique_ptr<::sql::Connection> connection,
                                              size_t host, std::chrono::seconds silence);

// Runs what may throw as the connector does, and turns what it throws into a status.
absl::Status CatchMysql(const std::function<void()>& f);

}  // namespace jetmon::sql

#endif  // JETMON_STORE_SQL_MYSQL_SESSION_H_
