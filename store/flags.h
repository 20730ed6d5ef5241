#ifndef JETMON_STORE_FLAGS_H_
#define JETMON_STORE_FLAGS_H_

#include "store/settings.h"

namespace jetmon::store {

// The flags of a daemon that has a database: --database, --database_password_file, --database_tls,
// --database_tls_ca, --database_tls_certificate, --database_tls_key, --auto_migrate. Whoever links
// this defines them.
DatabaseSettings SettingsFromFlags();

}  // namespace jetmon::store

#endif  // JETMON_STORE_FLAGS_H_
