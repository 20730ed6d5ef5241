#include "controlplane/rollout/site_urls.h"

#include <utility>

#include "probe/url.h"
#include "store/sites.h"

namespace jetmon::rollout {
namespace {

constexpr int kSitesAPage = 5000;
constexpr size_t kMostExamples = 20;
// A page is read in some tens of milliseconds.
constexpr std::chrono::seconds kStatementLimit{1};

}  // namespace

SiteUrls::SiteUrls(sql::Database& db, const probe::TargetSafety& safety, store::Range range,
                   BootTime deadline)
    : db_(db), safety_(safety), range_(range), deadline_(deadline), thread_([this] { Run(); }) {}

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
  bool in_time = true;
  for (uint32_t bucket = range_.min; bucket <= range_.max && in_time; ++bucket) {
    result_.status = LookAt(**session, bucket, &in_time);
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

void SiteUrls::Judge(const std::string& text) {
  ++result_.looked_at;
  if (safety_.JudgeUrl(probe::ParseUrl(text)).ok()) return;
  ++result_.refused;
  if (result_.examples.size() < kMostExamples) result_.examples.push_back(text);
}

}  // namespace jetmon::rollout
