#ifndef JETMON_STORE_SQL_SQLITE_SETTINGS_H_
#define JETMON_STORE_SQL_SQLITE_SETTINGS_H_

namespace jetmon::sql {

// What each connection to SQLite is told, beside `journal_mode = WAL`: a commit survives the death
// of the process; the cache of 16 MB is enough for the indexes that a batch of many rows touches
// all over; the write-ahead log takes several such batches, 8,000 pages, before it goes into the
// file. The benches' peer is told the same, or it would be compared at a disadvantage.
inline constexpr char kSqliteSettings[] =
    "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16000; PRAGMA wal_autocheckpoint = 8000";

}  // namespace jetmon::sql

#endif  // JETMON_STORE_SQL_SQLITE_SETTINGS_H_
