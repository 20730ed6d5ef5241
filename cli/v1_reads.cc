#include "cli/v1_reads.h"

#include <algorithm>

namespace jetmon::cli {
namespace {

// The place in the range that v1 keeps between its queries.
class Place {
 public:
  Place(const V1Settings& settings, V1Code code)
      : min_(settings.min),
        max_(settings.max),
        batch_(settings.batch),
        code_(code),
        from_(min_),
        to_(min_ + batch_) {}

  // The next query, of buckets from `from_` up to, but not with, `to_`; adds what it reads. Whether
  // it was the round's last.
  bool Query(BucketSet* read) {
    const int64_t from = std::max<int64_t>(from_, 0);
    if (from < to_) {
      read->Add(store::Range{static_cast<uint32_t>(from), static_cast<uint32_t>(to_ - 1)});
    }
    return Advance();
  }
  // A query that fails: v1 has gone on by the time it hears of that, and takes a step back.
  bool FailedQuery() {
    const bool last = Advance();
    from_ -= batch_;
    to_ -= batch_;
    return last;
  }

 private:
  bool Advance() {
    from_ += batch_;
    if (from_ >= max_) from_ = min_;
    to_ = from_ + batch_;
    if (to_ > max_) to_ = code_ == V1Code::kCutsAtMax ? max_ + 1 : min_ + batch_;
    return from_ == min_;
  }

  const int64_t min_, max_, batch_;
  const V1Code code_;
  int64_t from_, to_;
};

// A whole round's reads; `place` is then where the next one begins.
BucketSet Round(Place* place) {
  BucketSet read;
  while (!place->Query(&read)) {
  }
  return read;
}

// What is read after the last batch of the round that begins at `place` has failed.
BucketSet AfterFailure(Place place) {
  BucketSet passed, read;
  for (;;) {
    Place other = place;
    if (other.FailedQuery()) {
      other.Query(&read);
      return read;
    }
    place.Query(&passed);
  }
}

}  // namespace

V1Reads ReadsOfV1(const V1Settings& settings, V1Code code) {
  V1Reads reads;
  Place place(settings, code);
  reads.strays = AfterFailure(place);  // of any round: each ends at the same place
  const BucketSet first = Round(&place);
  reads.rounds = Round(&place);
  reads.at_start = first.Without(reads.rounds);
  return reads;
}

}  // namespace jetmon::cli
