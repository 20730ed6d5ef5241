#ifndef JETMON_STORE_SITE_ROWS_H_
#define JETMON_STORE_SITE_ROWS_H_

#include "store/sites.h"

// Rows of the legacy table; for sites.cc, slices.cc and adoption.cc only.
namespace jetmon::store {

// To stand behind SELECT, of the table as `s`, in the order that SiteOf expects.
inline constexpr char kSiteColumns[] =
    "s.jetpack_monitor_site_id, s.blog_id, s.bucket_no, s.monitor_url, s.monitor_active, "
    "s.site_status, s.last_status_change, s.check_interval";

inline constexpr int kSiteColumnCount = 8;

Site SiteOf(const sql::Row& row);

}  // namespace jetmon::store

#endif  // JETMON_STORE_SITE_ROWS_H_
