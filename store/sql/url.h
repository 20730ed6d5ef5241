#ifndef JETMON_STORE_SQL_URL_H_
#define JETMON_STORE_SQL_URL_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace jetmon::sql {

// Where a database is.
struct DatabaseUrl {
  std::string engine;  // "sqlite"
  std::string path;    // absolute, of an embedded database
};

// Reads `sqlite:///absolute/path/file.db`. InvalidArgument for another form, and for a password in
// the URL; Unimplemented for mysql://, which this build lacks. One line each, with what to type.
absl::StatusOr<DatabaseUrl> ParseDatabaseUrl(std::string_view url);

}  // namespace jetmon::sql

#endif  // JETMON_STORE_SQL_URL_H_
