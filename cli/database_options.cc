#include "cli/database_options.h"

#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "cli/terminal.h"
#include "store/schema.h"

namespace jetmon::cli {

void AddDatabaseOptions(CLI::App* c, store::DatabaseSettings* s) {
  if (const char* url = getenv("JETMON_DATABASE"); url != nullptr) s->url = url;
  c->add_option("--database", s->url,
                "sqlite:///path/file.db or mysql://user@host[:port][,host...]/database (or "
                "JETMON_DATABASE)");
  c->add_option("--database-password-file,--database_password_file", s->password_file,
                "file whose first line is the password (or JETMON_DATABASE_PASSWORD_FILE, or "
                "JETMON_DATABASE_PASSWORD)");
  c->add_option("--database-tls,--database_tls", s->tls,
                "verify, off, or auto: none on loopback, else verify")
      ->check(CLI::IsMember({"auto", "verify", "off"}));
  c->add_option("--database-tls-ca,--database_tls_ca", s->tls_ca,
                "PEM file that certifies the server; default: the system's");
  c->add_option("--database-tls-certificate,--database_tls_certificate", s->tls_certificate,
                "PEM file of our own certificate, where asked for");
  c->add_option("--database-tls-key,--database_tls_key", s->tls_key, "PEM file of its key");
}

absl::StatusOr<std::unique_ptr<sql::Database>> OpenAsItIs(const store::DatabaseSettings& settings) {
  store::DatabaseSettings as_it_is = settings;
  as_it_is.auto_migrate = false;
  return store::OpenDatabase(as_it_is);
}

int Fail(const absl::Status& status) {
  std::cerr << "jetmon2: " << status.message() << "\n";
  return kFailed;
}

}  // namespace jetmon::cli
