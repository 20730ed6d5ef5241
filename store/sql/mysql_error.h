#ifndef JETMON_STORE_SQL_MYSQL_ERROR_H_
#define JETMON_STORE_SQL_MYSQL_ERROR_H_

#include <string_view>

#include "absl/status/status.h"

namespace jetmon::sql {

// What an error number of a server (1000 and more) or of the client library (2000 and more) means,
// as database.h has it; `text` is what came with it, kept as EngineText. Errors after which the
// connection is of no use are Unavailable, with kLostKey where another try may do better.
absl::Status MysqlStatus(int code, std::string_view text);

// True of an error after which nobody knows what the session is in: a loss, whatever the server
// hangs up after, and what no server has sent (of the connector or of the client library).
bool LeavesDoubt(const absl::Status& s);

}  // namespace jetmon::sql

#endif  // JETMON_STORE_SQL_MYSQL_ERROR_H_
