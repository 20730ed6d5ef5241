#include "monitor/check_policy.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "clock/deadline_budget.h"

namespace jetmon::monitor {
namespace {

// Of a site's own. The Monitor's --longest_check bounds it besides.
constexpr std::chrono::milliseconds kShortestTimeout{100},
    kLongestTimeout = DeadlineBudget::kLongestCheck;
constexpr size_t kMostFault = 200;

absl::Status NoHeaders(const char* why) {
  return absl::InvalidArgumentError(
      absl::StrCat("takes a JSON object of names and values, such as {\"X-Key\": \"abc\"}: ", why));
}

void AppendUtf8(uint32_t c, std::string* out) {
  const auto byte = [&](uint32_t value) { out->push_back(static_cast<char>(value)); };
  if (c < 0x80) return byte(c);
  if (c < 0x800) {
    byte(0xc0 | c >> 6);
  } else if (c < 0x10000) {
    byte(0xe0 | c >> 12);
    byte(0x80 | (c >> 6 & 0x3f));
  } else {
    byte(0xf0 | c >> 18);
    byte(0x80 | (c >> 12 & 0x3f));
    byte(0x80 | (c >> 6 & 0x3f));
  }
  byte(0x80 | (c & 0x3f));
}

// Goes over JSON text; each method takes what it is named for, or leaves the place and says false.
class Json {
 public:
  explicit Json(std::string_view text) : text_(text) {}

  // Spaces before it, too.
  bool Sign(char c) {
    Space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool End() {
    Space();
    return at_ == text_.size();
  }
  bool String(std::string* out) {
    if (!Sign('"')) return false;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '"') return true;
      if (static_cast<unsigned char>(c) < ' ') return false;
      if (c != '\\') {
        out->push_back(c);
      } else if (!Escape(out)) {
        return false;
      }
    }
    return false;
  }

 private:
  void Space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != text_.npos) ++at_;
  }
  bool Escape(std::string* out) {
    if (at_ == text_.size()) return false;
    const char c = text_[at_++];
    if (c == 'u') return CodePoint(out);
    const std::string_view written = "\"\\/bfnrt", meant = "\"\\/\b\f\n\r\t";
    const size_t which = written.find(c);
    if (which == written.npos) return false;
    out->push_back(meant[which]);
    return true;
  }
  bool CodePoint(std::string* out) {
    uint32_t c = 0, low = 0;
    if (!Hex(&c) || (c >= 0xdc00 && c < 0xe000)) return false;
    if (c >= 0xd800 && c < 0xdc00) {
      if (text_.substr(at_, 2) != "\\u") return false;
      at_ += 2;
      if (!Hex(&low) || low < 0xdc00 || low >= 0xe000) return false;
      c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    AppendUtf8(c, out);
    return true;
  }
  bool Hex(uint32_t* value) {
    if (text_.size() - at_ < 4) return false;
    for (int i = 0; i < 4; ++i) {
      const char c = text_[at_++];
      const size_t digit = std::string_view("0123456789abcdef").find(absl::ascii_tolower(c));
      if (digit == std::string_view::npos) return false;
      *value = *value << 4 | static_cast<uint32_t>(digit);
    }
    return true;
  }

  const std::string_view text_;
  size_t at_ = 0;
};

// Reads a row field by field. What can't be used is left as it was, and is a fault.
class Reader {
 public:
  explicit Reader(const store::CheckConfig& row) : row_(row) {}

  CheckPolicy Read() {
    CheckPolicy policy;
    policy.mode = ReadMode();
    const probe::FullRules rules = ReadRules();
    const std::chrono::milliseconds timeout = ReadTimeout();
    if (policy.mode.profile == probe::Profile::kFull) {
      policy.timeout = timeout;
      const bool any = rules.reads_body() || !rules.headers.empty() ||
                       rules.redirects != probe::RedirectPolicy::kFollow;
      if (any) policy.full = std::make_shared<const probe::FullRules>(rules);
    }
    fault_.resize(std::min(fault_.size(), kMostFault));
    // What somebody wrote there goes to logs and terminals.
    std::replace_if(
        fault_.begin(), fault_.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    policy.fault = std::move(fault_);
    return policy;
  }

 private:
  void Fault(const char* field, absl::string_view what) {
    absl::StrAppend(&fault_, fault_.empty() ? "" : "; ", field, ": ", what);
  }

  probe::Mode ReadMode() {
    std::string method = row_.method.value_or("HEAD"), profile = row_.profile.value_or("legacy");
    if (auto s = probe::ParseMode(method, "legacy").status(); !s.ok()) {
      Fault("method", s.message());
      method = "HEAD";
    }
    if (auto s = probe::ParseMode("HEAD", profile).status(); !s.ok()) {
      Fault("profile", s.message());
      profile = "legacy";
    }
    return *probe::ParseMode(method, profile);
  }

  probe::FullRules ReadRules() {
    probe::FullRules rules;
    if (!row_.keyword.value_or("").empty()) {
      probe::FullRules one;
      one.keyword = *row_.keyword;
      if (Usable("keyword", one)) rules.keyword = one.keyword;
    }
    if (!row_.forbidden_keyword.value_or("").empty()) {
      probe::FullRules one;
      one.forbidden_keywords = {*row_.forbidden_keyword};
      if (Usable("forbidden_keyword", one)) rules.forbidden_keywords = one.forbidden_keywords;
    }
    if (row_.redirect_policy.has_value()) {
      auto redirects = probe::ParseRedirectPolicy(*row_.redirect_policy);
      if (redirects.ok()) rules.redirects = *redirects;
      if (!redirects.ok()) Fault("redirect_policy", redirects.status().message());
    }
    if (row_.headers.has_value()) rules.headers = ReadHeaders(*row_.headers);
    return rules;
  }

  std::vector<probe::Header> ReadHeaders(const std::string& json) {
    auto headers = json.size() > store::CheckConfig::kMaxHeadersChars ? NoHeaders("it is too long")
                                                                      : ParseHeaders(json);
    if (!headers.ok()) {
      Fault("headers", headers.status().message());
      return {};
    }
    probe::FullRules one;
    one.headers = *std::move(headers);
    return Usable("headers", one) ? one.headers : std::vector<probe::Header>();
  }

  std::chrono::milliseconds ReadTimeout() {
    if (!row_.timeout_ms.has_value()) return std::chrono::milliseconds(0);
    if (*row_.timeout_ms >= kShortestTimeout.count() &&
        *row_.timeout_ms <= kLongestTimeout.count()) {
      return std::chrono::milliseconds(*row_.timeout_ms);
    }
    Fault("timeout_ms", absl::StrCat("takes ", kShortestTimeout.count(), " to ",
                                     kLongestTimeout.count(), ", not ", *row_.timeout_ms));
    return std::chrono::milliseconds(0);
  }

  bool Usable(const char* field, const probe::FullRules& one) {
    const absl::Status s = probe::ValidateRules(one);
    if (!s.ok()) Fault(field, s.message());
    return s.ok();
  }

  const store::CheckConfig& row_;
  std::string fault_;
};

// All of a row but whose it is; no two different ones have the same.
std::string KeyOf(const store::CheckConfig& row) {
  std::string key = absl::StrCat(row.timeout_ms.has_value() ? absl::StrCat(*row.timeout_ms) : "-");
  for (const auto* field : {&row.method, &row.profile, &row.keyword, &row.forbidden_keyword,
                            &row.headers, &row.redirect_policy}) {
    if (field->has_value()) {
      absl::StrAppend(&key, ",", (*field)->size(), ":", **field);
    } else {
      absl::StrAppend(&key, ",-");
    }
  }
  return key;
}

}  // namespace

std::string FaultText(size_t sites, const std::string& one) {
  return absl::StrCat("the check configuration of ", sites, sites == 1 ? " site" : " sites",
                      " can't all be used, defaults stand in; ", one);
}

absl::StatusOr<std::vector<probe::Header>> ParseHeaders(std::string_view text) {
  Json json(text);
  std::vector<probe::Header> headers;
  if (!json.Sign('{')) return NoHeaders("it is none");
  for (bool more = !json.Sign('}'); more;) {
    probe::Header h;
    if (!json.String(&h.name) || !json.Sign(':')) return NoHeaders("a name and : are wanted");
    if (!json.String(&h.value)) return NoHeaders("a value is a string");
    for (const probe::Header& other : headers) {
      if (absl::EqualsIgnoreCase(other.name, h.name)) return NoHeaders("a name stands there twice");
    }
    headers.push_back(std::move(h));
    if (headers.size() > probe::FullRules::kMaxHeaders) return NoHeaders("there are more than 32");
    more = json.Sign(',');
    if (!more && !json.Sign('}')) return NoHeaders("it has no end");
  }
  if (!json.End()) return NoHeaders("something stands behind it");
  return headers;
}

std::shared_ptr<const CheckPolicy> CheckPolicies::Of(const store::CheckConfig& row) {
  std::string key = KeyOf(row);
  if (auto known = known_.find(key); known != known_.end()) {
    if (auto policy = known->second.lock()) return policy;
  }
  auto policy = std::make_shared<const CheckPolicy>(Reader(row).Read());
  if (known_.size() >= tidy_at_) {
    std::erase_if(known_, [](const auto& entry) { return entry.second.expired(); });
    tidy_at_ = 2 * known_.size() + 64;
  }
  known_[std::move(key)] = policy;
  return policy;
}

}  // namespace jetmon::monitor
