#ifndef JETMON_STORE_SETTINGS_H_
#define JETMON_STORE_SETTINGS_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "store/sql/database.h"

namespace jetmon::store {

// Where a program's database is and how it is reached: what daemons take as flags (flags.h) and
// jetmon2 as options, by the same names.
struct DatabaseSettings {
  std::string url;  // --database, see sql::ParseDatabaseUrl
  // --database_password_file; its first line. "" = that of JETMON_DATABASE_PASSWORD_FILE, else
  // JETMON_DATABASE_PASSWORD, else none.
  std::string password_file;
  std::string tls = "auto";                      // --database_tls: auto, verify or off
  std::string tls_ca, tls_certificate, tls_key;  // --database_tls_*: PEM files
  // --auto_migrate; unset: an embedded database is migrated, a server is not.
  std::optional<bool> auto_migrate;
};

// The options for sql::Database::Open. InvalidArgument, one line with what to do, for settings that
// do not fit.
absl::StatusOr<sql::Options> OptionsFrom(const DatabaseSettings& settings);

// True if the schema is to be brought up without being asked.
bool MigratesByItself(const DatabaseSettings& settings);

}  // namespace jetmon::store

#endif  // JETMON_STORE_SETTINGS_H_
