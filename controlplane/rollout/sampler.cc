#include "controlplane/rollout/sampler.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>

namespace jetmon::rollout {
namespace {

constexpr int kPlacesAPage = 10'000;
constexpr int kSitesAPage = 512;

}  // namespace

std::vector<uint64_t> Stratify(const std::vector<uint64_t>& sites_by_bucket, uint64_t size) {
  const uint64_t total =
      std::accumulate(sites_by_bucket.begin(), sites_by_bucket.end(), uint64_t{0});
  const uint64_t wanted = std::min(size, total);
  std::vector<uint64_t> take;
  uint64_t before = 0, taken = 0;
  for (uint64_t n : sites_by_bucket) {
    before += n;
    // Rounded on the running sum, so that the parts add up. Sites and sample are below 2^32.
    const uint64_t upto = total == 0 ? 0 : before * wanted / total;
    take.push_back(upto - taken);
    taken = upto;
  }
  return take;
}

Sampler::Sampler(sql::Database& db, const std::string& run_id, store::Range range,
                 std::function<absl::Status()> alive)
    : db_(db), order_(run_id), range_(range), alive_(std::move(alive)), bucket_(range.min) {}

absl::Status Sampler::Count() {
  for (uint32_t bucket = range_.min; bucket <= range_.max; ++bucket) {
    if (auto s = alive_(); !s.ok()) return s;
    uint64_t count = 0;
    const absl::Status s = db_.Read([&](sql::Transaction& tx) {
      auto n = store::CountActiveSites(tx, {bucket, bucket});
      if (n.ok()) count = *n;
      return n.status();
    });
    if (!s.ok()) return s;
    counts_.push_back(count);
  }
  return absl::OkStatus();
}

uint64_t Sampler::active() const {
  return std::accumulate(counts_.begin(), counts_.end(), uint64_t{0});
}

bool Sampler::GoOn(std::vector<uint64_t> by_bucket, uint32_t bucket) {
  if (by_bucket.size() != range_.size() || bucket < range_.min) return false;
  take_ = std::move(by_bucket);
  bucket_ = bucket;
  return true;
}

uint64_t Sampler::size() const { return std::accumulate(take_.begin(), take_.end(), uint64_t{0}); }

absl::StatusOr<std::vector<Sampler::Sampled>> Sampler::Next() {
  std::vector<Sampled> sampled;
  while (bucket_ <= range_.max) {
    if (!entered_) {
      if (auto s = EnterBucket(); !s.ok()) return s;
      entered_ = true;
    }
    auto sites = NextOfBucket();
    if (!sites.ok()) return sites.status();
    for (store::Site& site : *sites) sampled.push_back({std::move(site), ordinal_++});
    if (!sampled.empty()) return sampled;
    ++bucket_;
    entered_ = false;
  }
  return sampled;
}

absl::Status Sampler::EnterBucket() {
  const size_t index = bucket_ - range_.min;
  const uint64_t take = take_[index];
  ordinal_ = std::accumulate(take_.begin(), take_.begin() + index, uint64_t{0});
  whole_ = take > 0 && take >= counts_[index];
  after_ = {};
  picked_.clear();
  at_ = 0;
  if (take == 0 || whole_) return absl::OkStatus();
  // The `take` first by rank, the last of them on top.
  std::vector<std::pair<uint64_t, store::SiteCursor>> heap;
  const auto less = [](const auto& a, const auto& b) { return a.first < b.first; };
  for (store::SiteCursor after;;) {
    if (auto s = alive_(); !s.ok()) return s;
    std::vector<store::SiteCursor> places;
    const absl::Status s = db_.Read([&](sql::Transaction& tx) {
      auto page = store::ActivePlacesOfBucket(tx, bucket_, after, kPlacesAPage);
      if (page.ok()) places = *std::move(page);
      return page.status();
    });
    if (!s.ok()) return s;
    for (const store::SiteCursor& place : places) {
      const uint64_t rank = order_.RankOf(place.site_id);
      if (heap.size() == take) {
        if (rank > heap.front().first) continue;
        std::pop_heap(heap.begin(), heap.end(), less);
        heap.pop_back();
      }
      heap.emplace_back(rank, place);
      std::push_heap(heap.begin(), heap.end(), less);
    }
    if (places.size() < static_cast<size_t>(kPlacesAPage)) break;
    after = places.back();
  }
  for (const auto& [rank, place] : heap) picked_.push_back(place);
  // In the order in which a bucket that is taken whole is read.
  std::sort(picked_.begin(), picked_.end(), [](const auto& a, const auto& b) {
    return std::pair(a.interval, a.site_id) < std::pair(b.interval, b.site_id);
  });
  return absl::OkStatus();
}

absl::StatusOr<std::vector<store::Site>> Sampler::NextOfBucket() {
  std::vector<store::Site> sites;
  if (auto s = alive_(); !s.ok()) return s;
  if (whole_) {
    const absl::Status s = db_.Read([&](sql::Transaction& tx) {
      auto page = store::ActiveSitesOfBucket(tx, bucket_, after_, kSitesAPage);
      if (page.ok()) sites = *std::move(page);
      return page.status();
    });
    if (!s.ok()) return s;
    if (!sites.empty()) after_ = store::SiteCursor::After(sites.back());
    return sites;
  }
  while (sites.empty() && at_ < picked_.size()) {
    std::vector<uint64_t> ids;
    std::unordered_map<uint64_t, size_t> place_of;
    for (; at_ < picked_.size() && ids.size() < static_cast<size_t>(kSitesAPage); ++at_) {
      place_of[picked_[at_].site_id] = ids.size();
      ids.push_back(picked_[at_].site_id);
    }
    const absl::Status s = db_.Read([&](sql::Transaction& tx) {
      auto found = store::ActiveSitesById(tx, ids);
      if (found.ok()) sites = *std::move(found);
      return found.status();
    });
    if (!s.ok()) return s;
    std::erase_if(sites, [this](const store::Site& site) { return site.bucket != bucket_; });
    std::sort(sites.begin(), sites.end(), [&](const store::Site& a, const store::Site& b) {
      return place_of[a.site_id] < place_of[b.site_id];
    });
  }
  return sites;
}

}  // namespace jetmon::rollout
