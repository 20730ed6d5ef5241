#include "cli/findings.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace jetmon::cli {
namespace {

// Whatever an operation's typed result is called, it is an object under `result` or one of the
// members that end in _result.
Json ResultOf(const Json& answer) {
  if (answer["result"].IsObject()) return answer["result"];
  for (const std::string& key : answer.Keys()) {
    const Json member = answer[key];
    if (member.IsObject() && key != "job" && key != "error") return member;
  }
  return Json();
}

void AddWithRemedy(const Json& finding, const std::string& word, std::vector<std::string>* lines) {
  std::string line = absl::StrCat(word, " ", finding["code"].Text(), ": ", finding["text"].Text());
  if (const std::string todo = finding["action"].Text(); !todo.empty()) {
    absl::StrAppend(&line, " -> ", todo);
  }
  lines->push_back(line);
}

std::string RowTable(const std::vector<Json>& rows) {
  std::vector<std::string> columns;
  for (const Json& row : rows) {
    for (const std::string& key : row.Keys()) {
      if (row[key].Text().empty()) continue;
      if (std::find(columns.begin(), columns.end(), key) == columns.end()) columns.push_back(key);
    }
  }
  std::vector<size_t> widths;
  for (const std::string& c : columns) {
    size_t w = c.size();
    for (const Json& row : rows) w = std::max(w, row[c].Text().size());
    widths.push_back(w);
  }
  const auto line = [&](const auto& cell) {
    std::string text;
    for (size_t i = 0; i < columns.size(); ++i) {
      std::string value = cell(columns[i]);
      value.resize(widths[i], ' ');
      absl::StrAppend(&text, i == 0 ? "" : "  ", value);
    }
    while (!text.empty() && text.back() == ' ') text.pop_back();
    return text + "\n";
  };
  std::string table = line([](const std::string& c) { return c; });
  for (const Json& row : rows) {
    table += line([&row](const std::string& c) { return row[c].Text(); });
  }
  return table;
}

// A story as it is read: when, of what kind, what, and who did it.
std::string TimelineTable(const std::vector<Json>& entries) {
  std::string text;
  for (const Json& e : entries) {
    std::string at = e["at"].Text(), kind = e["kind"].Text(), line = e["text"].Text();
    at.resize(std::max<size_t>(at.size(), 24), ' ');
    kind.resize(std::max<size_t>(kind.size(), 10), ' ');
    // Notes may hold anything; an entry is a line.
    std::replace_if(
        line.begin(), line.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, ' ');
    const std::string who = e["consumer"].Text();
    absl::StrAppend(&text, at, "  ", kind, "  ", line,
                    who.empty() ? "" : absl::StrCat("  (", who, ")"), "\n");
  }
  return text;
}

}  // namespace

std::string Figures(const Json& object) {
  std::vector<std::string> figures;
  for (const std::string& key : object.Keys()) {
    const Json member = object[key];
    if (const std::string text = member.Text(); !text.empty()) {
      figures.push_back(absl::StrCat(key, "=", text));
    } else if (member.IsList()) {
      std::vector<std::string> words;
      for (const Json& item : member.Items()) {
        if (!item.Text().empty()) words.push_back(item.Text());
      }
      if (!words.empty()) figures.push_back(absl::StrCat(key, "=", absl::StrJoin(words, ",")));
    }
  }
  return absl::StrJoin(figures, " ");
}

std::vector<std::string> Findings(const Json& answer) {
  std::vector<std::string> lines;
  for (const Json& b : answer["blockers"].Items()) AddWithRemedy(b, "BLOCKED", &lines);
  for (const Json& w : answer["warnings"].Items()) {
    if (w.IsObject()) {
      AddWithRemedy(w, "warning", &lines);
    } else {
      lines.push_back("warning: " + w.Text());
    }
  }
  const Json result = ResultOf(answer);
  for (const Json& item : result["items"].Items()) {
    lines.push_back(
        absl::StrCat(item["status"].Text(), "  ", item["name"].Text(), ": ", item["text"].Text()));
  }
  if (const std::string figures = Figures(result); !figures.empty()) lines.push_back(figures);
  if (const std::string next = answer["next_action"].Text(); !next.empty()) {
    lines.push_back("next: " + next);
  }
  return lines;
}

std::string Table(const Json& answer) {
  if (answer.Has("blockers") || answer.Has("operation")) {
    std::string text =
        absl::StrCat(answer["operation"].Text(), ": ", answer["status"].Text(), "\n");
    if (!answer["summary"].Text().empty()) absl::StrAppend(&text, answer["summary"].Text(), "\n");
    for (const char* name : {"run_id", "job_id", "confirmation_token", "token_expires_at"}) {
      if (!answer[name].Text().empty()) {
        absl::StrAppend(&text, name, ": ", answer[name].Text(), "\n");
      }
    }
    for (const std::string& line : Findings(answer)) absl::StrAppend(&text, line, "\n");
    return text;
  }
  std::string text = Figures(answer);
  if (!text.empty()) text += "\n";
  for (const std::string& key : answer.Keys()) {
    const std::vector<Json> rows = answer[key].Items();
    if (rows.empty() || !rows[0].IsObject()) continue;
    if (key == "entries") {
      absl::StrAppend(&text, TimelineTable(rows));
      continue;
    }
    absl::StrAppend(&text, key, ":\n", RowTable(rows));
  }
  return text;
}

}  // namespace jetmon::cli
