#include "daemon/flags.h"

#include <gflags/gflags.h>

#include <algorithm>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace jetmon::daemon {
namespace {

bool IsOurs(const gflags::CommandLineFlagInfo& info) {
  return !absl::StrContains(info.filename, "gflags");
}

bool FindFlag(const std::string& name, gflags::CommandLineFlagInfo* info) {
  return gflags::GetCommandLineFlagInfo(name.c_str(), info) && IsOurs(*info);
}

absl::Status Set(const gflags::CommandLineFlagInfo& info, const std::string& value) {
  if (gflags::SetCommandLineOption(info.name.c_str(), value.c_str()).empty()) {
    return absl::InvalidArgumentError(absl::StrCat("--", info.name, " does not take '", value,
                                                   "' (", info.type, "): ", info.description));
  }
  return absl::OkStatus();
}

absl::Status ParseWords(const std::vector<std::string>& args, Parsed* parsed, bool from_file) {
  for (size_t i = 0; i < args.size(); ++i) {
    absl::string_view word = args[i];
    if (!absl::ConsumePrefix(&word, "-")) {
      return absl::InvalidArgumentError(
          absl::StrCat("unexpected argument '", args[i], "'; every setting is a flag, see --help"));
    }
    absl::ConsumePrefix(&word, "-");
    const size_t equals = word.find('=');
    std::string name(word.substr(0, equals));
    std::replace(name.begin(), name.end(), '-', '_');
    const bool has_value = equals != absl::string_view::npos;
    std::string value = has_value ? std::string(word.substr(equals + 1)) : "";
    if (name == "help" || name == "h" || name == "version") {
      (name == "version" ? parsed->version : parsed->help) = true;
      continue;
    }
    gflags::CommandLineFlagInfo info;
    if (name == "flagfile" && !from_file) {
      if (!has_value && ++i < args.size()) value = args[i];
      parsed->flagfile = value;
      if (auto s = ReadFlagFile(value); !s.ok()) return s;
      continue;
    }
    if (FindFlag(name, &info)) {
      if (!has_value && info.type == "bool") {
        value = "true";
      } else if (!has_value) {
        if (++i >= args.size()) {
          return absl::InvalidArgumentError(absl::StrCat("--", name, " needs a value"));
        }
        value = args[i];
      }
    } else if (!has_value && absl::StartsWith(name, "no") && FindFlag(name.substr(2), &info) &&
               info.type == "bool") {
      value = "false";
    } else {
      return absl::InvalidArgumentError(absl::StrCat("unknown flag --", name, "; see --help"));
    }
    if (auto s = Set(info, value); !s.ok()) return s;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ParseFlags(const std::vector<std::string>& args, Parsed* parsed) {
  return ParseWords(args, parsed, /*from_file=*/false);
}

absl::Status ReadFlagFile(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(absl::StrCat("can't read the flag file '", path, "'"));
  std::vector<std::string> words;
  std::string line;
  while (std::getline(file, line)) {
    const absl::string_view stripped = absl::StripAsciiWhitespace(line);
    if (stripped.empty() || stripped.front() == '#') continue;
    words.emplace_back(stripped);
  }
  Parsed ignored;
  auto s = ParseWords(words, &ignored, /*from_file=*/true);
  if (!s.ok()) return absl::InvalidArgumentError(absl::StrCat(path, ": ", s.message()));
  return absl::OkStatus();
}

std::string DescribeFlags() {
  std::vector<gflags::CommandLineFlagInfo> all;
  gflags::GetAllFlags(&all);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  std::string text = "  --flagfile=FILE  read flags from FILE, one a line; SIGHUP reads it again\n";
  for (const auto& f : all) {
    if (!IsOurs(f)) continue;
    const std::string by_default = f.default_value.empty() ? "none" : f.default_value;
    absl::StrAppend(&text, "  --", f.name, "=", f.type, "  ", f.description,
                    " (default: ", by_default, ")\n");
  }
  return text;
}

}  // namespace jetmon::daemon
