#include "controlplane/rollout/site_urls.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "probe/url.h"
#include "store/legacy_table.h"
#include "store/sites.h"

namespace jetmon::rollout {
namespace {

constexpr int kSitesAPage = 5000;
constexpr size_t kMostExamples = 20;
// A page is read in some tens of milliseconds.
constexpr std::chrono::seconds kStatementLimit{1};
// Of one bucket, so many rows that have a twin elsewhere are looked for.
constexpr int kTwinsABucket = 1000;

// The port that is written in a URL of that scheme and is not its own; "" if none is.
std::string_view OwnPort(std::string_view authority, std::string_view scheme) {
  if (const size_t user = authority.rfind('@'); user != std::string_view::npos) {
    authority.remove_prefix(user + 1);
  }
  const size_t colon = authority.rfind(':');
  const size_t bracket = authority.rfind(']');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket)) {
    return "";
  }
  const std::string_view port = authority.substr(colon + 1);
  return port == (scheme == "https" ? "443" : "80") ? "" : port;
}

}  // namespace

std::string_view HowV1Differs(std::string_view url) {
  const size_t end = url.find("://");
  if (end == std::string_view::npos) return "";
  const std::string_view scheme = url.substr(0, end);
  const auto upper = [](char c) { return c >= 'A' && c <= 'Z'; };
  if (std::any_of(scheme.begin(), scheme.end(), upper)) {
    return "v1 has it as down: its scheme is not in lower case";
  }
  const auto beyond = [](char c) { return c == ' ' || static_cast<unsigned char>(c) >= 0x80; };
  if (std::any_of(url.begin(), url.end(), beyond)) {
    return "v1 tells nobody of it: it has a space or a character beyond ASCII";
  }
  const std::string_view rest = url.substr(end + 3);
  if (!OwnPort(rest.substr(0, rest.find_first_of("/?#")), scheme).empty()) {
    return scheme == "https" ? "v1 asks port 443 instead" : "v1 asks port 80 instead";
  }
  return "";
}

void SiteUrls::Found::Add(std::string example) {
  ++count;
  if (examples.size() < kMostExamples) examples.push_back(std::move(example));
}

SiteUrls::SiteUrls(sql::Database& db, const probe::TargetSafety& safety,
                   store::LegacyDialect dialect, store::Range range, BootTime deadline)
    : db_(db),
      safety_(safety),
      v1_(dialect == store::LegacyDialect::kV1),
      range_(range),
      deadline_(deadline),
      thread_([this] { Run(); }) {}

SiteUrls::~SiteUrls() {
  stopping_ = true;
  Wait();
}

const SiteUrls::Result& SiteUrls::Wait() {
  if (thread_.joinable()) thread_.join();
  return result_;
}

void SiteUrls::Run() {
  auto session = db_.NewSession(kStatementLimit);
  if (!session.ok()) {
    result_.status = session.status();
    return;
  }
  result_.status = (*session)->Read(deadline_, [&](sql::Transaction& tx) {
    auto missing = store::MissingLegacyIndexes(tx);
    if (missing.ok()) result_.missing_indexes = *std::move(missing);
    return missing.status();
  });
  if (!result_.status.ok()) return;
  // Without its index each row's twins would be looked for in the whole table.
  const bool look_for_twins = v1_ && result_.missing_indexes.empty();
  bool in_time = true;
  for (uint32_t bucket = range_.min; bucket <= range_.max && in_time; ++bucket) {
    result_.status = LookAt(**session, bucket, &in_time);
    if (!result_.status.ok()) return;
    if (!look_for_twins || !in_time) continue;
    result_.status = LookForTwins(**session, bucket);
    if (!result_.status.ok()) return;
  }
  result_.all = in_time;
}

absl::Status SiteUrls::LookAt(sql::Session& session, uint32_t bucket, bool* in_time) {
  for (store::SiteCursor after;;) {
    *in_time = InTime();
    if (!*in_time) return absl::OkStatus();
    std::vector<store::Site> sites;
    const absl::Status s = session.Read(deadline_, [&](sql::Transaction& tx) {
      auto page = store::ActiveSitesOfBucket(tx, bucket, after, kSitesAPage);
      if (page.ok()) sites = *std::move(page);
      return page.status();
    });
    if (!s.ok()) return s;
    for (const store::Site& site : sites) Judge(site.url);
    if (sites.size() < static_cast<size_t>(kSitesAPage)) return absl::OkStatus();
    after = store::SiteCursor::After(sites.back());
  }
}

absl::Status SiteUrls::LookForTwins(sql::Session& session, uint32_t bucket) {
  std::vector<store::SplitTwin> twins;
  const absl::Status s = session.Read(deadline_, [&](sql::Transaction& tx) {
    auto found = store::SplitTwinsOfBucket(tx, bucket, range_, kTwinsABucket);
    if (found.ok()) twins = *std::move(found);
    return found.status();
  });
  if (!s.ok()) return s;
  for (const store::SplitTwin& t : twins) {
    result_.split.Add(absl::StrCat("blog ", t.blog_id, " ", t.url, ": site ", t.site_id,
                                   " in bucket ", bucket, ", site ", t.other_site_id, " in bucket ",
                                   t.other_bucket));
  }
  return absl::OkStatus();
}

void SiteUrls::Judge(const std::string& text) {
  ++result_.looked_at;
  if (!safety_.JudgeUrl(probe::ParseUrl(text)).ok()) {
    result_.refused.Add(text);
  } else if (const std::string_view why = HowV1Differs(text); v1_ && !why.empty()) {
    result_.differs.Add(absl::StrCat(text, ": ", std::string(why)));
  }
}

}  // namespace jetmon::rollout
