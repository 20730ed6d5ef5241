#ifndef JETMON_STORE_LOCK_SQL_H_
#define JETMON_STORE_LOCK_SQL_H_

// Pieces of SQL that the lock tables' own files share.
namespace jetmon::store {

// What a range, or a part, leaves in the outbox, where no Monitor was there to count it. A piece of
// an UPDATE of its row.
inline constexpr char kCountQueued[] =
    "(SELECT COUNT(*) FROM jetmon_notifications WHERE state IN ('queued', 'sending') AND bucket_no "
    "BETWEEN bucket_min AND bucket_max)";

}  // namespace jetmon::store

#endif  // JETMON_STORE_LOCK_SQL_H_
