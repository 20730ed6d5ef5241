#ifndef JETMON_CONTROLPLANE_ACCESS_CALLER_H_
#define JETMON_CONTROLPLANE_ACCESS_CALLER_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace jetmon::access {

// What a key may do; each includes those before it. kVantage stands outside of the ladder: a
// vantage's token, never an API key.
enum class Scope { kNone = 0, kRead = 1, kWrite = 2, kAdmin = 3, kVantage = 4 };

// "read", "write", "admin"; "none", "vantage".
std::string_view ScopeName(Scope scope);
// The scope of that name; kVantage (which no key satisfies) for an unknown one.
Scope ScopeOf(std::string_view name);

// Who calls: the API key behind the call's token. All fields empty for a call that needs no key.
struct Caller {
  std::string key_id;
  std::string consumer;
  Scope scope = Scope::kNone;
  int64_t expires_at_ms = 0;  // Unix ms; 0 = never
};

}  // namespace jetmon::access

#endif  // JETMON_CONTROLPLANE_ACCESS_CALLER_H_
