#include "cli/v1_plan_file.h"

#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cli/terminal.h"

namespace jetmon::cli {
namespace {

constexpr size_t kMostBytes = 256 << 10;
constexpr size_t kMostHosts = 1000;
constexpr size_t kLongestHost = 255;
constexpr uint32_t kLargestBatch = 65536;
constexpr char kHeader[] = "host,bucket_min,bucket_max,batch_size";

// A piece of what was read, as it may be shown.
std::string Shown(absl::string_view text) {
  return absl::StrCat("'", absl::CHexEscape(text.substr(0, 64)), "'");
}

// Digits and nothing else, 9 of them at most.
bool Number(absl::string_view text, uint32_t* number) {
  return !text.empty() && text.size() <= 9 &&
         text.find_first_not_of("0123456789") == absl::string_view::npos &&
         absl::SimpleAtoi(text, number);
}

bool IsHostName(absl::string_view text) {
  if (text.empty() || text.size() > kLongestHost) return false;
  for (const char c : text) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '-' && c != '_' &&
        c != ':') {
      return false;
    }
  }
  return true;
}

// Of a row; its text says what is wrong with it, and not where.
absl::StatusOr<V1Host> ParseHost(absl::string_view line, uint32_t bucket_total) {
  std::vector<absl::string_view> fields = absl::StrSplit(line, ',');
  for (absl::string_view& f : fields) f = absl::StripAsciiWhitespace(f);
  if (fields.size() != 4) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", fields.size(), " fields, not 4: ", kHeader));
  }
  V1Host host;
  host.name = std::string(fields[0]);
  if (!IsHostName(fields[0])) {
    return absl::InvalidArgumentError(absl::StrCat(
        "host takes 1 to ", kLongestHost, " letters, digits, . - _ and :, not ", Shown(fields[0])));
  }
  const std::pair<const char*, uint32_t*> numbers[] = {{"bucket_min", &host.settings.min},
                                                       {"bucket_max", &host.settings.max},
                                                       {"batch_size", &host.settings.batch}};
  for (size_t i = 0; i < 3; ++i) {
    if (!Number(fields[i + 1], numbers[i].second)) {
      return absl::InvalidArgumentError(absl::StrCat(
          numbers[i].first, " takes a whole number, 0 or more, not ", Shown(fields[i + 1])));
    }
  }
  const auto& [min, max, batch] = host.settings;
  if (min > max) {
    return absl::InvalidArgumentError(
        absl::StrCat("bucket_min ", min, " is above bucket_max ", max));
  }
  if (min >= bucket_total || max > bucket_total) {
    return absl::InvalidArgumentError(absl::StrCat(
        min >= bucket_total ? "bucket_min " : "bucket_max ", min >= bucket_total ? min : max,
        " is past the last of ", bucket_total, " buckets (--bucket-total)"));
  }
  if (batch < 1 || batch > kLargestBatch) {
    return absl::InvalidArgumentError(
        absl::StrCat("batch_size takes 1 to ", kLargestBatch, ", not ", batch));
  }
  return host;
}

}  // namespace

absl::StatusOr<std::vector<V1Host>> ParseV1Plan(const std::string& name, std::string_view text,
                                                uint32_t bucket_total) {
  const auto wrong = [&name](size_t line, absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat(name, ":", line, ": ", what));
  };
  if (text.size() > kMostBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": is larger than ", kMostBytes >> 10, " KiB"));
  }
  absl::string_view rest(text.data(), text.size());
  absl::ConsumePrefix(&rest, "\xef\xbb\xbf");
  std::vector<V1Host> hosts;
  std::map<std::string, size_t> lines;
  bool header = false;
  size_t number = 0;
  for (absl::string_view line : absl::StrSplit(rest, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty()) continue;
    if (!header) {
      if (line != kHeader) {
        return wrong(number, absl::StrCat("the header is ", kHeader, ", not ", Shown(line)));
      }
      header = true;
      continue;
    }
    auto host = ParseHost(line, bucket_total);
    if (!host.ok()) return wrong(number, host.status().message());
    const auto [at, is_new] = lines.emplace(host->name, number);
    if (!is_new) {
      return wrong(number, absl::StrCat("host ", host->name, " is in line ", at->second, " too"));
    }
    if (hosts.size() == kMostHosts) {
      return wrong(number, absl::StrCat("takes up to ", kMostHosts, " hosts"));
    }
    hosts.push_back(*std::move(host));
  }
  if (hosts.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": no host; it takes the header ", kHeader, " and a row for each"));
  }
  return hosts;
}

absl::StatusOr<std::vector<V1Host>> ReadV1Plan(const std::string& path, uint32_t bucket_total) {
  auto text = ReadSmallFile(path == "-" ? "/dev/stdin" : path);
  if (!text.ok()) return text.status();
  return ParseV1Plan(path == "-" ? "standard input" : path, *text, bucket_total);
}

absl::StatusOr<store::Range> ParseHeldRange(const std::string& text, uint32_t bucket_total) {
  const std::vector<absl::string_view> ends = absl::StrSplit(text, '-');
  store::Range range;
  if (ends.size() > 2 || !Number(ends.front(), &range.min) || !Number(ends.back(), &range.max) ||
      range.min > range.max) {
    return absl::InvalidArgumentError(
        absl::StrCat("--held takes MIN-MAX, such as 0-99, not ", Shown(text)));
  }
  if (range.max >= bucket_total) {
    return absl::InvalidArgumentError(absl::StrCat("--held ", text, " is past the last of ",
                                                   bucket_total, " buckets (--bucket-total)"));
  }
  return range;
}

}  // namespace jetmon::cli
