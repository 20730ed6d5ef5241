// What store/sql/database.cc also begins with in the mutated copy of the tree: the text of a
// statement as the mutation in force has it. kMutatedSql is generated before it: name, text, text
// instead.
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace {

inline std::string_view MutatedSql(std::string_view sql) {
  static const char* const chosen = std::getenv("JETMON_MUTATION");
  if (chosen == nullptr) return sql;
  std::string text(sql);
  for (const MutatedText& m : kMutatedSql) {
    if (std::strcmp(m.name, chosen) != 0) continue;
    if (const size_t at = text.find(m.text); at != std::string::npos) {
      text.replace(at, std::strlen(m.text), m.instead);
    }
  }
  if (text == sql) return sql;
  // Kept for as long as the process lives: statements are known by their text.
  static std::mutex mutex;
  static auto* const texts = new std::map<std::string, std::string, std::less<>>;
  std::lock_guard lock(mutex);
  auto at = texts->find(sql);
  if (at == texts->end()) at = texts->emplace(std::string(sql), std::move(text)).first;
  return at->second;
}

}  // namespace
