#include "controlplane/access/caller.h"

namespace jetmon::access {
namespace {
constexpr std::string_view kNames[] = {"none", "read", "write", "admin", "vantage"};
}

std::string_view ScopeName(Scope scope) { return kNames[static_cast<int>(scope)]; }

Scope ScopeOf(std::string_view name) {
  for (int i = 0; i < 5; ++i) {
    if (kNames[i] == name) return static_cast<Scope>(i);
  }
  return Scope::kVantage;
}

}  // namespace jetmon::access
