#include "probe/body_reader.h"

#include <algorithm>
#include <array>
#include <utility>

#include "probe/text.h"

namespace jetmon::probe {
namespace {

constexpr size_t kPieceBytes = 16 * 1024;
constexpr int kAnyFrame = MAX_WBITS + 32;  // zlib tells gzip's frame from its own
constexpr int kNoFrame = -MAX_WBITS;

// zlib's two first bytes: the method and a check of both.
bool HasZlibFrame(std::string_view first) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(first[i]); };
  return (byte(0) & 0x0f) == Z_DEFLATED && (byte(0) * 256 + byte(1)) % 31 == 0;
}

}  // namespace

BodyReader::BodyReader(const FullRules* rules, std::string_view content_encoding) : rules_(rules) {
  if (rules_ != nullptr) {
    keyword_wanted_ = !rules_->keyword.empty();
    longest_ = rules_->keyword.size();
    for (const std::string& k : rules_->forbidden_keywords) longest_ = std::max(longest_, k.size());
  }
  const std::string_view name = Trim(content_encoding);
  if (EqualsIgnoreCase(name, "gzip") || EqualsIgnoreCase(name, "x-gzip")) {
    coding_ = Coding::kGzip;
  } else if (EqualsIgnoreCase(name, "deflate")) {
    coding_ = Coding::kDeflate;
  } else if (!name.empty() && !EqualsIgnoreCase(name, "identity")) {
    coding_ = Coding::kUnknown;
    if (longest_ > 0) {
      Fail(Cat("content encoding ", OneLine(name, 40), " can't be searched for keywords"));
    }
  }
}

BodyReader::~BodyReader() {
  if (inflating_) inflateEnd(&zlib_);
}

bool BodyReader::Feed(std::string_view bytes) {
  if (!error_.empty()) return false;
  if (coding_ == Coding::kGzip || coding_ == Coding::kDeflate) return Inflate(bytes);
  Take(bytes);
  return !Enough();
}

void BodyReader::Finish() {
  const bool coded = coding_ == Coding::kGzip || coding_ == Coding::kDeflate;
  // A body of no bytes at all is complete, whatever its headers say of its encoding.
  const bool begun = inflating_ || !begun_.empty();
  if (coded && begun && !inflated_ && error_.empty()) Fail("compressed body broke off");
}

bool BodyReader::BeginInflate(std::string_view first) {
  const bool framed = coding_ == Coding::kGzip || HasZlibFrame(first);
  inflating_ = inflateInit2(&zlib_, framed ? kAnyFrame : kNoFrame) == Z_OK;
  if (!inflating_) Fail("out of memory");
  return inflating_;
}

bool BodyReader::Inflate(std::string_view bytes) {
  std::string begin;
  if (!inflating_) {
    // It takes two bytes to tell how it begins.
    begun_ += bytes;
    if (begun_.size() < 2) return true;
    begin = std::move(begun_);
    bytes = begin;
    if (!BeginInflate(bytes)) return false;
  }
  if (bytes.empty()) return true;
  if (inflated_ && !EndOfMember(bytes)) return true;
  std::array<char, kPieceBytes> piece;
  zlib_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  zlib_.avail_in = static_cast<uInt>(bytes.size());
  for (;;) {
    zlib_.next_out = reinterpret_cast<Bytef*>(piece.data());
    zlib_.avail_out = kPieceBytes;
    const int result = inflate(&zlib_, Z_NO_FLUSH);
    Take({piece.data(), kPieceBytes - zlib_.avail_out});
    if (Enough()) return false;
    if (result == Z_STREAM_END) {
      inflated_ = true;
      const std::string_view rest(reinterpret_cast<const char*>(zlib_.next_in), zlib_.avail_in);
      if (!EndOfMember(rest)) return true;
      continue;
    }
    if (result == Z_BUF_ERROR || (result == Z_OK && zlib_.avail_in == 0 && zlib_.avail_out > 0)) {
      return true;  // it wants more
    }
    if (result != Z_OK) {
      Fail("compressed body is corrupt");
      return false;
    }
  }
}

// Behind a gzip member another may follow; anything else there is ignored, as curl and browsers do.
bool BodyReader::EndOfMember(std::string_view rest) {
  if (coding_ != Coding::kGzip || rest.empty() || rest.front() != '\x1f') return false;
  inflated_ = inflateReset(&zlib_) != Z_OK;
  return !inflated_;
}

void BodyReader::Take(std::string_view bytes) {
  bytes = bytes.substr(0, kMaxSearchedBytes - bytes_);
  bytes_ += bytes.size();
  if (longest_ == 0 || coding_ == Coding::kUnknown || bytes.empty()) return;
  window_ += bytes;
  if (keyword_wanted_) keyword_wanted_ = window_.find(rules_->keyword) == std::string::npos;
  for (const std::string& k : rules_->forbidden_keywords) {
    if (!forbidden_found_.empty()) break;
    if (window_.find(k) != std::string::npos) forbidden_found_ = k;
  }
  if (window_.size() >= longest_) window_.erase(0, window_.size() - longest_ + 1);
}

// A forbidden keyword decides; a wanted one that is still missing, or forbidden ones that have not
// come yet, are looked for up to the larger bound.
bool BodyReader::Enough() const {
  if (!forbidden_found_.empty() || bytes_ >= kMaxSearchedBytes) return true;
  const bool searching = longest_ > 0 && coding_ != Coding::kUnknown &&
                         (keyword_wanted_ || !rules_->forbidden_keywords.empty());
  return !searching && bytes_ >= kMaxBytes;
}

void BodyReader::Fail(std::string error) { error_ = std::move(error); }

}  // namespace jetmon::probe
