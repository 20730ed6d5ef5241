#include "probe/body_reader.h"

#include <string.h>

#include <algorithm>
#include <array>
#include <utility>

#include "probe/text.h"

namespace jetmon::probe {
namespace {

constexpr size_t kPieceBytes = 16 * 1024;
constexpr size_t kBatchBytes = 4096;
constexpr int kAnyFrame = MAX_WBITS + 32;  // zlib tells gzip's frame from its own
constexpr int kNoFrame = -MAX_WBITS;

// The first two bytes of zlib's frame (the method, and a check of both) or of gzip's. No stream
// without a frame begins so: the former would be a stored block with padding, the latter is a block
// of a type that there is not.
bool HasFrame(std::string_view first) {
  const unsigned a = static_cast<unsigned char>(first[0]);
  const unsigned b = static_cast<unsigned char>(first[1]);
  return ((a & 0x0f) == Z_DEFLATED && (a * 256 + b) % 31 == 0) || (a == 0x1f && b == 0x8b);
}

// Where `word` ends in `text` for the first time, or npos. In linear time, whatever they are, which
// std::string::find does not promise.
size_t EndOf(std::string_view word, std::string_view text) {
  const void* at = memmem(text.data(), text.size(), word.data(), word.size());
  if (at == nullptr) return std::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(at) - text.data()) + word.size();
}

}  // namespace

BodyReader::BodyReader(const FullRules* rules, std::string_view content_encoding) : rules_(rules) {
  if (rules_ != nullptr) {
    keyword_wanted_ = !rules_->keyword.empty();
    longest_ = rules_->keyword.size();
    for (const std::string& k : rules_->forbidden_keywords) longest_ = std::max(longest_, k.size());
  }
  SetCoding(content_encoding);
  if (coding_ == Coding::kUnknown && longest_ > 0) {
    Fail(Cat("content encoding ", OneLine(content_encoding, 40),
             " is unknown, no keyword can be looked for"));
  }
}

BodyReader::~BodyReader() {
  if (inflating_) inflateEnd(&zlib_);
}

void BodyReader::SetCoding(std::string_view list) {
  for (size_t comma = 0; comma != std::string_view::npos; list.remove_prefix(comma + 1)) {
    comma = list.find(',');
    const std::string_view name = Trim(list.substr(0, comma));
    Coding coding = Coding::kUnknown;
    if (EqualsIgnoreCase(name, "gzip") || EqualsIgnoreCase(name, "x-gzip")) {
      coding = Coding::kGzip;
    } else if (EqualsIgnoreCase(name, "deflate")) {
      coding = Coding::kDeflate;
    } else if (name.empty() || EqualsIgnoreCase(name, "identity") ||
               EqualsIgnoreCase(name, "none")) {
      coding = Coding::kNone;
    }
    if (coding != Coding::kNone) coding_ = coding_ == Coding::kNone ? coding : Coding::kUnknown;
    if (comma == std::string_view::npos) return;
  }
}

size_t BodyReader::most_bytes() const {
  return longest_ > 0 && coding_ != Coding::kUnknown ? kMaxSearchedBytes : kMaxBytes;
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
  if (coded && begun && !inflated_ && !MayBeJunk() && error_.empty()) {
    Fail("compressed body broke off");
  }
}

bool BodyReader::BeginInflate(std::string_view first) {
  const bool framed = coding_ == Coding::kGzip || HasFrame(first);
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
  if (bytes.empty() || junk_ || (inflated_ && !BeginNextMember(bytes))) return true;
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
      if (rest.empty() || !BeginNextMember(rest)) return true;
      continue;
    }
    if (result == Z_BUF_ERROR || (result == Z_OK && zlib_.avail_in == 0 && zlib_.avail_out > 0)) {
      return true;  // it wants more
    }
    if (result != Z_OK) {
      if (!SearchRest()) return false;  // it had enough before that
      junk_ = MayBeJunk();
      if (!junk_) Fail("compressed body is corrupt");
      return junk_;
    }
  }
}

// Behind a gzip member another may follow; anything else there is ignored, as curl and browsers do.
bool BodyReader::BeginNextMember(std::string_view rest) {
  junk_ = coding_ != Coding::kGzip || rest.front() != '\x1f' || inflateReset(&zlib_) != Z_OK;
  if (junk_) return false;
  inflated_ = false;
  later_member_ = true;
  return true;
}

void BodyReader::Take(std::string_view bytes) {
  bytes = bytes.substr(0, most_bytes() - bytes_);
  bytes_ += bytes.size();
  if (longest_ == 0 || coding_ == Coding::kUnknown || bytes.empty()) return;
  if (unsearched_ + bytes.size() < kBatchBytes) {
    window_ += bytes;
    unsearched_ += bytes.size();
    return;
  }
  // First where a keyword may stand across the cut: what ends there ends before what stands behind.
  window_ += bytes.substr(0, longest_ - 1);
  Search(window_);
  if (forbidden_found_.empty()) Search(bytes);
  if (bytes.size() >= longest_) window_ = bytes.substr(bytes.size() - longest_ + 1);
  EndSearch();
}

bool BodyReader::SearchRest() {
  if (unsearched_ > 0) {
    Search(window_);
    EndSearch();
  }
  return error_.empty() && !Enough();
}

void BodyReader::Search(std::string_view text) {
  if (keyword_wanted_) keyword_wanted_ = EndOf(rules_->keyword, text) == std::string_view::npos;
  size_t first_end = std::string_view::npos;
  for (const std::string& k : rules_->forbidden_keywords) {
    const size_t end = EndOf(k, text);
    if (end >= first_end) continue;
    first_end = end;
    forbidden_found_ = k;
  }
}

// Keeps what a keyword may begin in.
void BodyReader::EndSearch() {
  if (window_.size() >= longest_) window_.erase(0, window_.size() - longest_ + 1);
  unsearched_ = 0;
}

bool BodyReader::Enough() const {
  if (!forbidden_found_.empty() || bytes_ >= most_bytes()) return true;
  const bool searching =
      keyword_wanted_ || (rules_ != nullptr && !rules_->forbidden_keywords.empty());
  return !searching && bytes_ >= kMaxBytes;
}

void BodyReader::Fail(std::string error) { error_ = std::move(error); }

}  // namespace jetmon::probe
