#include "store/sql/url.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace jetmon::sql {

absl::StatusOr<DatabaseUrl> ParseDatabaseUrl(std::string_view text) {
  const absl::string_view url(text.data(), text.size());
  if (absl::StartsWith(url, "mysql://")) {
    const absl::string_view user = url.substr(8, url.find('@') - 8);
    if (absl::StrContains(url, "@") && absl::StrContains(user, ":")) {
      return absl::InvalidArgumentError("the database URL holds a password; never put one there");
    }
    return absl::UnimplementedError(
        "this build has no MySQL driver; use --database=sqlite:///path/file.db");
  }
  if (!absl::StartsWith(url, "sqlite://")) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", url, "' is no database URL; use sqlite:///path/file.db"));
  }
  const absl::string_view path = url.substr(9);
  if (path.size() < 2 || path.front() != '/' || path.back() == '/') {
    return absl::InvalidArgumentError(
        absl::StrCat("'", url, "' has no absolute path of a file; use sqlite:///path/file.db"));
  }
  return DatabaseUrl{"sqlite", std::string(path)};
}

}  // namespace jetmon::sql
