#ifndef JETMON_TESTS_LAB_V1_CHECK_H_
#define JETMON_TESTS_LAB_V1_CHECK_H_

#include <chrono>
#include <string>

namespace jetmon::lab {

// One check as v1 does it: HEAD with v1's user agent on a blocking socket bound to `source` (empty
// = any), up to two redirects followed, the third redirect answer counts as up. Its code; 0 if none
// came. Only http URLs of an IPv4 literal can be checked, others have none.
int CodeAsV1(const std::string& url, const std::string& source, std::chrono::milliseconds timeout);
inline bool IsUpAsV1(int code) { return code > 0 && code < 400; }
bool CheckAsV1(const std::string& url, const std::string& source,
               std::chrono::milliseconds timeout);

}  // namespace jetmon::lab

#endif  // JETMON_TESTS_LAB_V1_CHECK_H_
