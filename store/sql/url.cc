#include "store/sql/url.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace jetmon::sql {
namespace {

constexpr char kForms[] =
    "use sqlite:///path/file.db or mysql://user@host:3306/database (more hosts by commas)";
constexpr size_t kMaxHosts = 16;

absl::Status Wrong(absl::string_view url, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("'", url, "' ", what, "; ", kForms));
}

bool IsName(absl::string_view text) {
  return !text.empty() && text.size() <= 64 &&
         text.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-$") ==
             absl::string_view::npos;
}

// host, host:port, [v6] or [v6]:port.
bool ReadHost(absl::string_view text, DatabaseUrl::Host* host) {
  absl::string_view name = text, port;
  const size_t close = text.find(']');
  if (absl::StartsWith(text, "[") && close != absl::string_view::npos) {
    name = text.substr(1, close - 1);
    port = text.substr(close + 1);
    if (!port.empty() && !absl::ConsumePrefix(&port, ":")) return false;
    if (port.empty() && close + 1 != text.size()) return false;
  } else if (const size_t colon = text.find(':'); colon != absl::string_view::npos) {
    name = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (port.empty()) return false;
  }
  if (name.empty() || name.size() > 255 ||
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:") !=
          absl::string_view::npos) {
    return false;
  }
  uint32_t number = 3306;
  if (!port.empty() && (!absl::SimpleAtoi(port, &number) || number == 0 || number > 65535)) {
    return false;
  }
  host->name = std::string(name);
  host->port = static_cast<uint16_t>(number);
  return true;
}

absl::StatusOr<DatabaseUrl> ParseMysql(absl::string_view url, absl::string_view rest) {
  // The user is looked at first: what is wrong behind it must not put a password into an error.
  const size_t at = rest.rfind('@');
  if (at != absl::string_view::npos && absl::StrContains(rest.substr(0, at), ":")) {
    return absl::InvalidArgumentError(
        "the database URL holds a password; never put one there: use --database_password_file or "
        "JETMON_DATABASE_PASSWORD");
  }
  DatabaseUrl u;
  u.engine = "mysql";
  if (at == absl::string_view::npos) {  // what stands there may be anything: it is not repeated
    return absl::InvalidArgumentError(absl::StrCat("the database URL names no user; ", kForms));
  }
  if (!IsName(rest.substr(0, at))) return Wrong(url, "names no user");
  u.user = std::string(rest.substr(0, at));
  rest.remove_prefix(at + 1);
  absl::string_view query;
  if (const size_t mark = rest.find('?'); mark != absl::string_view::npos) {
    query = rest.substr(mark + 1);
    rest = rest.substr(0, mark);
  }
  const size_t slash = rest.find('/');
  if (slash == absl::string_view::npos || !IsName(rest.substr(slash + 1))) {
    return Wrong(url, "names no database");
  }
  u.database = std::string(rest.substr(slash + 1));
  for (absl::string_view text : absl::StrSplit(rest.substr(0, slash), ',')) {
    DatabaseUrl::Host host;
    if (!ReadHost(text, &host)) return Wrong(url, absl::StrCat("has no host in '", text, "'"));
    u.hosts.push_back(host);
  }
  if (u.hosts.size() > kMaxHosts) return Wrong(url, "has more than 16 hosts");
  if (!query.empty()) {
    if (!absl::ConsumePrefix(&query, "socket=/") || query.empty()) {
      return Wrong(url, "has something behind '?' other than socket=/path");
    }
    u.socket = absl::StrCat("/", query);
    if (u.hosts.size() != 1 || u.hosts[0].name != "localhost") {
      return Wrong(url, "has a socket, which goes with the host localhost alone");
    }
  }
  return u;
}

}  // namespace

std::string DatabaseUrl::ToString() const {
  if (engine == "sqlite") return absl::StrCat("sqlite://", path);
  return absl::StrCat("mysql://", user, "@",
                      absl::StrJoin(hosts, ",",
                                    [](std::string* out, const Host& h) {
                                      absl::StrAppend(out,
                                                      h.name.find(':') == std::string::npos
                                                          ? h.name
                                                          : absl::StrCat("[", h.name, "]"),
                                                      ":", h.port);
                                    }),
                      "/", database, socket.empty() ? "" : absl::StrCat("?socket=", socket));
}

absl::StatusOr<DatabaseUrl> ParseDatabaseUrl(std::string_view text) {
  const absl::string_view url(text.data(), text.size());
  absl::string_view rest = url;
  if (absl::ConsumePrefix(&rest, "mysql://")) return ParseMysql(url, rest);
  if (!absl::ConsumePrefix(&rest, "sqlite://")) return Wrong(url, "is no database URL");
  if (rest.size() < 2 || rest.front() != '/' || rest.back() == '/') {
    return Wrong(url, "has no absolute path of a file");
  }
  DatabaseUrl u;
  u.engine = "sqlite";
  u.path = std::string(rest);
  return u;
}

}  // namespace jetmon::sql
