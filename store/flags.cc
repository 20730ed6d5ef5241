#include "store/flags.h"

#include <gflags/gflags.h>

DEFINE_string(database, "",
              "sqlite:///path/file.db or mysql://user@host[:port][,host...]/database (or "
              "JETMON_DATABASE)");
DEFINE_string(database_password_file, "",
              "file whose first line is the database user's password (or "
              "JETMON_DATABASE_PASSWORD_FILE, or JETMON_DATABASE_PASSWORD)");
DEFINE_string(database_tls, "auto",
              "verify: TLS with a verified server; off: none; auto: none on loopback, else verify");
DEFINE_string(database_tls_ca, "", "PEM file that certifies the server; default: the system's");
DEFINE_string(database_tls_certificate, "", "PEM file of our own certificate, where asked for");
DEFINE_string(database_tls_key, "", "PEM file of its key");
DEFINE_bool(auto_migrate, true,
            "bring an older schema up at the start; left out: yes on SQLite, no on a server");

namespace jetmon::store {

DatabaseSettings SettingsFromFlags() {
  DatabaseSettings s;
  s.url = FLAGS_database;
  s.password_file = FLAGS_database_password_file;
  s.tls = FLAGS_database_tls;
  s.tls_ca = FLAGS_database_tls_ca;
  s.tls_certificate = FLAGS_database_tls_certificate;
  s.tls_key = FLAGS_database_tls_key;
  if (!gflags::GetCommandLineFlagInfoOrDie("auto_migrate").is_default) {
    s.auto_migrate = FLAGS_auto_migrate;
  }
  return s;
}

}  // namespace jetmon::store
