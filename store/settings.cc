#include "store/settings.h"

#include <stdlib.h>

#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace jetmon::store {
namespace {

std::string Environment(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? "" : value;
}

// The first line of the file that was named, by flag or in the environment, else the environment's.
absl::StatusOr<std::string> ReadPassword(const std::string& named) {
  std::string path = named;
  const char* by = "--database_password_file";
  if (path.empty()) {
    path = Environment("JETMON_DATABASE_PASSWORD_FILE");
    by = "JETMON_DATABASE_PASSWORD_FILE";
  }
  if (path.empty()) return Environment("JETMON_DATABASE_PASSWORD");
  std::ifstream file(path);
  std::string password;
  if (!file || !std::getline(file, password)) {
    return absl::InvalidArgumentError(absl::StrCat(by, ": can't read a line from ", path));
  }
  if (absl::EndsWith(password, "\r")) password.pop_back();
  return password;
}

}  // namespace

absl::StatusOr<sql::Options> OptionsFrom(const DatabaseSettings& settings) {
  sql::Options options;
  if (settings.url.empty()) {
    return absl::InvalidArgumentError(
        "which database? Give --database=sqlite:///path/file.db or "
        "--database=mysql://user@host/database, or set JETMON_DATABASE");
  }
  auto password = ReadPassword(settings.password_file);
  if (!password.ok()) return password.status();
  options.server.password = std::move(*password);
  if (settings.tls == "verify") {
    options.server.tls = sql::ServerOptions::Tls::kVerify;
  } else if (settings.tls == "off") {
    options.server.tls = sql::ServerOptions::Tls::kOff;
  } else if (settings.tls != "auto") {
    return absl::InvalidArgumentError("--database_tls takes auto, verify or off");
  }
  options.server.tls_ca = settings.tls_ca;
  options.server.tls_certificate = settings.tls_certificate;
  options.server.tls_key = settings.tls_key;
  return options;
}

bool MigratesByItself(const DatabaseSettings& settings) {
  return settings.auto_migrate.value_or(absl::StartsWith(settings.url, "sqlite:"));
}

}  // namespace jetmon::store
